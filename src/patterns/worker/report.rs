//! [`WorkerReport`], what a worker has done and why it has ended.

use serde::Serialize;

use super::settle::{Failure, Outcome, Settle};
use crate::{
    model::{error::CancelReason, name::Name},
    runtime::sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, Release},
    },
};

/// What a worker has done, and why it has ended.
///
/// # Examples
/// ```
/// use leveret::worker::WorkerEnd;
/// use std::time::Duration;
///
/// let broker = leveret::Broker::new();
/// let _ = broker.producer::<u32>("numbers")?.publish_batch(1..=10);
/// let worker = broker.worker::<u32>("numbers").handler(|number, _| match number {
///     7 => Err("seven"),
///     _ => Ok(()),
/// });
/// let report = worker.spawn()?.stop_and_drain(Duration::from_secs(10));
/// assert_eq!(report.end, WorkerEnd::Drained);
/// assert_eq!((report.counts.handled, report.counts.acked, report.counts.failed), (10, 9, 1));
/// assert!(report.left.is_empty() && report.running == 0);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// The name of the worker.
    pub worker: String,
    /// The reason of the end.
    pub end: WorkerEnd,
    /// What became of the messages.
    pub counts: WorkerCounts,
    /// The queues of the worker in which messages are ready now, with their number. Delayed
    /// messages do not count, such as those that a [`Retry`](crate::middleware::Retry) has later. A
    /// queue of a RabbitMQ that cannot be reached is left out.
    pub left: Vec<(Name, u64)>,
    /// The handlers that still run. Their messages are settled when they end.
    pub running: u64,
}

/// Why a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerEnd {
    /// It still runs.
    Running,
    /// It was stopped.
    Stopped,
    /// It was stopped, and before that its queues had no message for it: no ready one, and no
    /// delayed one that is due before the deadline.
    Drained,
    /// It was stopped, and the deadline passed before its queues were empty.
    TimedOut,
    /// Its consumer was cancelled.
    Cancelled(CancelReason),
}

/// The messages of a worker. If a handler gets a [batch](super::WorkerBuilder::batch), it counts
/// once for each message, except in `late`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerCounts {
    /// The handlers that have ended.
    pub handled: u64,
    /// Messages that were acknowledged.
    pub acked: u64,
    /// Messages that were requeued.
    pub requeued: u64,
    /// Messages that were rejected or dead-lettered.
    pub rejected: u64,
    /// Messages that were forwarded, with those that no queue took and that returned.
    pub forwarded: u64,
    /// Handlers that returned an error.
    pub failed: u64,
    /// Handlers that panicked.
    pub panicked: u64,
    /// Handlers that took longer than their time-out.
    pub timed_out: u64,
    /// Handlers that ended after their time-out. Their results were dropped.
    pub late: u64,
    /// Messages that did not decode.
    pub undecoded: u64,
}

/// The counts of one slot. Only the slot writes them.
#[derive(Debug, Default)]
pub(super) struct SlotCounts {
    handled: AtomicU64,
    acked: AtomicU64,
    requeued: AtomicU64,
    rejected: AtomicU64,
    forwarded: AtomicU64,
    failed: AtomicU64,
    panicked: AtomicU64,
    timed_out: AtomicU64,
    late: AtomicU64,
    undecoded: AtomicU64,
    running: AtomicU64,
}

/// Counts one more. It is no atomic addition, since there is one writer.
#[inline(always)]
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

impl SlotCounts {
    #[inline(always)]
    pub(super) fn begins(&self) {
        self.running.store(1, Relaxed);
    }

    #[inline(always)]
    pub(super) fn ends(&self) {
        self.running.store(0, Release);
        count(&self.handled);
    }

    /// A handler of this number of messages has ended.
    pub(super) fn ends_with(&self, messages: u64) {
        self.running.store(0, Release);
        let handled = self.handled.load(Relaxed);
        self.handled.store(handled + messages, Relaxed);
    }

    pub(super) fn late(&self) {
        count(&self.late);
    }

    #[inline(always)]
    pub(super) fn acked(&self) {
        count(&self.acked);
    }

    pub(super) fn settled(&self, outcome: &Outcome) {
        if let Some(error) = &outcome.error {
            count(match error.failure() {
                Failure::Error => &self.failed,
                Failure::Panic => &self.panicked,
                Failure::TimedOut => &self.timed_out,
                Failure::Decode => &self.undecoded,
            });
        }
        count(match outcome.settle {
            Settle::Ack => &self.acked,
            Settle::Requeue(_) => &self.requeued,
            Settle::Reject | Settle::DeadLetter(_) => &self.rejected,
            Settle::Forward(_) => &self.forwarded,
        });
    }

    /// Whether a handler runs, as a number.
    pub(super) fn running(&self) -> u64 {
        self.running.load(Relaxed)
    }

    pub(super) fn add_to(&self, counts: &mut WorkerCounts) {
        counts.handled += self.handled.load(Relaxed);
        counts.acked += self.acked.load(Relaxed);
        counts.requeued += self.requeued.load(Relaxed);
        counts.rejected += self.rejected.load(Relaxed);
        counts.forwarded += self.forwarded.load(Relaxed);
        counts.failed += self.failed.load(Relaxed);
        counts.panicked += self.panicked.load(Relaxed);
        counts.timed_out += self.timed_out.load(Relaxed);
        counts.late += self.late.load(Relaxed);
        counts.undecoded += self.undecoded.load(Relaxed);
    }
}
