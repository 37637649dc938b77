//! [`Segment`]: the part of a stream that retention drops as a whole.

use std::sync::Arc;

use super::block::Block;
use crate::{message::envelope::Envelope, model::message_totals::MessageTotals};

/// Consecutive blocks of a stream.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The offset of its first message.
    pub(super) first: u64,
    /// What the sizes of segments and streams count, in bytes.
    pub(super) bytes: u64,
    pub(super) totals: MessageTotals,
    /// When its last message came.
    pub(super) last_time: u64,
    /// The room of the next block.
    room: usize,
    blocks: Vec<Arc<Block>>,
}

impl Segment {
    /// The first segment of a stream, for messages from this offset on.
    pub(super) fn new(first: u64) -> Segment {
        Segment {
            first,
            bytes: 0,
            totals: MessageTotals::default(),
            last_time: 0,
            room: Block::SMALLEST,
            blocks: Vec::new(),
        }
    }

    /// The segment after this one.
    pub(super) fn after(last: &Segment) -> Segment {
        Segment {
            last_time: last.last_time,
            room: last.room,
            ..Segment::new(last.end())
        }
    }

    /// Adds the message with the next offset, which comes at `time` or at the time of the message
    /// before, if that is later.
    #[inline]
    pub(super) fn append(&mut self, time: u64, size: u64, bytes: u64, envelope: Envelope) {
        let offset = self.end();
        // A clock may go back, and the times of offsets do not.
        let time = time.max(self.last_time);
        self.last_time = time;
        self.bytes = self.bytes.saturating_add(bytes);
        self.totals.add_message(size);
        let envelope = match self.blocks.last() {
            Some(block) => match block.put(offset, time, envelope) {
                Ok(()) => return,
                Err(envelope) => envelope,
            },
            None => envelope,
        };
        self.append_to_new(offset, time, envelope);
    }

    #[cold]
    fn append_to_new(&mut self, offset: u64, time: u64, envelope: Envelope) {
        let block = Block::new(offset, time, self.room);
        self.room = Block::room_after(self.room);
        // An empty block has room for the message from which it counts.
        let _ = block.put(offset, time, envelope);
        self.blocks.push(block);
    }

    /// The number of messages that it has, and their bytes.
    pub(crate) fn totals(&self) -> MessageTotals {
        self.totals
    }

    /// The offset of its first message.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The offset behind its last message.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.totals.messages
    }

    /// The block with this offset.
    pub(super) fn block(&self, offset: u64) -> Option<&Arc<Block>> {
        let behind = self.blocks.partition_point(|block| block.first() <= offset);
        self.blocks.get(behind.checked_sub(1)?)
    }

    /// The first offset whose message came at `time` or later.
    pub(super) fn since(&self, time: u64) -> u64 {
        let (mut low, mut high) = (self.first, self.end());
        while low < high {
            let middle = low + (high - low) / 2;
            let came = self.block(middle).and_then(|block| block.time(middle));
            match came {
                Some(came) if came < time => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}
