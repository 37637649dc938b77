//! The id of a consumer within its queue.

/// Identifies one consumer of one queue. Never used again for another consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConsumerId {
    /// The consumer's index in the queue's list of consumers. A later consumer may have the same
    /// index.
    pub(super) slot: u32,
    /// Tells consumers of the same slot apart.
    pub(super) serial: u32,
}
