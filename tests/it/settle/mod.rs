//! Settling deliveries.

mod deliveries;
mod outliving;
