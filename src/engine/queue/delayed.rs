//! The delayed messages of a queue: plain data behind its lock.
//!
//! Knows when each message is due and the totals. Knows nothing of clocks, and not whether there is
//! room for a message that is due.

use std::{collections::BTreeMap, ops::Bound};

use crate::message::envelope::{Envelope, NEVER};
use crate::model::message_totals::MessageTotals;

/// The key of a delayed message in its queue: when it is due, and a number that differs among
/// messages of the same time.
pub(crate) type DelayedKey = (u64, u64);

/// Messages that become ready later.
#[derive(Debug, Default)]
pub(super) struct DelayedStore {
    /// By due time, then in the order of insertion.
    waiting: BTreeMap<DelayedKey, DelayedEntry>,
    /// New messages whose delay is over and that wait for room, in the same order.
    overdue: BTreeMap<DelayedKey, DelayedEntry>,
    amount: MessageTotals,
    /// The bytes that a limit of a quorum queue counts beside those of the bodies.
    overhead: u64,
    /// Tells messages of the same time apart.
    serial: u64,
}

/// One delayed message.
#[derive(Debug)]
pub(super) struct DelayedEntry {
    pub(super) envelope: Envelope,
    /// Whether it was delivered before and already has a position. A new message gets its position
    /// when it is due.
    pub(super) returning: bool,
    /// The bytes that a limit counts beside those of the body.
    overhead: u64,
}

impl DelayedStore {
    /// Adds a message. A limit counts `overhead` bytes beside those of its body.
    pub(super) fn insert(&mut self, envelope: Envelope, due: u64, returning: bool, overhead: u64) {
        self.serial += 1;
        let waiting = DelayedEntry {
            envelope,
            returning,
            overhead,
        };
        self.count(&waiting);
        self.waiting.insert((due, self.serial), waiting);
    }

    fn count(&mut self, added: &DelayedEntry) {
        self.amount.add_message(added.envelope.size());
        self.overhead += added.overhead;
    }

    fn take_off(&mut self, removed: &DelayedEntry) {
        self.amount -= MessageTotals::new(1, removed.envelope.size());
        self.overhead -= removed.overhead;
    }

    /// The totals, with the bytes that a limit counts.
    pub(super) fn limited(&self) -> MessageTotals {
        let bytes = self.amount.bytes.saturating_add(self.overhead);
        MessageTotals::new(self.amount.messages, bytes)
    }

    /// Takes the first message if it is due, with its key. Those that wait for room stay.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<(DelayedKey, DelayedEntry)> {
        let first = self.waiting.first_entry();
        let (key, waiting) = first.filter(|first| first.key().0 <= now)?.remove_entry();
        self.take_off(&waiting);
        Some((key, waiting))
    }

    /// Keeps a new message that [`pop_due`](Self::pop_due) took until there is room for it.
    pub(super) fn await_room(&mut self, key: DelayedKey, entry: DelayedEntry) {
        self.count(&entry);
        self.overdue.insert(key, entry);
    }

    /// Whether a message waits for room.
    #[inline]
    pub(super) fn has_overdue(&self) -> bool {
        !self.overdue.is_empty()
    }

    /// The size of the first message that waits for room.
    pub(super) fn overdue_size(&self) -> Option<u64> {
        let first = self.overdue.first_key_value();
        first.map(|(_, overdue)| overdue.envelope.size())
    }

    /// Takes the first message that waits for room.
    pub(super) fn pop_overdue(&mut self) -> Option<Envelope> {
        let (_, overdue) = self.overdue.pop_first()?;
        self.take_off(&overdue);
        Some(overdue.envelope)
    }

    /// When a delay is over next. Those that are over already do not count.
    pub(super) fn next_due(&self) -> u64 {
        let first = self.waiting.first_key_value();
        first.map_or(NEVER, |((due, _), _)| *due)
    }

    /// When the first message is or was due.
    pub(super) fn first_due(&self) -> u64 {
        let overdue = self.overdue.first_key_value();
        overdue
            .map_or(NEVER, |((due, _), _)| *due)
            .min(self.next_due())
    }

    pub(super) fn amount(&self) -> MessageTotals {
        self.amount
    }

    /// The messages behind `key`, or all, in the order in which they are due.
    pub(super) fn after(
        &self,
        key: Option<DelayedKey>,
    ) -> impl Iterator<Item = (DelayedKey, &Envelope)> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let overdue = self.overdue.range((from, Bound::Unbounded));
        let overdue = overdue.map(|(key, overdue)| (*key, &overdue.envelope));
        let mut overdue = overdue.peekable();
        let waiting = self.waiting.range((from, Bound::Unbounded));
        let waiting = waiting.map(|(key, waiting)| (*key, &waiting.envelope));
        let mut waiting = waiting.peekable();
        std::iter::from_fn(move || match (overdue.peek(), waiting.peek()) {
            (Some((one, _)), Some((other, _))) if other < one => waiting.next(),
            (Some(_), _) => overdue.next(),
            (None, _) => waiting.next(),
        })
    }

    pub(super) fn get_mut(&mut self, key: DelayedKey) -> Option<&mut Envelope> {
        let waiting = self.waiting.get_mut(&key);
        let found = waiting.or_else(|| self.overdue.get_mut(&key))?;
        Some(&mut found.envelope)
    }

    pub(super) fn remove(&mut self, key: DelayedKey) -> Option<Envelope> {
        let waiting = self.waiting.remove(&key);
        let removed = waiting.or_else(|| self.overdue.remove(&key))?;
        self.take_off(&removed);
        Some(removed.envelope)
    }

    /// Takes all messages.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Envelope> + use<> {
        self.amount = MessageTotals::default();
        self.overhead = 0;
        let overdue = std::mem::take(&mut self.overdue).into_values();
        let waiting = std::mem::take(&mut self.waiting).into_values();
        overdue.chain(waiting).map(|entry| entry.envelope)
    }
}
