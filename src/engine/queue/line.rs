//! A line of messages that may grow long: pieces of bounded length, so that a backlog takes the memory that its messages take.
//!
//! One ring for all would double when it is full: half of it empty, at worst, and all of it moved each time. Knows nothing
//! of priorities or places.

use std::{collections::VecDeque, mem};

use super::tally::Amount;
use crate::message::envelope::Envelope;

/// How many messages a piece takes.
const PIECE: usize = 256;

/// For so many pieces there is room in any case.
const FEW: usize = 4;

/// Messages, first come first served.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What is left of the piece that is being taken from; it came before all else.
    first: VecDeque<Envelope>,
    /// None empty, and all full but the last, to which messages come.
    pieces: VecDeque<Piece>,
    /// A piece that ran empty, for the next one that is needed.
    spare: Option<Vec<Envelope>>,
    len: usize,
}

/// Messages that are handed over together, if they can be.
#[derive(Debug, Default)]
struct Piece {
    messages: Vec<Envelope>,
    /// Counted as they come: whoever takes them all does it under the queue's lock, and should not look at each.
    bytes: u64,
}

/// The end of a line, with room for one more message. Whoever puts it there counts it.
pub(super) struct End<'a> {
    pub(super) room: &'a mut Vec<Envelope>,
    /// Of the last piece.
    pub(super) bytes: &'a mut u64,
    /// Of the line.
    pub(super) len: &'a mut usize,
}

impl Line {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| &piece.messages);
        let room: usize = pieces.chain(&self.spare).map(Vec::capacity).sum();
        self.first.capacity() + room
    }

    pub(super) fn front(&self) -> Option<&Envelope> {
        let next = || self.pieces.front()?.messages.first();
        self.first.front().or_else(next)
    }

    pub(super) fn push_back(&mut self, envelope: Envelope) {
        let last = self.pieces.back();
        if last.is_none_or(|last| last.messages.len() == PIECE) {
            let messages = match self.spare.take() {
                Some(spare) => spare,
                // The first grows with what it holds: most queues are short.
                None if last.is_none() => Vec::new(),
                None => Vec::with_capacity(PIECE),
            };
            self.pieces.push_back(Piece { messages, bytes: 0 });
        }
        if let Some(last) = self.pieces.back_mut() {
            self.len += 1;
            last.bytes = last.bytes.wrapping_add(envelope.size());
            last.messages.push(envelope);
        }
    }

    /// Where the next message can be put without anything else to be done.
    #[inline(always)]
    pub(super) fn end(&mut self) -> Option<End<'_>> {
        let Piece { messages, bytes } = self.pieces.back_mut()?;
        let fits = messages.len() < PIECE && messages.len() < messages.capacity();
        fits.then_some(End {
            room: messages,
            bytes,
            len: &mut self.len,
        })
    }

    pub(super) fn pop_front(&mut self) -> Option<Envelope> {
        if self.first.is_empty() {
            self.open_next();
        }
        let envelope = self.first.pop_front()?;
        self.len -= 1;
        Some(envelope)
    }

    /// Moves up to `most` messages from the front; says what they amount to.
    pub(super) fn move_front(&mut self, most: usize, into: &mut Vec<Envelope>) -> Amount {
        let mut moved = Amount::default();
        let mut left = most.min(self.len);
        self.len -= left;
        while left > 0 {
            let count = left.min(self.first.len());
            let taken = self.first.drain(..count);
            into.extend(taken.inspect(|envelope| moved.add(envelope)));
            left -= count;
            match self.pieces.front_mut() {
                // Handed over as it is, in exchange for the room there.
                Some(Piece { messages, bytes }) if into.is_empty() && messages.len() <= left => {
                    moved += Amount::new(messages.len() as u64, *bytes);
                    left -= messages.len();
                    mem::swap(into, messages);
                    let room = self.pieces.pop_front();
                    self.retire(room.unwrap_or_default().messages);
                }
                _ if left > 0 => self.open_next(),
                _ => {}
            }
        }
        moved
    }

    /// An empty line keeps no memory.
    pub(super) fn rest(&mut self) {
        if self.len == 0 {
            *self = Line::default();
        }
    }

    /// The first piece ran empty: from now on the next one is taken from.
    fn open_next(&mut self) {
        if let Some(next) = self.pieces.pop_front() {
            let room = mem::replace(&mut self.first, next.messages.into());
            self.retire(room.into());
        }
    }

    /// The room of a piece that ran empty is kept for the next one; a backlog that is gone does not keep its memory.
    fn retire(&mut self, room: Vec<Envelope>) {
        if room.capacity() > 0 {
            self.spare = Some(room);
        }
        if self.pieces.is_empty() {
            self.pieces.shrink_to(FEW);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        message::{
            envelope::{Address, Origin},
            payload::Body,
        },
        model::name::Name,
    };

    fn numbered(position: u64) -> Envelope {
        let address = Address::new(&Origin::Numbered(0), &Name::empty());
        let mut envelope = Envelope::new(Body::new(0_u8), &address, None);
        envelope.position = position;
        envelope
    }

    proptest! {
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec((0..4_u8, 1..600_usize), 0..40)) {
            let (mut line, mut model) = (Line::default(), VecDeque::new());
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
                        let moved = line.move_front(count, &mut run);
                        let count = count.min(model.len());
                        // Each is a byte.
                        prop_assert_eq!(moved, Amount::new(count as u64, count as u64));
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
        let mut line = Line::default();
        (0..100_000).for_each(|position| line.push_back(numbered(position)));
        assert!(line.room() <= 100_000 + 2 * PIECE, "{}", line.room());
        while line.pop_front().is_some() {}
        assert!(line.room() <= 2 * PIECE, "{}", line.room());
        line.rest();
        assert_eq!(line.room(), 0);
    }
}
