//! Pausing: a consumer that gets nothing until it is resumed.

use super::Consumer;
use crate::message::payload::Payload;

impl<T: Payload> Consumer<T> {
    /// Pauses the consumer: its queues deliver nothing to it until [`resume`](Self::resume).
    ///
    /// The messages that it has in advance and that were not received yet return to their positions
    /// in the queue, unchanged, as by [`return_unseen`](Self::return_unseen). Other consumers get
    /// them: a pause may be long, and a message should not wait for its end if another consumer can
    /// take it. Received deliveries stay valid.
    ///
    /// - A receiver that waits goes on waiting, to its time limit if it has one.
    /// - The consumer stays a consumer of its queues. An auto-delete queue stays, and an exclusive
    ///   consumer still keeps others out.
    /// - At a [single-active queue](crate::Queue::single_active_consumer) the next consumer becomes
    ///   active, as at the end of this one. After its pause this one waits for its turn.
    /// - [`Broker::shutdown`](crate::Broker::shutdown) waits for the received deliveries of a
    ///   paused consumer. It does not wait for the ready messages of a queue whose consumers are
    ///   all paused: they are left, as those of a queue without a consumer.
    ///
    /// A second call has no effect. Of a pause and a resume at the same time, one takes effect
    /// last, at all queues of the consumer.
    ///
    /// # RabbitMQ
    /// `channel.flow` (AMQP 0-9-1), which RabbitMQ does not offer to clients. There, a consumer is
    /// cancelled and started again.
    ///
    /// # Examples
    /// ```
    /// use leveret::TryRecvError;
    /// # let broker = leveret::Broker::new();
    /// let consumer = broker.consumer::<u32>("q")?;
    /// let other = broker.consumer::<u32>("q")?;
    /// let _ = broker.producer::<u32>("q")?.publish_batch(1..=2); // one for each
    /// consumer.pause();
    /// assert!(consumer.is_paused());
    /// assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    /// for number in 1..=2 {
    ///     let task = other.recv()?;
    ///     assert!(!task.info().redelivered());
    ///     task.ack()?;
    /// }
    /// consumer.resume();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Ends a [`pause`](Self::pause). The queues deliver to the consumer again, at once.
    ///
    /// It has no effect on a consumer that is not paused.
    ///
    /// # RabbitMQ
    /// `channel.flow`, as for [`pause`](Self::pause).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// let consumer = broker.consumer_builder::<u32>("q").paused().build()?;
    /// broker.producer("q")?.publish(7)?;
    /// assert!(consumer.try_recv().is_err());
    /// consumer.resume();
    /// assert_eq!(*consumer.try_recv()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn resume(&self) {
        self.set_paused(false);
    }

    /// Returns whether the consumer is [paused](Self::pause).
    pub fn is_paused(&self) -> bool {
        self.queues[0].subscriber.is_paused()
    }

    fn set_paused(&self, paused: bool) {
        self.queues[0].subscriber.set_paused(paused);
        for queue in self.queues.iter() {
            queue.subscriber.follow_pause();
        }
    }
}
