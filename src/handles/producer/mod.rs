//! [`Producer`], the typed handle that publishes.
//!
//! A producer adds a payload type to a [`Publisher`].
//!
//! - `batch`: publishing of many payloads at once.
//! - `builder`: [`ProducerBuilder`] and [`Destination`].
//! - `claimed`: producers on behalf of a delivery.
//! - `send`: the way of a payload from the producer to the queues.
//! - `completed`: the properties that the payload type adds to a message.
//! - `refused`: [`PublishError`].

mod batch;
mod builder;
mod claimed;
mod completed;
mod refused;
mod send;

use std::{fmt, sync::Arc, time::Duration};

pub use self::{
    builder::{Destination, ProducerBuilder},
    refused::PublishError,
};

use crate::{
    engine::vhost::Published,
    message::{codec::Codec, outgoing::Message, payload::Payload},
    model::{error::Result, name::Name},
    session::publisher::{OnFull, Publisher},
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
}

impl<T: Payload> Producer<T> {
    /// Publishes a payload with the routing key of the producer.
    ///
    /// # RabbitMQ
    /// `basic.publish`. In RabbitMQ a publish returns before the message is routed.
    ///
    /// # Blocking
    /// The method waits for room in two cases:
    /// - One of the message's queues is full and has [`Overflow::Block`](crate::Overflow::Block).
    /// - A spent budget with [`BudgetPolicy::Block`](crate::BudgetPolicy::Block) covers one of the
    ///   message's queues.
    ///
    /// # Errors
    /// Every error returns the payload to the caller.
    /// - [`Error::NoRoute`](crate::Error::NoRoute) if the message is mandatory and unroutable.
    /// - [`Error::Refused`](crate::Error::Refused) if no queue took the message and one refused it.
    /// - [`Error::NotShareable`](crate::Error::NotShareable) if a [`Local`](crate::Local) payload
    ///   would reach more than one queue.
    /// - [`Error::NotFound`](crate::Error::NotFound) if the exchange does not exist any more.
    /// - [`Error::Codec`](crate::Error::Codec) if the payload must be encoded and the codec fails.
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed)
    /// - [`Error::ShutDown`](crate::Error::ShutDown)
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
    /// assert_eq!(error.into_inner(), "hello");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send_plain(payload, OnFull::Wait)
    }

    /// Publishes a payload with another routing key, of at most 255 bytes.
    ///
    /// The message goes to the same exchange. For a producer made for a queue that is the default
    /// exchange, so the key is the name of a queue.
    /// [`publish_message_timeout`](Self::publish_message_timeout) takes a key and a time limit.
    ///
    /// # RabbitMQ
    /// `basic.publish`, as for [`publish`](Self::publish).
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), and
    /// [`Error::InvalidName`](crate::Error::InvalidName) if the routing key is too long.
    pub fn publish_to(&self, routing_key: &str, payload: T) -> Result<Published, PublishError<T>> {
        self.send_to(routing_key, payload)
    }

    /// Publishes a message with its own properties.
    ///
    /// # RabbitMQ
    /// `basic.publish`, as for [`publish`](Self::publish).
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), which return the message to the caller, and:
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the routing key is over 255 bytes.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if `expiration` or
    ///   `delivery_mode` is invalid, or a `CC` or `BCC` header is not an array.
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
    /// assert_eq!(error.into_inner(), message);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, OnFull::Wait)
    }

    /// Same as [`publish`](Self::publish), but never waits for room in a queue with
    /// [`Overflow::Block`](crate::Overflow::Block), or in a budget.
    ///
    /// [`publish_timeout`](Self::publish_timeout) has an example of both methods.
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), and [`Error::Refused`](crate::Error::Refused) if
    /// one of the message's queues is full and blocks, or its budget is spent and blocks.
    pub fn try_publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send_plain(payload, OnFull::Fail)
    }

    /// Same as [`publish`](Self::publish), but waits at most `timeout` for room in a queue with
    /// [`Overflow::Block`](crate::Overflow::Block), or in a budget that blocks.
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), and [`Error::Timeout`](crate::Error::Timeout) if
    /// there was no room in time.
    ///
    /// # Examples
    /// ```
    /// use leveret::Error;
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let broker = Broker::new();
    /// # let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// producer.publish_timeout(1, Duration::from_secs(1))?;
    /// assert!(matches!(producer.try_publish(2).unwrap_err().error(), Error::Refused { .. }));
    /// let error = producer.publish_timeout(2, Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.error(), &Error::Timeout);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_timeout(
        &self,
        payload: T,
        timeout: Duration,
    ) -> Result<Published, PublishError<T>> {
        self.send_plain(payload, OnFull::WaitFor(timeout))
    }

    /// Same as [`publish`](Self::publish), but waits for room without blocking the thread.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has published nothing.
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let broker = Broker::new();
    /// # let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(pin!(producer.publish_async(1)).poll(&mut context).is_ready());
    /// assert!(pin!(producer.publish_async(2)).poll(&mut context).is_pending()); // and dropped
    /// assert_eq!(broker.purge(&queue)?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn publish_async(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send_async(payload).await
    }

    /// Same as [`publish_message`](Self::publish_message), but never waits for room.
    ///
    /// [`publish_message_timeout`](Self::publish_message_timeout) has an example of both methods.
    ///
    /// # Errors
    /// The errors of [`publish_message`](Self::publish_message) and of
    /// [`try_publish`](Self::try_publish), which return the message to the caller.
    pub fn try_publish_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, OnFull::Fail)
    }

    /// Same as [`publish_message`](Self::publish_message), but waits at most `timeout` for room.
    ///
    /// # Errors
    /// The errors of [`publish_message`](Self::publish_message) and of
    /// [`publish_timeout`](Self::publish_timeout), which return the message to the caller.
    ///
    /// # Examples
    /// ```
    /// use leveret::Message;
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let broker = Broker::new();
    /// # let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// producer.try_publish_message(Message::new(1))?;
    /// let error = producer.try_publish_message(Message::new(2)).unwrap_err();
    /// let (message, timeout) = (error.into_inner(), Duration::from_millis(1));
    /// let error = producer.publish_message_timeout(message, timeout).unwrap_err();
    /// assert_eq!(error.payload().payload(), &2);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_message_timeout(
        &self,
        message: Message<T>,
        timeout: Duration,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, OnFull::WaitFor(timeout))
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
        }
    }
}

impl<T: Payload> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("exchange", self.exchange())
            .field("routing_key", self.routing_key())
            .field("mandatory", &self.publisher.is_mandatory())
            .finish_non_exhaustive()
    }
}
