//! Programs around a consumer or a producer: workers.
//!
//! They use the typed handles and never the engine, so that they work with every engine.

pub(crate) mod verbs;
pub mod worker;
