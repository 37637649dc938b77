//! Sessions: the users of a virtual host, their unsettled deliveries, and the methods of AMQP.
//!
//! A connection owns channels and exclusive queues. A channel has the methods of AMQP and keeps its
//! unsettled deliveries in a ledger. A delivery belongs to the code that received it. Typed handles
//! are built above this layer, which does not know them.

#[cfg_attr(
    not(any(test, feature = "rabbitmq")),
    expect(
        dead_code,
        reason = "the only engine outside of this process comes with the feature"
    )
)]
pub(crate) mod backend;
pub(crate) mod batch;
pub(crate) mod broker_core;
#[cfg_attr(
    not(any(test, feature = "rabbitmq")),
    expect(
        dead_code,
        reason = "the only engine outside of this process comes with the feature"
    )
)]
pub(crate) mod callers;
pub mod channel;
pub(crate) mod connection;
pub(crate) mod delay_queue;
pub(crate) mod delivery;
pub(crate) mod delivery_info;
pub(crate) mod events;
pub(crate) mod exported_queue;
pub(crate) mod feed;
mod forget;
mod forward;
pub(crate) mod gate;
mod gets;
pub(crate) mod getter;
mod holding;
mod overdue;
pub(crate) mod publisher;
pub(crate) mod receive;
mod recv_backoff;
pub(crate) mod remote_getter;
mod remote_origin;
pub(crate) mod requeue;
pub(crate) mod spare_handle;
pub(crate) mod stream_reader;
pub(crate) mod subscriber;
mod tapped;
#[cfg(feature = "tracing")]
mod traced;
pub(crate) mod unacked;
pub(crate) mod undecoded;
