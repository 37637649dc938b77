//! Where a publish goes, and what comes back if it goes nowhere.

mod batches;
mod properties;
mod refused;
mod routes;
