//! [`Log`]: the segments of a stream.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{block::Block, segment::Segment};
use crate::{
    message::envelope::Envelope,
    model::{arguments::QueueArguments, descriptions::Offset, message_totals::MessageTotals},
};

/// The bytes of a full segment, as in RabbitMQ.
const SEGMENT_BYTES: u64 = 500_000_000;

/// The messages of a full segment. RabbitMQ counts its chunks there.
const SEGMENT_MESSAGES: u64 = 256_000;

/// The bytes that a message counts beside its body and its properties: its place here. It also is
/// about what RabbitMQ adds to a message in its files.
const PLACE: u64 = 100;

/// What a stream keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    max_age: Option<Duration>,
    max_bytes: Option<u64>,
    segment_bytes: u64,
}

impl Retention {
    pub(crate) fn of(settings: &QueueArguments) -> Retention {
        Retention {
            max_age: settings.stream.max_age,
            max_bytes: settings.max_length_bytes,
            segment_bytes: settings.stream.max_segment_bytes.unwrap_or(SEGMENT_BYTES),
        }
    }
}

/// The messages of a stream.
#[derive(Debug)]
pub(crate) struct Log {
    retention: Retention,
    /// The oldest first. The last one takes the next message, unless it is full.
    segments: VecDeque<Segment>,
    totals: MessageTotals,
    bytes: u64,
    /// The offset of the next message.
    next: u64,
    /// The first offset of the messages that came together at last.
    last_chunk: u64,
}

impl Log {
    pub(crate) fn new(retention: Retention) -> Log {
        Log {
            retention,
            segments: VecDeque::new(),
            totals: MessageTotals::default(),
            bytes: 0,
            next: 0,
            last_chunk: 0,
        }
    }

    pub(crate) fn set_retention(&mut self, retention: Retention) {
        self.retention = retention;
    }

    /// Gives no message an offset before this one, if the log is empty.
    pub(crate) fn begin_at(&mut self, offset: u64) {
        if self.segments.is_empty() {
            self.next = self.next.max(offset);
            self.last_chunk = self.next;
        }
    }

    /// Begins a chunk: the messages from here on come together.
    pub(crate) fn begin_chunk(&mut self) {
        self.last_chunk = self.next;
    }

    /// Adds a message that comes at `time`. If that begins a new segment, puts the segments that
    /// are not kept any more into `dropped`. They have user values, and must not be dropped under a
    /// lock. Returns its offset.
    pub(crate) fn append(
        &mut self,
        envelope: Envelope,
        time: u64,
        dropped: &mut Vec<Segment>,
    ) -> u64 {
        let begins = self.is_full();
        if begins {
            let next = match self.segments.back() {
                Some(last) => Segment::after(last),
                None => Segment::new(self.next),
            };
            self.segments.push_back(next);
        }
        let offset = self.append_to_last(envelope, time);
        if begins {
            let time = self.segments.back().map_or(time, |last| last.last_time);
            self.drop_old(time, dropped);
        }
        offset
    }

    /// As [`append`](Self::append), if the last segment is not full. Returns the offset.
    #[inline]
    pub(crate) fn append_to_last(&mut self, envelope: Envelope, time: u64) -> u64 {
        let size = envelope.size();
        // A message without properties has none here, though it shows its content type.
        let properties = envelope.meta().map_or(0, |meta| meta.published_len());
        let bytes = size.saturating_add(properties).saturating_add(PLACE);
        if let Some(last) = self.segments.back_mut() {
            last.append(time, size, bytes, envelope);
        }
        let offset = self.next;
        self.next += 1;
        self.totals.add_message(size);
        self.bytes = self.bytes.saturating_add(bytes);
        offset
    }

    /// Whether the next message begins a segment.
    pub(crate) fn is_full(&self) -> bool {
        self.segments.back().is_none_or(|last| {
            last.bytes >= self.retention.segment_bytes || last.totals.messages >= SEGMENT_MESSAGES
        })
    }

    /// Takes out the segments that are not kept. The last one always is.
    fn drop_old(&mut self, now: u64, dropped: &mut Vec<Segment>) {
        let Retention {
            max_age, max_bytes, ..
        } = self.retention;
        let oldest = max_age.map(|age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            now.saturating_sub(age)
        });
        while self.segments.len() > 1 {
            let is_over = max_bytes.is_some_and(|most| self.bytes > most);
            let is_old = |first: &Segment| oldest.is_some_and(|oldest| first.last_time < oldest);
            if !is_over && !self.segments.front().is_some_and(is_old) {
                return;
            }
            let Some(first) = self.segments.pop_front() else {
                return;
            };
            self.totals -= first.totals;
            self.bytes -= first.bytes;
            dropped.push(first);
        }
    }

    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> Vec<Segment> {
        self.totals = MessageTotals::default();
        self.bytes = 0;
        self.last_chunk = self.next;
        std::mem::take(&mut self.segments).into()
    }

    /// The number of messages, and their bytes.
    pub(crate) fn totals(&self) -> MessageTotals {
        self.totals
    }

    /// The offset of the first message. If there is none, that of the next one.
    pub(crate) fn first(&self) -> u64 {
        self.segments.front().map_or(self.next, Segment::first)
    }

    /// The offset of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The block with the message at this offset.
    pub(crate) fn block(&self, offset: u64) -> Option<&Arc<Block>> {
        if offset >= self.next {
            return None;
        }
        let behind = self
            .segments
            .partition_point(|segment| segment.first <= offset);
        self.segments.get(behind.checked_sub(1)?)?.block(offset)
    }

    /// Where a reader begins. `now` is the time. The message may be gone or not have come yet.
    pub(crate) fn resolve(&self, from: Offset, now: u64) -> u64 {
        match from {
            Offset::First => self.first(),
            Offset::Last => self.last_chunk.max(self.first()),
            Offset::Next => self.next,
            Offset::At(offset) => offset.max(self.first()),
            Offset::Timestamp(time) => {
                let since = time
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                // The messages of the same millisecond are not before it.
                self.since(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Offset::Interval(interval) => {
                let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
                self.since(now.saturating_sub(interval))
            }
        }
    }

    /// The first offset whose message came at `time` or later.
    fn since(&self, time: u64) -> u64 {
        let before = self
            .segments
            .partition_point(|segment| segment.last_time < time);
        self.segments
            .get(before)
            .map_or(self.next, |segment| segment.since(time))
    }
}
