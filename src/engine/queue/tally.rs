//! The counts of a queue's messages by their outcome, in messages and in bytes.

use super::{effects::Effects, state::QueueState};
use crate::model::message_totals::MessageTotals;

/// Running totals since the queue was declared, kept under its lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) taken_in: MessageTotals,
    /// Acknowledged after a get, or by consumers that were removed since.
    pub(super) acked: MessageTotals,
    /// Counted as settled by `Credit`, but not acknowledged.
    pub(super) not_acked: MessageTotals,
    pub(super) dead_lettered: MessageTotals,
    pub(super) expired: MessageTotals,
    pub(super) dropped: MessageTotals,
    pub(super) purged: MessageTotals,
    /// Moved to another queue.
    pub(super) moved: MessageTotals,
    pub(super) deleted: MessageTotals,
    /// Taken by a get and not settled.
    pub(super) got: MessageTotals,
    /// How often messages have become ready again after a get, a delay or a pause. Only for
    /// [`changes`](QueueState::changes).
    pub(super) again_ready: u64,
}

/// The counts of a queue at one moment. While no settlement is under way, `taken_in` is the sum of
/// all other counts of messages (invariant 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ready: MessageTotals,
    pub(crate) unsettled: MessageTotals,
    pub(crate) delayed: MessageTotals,
    /// Dead letters that other queues have not taken yet.
    pub(crate) in_transit: MessageTotals,
    pub(crate) consumers: usize,
    pub(crate) taken_in: MessageTotals,
    pub(crate) acked: MessageTotals,
    pub(crate) dead_lettered: MessageTotals,
    pub(crate) expired: MessageTotals,
    pub(crate) dropped: MessageTotals,
    pub(crate) purged: MessageTotals,
    pub(crate) moved: MessageTotals,
    pub(crate) deleted: MessageTotals,
}

impl QueueState {
    /// A number that is larger each time that the queue is idle again. If it is the same in two
    /// looks that find the queue idle, the queue was idle all the time between them.
    ///
    /// An idle queue has work again by a new message, a new or a resumed consumer, the end of a
    /// delay, or a get. A get shows here once it has ended.
    pub(super) fn changes(&self) -> u64 {
        let ends_of_gets = self.tally.acked.messages + self.tally.moved.messages;
        (self.tally.taken_in.messages)
            .wrapping_add(ends_of_gets)
            .wrapping_add(self.tally.again_ready)
            .wrapping_add(self.consumers.added())
    }

    /// The counts, after all settlements so far are applied.
    pub(crate) fn counts(&mut self, now: u64, effects: &mut Effects) -> Counts {
        self.apply_settlements(now, effects);
        self.prune();
        self.counts_as_they_are()
    }

    /// The counts, without serving consumers first.
    pub(super) fn counts_as_they_are(&self) -> Counts {
        let tally = self.tally;
        let (mut unsettled, mut acked) = (tally.got, tally.acked);
        for (handed, credit) in self.credits() {
            let settled = credit.settled();
            acked += settled;
            unsettled += handed;
            unsettled -= settled;
        }
        acked -= tally.not_acked;
        if self.kind.is_stream() {
            // Nothing leaves it by a delivery.
            (unsettled, acked) = Default::default();
        }
        Counts {
            ready: match self.kind.stream() {
                None => MessageTotals::new(self.ready.len() as u64, self.ready.bytes()),
                Some(stream) => stream.log.totals(),
            },
            unsettled,
            delayed: self.delayed(),
            in_transit: self.in_transit(),
            consumers: self.counted_consumers(),
            taken_in: tally.taken_in,
            acked,
            dead_lettered: tally.dead_lettered,
            expired: tally.expired,
            dropped: tally.dropped,
            purged: tally.purged,
            moved: tally.moved,
            deleted: tally.deleted,
        }
    }
}
