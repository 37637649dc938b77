//! What a queue does with a consumer that is too slow for it.

/// What a queue does when a typed consumer is too slow: it holds its whole prefetch, and a message
/// has come that no consumer of the queue can take.
/// [`ConsumerBuilder::on_slow`](crate::ConsumerBuilder::on_slow) sets it.
///
/// # RabbitMQ
/// RabbitMQ lets messages wait in the queue. ActiveMQ has `slowConsumerStrategy`; NATS and Redis
/// disconnect slow consumers; a broadcast channel of tokio drops the oldest message.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue, SlowConsumerPolicy};
///
/// let broker = Broker::new();
/// let prices = Exchange::fanout("prices");
/// let latest = broker
///     .consumer_builder::<u32>(&Queue::temporary().bind(&prices, ""))
///     .prefetch(2)
///     .on_slow(SlowConsumerPolicy::DropOldest)
///     .build()?;
/// let producer = broker.producer::<u32>(&prices)?;
/// for price in 1..=5 {
///     producer.publish(price)?;
/// }
/// assert_eq!((*latest.recv()?, latest.missed()), (4, 3)); // it has missed 1, 2 and 3
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlowConsumerPolicy {
    /// Messages wait in the queue, within its limits.
    #[default]
    Wait,
    /// The oldest message that the consumer has not received is dropped, as at a length limit: it
    /// is dead-lettered with the reason `maxlen` if the queue has a dead-letter exchange.
    /// [`Consumer::missed`](crate::Consumer::missed) counts it. So at most the prefetch waits for
    /// the consumer, or one message if the consumer has received its whole prefetch and settles
    /// nothing.
    DropOldest,
    /// The consumer is cancelled with the reason
    /// [`SlowConsumer`](crate::CancelReason::SlowConsumer). What it has not received returns to the
    /// queue. Its deliveries can still be settled.
    Cancel,
}
