//! Sessions: who uses a virtual host, what it holds, and AMQP's methods.
//!
//! A connection owns channels and exclusive queues; a channel speaks AMQP and keeps the ledger of what it was handed; a
//! delivery is owned by whoever holds it. Typed handles are built above this layer and are not known here.

mod access;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the only engine outside of this process is that of the tests"
    )
)]
pub(crate) mod backend;
pub mod channel;
pub(crate) mod connection;
pub(crate) mod delivery;
pub(crate) mod delivery_info;
pub(crate) mod gate;
pub(crate) mod publisher;
pub(crate) mod receive;
mod recv_backoff;
pub(crate) mod subscriber;
pub(crate) mod unacked;
pub(crate) mod undecoded;
