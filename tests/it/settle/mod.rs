//! What becomes of a delivery.

mod deliveries;
mod outliving;
