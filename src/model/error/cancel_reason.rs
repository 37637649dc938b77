//! The reason why a consumer gets no more messages.

use std::fmt;

/// The reason why a consumer gets no more messages.
///
/// # Examples
/// ```
/// use leveret::{Broker, CancelReason, Error, Queue};
/// let consumer = Broker::new().consumer::<u32>(&Queue::new("q"))?; // the broker is dropped
/// let error = Error::from(consumer.recv().unwrap_err());
/// assert_eq!(error, Error::Cancelled(CancelReason::BrokerDropped));
/// assert!(error.is_closed());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// The consumer was cancelled, for example by its [`CancelHandle`](crate::CancelHandle).
    ConsumerCancelled,
    /// The consumer was too slow, and its
    /// [`SlowConsumerPolicy`](crate::SlowConsumerPolicy) says that it is cancelled then.
    SlowConsumer,
    /// The queue was deleted, or it expired.
    QueueDeleted,
    /// The consumer of a channel has not settled a delivery of a quorum queue in time. The queue
    /// has taken the delivery back. The consumer gets no message until it has settled all such
    /// deliveries, and then is served again.
    TimedOut,
    /// The channel was closed.
    ChannelClosed,
    /// The connection was closed.
    ConnectionClosed,
    /// The virtual host was deleted.
    VhostDeleted,
    /// The user of the connection was deleted.
    UserDeleted,
    /// The user of the connection may not read from the queue any more. A
    /// [`SimpleQueue`](crate::SimpleQueue) ends by it. A consumer goes on.
    AccessRefused,
    /// The next messages of the stream are on disk only, and cannot be read there: its file is
    /// damaged, or the disk has an error. A [`Reader`](crate::Reader) tries again with its next
    /// call, and may [`seek`](crate::Reader::seek) another place.
    Unreadable,
    /// The broker was shut down by [`Broker::shutdown`](crate::Broker::shutdown).
    ShutDown,
    /// The last clone of the [`Broker`](crate::Broker) was dropped, which ended the broker.
    BrokerDropped,
}

impl CancelReason {
    /// Whether the broker has ended, and not only a part of it.
    pub(crate) fn is_end_of_broker(self) -> bool {
        matches!(self, CancelReason::ShutDown | CancelReason::BrokerDropped)
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CancelReason::ConsumerCancelled => "on request",
            CancelReason::SlowConsumer => "it was too slow",
            CancelReason::QueueDeleted => "its queue was deleted",
            CancelReason::TimedOut => "it has not settled a delivery in time",
            CancelReason::ChannelClosed => "its channel was closed",
            CancelReason::ConnectionClosed => "its connection was closed",
            CancelReason::VhostDeleted => "its virtual host was deleted",
            CancelReason::UserDeleted => "its user was deleted",
            CancelReason::AccessRefused => "its user may not read from the queue any more",
            CancelReason::Unreadable => "its messages on disk cannot be read",
            CancelReason::ShutDown => "the broker was shut down",
            CancelReason::BrokerDropped => "the last clone of its `Broker` was dropped",
        })
    }
}
