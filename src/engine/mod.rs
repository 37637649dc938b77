//! The state machines: exchanges, queues and policies, and above them the virtual host.
//!
//! Exchange, queue and policy never import each other. Only the virtual host knows all three. It
//! carries out the effects that they return.

pub(crate) mod exchange;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod vhost;
