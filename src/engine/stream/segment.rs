//! [`Segment`]: the part of a stream that retention drops as a whole.

use std::{collections::VecDeque, sync::Arc};

use super::block::Block;
use crate::{message::envelope::Envelope, model::message_totals::MessageTotals};

/// Consecutive blocks of a stream. Those that are on disk too may not be here any more.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The offset of its first message.
    pub(super) first: u64,
    /// What the sizes of segments and streams count, in bytes.
    pub(super) bytes: u64,
    pub(super) totals: MessageTotals,
    /// When its first message came.
    first_time: u64,
    /// When its last message came.
    pub(super) last_time: u64,
    /// The room of the next block.
    room: usize,
    /// The blocks in memory, and the bytes of each.
    blocks: VecDeque<(Arc<Block>, u64)>,
}

impl Segment {
    /// The first segment of a stream, for messages from this offset on.
    pub(super) fn new(first: u64) -> Segment {
        Segment {
            first,
            bytes: 0,
            totals: MessageTotals::default(),
            first_time: 0,
            last_time: 0,
            room: Block::SMALLEST,
            blocks: VecDeque::new(),
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

    /// A segment whose messages so far are all on disk. `times` are when its first and its last
    /// message came.
    pub(crate) fn on_disk(
        first: u64,
        totals: MessageTotals,
        bytes: u64,
        (first_time, last_time): (u64, u64),
    ) -> Segment {
        Segment {
            bytes,
            totals,
            first_time,
            last_time,
            ..Segment::new(first)
        }
    }

    /// Adds the message with the next offset, which comes at `time` or at the time of the message
    /// before, if that is later. Returns when it came.
    #[inline]
    pub(super) fn append(&mut self, time: u64, size: u64, bytes: u64, envelope: Envelope) -> u64 {
        let offset = self.end();
        // A clock may go back, and the times of offsets do not.
        let time = time.max(self.last_time);
        self.last_time = time;
        self.bytes = self.bytes.saturating_add(bytes);
        self.totals.add_message(size);
        let envelope = match self.blocks.back_mut() {
            Some((block, of_block)) => match block.put(offset, time, envelope) {
                Ok(()) => {
                    *of_block = of_block.saturating_add(bytes);
                    return time;
                }
                Err(envelope) => envelope,
            },
            None => envelope,
        };
        self.append_to_new(offset, time, bytes, envelope);
        time
    }

    #[cold]
    fn append_to_new(&mut self, offset: u64, time: u64, bytes: u64, envelope: Envelope) {
        if offset == self.first {
            self.first_time = time;
        }
        let block = Block::new(offset, time, self.room);
        self.room = Block::room_after(self.room);
        // An empty block has room for the message from which it counts.
        let _ = block.put(offset, time, envelope);
        self.blocks.push_back((block, bytes));
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

    /// When its first message came. A new segment has none.
    pub(super) fn first_time(&self) -> u64 {
        self.first_time
    }

    /// The block with this offset, if it is in memory.
    pub(super) fn block(&self, offset: u64) -> Option<&Arc<Block>> {
        let behind = |block: &(Arc<Block>, u64)| block.0.first() <= offset;
        let behind = self.blocks.partition_point(behind);
        Some(&self.blocks.get(behind.checked_sub(1)?)?.0)
    }

    /// The bytes of the blocks in memory.
    pub(super) fn in_memory(&self) -> u64 {
        self.blocks.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Whether no block is in memory.
    pub(super) fn is_on_disk(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Takes out the first block in memory, if all its messages are before an offset. Returns its
    /// bytes too.
    pub(super) fn evict(&mut self, before: u64) -> Option<(Arc<Block>, u64)> {
        let end = self.blocks.get(1).map_or(self.end(), |next| next.0.first());
        match end <= before {
            true => self.blocks.pop_front(),
            false => None,
        }
    }

    /// The first offset in memory whose message came at `time` or later.
    pub(super) fn since(&self, time: u64) -> u64 {
        let first = self.blocks.front().map_or(self.first, |it| it.0.first());
        let (mut low, mut high) = (first, self.end());
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
