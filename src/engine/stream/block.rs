//! [`Block`]: a run of messages of a stream, which readers share.

use std::sync::{Arc, OnceLock};

use crate::message::{
    envelope::{Envelope, LoggedMessage},
    payload::{Body, Lender},
};

/// The most messages of a block.
const LARGEST: usize = 256;

/// Consecutive messages of a stream. Each slot is written once, in their order.
pub(crate) struct Block {
    /// The offset of the first slot.
    first: u64,
    /// The time from which the messages count theirs.
    base: u64,
    slots: Box<[OnceLock<LoggedMessage>]>,
}

impl Block {
    /// The room of the first block of a stream. A stream may stay small.
    pub(super) const SMALLEST: usize = 16;

    /// An empty block of `room` slots for messages from this offset and this time on.
    pub(crate) fn new(first: u64, base: u64, room: usize) -> Arc<Block> {
        let slots = std::iter::repeat_with(OnceLock::new).take(room);
        Arc::new(Block {
            first,
            base,
            slots: slots.collect(),
        })
    }

    /// The room of the block after one of `last` slots.
    pub(super) fn room_after(last: usize) -> usize {
        (last * 2).min(LARGEST)
    }

    /// Writes the message at this offset. Gives it back if it belongs into another block: its
    /// offset is behind the end, or its time is too late.
    #[inline]
    pub(crate) fn put(&self, offset: u64, time: u64, envelope: Envelope) -> Result<(), Envelope> {
        let (Some(slot), Ok(millis)) = (
            self.slots.get((offset - self.first) as usize),
            u32::try_from(time.saturating_sub(self.base)),
        ) else {
            return Err(envelope);
        };
        // The only writer has the lock of the stream, and writes each offset once.
        let _ = slot.set(LoggedMessage::new(envelope, millis));
        Ok(())
    }

    /// The offset of the first slot.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The message at this offset, if it is here and has come.
    #[inline]
    pub(crate) fn get(&self, offset: u64) -> Option<&LoggedMessage> {
        let index = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        self.slots.get(index)?.get()
    }

    /// When the message at this offset came, in milliseconds since 1970.
    pub(crate) fn time(&self, offset: u64) -> Option<u64> {
        Some(self.base + u64::from(self.get(offset)?.millis))
    }

    /// A copy for a consumer of the message at this offset.
    pub(crate) fn envelope(self: &Arc<Self>, offset: u64) -> Option<Envelope> {
        let message = self.get(offset)?;
        let lender: Arc<dyn Lender> = Arc::clone(self) as _;
        Some(message.envelope(&lender, (offset - self.first) as u32, offset))
    }
}

impl Lender for Block {
    fn body(&self, index: u32) -> Option<&Body> {
        Some(self.slots.get(index as usize)?.get()?.body())
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("first", &self.first)
            .field("room", &self.slots.len())
            .finish_non_exhaustive()
    }
}
