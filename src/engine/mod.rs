//! The state machines: access, exchanges, routers, logs of streams, queues and policies, and above
//! them the virtual host.
//!
//! Access, exchange, router, queue and policy never import each other. Only the virtual host knows
//! them all. It carries out the effects that they return.

pub(crate) mod access;
pub(crate) mod events;
pub(crate) mod exchange;
mod phash2;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod router;
#[cfg_attr(
    not(feature = "durable"),
    allow(dead_code, reason = "the store comes with the feature")
)]
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod tap;
pub(crate) mod vhost;
