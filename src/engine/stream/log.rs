//! [`Log`]: the segments of a stream.

use std::{collections::VecDeque, time::Duration};

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

/// A message that was added to a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) offset: u64,
    /// When it came: not before the message before it.
    pub(crate) time: u64,
    /// Its size, as counts use it.
    pub(crate) size: u64,
    /// The bytes that it takes of the limits of the stream.
    pub(crate) bytes: u64,
    /// Whether it is the first message of a segment.
    pub(crate) begins: bool,
}

/// Where a message is.
#[derive(Debug)]
pub(crate) enum At<'a> {
    /// In this block.
    Block(&'a Block),
    /// On disk only.
    Disk,
    /// It has not come yet.
    Nowhere,
}

/// The messages of a stream.
#[derive(Debug)]
pub(crate) struct Log {
    retention: Retention,
    /// The oldest first. The last one takes the next message, unless it is full.
    segments: VecDeque<Segment>,
    totals: MessageTotals,
    bytes: u64,
    /// The bytes of the messages that are on disk only.
    on_disk: u64,
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
            on_disk: 0,
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
    /// lock.
    pub(crate) fn append(
        &mut self,
        envelope: Envelope,
        time: u64,
        dropped: &mut Vec<Segment>,
    ) -> Appended {
        self.append_to(self.is_full(), envelope, time, dropped)
    }

    /// As [`append`](Self::append). `begins` tells whether the message is the first one of a
    /// segment.
    pub(crate) fn append_to(
        &mut self,
        begins: bool,
        envelope: Envelope,
        time: u64,
        dropped: &mut Vec<Segment>,
    ) -> Appended {
        let begins = match self.segments.back_mut() {
            Some(last) if begins => {
                let next = last.next();
                self.segments.push_back(next);
                true
            }
            Some(_) => false,
            None => {
                self.segments.push_back(Segment::new(self.next));
                true
            }
        };
        let size = envelope.size();
        let appended = self.append_to_last(size, envelope, time);
        if begins {
            self.drop_old(appended.time, dropped);
        }
        Appended { begins, ..appended }
    }

    /// As [`append`](Self::append), for a message of this size, if there is a segment that is not
    /// full.
    #[inline(always)]
    pub(crate) fn append_to_last(&mut self, size: u64, envelope: Envelope, time: u64) -> Appended {
        // A message without properties has none here, though it shows its content type.
        let properties = envelope.meta().map_or(0, |meta| meta.published_len());
        let bytes = size.saturating_add(properties).saturating_add(PLACE);
        let time = match self.segments.back_mut() {
            Some(last) => last.append(time, size, bytes, envelope),
            None => time,
        };
        let offset = self.next;
        self.next += 1;
        self.totals.add_message(size);
        self.bytes = self.bytes.saturating_add(bytes);
        Appended {
            offset,
            time,
            size,
            bytes,
            begins: false,
        }
    }

    /// Puts a segment behind the others whose messages so far are all on disk.
    pub(crate) fn add_on_disk(&mut self, segment: Segment) {
        self.next = segment.end();
        self.last_chunk = self.next.saturating_sub(1).max(segment.first);
        self.totals += segment.totals;
        self.bytes = self.bytes.saturating_add(segment.bytes);
        self.on_disk = self.on_disk.saturating_add(segment.bytes);
        self.segments.push_back(segment);
    }

    /// The bytes in memory, as the limits of the stream count them.
    pub(crate) fn in_memory(&self) -> u64 {
        self.bytes.saturating_sub(self.on_disk)
    }

    /// Takes the oldest blocks out of memory until at most these bytes are left. The messages
    /// before the offset `before` are on disk, and only these go. The blocks have user values, and
    /// must not be dropped under a lock.
    pub(crate) fn evict(&mut self, before: u64, memory: u64) -> Vec<Block> {
        let mut evicted = Vec::new();
        while self.in_memory() > memory {
            let first = self.segments.partition_point(Segment::is_on_disk);
            let segment = self.segments.get_mut(first);
            let Some((block, bytes)) = segment.and_then(|it| it.evict(before)) else {
                break;
            };
            self.on_disk = self.on_disk.saturating_add(bytes);
            evicted.push(block);
        }
        evicted
    }

    /// Whether the next message begins a segment.
    #[inline]
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
            // A sum that was cut off is less than its parts.
            self.bytes = self.bytes.saturating_sub(first.bytes);
            self.on_disk = self.on_disk.saturating_sub(first.only_on_disk());
            dropped.push(first);
        }
    }

    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> Vec<Segment> {
        self.totals = MessageTotals::default();
        self.bytes = 0;
        self.on_disk = 0;
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

    /// When the first message came. `None` if there is none.
    pub(crate) fn first_time(&self) -> Option<u64> {
        let first = self.segments.front()?;
        (self.first() < self.next).then(|| first.first_time())
    }

    /// The offset of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Where the message at this offset is, which is not before the first one.
    pub(crate) fn at(&self, offset: u64) -> At<'_> {
        if offset >= self.next {
            return At::Nowhere;
        }
        let behind = self
            .segments
            .partition_point(|segment| segment.first <= offset);
        let segment = behind.checked_sub(1).and_then(|at| self.segments.get(at));
        match segment.and_then(|segment| segment.block(offset)) {
            Some(block) => At::Block(block),
            None => At::Disk,
        }
    }

    /// Where a reader begins. `now` is the time. The message may be gone or not have come yet. Of a
    /// time, only the messages in memory are looked at.
    pub(crate) fn resolve(&self, from: Offset, now: u64) -> u64 {
        match from {
            Offset::First => self.first(),
            Offset::Last => self.last_chunk.max(self.first()),
            Offset::Next => self.next,
            Offset::At(offset) => offset.max(self.first()),
            Offset::Timestamp(_) | Offset::Interval(_) => {
                from.since(now).map_or(self.next, |time| self.since(time))
            }
        }
    }

    /// The first offset in memory whose message came at `time` or later.
    fn since(&self, time: u64) -> u64 {
        let before = self
            .segments
            .partition_point(|segment| segment.last_time < time);
        self.segments
            .get(before)
            .map_or(self.next, |segment| segment.since(time))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        message::{
            envelope::{Address, ExchangeId},
            payload::Body,
        },
        model::name::Name,
    };

    fn message(size: usize) -> Envelope {
        let address = Address::new(&ExchangeId::Interned(0), &Name::empty());
        Envelope::new(Body::new(vec![0; size]), &address, None)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append { messages: u64, size: usize },
        Evict { before: u64, memory: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..70_u64, 0..90_usize).prop_map(|(messages, size)| Step::Append { messages, size }),
            (0..600_u64, 0..20_000_u64).prop_map(|(before, memory)| Step::Evict { before, memory }),
        ]
    }

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        /// Blocks go from memory in their order, and the log goes on behind them.
        #[test]
        fn the_bytes_in_memory_are_those_of_the_messages_there(
            segment_bytes in 1_000..30_000_u64,
            max_bytes in proptest::option::of(5_000..50_000_u64),
            steps in proptest::collection::vec(step(), 1..30),
        ) {
            let mut log = Log::new(Retention {
                max_age: None,
                max_bytes,
                segment_bytes,
            });
            let mut bytes = Vec::new();
            for step in steps {
                let (mut dropped, mut evicted) = (Vec::new(), Vec::new());
                match step {
                    Step::Append { messages, size } => {
                        for _ in 0..messages {
                            let appended = log.append(message(size), 7, &mut dropped);
                            prop_assert_eq!(appended.offset, bytes.len() as u64);
                            bytes.push(appended.bytes);
                            let found = log.at(appended.offset);
                            prop_assert!(matches!(found, At::Block(_)));
                        }
                    }
                    Step::Evict { before, memory } => {
                        evicted = log.evict(before.min(log.next()), memory);
                        let all = before >= log.next();
                        prop_assert!(!all || log.in_memory() <= memory);
                    }
                }
                let kept = log.first()..log.next();
                let in_memory = kept.filter(|offset| matches!(log.at(*offset), At::Block(_)));
                let in_memory: Vec<_> = in_memory.collect();
                let sum: u64 = in_memory.iter().map(|offset| bytes[*offset as usize]).sum();
                prop_assert_eq!(log.in_memory(), sum);
                let oldest = in_memory.first().copied().unwrap_or(log.next());
                prop_assert!(in_memory.into_iter().eq(oldest..log.next()));
                prop_assert!(evicted.iter().all(|block| block.first() < oldest));
            }
        }
    }
}
