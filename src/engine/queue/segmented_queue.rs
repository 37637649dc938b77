//! A queue of messages in segments of bounded length. A backlog takes only the memory that its
//! messages need.
//!
//! A single ring buffer would double its capacity when full. Then half of it could be empty, and
//! each time all messages would be moved.
//!
//! Knows nothing of priorities. Positions only ever grow from the front to the back.

use std::{collections::VecDeque, mem};

use crate::message::envelope::Envelope;
use crate::model::message_totals::MessageTotals;

/// The number of messages in a full segment.
const SEGMENT: usize = 256;

/// The capacity for segments that an idle queue keeps.
const IDLE_SEGMENTS: usize = 4;

/// Messages in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct SegmentedQueue {
    /// The rest of the segment that messages are taken from. All these came before those of
    /// `segments`.
    first: VecDeque<Envelope>,
    /// None is empty, and all but the last were full once. New messages go to the last.
    segments: VecDeque<Segment>,
    /// An emptied segment, to be used again for the next new one.
    recycled: Option<Vec<Envelope>>,
    len: usize,
}

/// Messages that are delivered together if possible.
#[derive(Debug, Default)]
struct Segment {
    messages: Vec<Envelope>,
    /// Counted as messages arrive. `pop_batch` takes a whole segment under the queue's lock and
    /// should not visit each message.
    bytes: u64,
}

/// Counts a message that was put into the last segment.
pub(super) struct TailCommit<'a> {
    segment_bytes: &'a mut u64,
    len: &'a mut usize,
}

impl TailCommit<'_> {
    #[inline(always)]
    pub(super) fn commit(self, added: MessageTotals) {
        *self.segment_bytes = self.segment_bytes.wrapping_add(added.bytes);
        *self.len += added.messages as usize;
    }
}

impl SegmentedQueue {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let pieces = self.segments.iter().map(|piece| &piece.messages);
        let room: usize = pieces.chain(&self.recycled).map(Vec::capacity).sum();
        self.first.capacity() + room
    }

    pub(super) fn front(&self) -> Option<&Envelope> {
        let next = || self.segments.front()?.messages.first();
        self.first.front().or_else(next)
    }

    pub(super) fn push_back(&mut self, envelope: Envelope) {
        let last = self.segments.back();
        if last.is_none_or(|last| last.messages.len() == SEGMENT) {
            let messages = match self.recycled.take() {
                Some(spare) => spare,
                // The first one grows with its messages, since most queues are short.
                None if last.is_none() => Vec::new(),
                None => Vec::with_capacity(SEGMENT),
            };
            self.segments.push_back(Segment { messages, bytes: 0 });
        }
        if let Some((messages, tail)) = self.last() {
            tail.commit(MessageTotals::new(1, envelope.size()));
            messages.push(envelope);
        }
    }

    /// The last segment, and its capacity for more messages, if it has any.
    #[inline(always)]
    pub(super) fn tail(&mut self) -> Option<(&mut Vec<Envelope>, usize, TailCommit<'_>)> {
        let (messages, commit) = self.last()?;
        let room = messages.capacity().min(SEGMENT) - messages.len();
        (room > 0).then_some((messages, room, commit))
    }

    #[inline(always)]
    fn last(&mut self) -> Option<(&mut Vec<Envelope>, TailCommit<'_>)> {
        let Segment { messages, bytes } = self.segments.back_mut()?;
        let commit = TailCommit {
            segment_bytes: bytes,
            len: &mut self.len,
        };
        Some((messages, commit))
    }

    pub(super) fn pop_front(&mut self) -> Option<Envelope> {
        if self.first.is_empty() {
            self.next_segment();
        }
        let envelope = self.first.pop_front()?;
        self.len -= 1;
        Some(envelope)
    }

    /// Moves up to `most` messages from the front into `into`. Returns their totals.
    pub(super) fn pop_batch(&mut self, most: usize, into: &mut Vec<Envelope>) -> MessageTotals {
        let mut moved = MessageTotals::default();
        let mut left = most.min(self.len);
        self.len -= left;
        while left > 0 {
            let count = left.min(self.first.len());
            let taken = self.first.drain(..count);
            into.extend(taken.inspect(|envelope| moved.add_message(envelope.size())));
            left -= count;
            match self.segments.front_mut() {
                // Move the whole segment, in exchange for the empty buffer of `into`.
                Some(Segment { messages, bytes }) if into.is_empty() && messages.len() <= left => {
                    moved += MessageTotals::new(messages.len() as u64, *bytes);
                    left -= messages.len();
                    mem::swap(into, messages);
                    let room = self.segments.pop_front();
                    self.recycle(room.unwrap_or_default().messages);
                }
                _ if left > 0 => self.next_segment(),
                _ => {}
            }
        }
        moved
    }

    /// The messages behind a position, or all, in order.
    pub(super) fn behind(&self, position: Option<u64>) -> impl Iterator<Item = &Envelope> {
        let passed =
            move |envelope: &Envelope| position.is_some_and(|last| envelope.position() <= last);
        let first = self.first.partition_point(passed);
        let is_passed = |segment: &Segment| segment.messages.last().is_some_and(passed);
        let segments = self
            .segments
            .range(self.segments.partition_point(is_passed)..);
        // Only the next segment can have messages on both sides.
        let others = segments.flat_map(move |segment| {
            let from = segment.messages.partition_point(passed);
            &segment.messages[from..]
        });
        self.first.range(first..).chain(others)
    }

    /// The message at a position.
    pub(super) fn get_mut(&mut self, position: u64) -> Option<&mut Envelope> {
        let place = |envelope: &Envelope| envelope.position();
        if let Ok(index) = self.first.binary_search_by_key(&position, place) {
            return self.first.get_mut(index);
        }
        let is_passed = |segment: &Segment| {
            let last = segment.messages.last();
            last.is_some_and(|last| last.position() < position)
        };
        let number = self.segments.partition_point(is_passed);
        let messages = &mut self.segments.get_mut(number)?.messages;
        let index = messages.binary_search_by_key(&position, place);
        messages.get_mut(index.ok()?)
    }

    /// Takes out the message at a position.
    pub(super) fn remove(&mut self, position: u64) -> Option<Envelope> {
        if self.first.is_empty() {
            // Messages are cheap to take from its front, and most are taken from there.
            self.next_segment();
        }
        let place = |envelope: &Envelope| envelope.position();
        if let Ok(index) = self.first.binary_search_by_key(&position, place) {
            self.len -= 1;
            return self.first.remove(index);
        }
        let is_passed = |segment: &Segment| {
            let last = segment.messages.last();
            last.is_some_and(|last| last.position() < position)
        };
        let number = self.segments.partition_point(is_passed);
        let segment = self.segments.get_mut(number)?;
        let index = segment.messages.binary_search_by_key(&position, place);
        let envelope = segment.messages.remove(index.ok()?);
        segment.bytes = segment.bytes.wrapping_sub(envelope.size());
        self.len -= 1;
        if segment.messages.is_empty() {
            let room = self.segments.remove(number);
            self.recycle(room.unwrap_or_default().messages);
        }
        Some(envelope)
    }

    /// Makes the next segment the one that messages are taken from, after the first ran empty.
    fn next_segment(&mut self) {
        if let Some(next) = self.segments.pop_front() {
            let room = mem::replace(&mut self.first, next.messages.into());
            self.recycle(room.into());
        }
    }

    /// Keeps the buffer of an emptied segment for the next one. Frees the list of segments after a
    /// long backlog.
    fn recycle(&mut self, room: Vec<Envelope>) {
        if room.capacity() > 0 {
            self.recycled = Some(room);
        }
        if self.segments.is_empty() {
            self.segments.shrink_to(IDLE_SEGMENTS);
        }
    }
}

#[cfg(test)]
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

    fn numbered(position: u64) -> Envelope {
        let address = Address::new(&ExchangeId::Interned(0), &Name::empty());
        let mut envelope = Envelope::new(Body::new(0_u8), &address, None);
        envelope.set_position(position);
        envelope
    }

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec((0..6_u8, 1..600_usize), 0..40)) {
            let (mut line, mut model) = (SegmentedQueue::default(), VecDeque::new());
            let mut next = 0;
            for (step, count) in steps {
                match step {
                    0 | 1 => for _ in 0..count {
                        line.push_back(numbered(next));
                        model.push_back(next);
                        next += 1;
                    },
                    2 => for _ in 0..count {
                        let popped = line.pop_front().map(|envelope| envelope.position());
                        prop_assert_eq!(popped, model.pop_front());
                    },
                    // Counted from the front or the back, whether there is such a message or not.
                    3 | 4 => {
                        let index = match step {
                            3 => count,
                            _ => model.len().saturating_sub(count),
                        };
                        let position = model.remove(index);
                        let removed = line.remove(position.unwrap_or(next));
                        prop_assert_eq!(removed.map(|envelope| envelope.position()), position);
                        let behind = line.behind(position).map(|envelope| envelope.position());
                        let from = position.map_or(0, |_| index);
                        prop_assert!(behind.eq(model.range(from..).copied()));
                    },
                    _ => {
                        let mut run = Vec::new();
                        let moved = line.pop_batch(count, &mut run);
                        let count = count.min(model.len());
                        // Each message has one byte.
                        prop_assert_eq!(moved, MessageTotals::new(count as u64, count as u64));
                        let positions = run.iter().map(|envelope| envelope.position());
                        prop_assert!(positions.eq(model.drain(..count)));
                    }
                }
                prop_assert_eq!(line.len(), model.len());
                let front = line.front().map(|envelope| envelope.position());
                prop_assert_eq!(front, model.front().copied());
            }
        }
    }

    #[test]
    fn a_backlog_takes_the_room_of_its_messages_and_gives_it_back() {
        let mut line = SegmentedQueue::default();
        (0..100_000).for_each(|position| line.push_back(numbered(position)));
        assert!(
            line.capacity() <= 100_000 + 2 * SEGMENT,
            "{}",
            line.capacity()
        );
        while line.pop_front().is_some() {}
        assert!(line.capacity() <= 2 * SEGMENT, "{}", line.capacity());
    }
}
