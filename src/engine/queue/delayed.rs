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

/// Messages that become ready later. In a box, since most queues never have any.
#[derive(Debug, Default)]
pub(super) struct DelayedStore(Option<Box<Delays>>);

#[derive(Debug, Default)]
struct Delays {
    /// By due time, then in the order of insertion.
    waiting: Entries,
    /// New messages whose delay is over and that wait for room, in the same order.
    overdue: Entries,
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
        let delays = self.0.get_or_insert_default();
        delays.serial += 1;
        let waiting = DelayedEntry {
            envelope,
            returning,
            overhead,
        };
        delays.count(&waiting);
        delays.waiting.insert((due, delays.serial), waiting);
    }

    /// The totals, with the bytes that a limit counts.
    pub(super) fn limited(&self) -> MessageTotals {
        let overhead = self.0.as_ref().map_or(0, |delays| delays.overhead);
        let amount = self.amount();
        MessageTotals::new(amount.messages, amount.bytes.saturating_add(overhead))
    }

    /// Takes the first message if it is due, with its key. Those that wait for room stay.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<(DelayedKey, DelayedEntry)> {
        let delays = self.0.as_mut()?;
        let first = delays.waiting.first_entry();
        let (key, waiting) = first.filter(|first| first.key().0 <= now)?.remove_entry();
        delays.take_off(&waiting);
        Some((key, waiting))
    }

    /// Keeps a new message that [`pop_due`](Self::pop_due) took until there is room for it.
    pub(super) fn await_room(&mut self, key: DelayedKey, entry: DelayedEntry) {
        let delays = self.0.get_or_insert_default();
        delays.count(&entry);
        delays.overdue.insert(key, entry);
    }

    /// Whether a message waits for room.
    #[inline]
    pub(super) fn has_overdue(&self) -> bool {
        let delays = self.0.as_ref();
        delays.is_some_and(|delays| !delays.overdue.is_empty())
    }

    /// The size of the first message that waits for room.
    pub(super) fn overdue_size(&self) -> Option<u64> {
        let (_, overdue) = self.0.as_ref()?.overdue.first_key_value()?;
        Some(overdue.envelope.size())
    }

    /// Takes the first message that waits for room.
    pub(super) fn pop_overdue(&mut self) -> Option<Envelope> {
        let delays = self.0.as_mut()?;
        let (_, overdue) = delays.overdue.pop_first()?;
        delays.take_off(&overdue);
        Some(overdue.envelope)
    }

    /// When a delay is over next. Those that are over already do not count.
    pub(super) fn next_due(&self) -> u64 {
        self.0.as_ref().map_or(NEVER, |delays| due(&delays.waiting))
    }

    /// When the first message is or was due.
    pub(super) fn first_due(&self) -> u64 {
        let overdue = self.0.as_ref().map_or(NEVER, |delays| due(&delays.overdue));
        overdue.min(self.next_due())
    }

    pub(super) fn amount(&self) -> MessageTotals {
        let delays = self.0.as_ref();
        delays.map_or(MessageTotals::default(), |delays| delays.amount)
    }

    /// The messages behind `key`, or all, in the order in which they are due.
    pub(super) fn after(
        &self,
        key: Option<DelayedKey>,
    ) -> impl Iterator<Item = (DelayedKey, &Envelope)> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let delays = self.0.as_ref();
        let mut overdue = behind(delays.map(|delays| &delays.overdue), from).peekable();
        let mut waiting = behind(delays.map(|delays| &delays.waiting), from).peekable();
        std::iter::from_fn(move || match (overdue.peek(), waiting.peek()) {
            (Some((one, _)), Some((other, _))) if other < one => waiting.next(),
            (Some(_), _) => overdue.next(),
            (None, _) => waiting.next(),
        })
    }

    pub(super) fn get_mut(&mut self, key: DelayedKey) -> Option<&mut Envelope> {
        let Delays {
            waiting, overdue, ..
        } = &mut **self.0.as_mut()?;
        let found = waiting.get_mut(&key).or_else(|| overdue.get_mut(&key))?;
        Some(&mut found.envelope)
    }

    pub(super) fn remove(&mut self, key: DelayedKey) -> Option<Envelope> {
        let delays = self.0.as_mut()?;
        let waiting = delays.waiting.remove(&key);
        let removed = waiting.or_else(|| delays.overdue.remove(&key))?;
        delays.take_off(&removed);
        Some(removed.envelope)
    }

    /// Takes all messages.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Envelope> + use<> {
        let all = self.0.as_mut().map(|delays| {
            delays.amount = MessageTotals::default();
            delays.overhead = 0;
            let overdue = std::mem::take(&mut delays.overdue).into_values();
            overdue.chain(std::mem::take(&mut delays.waiting).into_values())
        });
        all.into_iter().flatten().map(|entry| entry.envelope)
    }
}

type Entries = BTreeMap<DelayedKey, DelayedEntry>;

/// When the first of the messages is due.
fn due(entries: &Entries) -> u64 {
    let first = entries.first_key_value();
    first.map_or(NEVER, |((due, _), _)| *due)
}

/// The messages from a key on, in their order.
fn behind(
    entries: Option<&Entries>,
    from: Bound<DelayedKey>,
) -> impl Iterator<Item = (DelayedKey, &Envelope)> {
    let range = entries.map(|entries| entries.range((from, Bound::Unbounded)));
    let all = range.into_iter().flatten();
    all.map(|(key, entry)| (*key, &entry.envelope))
}

impl Delays {
    fn count(&mut self, added: &DelayedEntry) {
        self.amount.add_message(added.envelope.size());
        self.overhead += added.overhead;
    }

    fn take_off(&mut self, removed: &DelayedEntry) {
        self.amount -= MessageTotals::new(1, removed.envelope.size());
        self.overhead -= removed.overhead;
    }
}
