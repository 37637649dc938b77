//! Looking at the ready messages one page after the other, and taking single ones out.
//!
//! A message that is looked at stays ready. So user code can choose among copies of properties
//! without the lock, and other consumers are served meanwhile.

use super::{delayed::DelayedKey, effects::Effects, ready::ReadyKey, state::QueueState};
use crate::message::{envelope::Envelope, payload::NotShareable};

/// A copy of a message, which has no payload if that cannot be shared.
pub(crate) type View = (Envelope, Result<(), NotShareable>);

impl QueueState {
    /// The end of the ready messages: later ones get this position or a higher one.
    pub(crate) fn end_position(&self) -> u64 {
        self.next_position
    }

    /// Calls `look` with up to `most` ready messages behind `key`, in the order of delivery. Leaves
    /// out the messages at the position `end` or behind it.
    pub(crate) fn map_ready<R>(
        &mut self,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
        look: impl FnMut((ReadyKey, &Envelope)) -> R,
        now: u64,
        effects: &mut Effects,
    ) -> Vec<R> {
        self.expire(now, effects);
        self.admit_waiting(now, effects);
        let old = self.ready.behind(key, end);
        old.take(most).map(look).collect()
    }

    /// Up to `most` ready messages behind `key` and before the position `end`, in the order of
    /// delivery. A stream has [its own](Self::view_log).
    pub(crate) fn view_ready(
        &mut self,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
        now: u64,
        effects: &mut Effects,
    ) -> Vec<(ReadyKey, View)> {
        let keys = self.map_ready(key, end, most, |(key, _)| key, now, effects);
        let views = keys
            .into_iter()
            .filter_map(|key| Some((key, self.ready.get_mut(key)?.view())));
        views.collect()
    }

    /// Up to `most` delayed messages behind `key`, in the order in which they are due.
    pub(crate) fn view_delayed(
        &mut self,
        key: Option<DelayedKey>,
        most: usize,
    ) -> Vec<(DelayedKey, View)> {
        let keys = self.map_delayed(key, most, |(key, _)| key);
        let delayed = &mut self.timing.delayed;
        let views = keys
            .into_iter()
            .filter_map(|key| Some((key, delayed.get_mut(key)?.view())));
        views.collect()
    }

    /// As [`get`](Self::get), for the ready message at `key`. `None` if it is not ready any more.
    pub(crate) fn get_at(
        &mut self,
        key: ReadyKey,
        now: u64,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        self.apply_settlements(now, effects);
        self.expire(now, effects);
        let envelope = self.ready.remove(key);
        self.expire(now, effects);
        self.admit_waiting(now, effects);
        let envelope = envelope?;
        self.tally.rare().got.add_message(envelope.size());
        Some(envelope)
    }

    /// Drops the ready message at `key`, as a purge does. `false` if it is not ready any more.
    pub(crate) fn delete_at(&mut self, key: ReadyKey, now: u64, effects: &mut Effects) -> bool {
        self.apply_settlements(now, effects);
        self.expire(now, effects);
        let Some(envelope) = self.ready.remove(key) else {
            return false;
        };
        self.note_limits();
        self.drop_purged(envelope, effects);
        self.expire(now, effects);
        self.admit_waiting(now, effects);
        self.wake_idle_waiters(effects);
        true
    }
}
