//! Tests of the stores. The disk is a fake one, which can lose power.

pub(crate) mod disk;
pub(crate) mod model;
mod suite;
pub(crate) mod workload;
