//! The counts of a queue's messages by their outcome, in messages and in bytes.

use super::{effects::Effects, head::Head, state::QueueState};
use crate::{
    message::headers::x_death::DeathReason,
    model::{death_counts::DeathCounts, message_totals::MessageTotals},
};

/// Running totals since the queue was declared, kept under its lock.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) taken_in: MessageTotals,
    /// In a box, since most queues have none of these, and a queue is small.
    rare: Option<Box<RareTally>>,
}

/// The totals of all that is no delivery to a consumer that is still there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RareTally {
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
    /// Dead letters, by the reason.
    pub(super) dead_lettered_by: DeathCounts,
    /// Those of `expired` and `dropped`, by the reason.
    pub(super) dropped_by: DeathCounts,
    /// Deliveries by consumers that were removed since and whose deliveries are all settled.
    pub(super) delivered: Delivered,
    pub(super) gets: Gets,
    /// Deliveries that came back from those who had seen them, to be delivered again.
    pub(super) requeued: u64,
}

/// How many messages consumers have got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// To be acknowledged.
    pub(crate) to_ack: u64,
    /// Acknowledged by their delivery.
    pub(crate) auto_ack: u64,
}

impl Delivered {
    pub(super) fn add(&mut self, auto_ack: bool, messages: u64) {
        match auto_ack {
            true => self.auto_ack += messages,
            false => self.to_ack += messages,
        }
    }
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, other: Delivered) {
        self.to_ack += other.to_ack;
        self.auto_ack += other.auto_ack;
    }
}

/// How many gets there were, by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gets {
    /// Gets of a message, those of `auto_ack` among them.
    pub(crate) taken: u64,
    /// Gets that have acknowledged their message.
    pub(crate) auto_ack: u64,
    /// Gets that have found no message and have not waited for one.
    pub(crate) empty: u64,
}

impl std::ops::AddAssign for Gets {
    fn add_assign(&mut self, other: Gets) {
        self.taken += other.taken;
        self.auto_ack += other.auto_ack;
        self.empty += other.empty;
    }
}

impl RareTally {
    #[cold]
    fn boxed() -> Box<RareTally> {
        Box::default()
    }
}

impl Tally {
    #[inline]
    pub(super) fn rare(&mut self) -> &mut RareTally {
        self.rare.get_or_insert_with(RareTally::boxed)
    }

    /// The messages that were taken by a get and are not settled.
    pub(super) fn got(&self) -> MessageTotals {
        let rare = self.rare.as_ref();
        rare.map_or(MessageTotals::default(), |rare| rare.got)
    }

    /// Counts a message that other queues may take as dead-lettered.
    pub(super) fn dead_letter(&mut self, size: u64, reason: DeathReason) {
        let rare = self.rare();
        rare.dead_lettered.add_message(size);
        count_death(&mut rare.dead_lettered_by, reason);
    }

    /// Counts a message that has ended here.
    pub(super) fn drop_message(&mut self, size: u64, reason: DeathReason) {
        let rare = self.rare();
        match reason {
            DeathReason::Expired => rare.expired.add_message(size),
            _ => rare.dropped.add_message(size),
        }
        count_death(&mut rare.dropped_by, reason);
    }
}

fn count_death(counts: &mut DeathCounts, reason: DeathReason) {
    let count = match reason {
        DeathReason::Rejected => &mut counts.rejected,
        DeathReason::Expired => &mut counts.expired,
        DeathReason::MaxLen => &mut counts.maxlen,
        DeathReason::DeliveryLimit => &mut counts.delivery_limit,
    };
    *count += 1;
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
    pub(crate) dead_lettered_by: DeathCounts,
    pub(crate) dropped_by: DeathCounts,
    pub(crate) delivered: Delivered,
    pub(crate) gets: Gets,
    pub(crate) requeued: u64,
    /// The next message, in the counts of a look.
    pub(crate) head: Option<Head>,
    /// Publishers that wait for room.
    pub(crate) waiting_publishers: u64,
}

impl Counts {
    /// The sums of two queues, of past messages. The messages in a queue now are left out.
    pub(crate) fn add_past(&mut self, other: &Counts) {
        self.taken_in += other.taken_in;
        self.acked += other.acked;
        self.dead_lettered += other.dead_lettered;
        self.expired += other.expired;
        self.dropped += other.dropped;
        self.purged += other.purged;
        self.moved += other.moved;
        self.deleted += other.deleted;
        self.dead_lettered_by += other.dead_lettered_by;
        self.dropped_by += other.dropped_by;
        self.delivered += other.delivered;
        self.gets += other.gets;
        self.requeued += other.requeued;
    }
}

impl QueueState {
    /// A get has found no message and does not wait for one.
    pub(crate) fn count_empty_get(&mut self) {
        self.tally.rare().gets.empty += 1;
    }

    /// A get has acknowledged its message.
    pub(crate) fn count_auto_ack_get(&mut self) {
        self.tally.rare().gets.auto_ack += 1;
    }

    /// A number that is larger each time that the queue is idle again. If it is the same in two
    /// looks that find the queue idle, the queue was idle all the time between them.
    ///
    /// An idle queue has work again by a new message, a new or a resumed consumer, the end of a
    /// delay, or a get. A get shows here once it has ended.
    pub(super) fn changes(&self) -> u64 {
        let again = self.tally.rare.as_ref().map_or(0, |rare| {
            let ends_of_gets = rare.acked.messages + rare.moved.messages;
            ends_of_gets.wrapping_add(rare.again_ready)
        });
        (self.tally.taken_in.messages)
            .wrapping_add(again)
            .wrapping_add(self.consumers.added())
    }

    /// The counts, after all settlements so far are applied.
    pub(crate) fn counts(&mut self, now: u64, effects: &mut Effects) -> Counts {
        self.apply_settlements(now, effects);
        self.prune();
        self.counts_as_they_are()
    }

    /// As [`counts`](Self::counts), with the message at the head.
    pub(crate) fn look(&mut self, now: u64, effects: &mut Effects) -> Counts {
        let counts = self.counts(now, effects);
        Counts {
            head: self.head(now),
            waiting_publishers: self.line.len() as u64,
            ..counts
        }
    }

    /// The counts, without serving consumers first.
    pub(crate) fn counts_as_they_are(&self) -> Counts {
        let tally = &self.tally;
        let rare = tally.rare.as_deref().copied().unwrap_or_default();
        let (mut unsettled, mut acked) = (rare.got, rare.acked);
        let mut delivered = rare.delivered;
        for (handed, credit, auto_ack) in self.credits() {
            delivered.add(auto_ack, handed.messages);
            let settled = credit.settled();
            acked += settled;
            unsettled += handed;
            unsettled -= settled;
        }
        acked -= rare.not_acked;
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
            dead_lettered: rare.dead_lettered,
            expired: rare.expired,
            dropped: rare.dropped,
            purged: rare.purged,
            moved: rare.moved,
            deleted: rare.deleted,
            dead_lettered_by: rare.dead_lettered_by,
            dropped_by: rare.dropped_by,
            delivered,
            gets: rare.gets,
            requeued: rare.requeued,
            head: None,
            waiting_publishers: 0,
        }
    }
}
