//! A line of messages that may grow long: pieces of bounded length, so that a backlog takes the memory that its messages take.
//!
//! One ring for all would double when it is full: half of it empty, at worst, and all of it moved each time. Knows nothing
//! of priorities or places.

use std::{collections::VecDeque, mem};

use crate::message::envelope::Envelope;
use crate::model::message_totals::MessageTotals;

/// How many messages a piece takes.
const SEGMENT: usize = 256;

/// For so many pieces there is room in any case.
const IDLE_SEGMENTS: usize = 4;

/// Messages, first come first served.
#[derive(Debug, Default)]
pub(super) struct SegmentedQueue {
    /// What is left of the piece that is being taken from; it came before all else.
    first: VecDeque<Envelope>,
    /// None empty, and all full but the last, to which messages come.
    segments: VecDeque<Segment>,
    /// A piece that ran empty, for the next one that is needed.
    recycled: Option<Vec<Envelope>>,
    len: usize,
}

/// Messages that are handed over together, if they can be.
#[derive(Debug, Default)]
struct Segment {
    messages: Vec<Envelope>,
    /// Counted as they come: whoever takes them all does it under the queue's lock, and should not look at each.
    bytes: u64,
}

/// Counts a message that was put into the last segment.
pub(super) struct TailCommit<'a> {
    segment_bytes: &'a mut u64,
    len: &'a mut usize,
}

impl TailCommit<'_> {
    #[inline(always)]
    pub(super) fn commit(self, size: u64) {
        *self.segment_bytes = self.segment_bytes.wrapping_add(size);
        *self.len += 1;
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
                // The first grows with what it holds: most queues are short.
                None if last.is_none() => Vec::new(),
                None => Vec::with_capacity(SEGMENT),
            };
            self.segments.push_back(Segment { messages, bytes: 0 });
        }
        if let Some((messages, tail)) = self.last() {
            tail.commit(envelope.size());
            messages.push(envelope);
        }
    }

    /// The last segment, if it has capacity for one more message.
    #[inline(always)]
    pub(super) fn tail(&mut self) -> Option<(&mut Vec<Envelope>, TailCommit<'_>)> {
        self.last().filter(|(messages, _)| {
            messages.len() < SEGMENT && messages.len() < messages.capacity()
        })
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

    /// Moves up to `most` messages from the front; says what they amount to.
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
                // Handed over as it is, in exchange for the room there.
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

    /// An empty line keeps no memory.
    pub(super) fn shrink_to_idle(&mut self) {
        if self.len == 0 {
            *self = SegmentedQueue::default();
        }
    }

    /// The first piece ran empty: from now on the next one is taken from.
    fn next_segment(&mut self) {
        if let Some(next) = self.segments.pop_front() {
            let room = mem::replace(&mut self.first, next.messages.into());
            self.recycle(room.into());
        }
    }

    /// The room of a piece that ran empty is kept for the next one; a backlog that is gone does not keep its memory.
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
        envelope.position = position;
        envelope
    }

    proptest! {
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec((0..4_u8, 1..600_usize), 0..40)) {
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
                        prop_assert_eq!(line.pop_front().map(|envelope| envelope.position), model.pop_front());
                    },
                    _ => {
                        let mut run = Vec::new();
                        let moved = line.pop_batch(count, &mut run);
                        let count = count.min(model.len());
                        // Each is a byte.
                        prop_assert_eq!(moved, MessageTotals::new(count as u64, count as u64));
                        prop_assert!(run.iter().map(|envelope| envelope.position).eq(model.drain(..count)));
                    }
                }
                prop_assert_eq!(line.len(), model.len());
                prop_assert_eq!(line.front().map(|envelope| envelope.position), model.front().copied());
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
        line.shrink_to_idle();
        assert_eq!(line.capacity(), 0);
    }
}
