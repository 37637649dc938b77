//! The name of a consumer inside its queue.

/// Names one consumer of one queue; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConsumerId {
    /// Its index among the queue's consumers. A later consumer may have the same.
    pub(super) slot: u32,
    /// Tells consumers of the same slot apart.
    pub(super) serial: u32,
}
