//! The settings of a queue's description that only quorum queues have.

use super::{DeadLetterStrategy, DelayedRetryKind, Queue, count, milliseconds, names as x};
use std::time::Duration;

/// The settings of quorum queues. A classic queue with one of them is refused.
impl Queue {
    /// Describes a durable quorum queue of this name.
    ///
    /// A quorum queue has its own order of service. Returned messages come first, in the order of
    /// their return. It counts the deliveries of each message, limits the failed ones and can delay
    /// the next one. Its messages have 32 priorities, with no argument. It is always durable, and
    /// has a name of its own. It cannot be exclusive or delete itself.
    ///
    /// # RabbitMQ
    /// `queue.declare` with `durable` and the argument `x-queue-type` with the value `quorum`. Here
    /// no queue is replicated.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// let broker = Broker::new();
    /// broker.declare(&Queue::quorum("orders"))?;
    /// let not_durable = Queue::new("q").argument("x-queue-type", "quorum");
    /// assert_eq!(broker.declare(&not_durable).unwrap_err().reply_code(), Some(406));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn quorum(name: impl Into<String>) -> Self {
        Self::new(name).durable().argument(x::QUEUE_TYPE, "quorum")
    }

    /// Limits how often the delivery of a message of a quorum queue may fail. The failure after
    /// these drops or dead-letters the message. Without this setting the limit is 20.
    ///
    /// A delivery fails if the message is rejected, or returned by the end of its channel or its
    /// connection. A message that is returned otherwise, by a nack for example, counts as not
    /// failed.
    ///
    /// # RabbitMQ
    /// The argument `x-delivery-limit`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// let broker = Broker::new();
    /// broker.declare(&Queue::quorum("orders").delivery_limit(3))?;
    /// let classic = Queue::new("q").delivery_limit(3);
    /// assert_eq!(broker.declare(&classic).unwrap_err().reply_code(), Some(406));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn delivery_limit(self, failures: u32) -> Self {
        self.argument(x::DELIVERY_LIMIT, count(failures.into()))
    }

    /// Lets the delivery of a message of a quorum queue fail any number of times, unless a policy
    /// limits it.
    ///
    /// # RabbitMQ
    /// The argument `x-delivery-limit` with the value -1.
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// let queue = Queue::quorum("orders").unlimited_deliveries();
    /// assert_eq!(queue.argument_table().get("x-delivery-limit"), Some(&(-1).into()));
    /// ```
    #[must_use]
    pub fn unlimited_deliveries(self) -> Self {
        self.argument(x::DELIVERY_LIMIT, -1)
    }

    /// Holds back messages of a quorum queue that are returned. `kind` chooses the returns.
    ///
    /// A message waits for `min` after its first failed delivery, for twice `min` after the second
    /// one, and so on, up to `max`. Returns that do not count as failed do not lengthen the wait.
    /// Both times are rounded up to whole milliseconds. If `min` is zero, nothing is held back.
    ///
    /// # RabbitMQ
    /// The arguments `x-delayed-retry-type`, `x-delayed-retry-min` and `x-delayed-retry-max`, since
    /// RabbitMQ 4.3.
    ///
    /// # Examples
    /// ```
    /// use leveret::{DelayedRetryKind, Queue};
    /// use std::time::Duration;
    /// let (min, max) = (Duration::from_secs(1), Duration::from_secs(60));
    /// let queue = Queue::quorum("orders").delayed_retry(DelayedRetryKind::Failed, min, max);
    /// let arguments = queue.argument_table();
    /// assert_eq!(arguments.get("x-delayed-retry-type"), Some(&"failed".into()));
    /// assert_eq!(arguments.get("x-delayed-retry-max"), Some(&60_000.into()));
    /// ```
    #[must_use]
    pub fn delayed_retry(self, kind: DelayedRetryKind, min: Duration, max: Duration) -> Self {
        self.argument(x::DELAYED_RETRY_TYPE, kind.as_str())
            .argument(x::DELAYED_RETRY_MIN, milliseconds(min))
            .argument(x::DELAYED_RETRY_MAX, milliseconds(max))
    }

    /// Limits the time for which a consumer of a quorum queue may hold a delivery. The time is
    /// rounded up to whole milliseconds. Without this setting it is 30 minutes.
    ///
    /// A delivery that takes longer returns to the queue, and does not count as failed. The
    /// consumer is cancelled.
    ///
    /// # RabbitMQ
    /// The argument `x-consumer-timeout`. A consumer may have its own, with the same name.
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// use std::time::Duration;
    /// let queue = Queue::quorum("orders").consumer_timeout(Duration::from_secs(5));
    /// assert_eq!(queue.argument_table().get("x-consumer-timeout"), Some(&5_000.into()));
    /// ```
    #[must_use]
    pub fn consumer_timeout(self, timeout: Duration) -> Self {
        self.argument(x::CONSUMER_TIMEOUT, milliseconds(timeout))
    }

    /// Sets the guarantee that a quorum queue gives for its dead letters.
    ///
    /// # RabbitMQ
    /// The argument `x-dead-letter-strategy`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{DeadLetterStrategy, Overflow, Queue};
    /// let queue = Queue::quorum("orders")
    ///     .dead_letter_exchange("failed")
    ///     .dead_letter_strategy(DeadLetterStrategy::AtLeastOnce)
    ///     .overflow(Overflow::RejectPublish);
    /// let strategy = queue.argument_table().get("x-dead-letter-strategy");
    /// assert_eq!(strategy, Some(&"at-least-once".into()));
    /// ```
    #[must_use]
    pub fn dead_letter_strategy(self, strategy: DeadLetterStrategy) -> Self {
        self.argument(x::DEAD_LETTER_STRATEGY, strategy.as_str())
    }
}
