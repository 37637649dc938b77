//! The totals of a virtual host, in which deleted queues and exchanges still count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    connection::ConnectionSnapshot, exchange::ExchangeStats, message_stats::MessageStats,
    queue::QueueSnapshot,
};
use crate::{
    engine::vhost::{Churn, Topology},
    model::{arguments::QueueType, death_counts::DeathCounts},
};

/// The totals of a virtual host since its start. Deleted queues, exchanges and channels
/// still count, so that these numbers never fall.
///
/// # RabbitMQ
/// The counters `rabbitmq_global_...` of its Prometheus text, and `churn_rates` of `/api/overview`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue};
///
/// let broker = Broker::new();
/// broker.producer::<u32>(&Queue::new("q"))?.publish(7)?;
/// broker.delete(&Queue::existing("q"))?;
/// let totals = &broker.snapshot()?.vhosts[0].totals;
/// assert_eq!((totals.queues_created, totals.queues_deleted), (1, 1));
/// assert_eq!((totals.published.publish_in, totals.message_stats().publish), (1, 1));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VhostTotals {
    /// The messages that were published to exchanges, the default exchange among them.
    pub published: ExchangeStats,
    /// The queues, by type: `classic`, `quorum` and `stream`.
    pub queues: BTreeMap<String, QueueTotals>,
    /// Declarations of queues by name, also of those that were there.
    pub queues_declared: u64,
    /// Queues that were made.
    pub queues_created: u64,
    /// Queues that were deleted.
    pub queues_deleted: u64,
    /// Connections that were opened. The virtual host's own one is the first.
    pub connections_opened: u64,
    /// Connections that were closed.
    pub connections_closed: u64,
    /// Channels that were opened.
    pub channels_opened: u64,
    /// Channels that were closed.
    pub channels_closed: u64,
    /// Producers that were made. Clones count once.
    pub publishers_opened: u64,
    /// Producers of which no clone is left.
    pub publishers_closed: u64,
    /// Messages that channels in confirm mode have published.
    pub published_to_confirm: u64,
    /// Messages that channels have confirmed.
    pub confirmed: u64,
}

/// The totals of the queues of one type.
///
/// [`VhostTotals`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueTotals {
    /// How many messages have come and were delivered.
    pub message_stats: MessageStats,
    /// Why messages were dead-lettered.
    pub dead_lettered_by: DeathCounts,
    /// Why messages were dropped.
    pub dropped_by: DeathCounts,
}

impl VhostTotals {
    /// The totals of the queues of all types.
    #[must_use]
    pub fn message_stats(&self) -> MessageStats {
        let mut all = MessageStats::default();
        for totals in self.queues.values() {
            all += totals.message_stats;
        }
        all
    }

    /// Those of the deleted queues and exchanges, and of the connections.
    pub(super) fn of(
        topology: &Topology,
        default_exchange: ExchangeStats,
        churn: &Churn,
        connections: &[ConnectionSnapshot],
    ) -> VhostTotals {
        let departed = &topology.departed;
        let mut published = ExchangeStats::from(departed.exchanges);
        published += default_exchange;
        for exchange in topology.exchanges.values() {
            published += exchange.tally.counts().into();
        }
        let mut totals = VhostTotals {
            published,
            queues_declared: churn.queues_declared.get(),
            queues_created: departed.queues_created,
            queues_deleted: departed.queues_deleted,
            connections_opened: churn.connections_opened.get(),
            connections_closed: churn.connections_closed.get(),
            channels_opened: churn.channels_opened.get(),
            channels_closed: churn.channels_closed.get(),
            publishers_opened: churn.publishers_opened.get(),
            publishers_closed: churn.publishers_closed.get(),
            published_to_confirm: churn.published_to_confirm.get(),
            confirmed: churn.confirmed.get(),
            queues: BTreeMap::new(),
        };
        for channel in connections.iter().flat_map(|it| &it.channels) {
            let published = channel.published_to_confirm;
            totals.published_to_confirm += published;
            totals.confirmed += published.saturating_sub(channel.messages_unconfirmed);
        }
        for queue_type in QueueType::ALL {
            let counts = departed.of_type(queue_type);
            let queues = QueueTotals {
                message_stats: MessageStats::from(&counts),
                dead_lettered_by: counts.dead_lettered_by,
                dropped_by: counts.dropped_by,
            };
            totals.queues.insert(queue_type.as_str().to_owned(), queues);
        }
        totals
    }

    pub(super) fn add_queue(&mut self, queue: &QueueSnapshot) {
        if let Some(totals) = self.queues.get_mut(&queue.queue_type) {
            totals.message_stats += queue.message_stats;
            totals.dead_lettered_by += queue.dead_lettered_by;
            totals.dropped_by += queue.dropped_by;
        }
    }
}
