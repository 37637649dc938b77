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
    blocks: Vec<Arc<Block>>,
}

impl Segment {
    pub(super) fn new(first: u64) -> Segment {
        Segment {
            first,
            bytes: 0,
            totals: MessageTotals::default(),
            last_time: 0,
            blocks: Vec::new(),
        }
    }

    /// Adds the message with the next offset. `room` is that of the last block before.
    pub(super) fn append(
        &mut self,
        time: u64,
        bytes: u64,
        envelope: Envelope,
        room: Option<usize>,
    ) {
        let offset = self.end();
        self.bytes += bytes;
        self.totals.add_message(envelope.size());
        self.last_time = time;
        let envelope = match self.blocks.last() {
            Some(block) => match block.put(offset, time, envelope) {
                Ok(()) => return,
                Err(envelope) => envelope,
            },
            None => envelope,
        };
        let block = Block::new(offset, time, Block::room_after(room));
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

    /// The room of its last block.
    pub(super) fn last_room(&self) -> Option<usize> {
        self.blocks.last().map(|block| block.room())
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
