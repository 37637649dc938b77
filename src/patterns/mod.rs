//! Programs around a consumer or a producer: workers, middlewares, RPC, notifications and
//! schedules.
//!
//! They use the typed handles and never the engine, so that they work with every engine.

pub mod middleware;
pub mod notify;
pub mod rpc;
pub(crate) mod schedule;
pub(crate) mod verbs;
pub mod worker;
