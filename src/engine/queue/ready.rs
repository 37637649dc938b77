//! The ready messages of a queue, in the order in which they are delivered.
//!
//! Higher priorities come first. Within one priority new messages are in the order of arrival.
//! In a classic queue a returned message goes back to its position among them. In a quorum queue
//! the returned messages come before all others, in the order of their return. Knows nothing of
//! consumers, limits or time.

use std::{cmp::Reverse, collections::BTreeMap, ops::Bound};

use super::{
    permit::{Commit, Slot},
    segmented_queue::{SegmentedQueue, TailCommit},
};
use crate::message::envelope::{Envelope, Meta, NEVER};
use crate::model::message_totals::MessageTotals;

/// Ready messages. Each publish reads their number, which lies beside the other fields that it
/// reads.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Ready {
    order: Order,
    /// One for each priority, the lowest first, as far as they were used. None before the first
    /// backlog, and then at least [`Order::least_lanes`]. The last one of a quorum queue has the
    /// returned messages.
    lanes: Vec<Lane>,
    /// The lanes above this one are empty. With 256 priorities a search through all lanes for each
    /// message would be slow.
    top: usize,
    /// The bytes that a limit of a quorum queue counts beside those of the bodies. `None` if there
    /// is no such limit.
    overhead: Option<u64>,
    totals: MessageTotals,
}

/// The order in which a kind of queue delivers its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By priority from 0 to this one, and by position. A message without a priority has 0.
    Classic(u8),
    /// The returned messages first, then by priority from 0 to 31, and by position. A message
    /// without a priority has 4.
    Quorum,
}

/// The highest priority of a quorum queue, and the one of a message without any.
const QUORUM_PRIORITIES: (u8, u8) = (31, 4);

impl Order {
    /// The lane of a message.
    pub(super) fn level(self, envelope: &Envelope) -> usize {
        match self {
            Order::Quorum if envelope.is_returned() => Order::RETURNED,
            _ => self.level_of(envelope.meta().map(|meta| &**meta)),
        }
    }

    /// The lane of a new message with these properties. A priority above the highest counts as the
    /// highest.
    #[inline(always)]
    pub(super) fn level_of(self, meta: Option<&Meta>) -> usize {
        let (highest, default) = match self {
            Order::Classic(0) => return 0,
            Order::Classic(highest) => (highest, 0),
            Order::Quorum => QUORUM_PRIORITIES,
        };
        // A message without properties of its own has no priority.
        let priority = meta.and_then(|meta| meta.properties.given_priority());
        usize::from(priority.unwrap_or(default).min(highest))
    }

    /// How many lanes there are at least, if there are any: as many as a plain message needs, and
    /// several if there are priorities. So one lane is that of all messages.
    fn least_lanes(self) -> usize {
        match self {
            Order::Classic(0) => 1,
            Order::Classic(_) => 2,
            Order::Quorum => self.level_of(None) + 1,
        }
    }

    /// The lane of the returned messages of a quorum queue.
    const RETURNED: usize = QUORUM_PRIORITIES.0 as usize + 1;

    /// The bytes of a message that a limit counts beside those of its body.
    pub(super) fn overhead(self, envelope: &Envelope) -> u64 {
        match self {
            Order::Classic(_) => 0,
            Order::Quorum => envelope.published_len(),
        }
    }
}

/// The place of a ready message among the others, in the order of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadyKey {
    level: Reverse<usize>,
    position: u64,
}

impl ReadyKey {
    /// The place of a message in a stream, which has one lane.
    pub(in crate::engine) fn of_offset(offset: u64) -> ReadyKey {
        ReadyKey {
            level: Reverse(0),
            position: offset,
        }
    }

    /// The position of the message in its queue.
    pub(crate) fn position(self) -> u64 {
        self.position
    }
}

/// Counts a message that was put at the end of a lane.
pub(super) struct ReadyCommit<'a> {
    tail: TailCommit<'a>,
    totals: &'a mut MessageTotals,
}

impl ReadyCommit<'_> {
    #[inline(always)]
    pub(super) fn commit(self, added: MessageTotals) {
        self.tail.commit(added);
        *self.totals += added;
    }
}

/// The ready messages of one priority.
#[derive(Debug, Default)]
struct Lane {
    /// In the order of their positions.
    arrived: SegmentedQueue,
    /// By position. Every returned message was once at the head, so this map stays small compared
    /// to `arrived`.
    returned: BTreeMap<u64, Envelope>,
}

impl Default for Ready {
    fn default() -> Ready {
        Ready::new(Order::Classic(0))
    }
}

impl Ready {
    pub(crate) fn new(order: Order) -> Ready {
        Ready {
            order,
            lanes: Vec::new(),
            top: 0,
            totals: MessageTotals::default(),
            overhead: None,
        }
    }

    /// Has it count what a limit of bytes counts beside the bodies, if there is such a limit.
    pub(super) fn count_overhead(&mut self, limit: Option<u64>) {
        let counted = limit.is_some() && self.order == Order::Quorum;
        if counted != self.overhead.is_some() {
            let all = self.behind(None, u64::MAX);
            let sum = all.map(|(_, one)| self.order.overhead(one)).sum();
            self.overhead = counted.then_some(sum);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.totals.messages as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.totals.messages == 0
    }

    /// The bytes of all ready messages.
    pub(crate) fn bytes(&self) -> u64 {
        self.totals.bytes
    }

    /// The bytes of all ready messages, as a length limit counts them.
    pub(super) fn limited_bytes(&self) -> u64 {
        let overhead = self.overhead.unwrap_or(0);
        self.totals.bytes.saturating_add(overhead)
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// The lane of a message that is added.
    fn lane(&mut self, envelope: &Envelope) -> &mut Lane {
        self.totals.add_message(envelope.size());
        if let Some(overhead) = &mut self.overhead {
            *overhead += self.order.overhead(envelope);
        }
        let level = self.order.level(envelope);
        self.top = self.top.max(level);
        if level >= self.lanes.len() {
            let count = self.order.least_lanes().max(level + 1);
            self.lanes.reserve_exact(count - self.lanes.len());
            self.lanes.resize_with(count, Lane::default);
        }
        &mut self.lanes[level]
    }

    /// Counts a message that is taken out.
    fn take_off(&mut self, envelope: &Envelope) {
        self.totals -= MessageTotals::new(1, envelope.size());
        if let Some(overhead) = &mut self.overhead {
            *overhead -= self.order.overhead(envelope);
        }
    }

    /// Sorts messages that leave together as a classic queue with priorities delivers them: the
    /// highest priority first. The order within a priority stays.
    pub(crate) fn sort_by_priority(&self, batch: &mut [Envelope]) {
        if let Order::Classic(_) = self.order {
            batch.sort_by_key(|envelope| Reverse(self.order.level(envelope)));
        }
    }

    /// Adds a new message. Its position must be the highest so far.
    pub(crate) fn push_back(&mut self, envelope: Envelope) {
        self.lane(&envelope).arrived.push_back(envelope);
    }

    /// Reserves the slot for a new message, if its lane has capacity. `level` tells the lane.
    #[inline(always)]
    pub(super) fn reserve(&mut self, level: impl FnOnce(Order) -> usize) -> Option<Slot<'_>> {
        let lane = match self.lanes.as_mut_slice() {
            [lane] => lane,
            lanes => {
                if self.overhead.is_some() {
                    return None;
                }
                let level = level(self.order);
                let lane = lanes.get_mut(level)?;
                // As if the message were there.
                self.top = self.top.max(level);
                lane
            }
        };
        let (list, room, tail) = lane.arrived.tail()?;
        let commit = Commit::Ready(ReadyCommit {
            tail,
            totals: &mut self.totals,
        });
        Some(Slot { list, room, commit })
    }

    /// Returns a message to its position.
    pub(crate) fn put_back(&mut self, envelope: Envelope) {
        self.lane(&envelope)
            .returned
            .insert(envelope.position(), envelope);
    }

    /// The message to be delivered next.
    pub(crate) fn head(&self) -> Option<&Envelope> {
        self.lanes().iter().rev().find_map(Lane::head)
    }

    /// The lowest position of all messages.
    pub(super) fn first_position(&self) -> Option<u64> {
        let heads = self.lanes.iter().filter_map(Lane::head);
        heads.map(|head| head.position()).min()
    }

    /// The lanes that may have messages.
    fn lanes(&self) -> &[Lane] {
        &self.lanes[..self.lanes.len().min(self.top + 1)]
    }

    /// The highest lane with a message, or the lowest lane.
    fn highest(&mut self) -> Option<&mut Lane> {
        while self.top > 0 && self.lanes.get(self.top).is_none_or(Lane::is_empty) {
            self.top -= 1;
        }
        self.lanes.get_mut(self.top)
    }

    /// Takes the message to be delivered next.
    pub(crate) fn pop(&mut self) -> Option<Envelope> {
        // Most queues have one lane.
        if let [lane] = self.lanes.as_mut_slice() {
            let envelope = lane.pop()?;
            self.totals -= MessageTotals::new(1, envelope.size());
            return Some(envelope);
        }
        let envelope = self.highest()?.pop()?;
        self.take_off(&envelope);
        Some(envelope)
    }

    /// Moves up to `most` messages from the front of the highest lane into `into`. Takes none if
    /// messages were returned to this lane. Returns the totals of the taken messages.
    pub(crate) fn pop_batch(&mut self, most: usize, into: &mut Vec<Envelope>) -> MessageTotals {
        let Some(lane) = self.highest().filter(|lane| lane.returned.is_empty()) else {
            return MessageTotals::default();
        };
        let before = into.len();
        let taken = lane.arrived.pop_batch(most, into);
        self.totals -= taken;
        if let Some(overhead) = &mut self.overhead {
            let taken = into[before..].iter();
            *overhead -= taken.map(|taken| self.order.overhead(taken)).sum::<u64>();
        }
        taken
    }

    /// Takes a message that expires at `now` or before and may leave: the head, and in a quorum
    /// queue the head of any priority and of the returned messages.
    pub(super) fn pop_expired(&mut self, now: u64) -> Option<Envelope> {
        let is_over = |head: &Envelope| head.deadline() <= now;
        match self.order {
            Order::Classic(_) if self.head().is_some_and(is_over) => self.pop(),
            Order::Classic(_) => None,
            Order::Quorum => {
                let lanes = self.lanes.iter_mut().take(self.top + 1).rev();
                let mut over = lanes.filter(|lane| lane.head().is_some_and(is_over));
                let envelope = over.next()?.pop()?;
                self.take_off(&envelope);
                Some(envelope)
            }
        }
    }

    /// When the next message that may leave expires. [`NEVER`] if none does.
    pub(super) fn next_deadline(&self) -> u64 {
        let deadline = |head: Option<&Envelope>| head.map_or(NEVER, |head| head.deadline());
        match self.order {
            Order::Classic(_) => deadline(self.head()),
            Order::Quorum => self
                .lanes()
                .iter()
                .map(|lane| deadline(lane.head()))
                .min()
                .unwrap_or(NEVER),
        }
    }

    /// Frees the buffers if no message is ready, so that capacity for a backlog is not kept.
    pub(crate) fn shrink_to_idle(&mut self) {
        if self.is_empty() {
            self.lanes = Vec::new();
            self.top = 0;
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.lanes.iter().map(|lane| lane.arrived.capacity()).sum()
    }

    /// The messages behind `key`, or all, in the order of delivery. Of each priority only those
    /// before the position `end`.
    pub(super) fn behind(
        &self,
        key: Option<ReadyKey>,
        end: u64,
    ) -> impl Iterator<Item = (ReadyKey, &Envelope)> {
        let top = key.map_or(self.top, |key| key.level.0.min(self.top));
        let levels = self.lanes.iter().enumerate().take(top + 1).rev();
        levels.flat_map(move |(level, lane)| {
            let level = Reverse(level);
            let last = key.filter(|key| key.level == level);
            let behind = lane.behind(last.map(|key| key.position));
            let old = behind.take_while(move |envelope| envelope.position() < end);
            old.map(move |envelope| {
                let position = envelope.position();
                (ReadyKey { level, position }, envelope)
            })
        })
    }

    /// The message at `key`, if it is still there.
    pub(super) fn get_mut(&mut self, key: ReadyKey) -> Option<&mut Envelope> {
        let lane = self.lanes.get_mut(key.level.0)?;
        let returned = lane.returned.get_mut(&key.position);
        returned.or_else(|| lane.arrived.get_mut(key.position))
    }

    /// Takes out the message at `key`, if it is still there.
    pub(super) fn remove(&mut self, key: ReadyKey) -> Option<Envelope> {
        let lane = self.lanes.get_mut(key.level.0)?;
        let returned = lane.returned.remove(&key.position);
        let envelope = returned.or_else(|| lane.arrived.remove(key.position))?;
        self.take_off(&envelope);
        Some(envelope)
    }

    /// Takes all messages in order.
    pub(crate) fn drain(&mut self) -> Vec<Envelope> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

impl Lane {
    /// Whether the next message is a returned one.
    fn returned_first(&self) -> bool {
        match (self.returned.first_key_value(), self.arrived.front()) {
            (Some((position, _)), Some(arrived)) => *position < arrived.position(),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// The messages behind a position, or all, in the order of their positions.
    fn behind(&self, position: Option<u64>) -> impl Iterator<Item = &Envelope> {
        let from = position.map_or(Bound::Unbounded, Bound::Excluded);
        let returned = self.returned.range((from, Bound::Unbounded));
        let mut returned = returned.map(|(_, envelope)| envelope).peekable();
        let mut arrived = self.arrived.behind(position).peekable();
        std::iter::from_fn(move || match (returned.peek(), arrived.peek()) {
            (Some(one), Some(other)) if other.position() < one.position() => arrived.next(),
            (Some(_), _) => returned.next(),
            (None, _) => arrived.next(),
        })
    }

    fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.arrived.front().is_none()
    }

    fn head(&self) -> Option<&Envelope> {
        match self.returned_first() {
            true => self
                .returned
                .first_key_value()
                .map(|(_, envelope)| envelope),
            false => self.arrived.front(),
        }
    }

    fn pop(&mut self) -> Option<Envelope> {
        match self.returned_first() {
            true => self.returned.pop_first().map(|(_, envelope)| envelope),
            false => self.arrived.pop_front(),
        }
    }
}
