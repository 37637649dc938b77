//! What a queue needs to know of a message that is settled.

use super::Envelope;

/// A message that is settled, or is about to be. Its payload may be elsewhere by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SettledMessage {
    pub(crate) position: u64,
    pub(crate) is_persistent: bool,
    /// The size in bytes.
    pub(crate) size: u64,
    /// The number of its delivery at an engine outside of this process.
    pub(crate) delivery: Option<u64>,
}

impl SettledMessage {
    pub(crate) fn of(envelope: &Envelope) -> SettledMessage {
        SettledMessage {
            position: envelope.position(),
            is_persistent: envelope.is_persistent(),
            size: envelope.size(),
            delivery: envelope.meta().and_then(|meta| meta.delivery),
        }
    }
}
