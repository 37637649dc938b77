//! Queues.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    message_stats::MessageStats,
    stream::{self, StreamSnapshot},
};
use crate::{
    engine::{queue::Counts, vhost::DeclaredQueue},
    model::{
        death_counts::DeathCounts, field_value::FieldTable, message_totals::MessageTotals,
        name::Name,
    },
};

#[cfg(doc)]
use super::Snapshot;

/// One queue of a [`Snapshot`].
///
/// Each message that the queue ever took in is in exactly one of the other counts: `ready`,
/// `unsettled`, `delayed` and `in_transit` if it is still in the queue, `acked`, `dead_lettered`,
/// `expired`, `dropped`, `purged` or `moved` if it has left it.
///
/// # RabbitMQ
/// `ready` is the management API's `messages_ready`, and `unsettled` is its
/// `messages_unacknowledged`.
///
/// # Examples
/// ```
/// use leveret::Broker;
/// # let broker = Broker::new();
/// let queue = broker.simple_queue::<u32>("q")?;
/// queue.put(7)?;
/// queue.put(8)?;
/// queue.get()?.ack()?;
/// let held = queue.get()?;
/// let picture = &broker.snapshot()?.vhosts[0].queues[0];
/// assert_eq!((picture.taken_in.messages, picture.acked.messages), (2, 1));
/// assert_eq!((picture.ready.messages, picture.unsettled.messages), (0, 1));
/// held.ack()?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueSnapshot {
    /// The name of the queue.
    pub name: Name,
    /// The type: `classic`, `quorum` or `stream`.
    #[serde(default)]
    pub queue_type: String,
    /// The declared `durable` flag.
    pub durable: bool,
    /// The declared `auto_delete` flag.
    pub auto_delete: bool,
    /// The declared `exclusive` flag.
    pub exclusive: bool,
    /// The [number](crate::ConnectionSnapshot::number) of the only connection that may use the
    /// queue, if it is exclusive.
    #[serde(default)]
    pub owner: Option<u64>,
    /// The declared arguments.
    pub arguments: FieldTable,
    /// The name of the policy that applies to it.
    /// [`effective_policy_definition`](super::VhostSnapshot::effective_policy_definition) has the
    /// settings.
    #[serde(default)]
    pub policy: Option<Name>,
    /// The name of the operator policy that applies to it.
    #[serde(default)]
    pub operator_policy: Option<Name>,
    /// The number of consumers.
    pub consumers: u64,
    /// Messages that wait for a consumer. In a stream, all messages that it keeps.
    pub ready: MessageTotals,
    /// Messages that were delivered to a consumer or fetched by a get, and are not settled. In a
    /// stream a delivery takes nothing out, and so there are none.
    pub unsettled: MessageTotals,
    /// Messages that wait for the end of their delay.
    pub delayed: MessageTotals,
    /// Dead letters of a quorum queue that other queues have not taken yet, with
    /// [`DeadLetterStrategy::AtLeastOnce`](crate::DeadLetterStrategy::AtLeastOnce).
    #[serde(default)]
    pub in_transit: MessageTotals,
    /// All messages that the queue has taken in since its declaration.
    pub taken_in: MessageTotals,
    /// Acknowledged messages.
    pub acked: MessageTotals,
    /// Dead-lettered messages, for any reason.
    pub dead_lettered: MessageTotals,
    /// Messages that expired and were not dead-lettered.
    pub expired: MessageTotals,
    /// Messages that were dropped and not dead-lettered: after a reject, over the delivery limit,
    /// or over a length limit. In a stream, those that its retention has dropped.
    pub dropped: MessageTotals,
    /// Purged messages, and delayed messages that were cancelled.
    pub purged: MessageTotals,
    /// Messages that were moved to another queue.
    pub moved: MessageTotals,
    /// Whether the queue is [paused](crate::Connection::pause_queue): it delivers nothing.
    #[serde(default)]
    pub paused: bool,
    /// Why messages were dead-lettered, one by one for `dead_lettered`.
    #[serde(default)]
    pub dead_lettered_by: DeathCounts,
    /// Why messages were dropped, one by one for `expired` and `dropped`.
    #[serde(default)]
    pub dropped_by: DeathCounts,
    /// How many messages have come, and how many were delivered, in RabbitMQ's words.
    #[serde(default)]
    pub message_stats: MessageStats,
    /// The property `timestamp` of the message that is delivered next, in seconds since 1970.
    /// `None` if it has none, or no message is ready.
    #[serde(default)]
    pub head_message_timestamp: Option<u64>,
    /// How long the message that is delivered next waits at least. `None` if no message is ready.
    ///
    /// Messages do not note when they come. A look at the queue notes which messages are there. So
    /// the first look at a message finds an age of 0, and later ones are right to the time between
    /// two looks, or to a sixteenth of the time for which the oldest message has waited. In a
    /// stream the age is exact.
    #[serde(default)]
    pub head_age: Option<Duration>,
    /// The publishers that wait for room in the queue.
    #[serde(default)]
    pub waiting_publishers: u64,
    /// Offsets and readers, of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamSnapshot>,
}

impl QueueSnapshot {
    /// The messages that are in the queue: ready, unsettled, delayed and in transit.
    #[must_use]
    pub fn messages(&self) -> u64 {
        let all = [self.ready, self.unsettled, self.delayed, self.in_transit];
        all.iter().map(|totals| totals.messages).sum()
    }

    /// The bytes of the messages that are in the queue, as limits count them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let all = [self.ready, self.unsettled, self.delayed, self.in_transit];
        all.iter()
            .map(|totals| totals.bytes)
            .fold(0, u64::wrapping_add)
    }

    /// The messages that are still in the queue, and those that have left it. They are as many as
    /// [`taken_in`](Self::taken_in): a queue loses no message.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// # let broker = Broker::new();
    /// let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// queue.get()?.ack()?;
    /// let picture = &broker.snapshot()?.vhosts[0].queues[0];
    /// assert_eq!(picture.accounted_for(), picture.taken_in);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn accounted_for(&self) -> MessageTotals {
        let mut all = MessageTotals::default();
        for count in [
            self.ready,
            self.unsettled,
            self.delayed,
            self.in_transit,
            self.acked,
            self.dead_lettered,
            self.expired,
            self.dropped,
            self.purged,
            self.moved,
        ] {
            all += count;
        }
        all
    }
}

pub(super) fn snapshot_of(declared: &DeclaredQueue, counts: Counts) -> QueueSnapshot {
    let description = &declared.terms.description;
    let policies = declared.queue.applied_policies();
    let (policy, operator_policy) = match policies.as_deref() {
        Some(applied) => (applied.policy.clone(), applied.operator_policy.clone()),
        None => (None, None),
    };
    QueueSnapshot {
        name: declared.queue.name().clone(),
        queue_type: declared.terms.arguments.queue_type.as_str().to_owned(),
        durable: description.is_durable(),
        auto_delete: description.is_auto_delete(),
        exclusive: description.is_exclusive(),
        owner: declared.owner,
        arguments: description.argument_table().clone(),
        policy,
        operator_policy,
        consumers: counts.consumers as u64,
        ready: counts.ready,
        unsettled: counts.unsettled,
        delayed: counts.delayed,
        in_transit: counts.in_transit,
        taken_in: counts.taken_in,
        acked: counts.acked,
        dead_lettered: counts.dead_lettered,
        expired: counts.expired,
        dropped: counts.dropped,
        purged: counts.purged,
        moved: counts.moved,
        paused: declared.queue.is_paused(),
        dead_lettered_by: counts.dead_lettered_by,
        dropped_by: counts.dropped_by,
        message_stats: MessageStats::from(&counts),
        head_message_timestamp: counts.head.and_then(|head| head.timestamp),
        head_age: counts.head.map(|head| head.age),
        waiting_publishers: counts.waiting_publishers,
        stream: declared
            .queue
            .stream_progress()
            .as_ref()
            .map(stream::snapshot_of),
    }
}
