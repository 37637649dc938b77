//! How many messages have left a queue, by the reason.

use serde::{Deserialize, Serialize};

/// How many messages have left a queue without a consumer, by the reason.
///
/// # RabbitMQ
/// The reasons are those of the header `x-death`, and those in the names of RabbitMQ's Prometheus
/// counters `rabbitmq_global_messages_dead_lettered_..._total`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue};
///
/// let broker = Broker::new();
/// let short = Queue::new("short").max_length(1);
/// let producer = broker.producer::<u32>(&short)?;
/// let _ = producer.publish_batch(0..3);
/// broker.consumer::<u32>(&short)?.recv()?.reject()?;
/// let picture = broker.snapshot()?;
/// let dropped = picture.queue("short").unwrap().dropped_by;
/// assert_eq!((dropped.maxlen, dropped.rejected, dropped.expired), (2, 1, 0));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeathCounts {
    /// Rejected, or negatively acknowledged and not requeued.
    pub rejected: u64,
    /// Expired.
    pub expired: u64,
    /// Over a length limit. In a stream, dropped by its retention.
    pub maxlen: u64,
    /// Returned more often than the delivery limit allows.
    pub delivery_limit: u64,
}

impl DeathCounts {
    /// The messages for all reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rejected + self.expired + self.maxlen + self.delivery_limit
    }
}

impl std::ops::AddAssign for DeathCounts {
    fn add_assign(&mut self, other: DeathCounts) {
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.maxlen += other.maxlen;
        self.delivery_limit += other.delivery_limit;
    }
}
