//! What became of a queue's messages, counted in messages and bytes.

use crate::message::envelope::Envelope;

/// So many messages of so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    pub(super) fn new(messages: u64, bytes: u64) -> Amount {
        Amount { messages, bytes }
    }

    pub(super) fn add(&mut self, envelope: &Envelope) {
        *self += Amount::new(1, envelope.size());
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.messages += other.messages;
        // Totals of sizes that producers make up may wrap round, and then so do differences: they come out right.
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}

impl std::ops::SubAssign for Amount {
    fn sub_assign(&mut self, other: Amount) {
        self.messages -= other.messages;
        self.bytes = self.bytes.wrapping_sub(other.bytes);
    }
}

/// Running totals since the queue exists, kept under its lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) taken_in: Amount,
    /// Acknowledged, of gets and of consumers that are gone.
    pub(super) acked: Amount,
    /// Of what `Credit` counts as settled, that which was not an acknowledgement.
    pub(super) not_acked: Amount,
    pub(super) dead_lettered: Amount,
    pub(super) expired: Amount,
    pub(super) dropped: Amount,
    pub(super) purged: Amount,
    /// Moved to another queue.
    pub(super) moved: Amount,
    pub(super) deleted: Amount,
    /// Got and not settled.
    pub(super) got: Amount,
}

/// The counts of a queue at one moment. When no settlement is under way, what was taken in is the sum of all else
/// (invariant 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ready: Amount,
    pub(crate) unsettled: Amount,
    pub(crate) delayed: Amount,
    pub(crate) consumers: usize,
    pub(crate) taken_in: Amount,
    pub(crate) acked: Amount,
    pub(crate) dead_lettered: Amount,
    pub(crate) expired: Amount,
    pub(crate) dropped: Amount,
    pub(crate) purged: Amount,
    pub(crate) moved: Amount,
    pub(crate) deleted: Amount,
}
