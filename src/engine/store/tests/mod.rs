//! Tests of the journal and of the stores. The disk is a fake one, which can lose power.

#[cfg(feature = "durable")]
pub(crate) mod disk;
#[cfg(feature = "durable")]
mod suite;
