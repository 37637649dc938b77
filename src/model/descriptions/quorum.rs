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
    /// A delivery fails if the message is rejected ([`Requeue::Failed`](crate::Requeue::Failed)),
    /// if it is dropped, or if its channel or its connection ends. A message that is returned
    /// otherwise, by a nack for example, has not failed.
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
    /// use leveret::{Broker, DelayedRetryKind, ManualClock, Queue};
    /// use std::time::Duration;
    /// let (min, max) = (Duration::from_secs(1), Duration::from_secs(60));
    /// let queue = Queue::quorum("orders").delayed_retry(DelayedRetryKind::Failed, min, max);
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let orders = broker.simple_queue::<u32>(&queue)?;
    /// orders.put(7)?;
    /// drop(orders.get()?); // failed for the first time
    /// assert!(orders.is_empty()?);
    /// clock.advance(min);
    /// drop(orders.get()?); // failed again
    /// clock.advance(min);
    /// assert!(orders.is_empty()?);
    /// clock.advance(min);
    /// assert_eq!(*orders.get()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn delayed_retry(self, kind: DelayedRetryKind, min: Duration, max: Duration) -> Self {
        self.argument(x::DELAYED_RETRY_TYPE, kind.as_str())
            .argument(x::DELAYED_RETRY_MIN, milliseconds(min))
            .argument(x::DELAYED_RETRY_MAX, milliseconds(max))
    }

    /// Limits the time for which a consumer of a quorum queue may hold a delivery. The time is
    /// rounded up to whole milliseconds. A consumer may have a time of its own.
    ///
    /// A delivery that takes longer returns to the queue, and does not count as failed. The
    /// consumer gets no message until it has settled all such deliveries. A consumer of a
    /// [`Channel`](crate::Channel) is told of a cancellation
    /// ([`CancelReason::TimedOut`](crate::CancelReason::TimedOut)), and must acknowledge or reject
    /// the deliveries, by their old tags. Of a typed consumer any settlement counts, as
    /// [`ConsumerBuilder::timeout`](crate::ConsumerBuilder::timeout) says.
    ///
    /// Without this setting the time is that of
    /// [`BrokerBuilder::consumer_timeout`](crate::BrokerBuilder::consumer_timeout). If that is not
    /// set either, a consumer of a channel has 30 minutes, and a typed consumer has all the time.
    /// So has a get, always.
    ///
    /// # RabbitMQ
    /// The argument `x-consumer-timeout`. A consumer may have its own, with the same name.
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{ConsumeOptions, Event, PublishOptions};
    /// use leveret::{Broker, CancelReason, Credentials, ManualClock, Properties, Queue};
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let five_seconds = Duration::from_secs(5);
    /// channel.queue_declare(&Queue::quorum("orders").consumer_timeout(five_seconds))?;
    /// channel.basic_consume("orders", ConsumeOptions::new().tag("slow"))?;
    /// channel.basic_publish("", "orders", "1", Properties::new(), PublishOptions::new())?;
    /// let events = channel.events();
    /// assert!(matches!(events.try_recv()?, Event::Delivery(_)));
    /// clock.advance(five_seconds);
    /// let cancelled = events.try_recv()?;
    /// assert!(matches!(cancelled, Event::Cancelled { reason: CancelReason::TimedOut, .. }));
    /// assert_eq!(channel.queue_declare_passive("orders")?.message_count, 1);
    /// # Ok::<(), leveret::Error>(())
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
    /// use leveret::{Broker, DeadLetterStrategy, Overflow, Queue, Requeue};
    /// let queue = Queue::quorum("orders")
    ///     .dead_letter_exchange("failed") // which does not exist yet
    ///     .dead_letter_strategy(DeadLetterStrategy::AtLeastOnce)
    ///     .overflow(Overflow::RejectPublish);
    ///
    /// let broker = Broker::new();
    /// let orders = broker.simple_queue::<u32>(&queue)?;
    /// orders.put(7)?;
    /// orders.get()?.nack(Requeue::No)?;
    /// assert!(orders.is_empty()?);
    /// assert_eq!(broker.purge("orders")?, 1); // it was waiting for a queue that takes it
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn dead_letter_strategy(self, strategy: DeadLetterStrategy) -> Self {
        self.argument(x::DEAD_LETTER_STRATEGY, strategy.as_str())
    }
}
