//! Settling deliveries.

mod deliveries;
mod outliving;
mod panicking_clock;
mod together;
