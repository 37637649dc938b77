//! The report of a shutdown: the messages that went, and the messages that were left.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    engine::{
        queue::{Counts, QueueCore},
        vhost::LastCounts,
    },
    model::name::Name,
};

/// What a broker did in its [shutdown](crate::Broker::shutdown), and the messages that it still had
/// at the end.
///
/// Nothing is lost without a trace: what a queue had at the beginning, and what it got during the
/// shutdown, is in [`drained`](Self::drained) or in [`queues`](Self::queues).
///
/// # Examples
/// ```
/// use leveret::Broker;
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// broker.producer::<u32>("q")?.publish(7)?;
/// let report = broker.shutdown(Duration::ZERO)?;
/// assert_eq!(report.queues[0].ready, 1);
/// assert!(!report.timed_out); // the queue has no consumer to wait for
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether consumers still had work when the deadline passed.
    pub timed_out: bool,
    /// The queues that were not empty at the end, sorted by virtual host and name.
    pub queues: Vec<RemainingQueue>,
    /// The [delayed exchanges](crate::Exchange::delayed) that still held messages, sorted by
    /// virtual host and name.
    pub exchanges: Vec<RemainingExchange>,
    /// The queues from which messages went during the shutdown, sorted by virtual host and name.
    pub drained: Vec<DrainedQueue>,
}

/// The messages that left one queue during a shutdown. It is part of a [`ShutdownReport`].
///
/// # Examples
/// ```
/// use leveret::Broker;
/// use std::{thread, time::Duration};
///
/// let broker = Broker::new();
/// broker.producer::<u32>("q")?.publish(7)?;
/// let consumer = broker.consumer::<u32>("q")?;
/// let worker = thread::spawn(move || consumer.recv()?.ack());
/// let report = broker.shutdown(Duration::from_secs(60))?;
/// worker.join().unwrap()?;
/// let drained = &report.drained[0];
/// assert_eq!((&*drained.vhost, &*drained.queue, drained.delivered), ("/", "q", 1));
/// assert_eq!((drained.dead_lettered, drained.dropped), (0, 0));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainedQueue {
    /// The virtual host of the queue.
    pub vhost: Name,
    /// The name of the queue.
    pub queue: Name,
    /// The number of messages that were delivered and acknowledged since the shutdown began.
    pub delivered: u64,
    /// The number of messages that were dead-lettered to another queue.
    pub dead_lettered: u64,
    /// The number of messages that were dropped: rejected, expired or over a limit without a dead
    /// letter exchange, purged, or deleted with their queue.
    pub dropped: u64,
}

/// The messages that were left in one delayed exchange. It is part of a [`ShutdownReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemainingExchange {
    /// The virtual host of the exchange.
    pub vhost: Name,
    /// The name of the exchange.
    pub exchange: Name,
    /// The number of messages whose delay had not ended.
    pub delayed: u64,
}

/// The messages that were left in one queue.
///
/// [`ShutdownReport`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemainingQueue {
    /// The virtual host of the queue.
    pub vhost: Name,
    /// The name of the queue.
    pub queue: Name,
    /// The number of messages that were not delivered.
    pub ready: u64,
    /// The number of messages that were delivered and not settled.
    pub unsettled: u64,
    /// The number of messages whose delay had not ended.
    pub delayed: u64,
    /// The number of dead letters that no other queue had taken, with
    /// [`DeadLetterStrategy::AtLeastOnce`](crate::DeadLetterStrategy::AtLeastOnce).
    pub in_transit: u64,
}

/// A virtual host's counts at the beginning of a shutdown.
#[derive(Debug, Default)]
pub(super) struct FirstCounts {
    vhost: Name,
    /// By the id of the queue.
    queues: BTreeMap<u64, (Arc<QueueCore>, Counts)>,
}

impl FirstCounts {
    pub(super) fn new(
        vhost: Name,
        queues: impl IntoIterator<Item = (Arc<QueueCore>, Counts)>,
    ) -> FirstCounts {
        let queues = queues.into_iter();
        FirstCounts {
            vhost,
            queues: queues
                .map(|(queue, counts)| (queue.id(), (queue, counts)))
                .collect(),
        }
    }

    /// Adds what has happened in this virtual host until its end. `counts_now` gives the counts of
    /// a queue that was deleted before.
    pub(super) fn report(
        mut self,
        last: LastCounts,
        counts_now: impl Fn(&Arc<QueueCore>) -> Counts,
        report: &mut ShutdownReport,
    ) {
        let vhost = self.vhost;
        for (queue, after) in last.queues {
            let before = self.queues.remove(&queue.id());
            let before = before.map_or_else(Counts::default, |(_, before)| before);
            report
                .drained
                .extend(drained(&vhost, &queue, &before, &after));
            report.queues.extend(remaining(&vhost, &queue, &after));
        }
        for (queue, before) in self.queues.into_values() {
            let mut after = counts_now(&queue);
            // The deliveries that are still unsettled are lost with their queue.
            after.deleted += after.unsettled;
            report
                .drained
                .extend(drained(&vhost, &queue, &before, &after));
        }
        for (delay_queue, counts) in last.delay_queues {
            let delayed = counts.delayed.messages;
            report
                .exchanges
                .extend((delayed > 0).then(|| RemainingExchange {
                    vhost: vhost.clone(),
                    exchange: delay_queue.name().clone(),
                    delayed,
                }));
        }
    }
}

impl ShutdownReport {
    pub(super) fn sort(&mut self) {
        (self.queues).sort_by(|a, b| (&a.vhost, &a.queue).cmp(&(&b.vhost, &b.queue)));
        (self.drained).sort_by(|a, b| (&a.vhost, &a.queue).cmp(&(&b.vhost, &b.queue)));
        (self.exchanges).sort_by(|a, b| (&a.vhost, &a.exchange).cmp(&(&b.vhost, &b.exchange)));
    }
}

fn drained(
    vhost: &Name,
    queue: &QueueCore,
    before: &Counts,
    after: &Counts,
) -> Option<DrainedQueue> {
    let delivered = after.acked.messages - before.acked.messages;
    let dead_lettered = after.dead_lettered.messages - before.dead_lettered.messages;
    let gone = |counts: &Counts| {
        counts.dropped.messages
            + counts.expired.messages
            + counts.purged.messages
            + counts.deleted.messages
    };
    let dropped = gone(after) - gone(before);
    (delivered + dead_lettered + dropped > 0).then(|| DrainedQueue {
        vhost: vhost.clone(),
        queue: queue.name().clone(),
        delivered,
        dead_lettered,
        dropped,
    })
}

fn remaining(vhost: &Name, queue: &QueueCore, counts: &Counts) -> Option<RemainingQueue> {
    let left = RemainingQueue {
        vhost: vhost.clone(),
        queue: queue.name().clone(),
        ready: counts.ready.messages,
        unsettled: counts.unsettled.messages,
        delayed: counts.delayed.messages,
        in_transit: counts.in_transit.messages,
    };
    (left.ready + left.unsettled + left.delayed + left.in_transit > 0).then_some(left)
}
