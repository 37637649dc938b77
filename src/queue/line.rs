//! A line of messages that may grow long: pieces of bounded length, so that a backlog takes the memory that its messages take.
//!
//! One ring for all would double when it is full: half of it empty, at worst, and all of it moved each time. Knows nothing
//! of priorities or places.

use std::collections::VecDeque;

use crate::envelope::Envelope;

/// How many messages a piece takes.
const PIECE: usize = 256;

/// Messages, first come first served.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// All full but the first, from which messages are taken, and the last, to which they come. Empty ones only if there is no
    /// other.
    pieces: VecDeque<VecDeque<Envelope>>,
    /// A piece that ran empty, for the next one that is needed.
    spare: Option<VecDeque<Envelope>>,
    len: usize,
}

impl Line {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let pieces = self.pieces.iter().chain(&self.spare);
        pieces.map(VecDeque::capacity).sum()
    }

    pub(super) fn front(&self) -> Option<&Envelope> {
        self.pieces.front()?.front()
    }

    pub(super) fn push_back(&mut self, envelope: Envelope) {
        self.len += 1;
        match self.pieces.back_mut() {
            Some(last) if last.len() < PIECE => last.push_back(envelope),
            _ => {
                let mut piece = match self.spare.take() {
                    Some(spare) => spare,
                    // The first grows with what it holds: most queues are short.
                    None if self.pieces.is_empty() => VecDeque::new(),
                    None => VecDeque::with_capacity(PIECE),
                };
                piece.push_back(envelope);
                self.pieces.push_back(piece);
            }
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Envelope> {
        let first = self.pieces.front_mut()?;
        let envelope = first.pop_front()?;
        self.len -= 1;
        if first.is_empty() {
            self.retire_first();
        }
        Some(envelope)
    }

    /// Moves up to `most` messages from the front; `each` looks at them.
    pub(super) fn move_front(
        &mut self,
        most: usize,
        into: &mut VecDeque<Envelope>,
        mut each: impl FnMut(&Envelope),
    ) {
        let mut left = most.min(self.len);
        self.len -= left;
        while left > 0 {
            let Some(first) = self.pieces.front_mut() else {
                return;
            };
            let count = left.min(first.len());
            if count == first.len() && into.is_empty() {
                // Handed over as it is, in exchange for the room there.
                first.iter().for_each(&mut each);
                std::mem::swap(into, first);
            } else {
                into.extend(first.drain(..count).inspect(&mut each));
            }
            left -= count;
            if first.is_empty() {
                self.retire_first();
            }
        }
    }

    /// An empty line keeps no memory.
    pub(super) fn rest(&mut self) {
        if self.len == 0 {
            *self = Line::default();
        }
    }

    /// The first piece ran empty: it stays if it is the only one, or for the next; a backlog that is gone does not keep its memory.
    fn retire_first(&mut self) {
        if self.pieces.len() > 1 {
            self.spare = self.pieces.pop_front();
        } else if self.spare.take().is_some() {
            self.pieces.shrink_to(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        envelope::{Address, Origin},
        name::Name,
        payload::Body,
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
                        let (mut run, mut seen) = (VecDeque::new(), 0);
                        line.move_front(count, &mut run, |_| seen += 1);
                        let count = count.min(model.len());
                        prop_assert_eq!(seen, count);
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
