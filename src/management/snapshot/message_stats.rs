//! How many messages a queue has taken in and given out, in RabbitMQ's words.

use serde::{Deserialize, Serialize};

use crate::engine::queue::Counts;

/// How many messages a queue has taken in and given out since its declaration.
///
/// # RabbitMQ
/// `message_stats` of `/api/queues`. There are two differences. `deliver` and `deliver_no_ack`
/// count the messages that a consumer has in advance, as RabbitMQ's do, and not those that it gives
/// back unseen. `redeliver` counts a delivery when it comes back, and not when it goes out again.
///
/// # Examples
/// ```
/// use leveret::{Broker, Requeue};
///
/// let broker = Broker::new();
/// let queue = broker.simple_queue::<u32>("q")?;
/// queue.put(7)?;
/// queue.get()?.nack(Requeue::Yes)?;
/// queue.get()?.ack()?;
/// let stats = broker.snapshot()?.queue("q").unwrap().message_stats;
/// assert_eq!((stats.publish, stats.get, stats.redeliver, stats.ack), (1, 2, 1, 1));
/// assert_eq!(stats.deliver_get(), 2);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageStats {
    /// Messages that the queue has taken in, dead letters of other queues among them.
    pub publish: u64,
    /// Deliveries to consumers that acknowledge.
    pub deliver: u64,
    /// Deliveries to consumers whose deliveries count as acknowledged.
    pub deliver_no_ack: u64,
    /// Gets of messages that are to be acknowledged.
    pub get: u64,
    /// Gets of messages that count as acknowledged.
    pub get_no_ack: u64,
    /// Gets that found no message and did not wait for one.
    pub get_empty: u64,
    /// Deliveries and gets that came back, to be delivered again.
    pub redeliver: u64,
    /// Acknowledgements.
    pub ack: u64,
}

impl MessageStats {
    /// All deliveries and gets together.
    #[must_use]
    pub fn deliver_get(&self) -> u64 {
        self.deliver + self.deliver_no_ack + self.get + self.get_no_ack
    }
}

impl From<&Counts> for MessageStats {
    fn from(counts: &Counts) -> MessageStats {
        let by_delivery = counts.delivered.auto_ack + counts.gets.auto_ack;
        MessageStats {
            publish: counts.taken_in.messages,
            deliver: counts.delivered.to_ack,
            deliver_no_ack: counts.delivered.auto_ack,
            get: counts.gets.taken.saturating_sub(counts.gets.auto_ack),
            get_no_ack: counts.gets.auto_ack,
            get_empty: counts.gets.empty,
            redeliver: counts.requeued,
            // A delivery that counts as acknowledged has no acknowledgement in RabbitMQ.
            ack: counts.acked.messages.saturating_sub(by_delivery),
        }
    }
}

impl std::ops::AddAssign for MessageStats {
    fn add_assign(&mut self, other: MessageStats) {
        self.publish += other.publish;
        self.deliver += other.deliver;
        self.deliver_no_ack += other.deliver_no_ack;
        self.get += other.get;
        self.get_no_ack += other.get_no_ack;
        self.get_empty += other.get_empty;
        self.redeliver += other.redeliver;
        self.ack += other.ack;
    }
}
