//! The id of a consumer within its queue.

/// Identifies one consumer of one queue. Never used again for another consumer. The order is that
/// of the subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConsumerId {
    /// Counts the consumers of the queue. It comes first, since it gives the order.
    pub(super) serial: u32,
    /// The consumer's index in the queue's list of consumers. A later consumer may have the same
    /// index.
    pub(super) slot: u32,
}
