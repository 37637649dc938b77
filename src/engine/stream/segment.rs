//! [`Segment`]: the part of a stream that retention drops as a whole.

use std::collections::VecDeque;

use super::block::{Block, BlockWriter};
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
    /// The blocks in memory, and the bytes of the segment before each.
    blocks: VecDeque<(Block, u64)>,
    /// Writes the last block, if that takes more messages.
    writer: Option<BlockWriter>,
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
            room: BlockWriter::SMALLEST,
            blocks: VecDeque::new(),
            writer: None,
        }
    }

    /// The segment after this one, which gets no more messages.
    pub(super) fn next(&mut self) -> Segment {
        self.writer = None;
        Segment {
            last_time: self.last_time,
            room: self.room,
            ..Segment::new(self.end())
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
    #[inline(always)]
    pub(super) fn append(&mut self, time: u64, size: u64, bytes: u64, envelope: Envelope) -> u64 {
        // A clock may go back, and the times of offsets do not.
        let time = time.max(self.last_time);
        self.last_time = time;
        if !self.writer.as_ref().is_some_and(|it| it.has_room(time)) {
            self.begin_block(time);
        }
        if let Some(writer) = &mut self.writer {
            writer.put(time, envelope);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.totals.add_message(size);
        time
    }

    /// Begins a block for messages from this time on.
    #[cold]
    #[inline(never)]
    fn begin_block(&mut self, time: u64) {
        let offset = self.end();
        if offset == self.first {
            self.first_time = time;
        }
        let writer = BlockWriter::new(offset, time, self.room);
        self.room = BlockWriter::room_after(self.room);
        self.blocks.push_back((writer.block(), self.bytes));
        self.writer = Some(writer);
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
    pub(super) fn block(&self, offset: u64) -> Option<&Block> {
        let behind = |block: &(Block, u64)| block.0.first() <= offset;
        let behind = self.blocks.partition_point(behind);
        Some(&self.blocks.get(behind.checked_sub(1)?)?.0)
    }

    /// The bytes of the messages that are on disk only.
    pub(super) fn only_on_disk(&self) -> u64 {
        self.blocks.front().map_or(self.bytes, |it| it.1)
    }

    /// Whether no block is in memory.
    pub(super) fn is_on_disk(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Takes out the first block in memory, if all its messages are before an offset. Returns its
    /// bytes too.
    pub(super) fn evict(&mut self, before: u64) -> Option<(Block, u64)> {
        let next = self.blocks.get(1);
        let (end, bytes) = next.map_or((self.end(), self.bytes), |it| (it.0.first(), it.1));
        if end > before {
            return None;
        }
        let (block, bytes_before) = self.blocks.pop_front()?;
        if self.blocks.is_empty() {
            self.writer = None;
        }
        Some((block, bytes.saturating_sub(bytes_before)))
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
