//! The events of channels, in ordered streams: deliveries, returned messages, confirms and
//! cancelled consumers.
//!
//! - `delivery`: a message as a channel shows it.
//! - `blocked`: a publish that waits for room.
//! - `stream`: one ordered stream, of a channel or of a whole connection.
//! - `reader`: the public side of a stream.

mod blocked;
mod delivery;
mod reader;
mod stream;

#[cfg(feature = "amqp")]
pub(crate) use self::reader::note_reads;
pub(crate) use self::{
    blocked::Blocked,
    delivery::{DeliveredFrom, DeliveryReader, ReplyOrigin},
    reader::StreamEnd,
    stream::EventStream,
};
pub use self::{
    delivery::ChannelDelivery,
    reader::{Events, StreamItem},
};

use std::{fmt, sync::Arc};

use crate::{
    message::properties::Properties,
    model::{
        bytes::Bytes,
        error::{CancelReason, Error},
        name::Name,
    },
};

/// An event on a [`Channel`](crate::Channel). The stream has the order in which the broker acts.
///
/// # Examples
/// ```
/// use leveret::{
///     channel::{ConsumeOptions, Event, PublishOptions},
///     Broker, Credentials, Properties, Queue,
/// };
///
/// let broker = Broker::new();
/// let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// let queue = channel.queue_declare(&Queue::new("q"))?.name;
/// channel.basic_consume(&queue, ConsumeOptions::new())?;
/// channel.basic_publish("", &queue, "hello", Properties::new(), PublishOptions::new())?;
/// match channel.events().recv()? {
///     Event::Delivery(delivery) => assert_eq!(&*delivery.body()?, b"hello"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message is delivered to a consumer of the channel (`basic.deliver`).
    Delivery(ChannelDelivery),
    /// A mandatory message reached no queue and is returned (`basic.return`).
    Return(Returned),
    /// A published message is confirmed (`basic.ack` or `basic.nack` from the broker).
    Confirm(Confirm),
    /// The broker cancelled a consumer (`basic.cancel` from the broker, RabbitMQ's extension).
    Cancelled {
        /// The tag of the consumer, which can be used again.
        consumer_tag: Name,
        /// The reason.
        reason: CancelReason,
    },
    /// A publish through the connection has begun to wait for room (`connection.blocked`,
    /// RabbitMQ's extension). The [stream of the connection](crate::Connection::events) has it,
    /// with the number 0. It is followed by an `Unblocked`, unless both come before either is read.
    Blocked {
        /// What the publish waits for.
        reason: BlockedReason,
    },
    /// No publish through the connection waits any more (`connection.unblocked`).
    Unblocked,
    /// The connection to an engine outside of this process was lost, or an attempt to connect again
    /// has failed. The [stream of the connection](crate::Connection::events) has it, with the
    /// number 0.
    ConnectionLost {
        /// [`Error::ConnectionLost`] with the reason, or the error of the attempt.
        error: Error,
    },
    /// The connection to an engine outside of this process is there again: the queues and exchanges
    /// of this program are declared, and its consumers go on. A reader that is behind sees the
    /// latest loss and the latest return only.
    ConnectionRestored {
        /// The address of the engine, such as `127.0.0.1:5672`.
        address: Arc<str>,
    },
}

/// What a publish waits for. Its text is that of RabbitMQ's `connection.blocked`, if there is one.
///
/// # Examples
/// ```
/// use leveret::channel::BlockedReason;
/// assert_eq!(BlockedReason::LowDisk.to_string(), "low on disk");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockedReason {
    /// The disk has too little free space: the disk alarm of a durable broker.
    LowDisk,
    /// A budget of bytes is spent, and lets its publishers wait
    /// ([`BudgetPolicy::Block`](crate::BudgetPolicy::Block)).
    Budget,
    /// An engine outside of this process has too little memory.
    LowMemory,
    /// A queue is full, and lets its publishers wait ([`Overflow::Block`](crate::Overflow::Block)).
    QueueFull,
}

impl fmt::Display for BlockedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            BlockedReason::LowDisk => "low on disk",
            BlockedReason::Budget | BlockedReason::LowMemory => "low on memory",
            BlockedReason::QueueFull => "queue full",
        })
    }
}

/// A mandatory message that reached no queue and is returned.
///
/// [`Channel::basic_publish`](crate::Channel::basic_publish) has an example.
///
/// # RabbitMQ
/// `basic.return` (AMQP 0-9-1).
#[derive(Debug)]
#[non_exhaustive]
pub struct Returned {
    /// The reply code of AMQP: 312.
    pub reply_code: u16,
    /// The reply text of AMQP: `NO_ROUTE`.
    pub reply_text: &'static str,
    /// The exchange that the message was published to.
    pub exchange: Name,
    /// The routing key of the message.
    pub routing_key: Name,
    /// The properties of the message.
    pub properties: Properties,
    /// The body of the message.
    pub body: Bytes,
}

/// The confirm of messages that were published in confirm mode.
///
/// Confirms that are not read yet are joined where their order permits: there may be one confirm
/// for 256 messages that were taken one after another.
///
/// [`Channel::confirm_select`](crate::Channel::confirm_select) has an example.
///
/// # RabbitMQ
/// `basic.ack` and `basic.nack` from the broker (RabbitMQ's extension of AMQP 0-9-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirm {
    /// The number of the message. The first message after `confirm_select` has the number 1.
    pub delivery_tag: u64,
    /// Whether the confirm is one of all messages up to this one that have none yet.
    pub multiple: bool,
    /// Whether the broker accepted the messages.
    pub outcome: ConfirmOutcome,
}

/// Whether the broker accepted a message.
///
/// [`Channel::confirm_select`](crate::Channel::confirm_select) has an example of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// Every queue of the route accepted the message, or the route had no queue.
    Ack,
    /// At least one queue refused the message.
    Nack,
}
