//! Producers: typed handles that publish.
//!
//! A producer adds a type to a [`Publisher`]. Files: `batch` many at once, `builder` how one is made,
//! `send` how a payload gets into queues, `completed` what its type adds to the properties, `refused`
//! what comes back.

mod batch;
mod builder;
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
/// A publish is done when the method returns: every queue on the message's way has it, or has refused it.
/// Cloning is cheap, and each clone remembers its own routes: give every thread one.
///
/// A producer made for a queue is mandatory (a message that finds no queue is an error), one made for an exchange is
/// not, unless told otherwise by its [builder](ProducerBuilder) or the message.
///
/// # If dropped
/// Nothing happens to what was published.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue};
///
/// let broker = Broker::new();
/// let logs = Exchange::topic("logs");
/// let errors = broker.declare(&Queue::exclusive().bind(&logs, "*.error"))?;
/// let publisher = broker.producer::<String>(&logs)?;
/// assert_eq!((&**publisher.exchange(), &**publisher.routing_key()), ("logs", ""));
/// assert_eq!(publisher.publish_to("disk.error", "full".to_owned())?.routed, 1);
/// assert_eq!(publisher.publish_to("disk.info", "fine".to_owned())?.routed, 0);
/// assert_eq!(*broker.consumer::<String>(&errors)?.recv()?, "full");
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Producer<T: Payload> {
    publisher: Publisher,
    codec: Option<Arc<dyn Codec>>,
    always_encode: bool,
    /// The producer's own measure of a payload's size.
    sized_by: Option<fn(&T) -> u64>,
}

impl<T: Payload> Producer<T> {
    /// Publishes with the producer's own routing key.
    ///
    /// # Blocking
    /// Waits for room if a queue on the message's way is full and has [`Overflow::Block`](crate::Overflow::Block), or is covered by a
    /// spent budget with [`BudgetPolicy::Block`](crate::BudgetPolicy::Block).
    ///
    /// # Errors
    /// Each gives the payload back. [`Error::NoRoute`](crate::Error::NoRoute) if the message is mandatory and no queue is on its way,
    /// [`Error::Refused`](crate::Error::Refused) if no queue took it and one refused it,
    /// [`Error::NotShareable`](crate::Error::NotShareable) for a [`Local`](crate::Local) that would reach more than one queue,
    /// [`Error::NotFound`](crate::Error::NotFound) if the exchange is gone, [`Error::Codec`](crate::Error::Codec) if it must be encoded and
    /// cannot, [`Error::ConnectionClosed`](crate::Error::ConnectionClosed), [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let queue = Queue::new("q");
    /// let producer = broker.producer::<String>(&queue)?;
    /// broker.delete(&queue)?;
    /// let error = producer.publish("to nobody".to_owned()).unwrap_err();
    /// assert_eq!(error.error().reply_code(), Some(312));
    /// assert_eq!(error.into_inner(), "to nobody");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send_plain(payload, OnFull::Wait)
    }

    /// Publishes with a routing key of at most 255 bytes.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`Error::InvalidName`](crate::Error::InvalidName) for a longer key.
    pub fn publish_to(&self, routing_key: &str, payload: T) -> Result<Published, PublishError<T>> {
        self.send_to(routing_key, payload)
    }

    /// Publishes a message with properties of its own.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), giving the message back; [`Error::InvalidName`](crate::Error::InvalidName) for a routing key over 255
    /// bytes, [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an invalid `expiration` or `delivery_mode`, a `CC` or
    /// `BCC` header that is not an array, or another's `user_id`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Message, Properties};
    /// # use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// let producer = broker.producer::<u32>(&Queue::new("q"))?;
    /// producer.publish_message(Message::new(7).header("origin", "cellar"))?;
    /// // One that is nobody's `user_id` but the publisher's comes back, properties and all.
    /// let message = Message::new(8).properties(Properties::new().user_id("somebody"));
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

    /// As [`publish`](Self::publish), but never waits for room in a queue with
    /// [`Overflow::Block`](crate::Overflow::Block), or in a budget.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`Error::Refused`](crate::Error::Refused) if a blocking queue on the message's way is full, or its
    /// budget spent.
    ///
    /// [`publish_timeout`](Self::publish_timeout) has an example of both.
    pub fn try_publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send_plain(payload, OnFull::Fail)
    }

    /// As [`publish`](Self::publish), but waits at most `timeout` for room in a queue with
    /// [`Overflow::Block`](crate::Overflow::Block).
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`Error::Timeout`](crate::Error::Timeout) if there was no room in time.
    ///
    /// # Examples
    /// ```
    /// use leveret::Error;
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q").max_length(1).overflow(Overflow::Block));
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

    /// As [`publish`](Self::publish), for a task: waits for room without blocking the thread.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has published nothing.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q").max_length(1).overflow(Overflow::Block));
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

    /// As [`publish_message`](Self::publish_message), but never waits.
    ///
    /// # Errors
    /// As [`try_publish`](Self::try_publish), giving the message back.
    ///
    /// [`publish_message_timeout`](Self::publish_message_timeout) has an example of both.
    pub fn try_publish_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, OnFull::Fail)
    }

    /// As [`publish_message`](Self::publish_message), but waits at most `timeout` for room.
    ///
    /// # Errors
    /// As [`publish_timeout`](Self::publish_timeout), giving the message back.
    ///
    /// # Examples
    /// ```
    /// use leveret::Message;
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q").max_length(1).overflow(Overflow::Block));
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// producer.try_publish_message(Message::new(1))?;
    /// let error = producer.try_publish_message(Message::new(2)).unwrap_err();
    /// let error = producer.publish_message_timeout(error.into_inner(), Duration::from_millis(1)).unwrap_err();
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

    /// The exchange it publishes to; empty for the default exchange.
    pub fn exchange(&self) -> &Name {
        self.publisher.exchange()
    }

    /// The routing key it publishes with unless told another: the queue's name, for a producer made for a queue.
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
