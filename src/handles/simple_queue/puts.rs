//! Puts into the queue.

use std::time::Duration;

use super::SimpleQueue;
use crate::{
    engine::vhost::Published,
    handles::producer::PublishError,
    message::{outgoing::Message, payload::Payload},
    model::error::Result,
};

impl<T: Payload> SimpleQueue<T> {
    /// Puts a payload into the queue.
    ///
    /// # RabbitMQ
    /// `SimpleQueue.put` of kombu, or `basic.publish`.
    ///
    /// # Errors
    /// The errors of [`Producer::publish`](crate::Producer::publish), which return the payload to
    /// the caller.
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// assert_eq!(queue.put(7)?.routed, 1);
    /// broker.delete(&Queue::new("q"))?;
    /// assert_eq!(queue.put(8).unwrap_err().into_inner(), Some(8));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn put(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.producer.publish(payload)
    }

    /// Puts a message with its own properties into the queue.
    ///
    /// # RabbitMQ
    /// `SimpleQueue.put` of kombu, or `basic.publish`.
    ///
    /// # Errors
    /// The errors of [`Producer::publish_message`](crate::Producer::publish_message), which return
    /// the message to the caller.
    ///
    /// # Examples
    /// ```
    /// use leveret::Message;
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put_message(Message::new(7).correlation_id("request-1"))?;
    /// let delivery = queue.get()?;
    /// assert_eq!(delivery.info().properties().correlation_id.as_deref(), Some("request-1"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn put_message(&self, message: Message<T>) -> Result<Published, PublishError<Message<T>>> {
        self.producer.publish_message(message)
    }

    /// Same as [`put`](Self::put), but never waits for room in a full queue.
    ///
    /// # RabbitMQ
    /// As for [`put`](Self::put).
    ///
    /// # Errors
    /// The errors of [`Producer::try_publish`](crate::Producer::try_publish), which return the
    /// payload to the caller.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Error, Overflow, Queue};
    /// # use std::time::Duration;
    /// # let broker = leveret::Broker::new();
    /// let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// let queue = broker.simple_queue::<u32>(&queue)?;
    /// queue.try_put(1)?;
    /// assert!(matches!(queue.try_put(2).unwrap_err().error(), Error::Refused { .. }));
    /// let error = queue.put_timeout(2, Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.into_parts(), (Error::Timeout, Some(2)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_put(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.producer.try_publish(payload)
    }

    /// Same as [`put`](Self::put), but waits at most `timeout` for room in a full queue.
    ///
    /// [`try_put`](Self::try_put) has an example of both methods.
    ///
    /// # RabbitMQ
    /// As for [`put`](Self::put).
    ///
    /// # Errors
    /// The errors of [`Producer::publish_timeout`](crate::Producer::publish_timeout), which return
    /// the payload to the caller.
    pub fn put_timeout(&self, payload: T, timeout: Duration) -> Result<Published, PublishError<T>> {
        self.producer.publish_timeout(payload, timeout)
    }

    /// Same as [`put`](Self::put), but waits for room without blocking the thread.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has put nothing.
    ///
    /// # RabbitMQ
    /// As for [`put`](Self::put).
    ///
    /// # Errors
    /// The errors of [`Producer::publish`](crate::Producer::publish), which return the payload to
    /// the caller.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// # use leveret::{Overflow, Queue};
    /// # let broker = leveret::Broker::new();
    /// # let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// # let queue = broker.simple_queue::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(pin!(queue.put_async(1)).poll(&mut context).is_ready());
    /// assert!(pin!(queue.put_async(2)).poll(&mut context).is_pending());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn put_async(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.producer.publish_async(payload).await
    }

    /// Same as [`put_message`](Self::put_message), but never waits for room in a full queue.
    ///
    /// # RabbitMQ
    /// As for [`put_message`](Self::put_message).
    ///
    /// # Errors
    /// The errors of [`Producer::try_publish_message`](crate::Producer::try_publish_message), which
    /// return the message to the caller.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Message, Overflow, Queue};
    /// # use std::time::Duration;
    /// # let broker = leveret::Broker::new();
    /// let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// let queue = broker.simple_queue::<u32>(&queue)?;
    /// queue.try_put_message(Message::new(1))?;
    /// assert!(queue.try_put_message(Message::new(2)).is_err());
    /// let late = queue.put_message_timeout(Message::new(2), Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err().into_inner(), Some(Message::new(2)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_put_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.producer.try_publish_message(message)
    }

    /// Same as [`put_message`](Self::put_message), but waits at most `timeout` for room in a full
    /// queue.
    ///
    /// [`try_put_message`](Self::try_put_message) has an example of both methods.
    ///
    /// # RabbitMQ
    /// As for [`put_message`](Self::put_message).
    ///
    /// # Errors
    /// The errors of
    /// [`Producer::publish_message_timeout`](crate::Producer::publish_message_timeout), which
    /// return the message to the caller.
    pub fn put_message_timeout(
        &self,
        message: Message<T>,
        timeout: Duration,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.producer.publish_message_timeout(message, timeout)
    }

    /// Same as [`put_message`](Self::put_message), but waits for room without blocking the thread.
    ///
    /// # Cancel safety
    /// As for [`put_async`](Self::put_async).
    ///
    /// # RabbitMQ
    /// As for [`put_message`](Self::put_message).
    ///
    /// # Errors
    /// The errors of [`Producer::publish_message`](crate::Producer::publish_message), which return
    /// the message to the caller.
    ///
    /// # Examples
    /// ```
    /// use leveret::Message;
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// let message = Message::new(7).correlation_id("request-1");
    /// assert!(pin!(queue.put_message_async(message)).poll(&mut context).is_ready());
    /// assert_eq!(*queue.get()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn put_message_async(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.producer.publish_message_async(message).await
    }
}
