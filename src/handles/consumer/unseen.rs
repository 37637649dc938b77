//! [`Consumer::return_unseen`], which gives back the messages that the consumer has in advance.

use super::Consumer;
use crate::message::payload::Payload;

impl<T: Payload> Consumer<T> {
    /// Returns the messages that the consumer has in advance and that were not received yet to the
    /// queue. Returns their number.
    ///
    /// They return to their positions, and neither their flags nor their counts change. The queue
    /// delivers them to other consumers. It delivers nothing to this consumer until the next
    /// receive from it, so that they do not come back at once. A receiver that waits while this
    /// method is called counts as that receive. Received deliveries stay valid.
    ///
    /// If only this consumer is active at a [single-active
    /// queue](crate::Queue::single_active_consumer), the messages wait in the queue.
    /// [`Connection::return_unseen`](crate::Connection::return_unseen) does the same for all
    /// consumers of a queue.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no counterpart: a message that was pushed to a consumer stays with its channel.
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// let slow = broker.consumer::<u32>("q")?;
    /// let _ = broker.producer::<u32>("q")?.publish_batch(1..=3);
    /// let long_task = slow.recv()?;
    /// assert_eq!(slow.return_unseen(), 2);
    ///
    /// let other = broker.consumer::<u32>("q")?;
    /// let task = other.recv()?;
    /// assert_eq!((*task, task.info().redelivered()), (2, false));
    /// # drop(long_task);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn return_unseen(&self) -> u64 {
        let queues = self.queues.iter();
        queues.map(|queue| queue.subscriber.return_unseen()).sum()
    }
}
