//! The order in which consumers take turns.
//!
//! The consumers of the highest priority take turns, and so on. Most queues have one consumer, and
//! there may be very many queues. So the consumer whose turn it is has a place here, and only the
//! others are in lists.

use std::{collections::VecDeque, mem};

use crate::engine::queue::consumer_id::ConsumerId;

/// The consumers that can take a message, as far as is known, in the order of their turns.
#[derive(Debug, Default)]
#[repr(C)]
pub(in crate::engine::queue) struct Turns {
    /// All but the first, highest priority first, and each priority in turn order. The list of a
    /// priority stays while it is empty, since its consumers often come back at once.
    others: Vec<(i64, VecDeque<ConsumerId>)>,
    /// The priority of the first one.
    priority: i64,
    /// The consumer whose turn it is: the first one of the highest priority.
    first: Option<ConsumerId>,
}

impl Turns {
    /// The consumer whose turn it is.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<ConsumerId> {
        self.first
    }

    /// Whether no other consumer takes turns with the first one.
    #[inline]
    pub(in crate::engine::queue) fn is_first_alone(&self) -> bool {
        let mut equals = self.others.iter();
        !equals.any(|(priority, turn)| *priority == self.priority && !turn.is_empty())
    }

    /// Adds a consumer, behind all others of its priority.
    pub(super) fn join(&mut self, id: ConsumerId, priority: i64) {
        match self.first {
            None => {
                self.first = Some(id);
                self.priority = priority;
            }
            Some(first) if priority > self.priority => {
                let before = mem::replace(&mut self.priority, priority);
                self.turn_of(before).push_front(first);
                self.first = Some(id);
            }
            Some(_) => self.turn_of(priority).push_back(id),
        }
    }

    /// The list of a priority.
    fn turn_of(&mut self, priority: i64) -> &mut VecDeque<ConsumerId> {
        let at = self.others.partition_point(|(level, _)| *level > priority);
        let is_there = (self.others.get(at)).is_some_and(|(level, _)| *level == priority);
        if !is_there {
            self.others.insert(at, (priority, VecDeque::new()));
        }
        &mut self.others[at].1
    }

    /// The turn of the first consumer has ended. It is the last one of its priority now.
    #[inline(always)]
    pub(in crate::engine::queue) fn rotate(&mut self) {
        if !self.others.is_empty() {
            self.rotate_among_others();
        }
    }

    /// It is not inlined, since most queues have one consumer.
    #[inline(never)]
    fn rotate_among_others(&mut self) {
        let mut others = self.others.iter_mut();
        let equals = others.find(|(priority, _)| *priority == self.priority);
        if let (Some((_, turn)), Some(first)) = (equals, self.first) {
            turn.push_back(first);
            self.first = turn.pop_front();
        }
    }

    /// Takes out the first consumer.
    pub(super) fn leave(&mut self) -> Option<ConsumerId> {
        let first = self.first.take();
        let next = self.others.iter_mut().find(|(_, turn)| !turn.is_empty());
        if let Some((priority, turn)) = next {
            self.first = turn.pop_front();
            self.priority = *priority;
        }
        first
    }

    /// Takes out a consumer.
    pub(super) fn remove(&mut self, id: ConsumerId) {
        if self.first == Some(id) {
            self.leave();
            return;
        }
        for (_, turn) in &mut self.others {
            turn.retain(|waiting| *waiting != id);
        }
    }

    /// Forgets the lists that are empty.
    pub(super) fn forget_empty(&mut self) {
        self.others.retain(|(_, turn)| !turn.is_empty());
    }

    /// Takes out all consumers, in their order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = ConsumerId> {
        let others = mem::take(&mut self.others).into_iter();
        let first = self.first.take().into_iter();
        first.chain(others.flat_map(|(_, turn)| turn))
    }
}
