//! The counts of a queue's messages by their outcome, in messages and in bytes.

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
}

/// The counts of a queue at one moment. While no settlement is under way, `taken_in` is the sum of
/// all other counts of messages (invariant 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ready: MessageTotals,
    pub(crate) unsettled: MessageTotals,
    pub(crate) delayed: MessageTotals,
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
