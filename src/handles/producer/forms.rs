//! The other forms of publishing: without waiting, for a limited time, and as a future.

use std::time::Duration;

use super::{Producer, PublishError};
use crate::{
    engine::vhost::Published,
    message::{outgoing::Message, payload::Payload},
    model::error::Result,
    session::publisher::OnFull,
};

/// Publishing without waiting for room.
impl<T: Payload> Producer<T> {
    /// Same as [`publish`](Self::publish), but never waits for room in a queue with
    /// [`Overflow::Block`](crate::Overflow::Block), or in a budget that blocks. Such a queue
    /// refuses the message if it has no room.
    ///
    /// [`publish_timeout`](Self::publish_timeout) has an example of both methods.
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish).
    pub fn try_publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send_plain(payload, OnFull::Refuse)
    }

    /// Same as [`publish_to`](Self::publish_to), but never waits for room, as
    /// [`try_publish`](Self::try_publish).
    ///
    /// [`publish_to_timeout`](Self::publish_to_timeout) has an example of both methods.
    ///
    /// # Errors
    /// The errors of [`publish_to`](Self::publish_to).
    pub fn try_publish_to(
        &self,
        routing_key: &str,
        payload: T,
    ) -> Result<Published, PublishError<T>> {
        self.send_to(routing_key, payload, OnFull::Refuse)
    }

    /// Same as [`publish_message`](Self::publish_message), but never waits for room, as
    /// [`try_publish`](Self::try_publish).
    ///
    /// [`publish_message_timeout`](Self::publish_message_timeout) has an example of both methods.
    ///
    /// # Errors
    /// The errors of [`publish_message`](Self::publish_message).
    pub fn try_publish_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, OnFull::Refuse)
    }
}

/// Publishing with a limited time to wait for room.
impl<T: Payload> Producer<T> {
    /// Same as [`publish`](Self::publish), but waits at most `timeout` for room. After that time
    /// the queues without room refuse the message.
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), and [`Error::Timeout`](crate::Error::Timeout) if
    /// no queue took the message in time.
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

    /// Same as [`publish_to`](Self::publish_to), but waits at most `timeout` for room, as
    /// [`publish_timeout`](Self::publish_timeout).
    ///
    /// # Errors
    /// The errors of [`publish_to`](Self::publish_to) and of
    /// [`publish_timeout`](Self::publish_timeout).
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Exchange, Overflow, Queue};
    /// # let broker = Broker::new();
    /// # let logs = Exchange::topic("logs");
    /// # broker.declare(&Queue::new("all").bind(&logs, "#"))?;
    /// # let queue = Queue::new("errors").max_length(1).overflow(Overflow::Block);
    /// # broker.declare(&queue.bind(&logs, "*.error"))?;
    /// # let producer = broker.producer::<u32>(&logs)?;
    /// // Two queues are bound. One of them has `max_length(1)` and `Overflow::Block`.
    /// assert_eq!(producer.try_publish_to("disk.error", 1)?.routed, 2);
    /// let published = producer.publish_to_timeout("disk.error", 2, Duration::from_millis(1))?;
    /// assert_eq!((published.routed, published.refused), (1, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_to_timeout(
        &self,
        routing_key: &str,
        payload: T,
        timeout: Duration,
    ) -> Result<Published, PublishError<T>> {
        self.send_to(routing_key, payload, OnFull::WaitFor(timeout))
    }

    /// Same as [`publish_message`](Self::publish_message), but waits at most `timeout` for room, as
    /// [`publish_timeout`](Self::publish_timeout).
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
    /// if let Some(message) = error.into_inner() {
    ///     let late = producer.publish_message_timeout(message, Duration::from_millis(1));
    ///     assert_eq!(late.unwrap_err().payload().map(Message::payload), Some(&2));
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_message_timeout(
        &self,
        message: Message<T>,
        timeout: Duration,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, OnFull::WaitFor(timeout))
    }
}

/// Publishing as a future.
impl<T: Payload> Producer<T> {
    /// Same as [`publish`](Self::publish), but waits for room without blocking the thread.
    ///
    /// A future that was polled keeps its place among the publishers that wait. Once it is woken,
    /// room is reserved for it. So a future that is kept and never polled again holds the others
    /// up.
    ///
    /// While the broker shuts down, a task that handles a delivery publishes by
    /// [`delivery.producer(&producer)`](crate::Delivery::producer).
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready gives the message up. If the message goes to one
    /// queue, it is not published. If it goes to several queues, those that have taken it keep it.
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
        self.send_plain_async(payload).await
    }

    /// Same as [`publish_to`](Self::publish_to), but waits for room without blocking the thread.
    ///
    /// # Cancel safety
    /// As for [`publish_async`](Self::publish_async).
    ///
    /// # Errors
    /// The errors of [`publish_to`](Self::publish_to).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let broker = leveret::Broker::new();
    /// # broker.producer::<u32>("other")?;
    /// let producer = broker.producer::<u32>("q")?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match pin!(producer.publish_to_async("other", 1)).poll(&mut context) {
    ///     Poll::Ready(published) => assert_eq!(published?.routed, 1),
    ///     Poll::Pending => panic!("the queue has no limit"),
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn publish_to_async(
        &self,
        routing_key: &str,
        payload: T,
    ) -> Result<Published, PublishError<T>> {
        self.send_to_async(routing_key, payload).await
    }

    /// Same as [`publish_message`](Self::publish_message), but waits for room without blocking the
    /// thread.
    ///
    /// # Cancel safety
    /// As for [`publish_async`](Self::publish_async).
    ///
    /// # Errors
    /// The errors of [`publish_message`](Self::publish_message).
    ///
    /// # Examples
    /// ```
    /// use leveret::Message;
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let broker = Broker::new();
    /// # let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// let request = |payload, id| Message::new(payload).correlation_id(id);
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// let first = pin!(producer.publish_message_async(request(1, "a"))).poll(&mut context);
    /// assert!(first.is_ready());
    /// let second = pin!(producer.publish_message_async(request(2, "b"))).poll(&mut context);
    /// assert!(second.is_pending()); // the thread can go on with other tasks
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn publish_message_async(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message_async(message).await
    }
}
