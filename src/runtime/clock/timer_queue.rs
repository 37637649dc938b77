//! What is to happen at which instant: a plain sorted list, kept behind somebody else's lock.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

/// Something that wants to be called when its time has come.
pub(crate) trait TimerTarget: Send + Sync {
    /// The time is `now`, which is at or after the instant asked for.
    ///
    /// Called with no lock held, on the timer thread or on the thread that advances a manual clock. A cancellation that came too late does
    /// not prevent the call, so this looks at its own state again before it acts.
    fn fire(&self, now: Instant);
}

/// A place in an [`TimerQueue`], given by [`TimerQueue::add`], with which it can be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    rank: TimerPriority,
    number: u64,
}

/// What comes first of several things due at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerPriority {
    /// The broker's own work: a message that becomes ready at the instant at which a `recv_timeout` ends is still received.
    Task,
    /// The end of somebody's patience.
    TimeOut,
}

/// Things due in the future, by instant, rank and order of entry. Holds them weakly: what is gone is skipped.
#[derive(Default)]
pub(crate) struct TimerQueue {
    entries: BTreeMap<TimerKey, Weak<dyn TimerTarget>>,
    added: u64,
}

impl TimerQueue {
    /// Enters `what` at `at`; the past is allowed and means "next".
    pub(crate) fn add(
        &mut self,
        at: Instant,
        rank: TimerPriority,
        what: Weak<dyn TimerTarget>,
    ) -> TimerKey {
        let appointment = TimerKey {
            at,
            rank,
            number: self.added,
        };
        self.added += 1;
        self.entries.insert(appointment, what);
        appointment
    }

    /// Removes an entry; `false` if it has been taken already.
    pub(crate) fn cancel(&mut self, appointment: &TimerKey) -> bool {
        self.entries.remove(appointment).is_some()
    }

    /// When the first entry is due.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.entries
            .first_key_value()
            .map(|(appointment, _)| appointment.at)
    }

    pub(crate) fn is_first(&self, appointment: &TimerKey) -> bool {
        self.entries
            .first_key_value()
            .is_some_and(|(first, _)| first == appointment)
    }

    /// Removes and returns the first entry that still exists and is due at `now`, and its instant.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Instant, Arc<dyn TimerTarget>)> {
        while let Some(entry) = self.entries.first_entry() {
            if entry.key().at > now {
                break;
            }
            let (appointment, what) = entry.remove_entry();
            if let Some(what) = what.upgrade() {
                return Some((appointment.at, what));
            }
        }
        None
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the entries whose object is gone.
    pub(crate) fn forget_dead(&mut self) {
        self.entries.retain(|_, what| what.strong_count() > 0);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

impl fmt::Debug for TimerQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agenda")
            .field("entries", &self.entries.len())
            .finish()
    }
}
