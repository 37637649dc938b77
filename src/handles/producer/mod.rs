//! [`Producer`], the typed handle that publishes.
//!
//! A producer adds a payload type to a [`Publisher`].
//!
//! - `batch`: publishing of many payloads at once.
//! - `builder`: [`ProducerBuilder`] and [`Destination`].
//! - `claimed`: producers on behalf of a delivery.
//! - `forms`: publishing without waiting, for a limited time, and as a future.
//! - `send`: the way of a payload from the producer to the queues.
//! - `completed`: the properties that the payload type adds to a message.
//! - `refused`: [`PublishError`].
//! - `retry`: publishing again what queues refuse.

mod batch;
mod builder;
mod claimed;
mod completed;
mod forms;
mod known;
mod refused;
mod rest;
mod results;
mod retry;
mod send;
mod started;
#[cfg(feature = "tracing")]
mod traced;
mod unsynced;

use std::{fmt, sync::Arc};

pub use self::{
    builder::{Destination, ProducerBuilder},
    refused::PublishError,
    results::PublishResults,
};

pub(crate) use crate::engine::vhost::Published;

use self::retry::Retry;

use crate::{
    message::{codec::Codec, outgoing::Message, payload::Payload},
    model::{error::Result, name::Name},
    session::{
        gate::Gate,
        publisher::{OnFull, Publisher},
    },
};

/// Publishes payloads of one type to one exchange, or to one queue.
///
/// When a publish returns, the message is routed: each of its queues has taken or refused it.
///
/// Cloning is cheap. Each clone caches its own routes, so give each thread its own clone.
///
/// A producer for a queue is mandatory: an unroutable message is an error. A producer for an
/// exchange is not. The [builder](ProducerBuilder) or the message can set the flag.
///
/// # RabbitMQ
/// `basic.publish`. In RabbitMQ a publish returns before the message is routed.
///
/// # If dropped
/// Nothing happens to the messages that were published.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue};
///
/// let broker = Broker::new();
/// let logs = Exchange::topic("logs");
/// let errors = broker.declare(&Queue::exclusive().bind(&logs, "*.error"))?;
/// let producer = broker.producer::<String>(&logs)?;
/// assert_eq!((&**producer.exchange(), &**producer.routing_key()), ("logs", ""));
/// assert_eq!(producer.publish_to("disk.error", "full".to_owned())?.routed, 1);
/// assert_eq!(producer.publish_to("disk.info", "fine".to_owned())?.routed, 0);
/// assert_eq!(*broker.consumer::<String>(&errors)?.recv()?, "full");
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Producer<T: Payload> {
    publisher: Publisher,
    codec: Option<Arc<dyn Codec>>,
    always_encode: bool,
    /// The function that computes the size of a payload, if the builder set one.
    sized_by: Option<fn(&T) -> u64>,
    /// Whether each publish has a span.
    #[cfg(feature = "tracing")]
    is_traced: bool,
    /// `None` if a refused message is not published again.
    retry: Option<Arc<Retry>>,
}

impl<T: Payload> Producer<T> {
    /// Publishes a payload with the routing key of the producer.
    ///
    /// # RabbitMQ
    /// `basic.publish`. In RabbitMQ a publish returns before the message is routed.
    ///
    /// # Blocking
    /// In a task use [`publish_async`](Self::publish_async). This method blocks the thread while it
    /// waits for room, which it does in two cases:
    /// - One of the message's queues is full and has [`Overflow::Block`](crate::Overflow::Block).
    /// - A spent budget with [`BudgetPolicy::Block`](crate::BudgetPolicy::Block) covers one of the
    ///   message's queues.
    ///
    /// The other queues have the message at once. The method then waits for one queue after the
    /// other, in the order of the route. Publishers that wait for the same queue get room first
    /// come first served. If the wait ends early (the connection closes, the broker shuts down),
    /// the queues that have the message keep it, and the others count as
    /// [`refused`](Published#structfield.refused). The publish fails if no queue has the message.
    ///
    /// # Errors
    /// Every error returns the payload to the caller, but for
    /// [one case](PublishError::payload) of `Error::Store`.
    /// - [`Error::NoRoute`](crate::Error::NoRoute) if the message is mandatory and unroutable.
    /// - [`Error::Refused`](crate::Error::Refused) if no queue took the message and one refused it.
    ///   [`retry`](Self::retry) tries again.
    /// - [`Error::NotShareable`](crate::Error::NotShareable) if a [`Local`](crate::Local) payload
    ///   would reach more than one queue.
    /// - [`Error::NotFound`](crate::Error::NotFound) if the exchange does not exist any more.
    /// - [`Error::Codec`](crate::Error::Codec) if the payload must be encoded and the codec fails.
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed)
    /// - [`Error::ShutDown`](crate::Error::ShutDown)
    /// - [`Error::Store`](crate::Error::Store) if a durable queue must keep the message, and the
    ///   disk has failed or has too little room.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let producer = broker.producer::<String>("q")?;
    /// broker.delete(&Queue::new("q"))?;
    /// let error = producer.publish("hello".to_owned()).unwrap_err();
    /// assert_eq!(error.error().reply_code(), Some(312));
    /// assert_eq!(error.into_inner(), Some("hello".to_owned()));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send_plain(payload, OnFull::Wait)
    }

    /// Publishes a payload with another routing key, of at most 255 bytes.
    ///
    /// The message goes to the same exchange. For a producer made for a queue that is the default
    /// exchange, so the key is the name of a queue.
    ///
    /// # RabbitMQ
    /// `basic.publish`, as for [`publish`](Self::publish).
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), and
    /// [`Error::InvalidName`](crate::Error::InvalidName) if the routing key is too long.
    pub fn publish_to(&self, routing_key: &str, payload: T) -> Result<Published, PublishError<T>> {
        self.send_to(routing_key, payload, OnFull::Wait)
    }

    /// Publishes a message with its own properties.
    ///
    /// # RabbitMQ
    /// `basic.publish`, as for [`publish`](Self::publish).
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), which return the message to the caller, and:
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the routing key is over 255 bytes.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if `expiration` is
    ///   invalid, or a `CC` or `BCC` header is not an array.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if `user_id` is not the
    ///   user of the connection.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Message, Properties};
    /// # let broker = leveret::Broker::new();
    /// let producer = broker.producer::<u32>("q")?;
    /// producer.publish_message(Message::new(7).header("origin", "cellar"))?;
    /// // The connection belongs to the user `guest`. The error returns the message unchanged.
    /// let message = Message::new(8).properties(Properties::new().user_id("ada"));
    /// let error = producer.publish_message(message.clone()).unwrap_err();
    /// assert_eq!(error.error().reply_code(), Some(406));
    /// assert_eq!(error.into_inner(), Some(message));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, OnFull::Wait)
    }

    pub(crate) fn gate(&self) -> &Gate {
        self.publisher.gate()
    }

    /// Returns the name of the exchange. The name of the default exchange is empty.
    pub fn exchange(&self) -> &Name {
        self.publisher.exchange()
    }

    /// Returns the routing key of messages that have none of their own.
    ///
    /// The default is the name of the queue, or the empty key for an exchange.
    pub fn routing_key(&self) -> &Name {
        self.publisher.routing_key()
    }
}

impl<T: Payload> Clone for Producer<T> {
    fn clone(&self) -> Producer<T> {
        Producer {
            publisher: self.publisher.clone(),
            codec: self.codec.clone(),
            always_encode: self.always_encode,
            sized_by: self.sized_by,
            #[cfg(feature = "tracing")]
            is_traced: self.is_traced,
            retry: self.retry.clone(),
        }
    }
}

impl<T: Payload> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("exchange", self.exchange())
            .field("routing_key", self.routing_key())
            .field("mandatory", &self.publisher.is_mandatory())
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
