//! Programs around a consumer or a producer: workers, middlewares, RPC, remote control,
//! notifications and schedules.
//!
//! They use the typed handles and never the engine, so that they work with every engine.

pub mod control;
pub mod middleware;
pub mod notify;
pub mod rpc;
pub(crate) mod schedule;
pub(crate) mod verbs;
pub mod worker;
