//! What became of a queue's messages, counted in messages and bytes.

use crate::model::message_totals::MessageTotals;

/// Running totals since the queue exists, kept under its lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) taken_in: MessageTotals,
    /// Acknowledged, of gets and of consumers that are gone.
    pub(super) acked: MessageTotals,
    /// Of what `Credit` counts as settled, that which was not an acknowledgement.
    pub(super) not_acked: MessageTotals,
    pub(super) dead_lettered: MessageTotals,
    pub(super) expired: MessageTotals,
    pub(super) dropped: MessageTotals,
    pub(super) purged: MessageTotals,
    /// Moved to another queue.
    pub(super) moved: MessageTotals,
    pub(super) deleted: MessageTotals,
    /// Got and not settled.
    pub(super) got: MessageTotals,
}

/// The counts of a queue at one moment. When no settlement is under way, what was taken in is the sum of all else
/// (invariant 5).
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
