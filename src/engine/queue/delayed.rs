//! The delayed messages of a queue: plain data behind its lock.
//!
//! Knows when each message is due and the totals. Knows nothing of clocks.

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
    amount: MessageTotals,
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
}

impl DelayedStore {
    pub(super) fn insert(&mut self, envelope: Envelope, due: u64, returning: bool) {
        self.serial += 1;
        self.amount.add_message(envelope.size());
        let waiting = DelayedEntry {
            envelope,
            returning,
        };
        self.waiting.insert((due, self.serial), waiting);
    }

    /// Takes the first message if it is due.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<DelayedEntry> {
        let first = self.waiting.first_entry();
        let waiting = first.filter(|first| first.key().0 <= now)?.remove();
        self.amount -= MessageTotals::new(1, waiting.envelope.size());
        Some(waiting)
    }

    /// When the first message is due.
    pub(super) fn first_due(&self) -> u64 {
        let first = self.waiting.first_key_value();
        first.map_or(NEVER, |((due, _), _)| *due)
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
        let waiting = self.waiting.range((from, Bound::Unbounded));
        waiting.map(|(key, waiting)| (*key, &waiting.envelope))
    }

    pub(super) fn remove(&mut self, key: DelayedKey) -> Option<Envelope> {
        let DelayedEntry { envelope, .. } = self.waiting.remove(&key)?;
        self.amount -= MessageTotals::new(1, envelope.size());
        Some(envelope)
    }

    /// Takes all messages.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Envelope> + use<> {
        self.amount = MessageTotals::default();
        let waiting = std::mem::take(&mut self.waiting).into_values();
        waiting.map(|waiting| waiting.envelope)
    }
}
