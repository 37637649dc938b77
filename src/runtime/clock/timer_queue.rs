//! Timers in the order of their instants: a plain sorted list, behind the lock of its owner.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

/// An object that a timer calls.
pub(crate) trait TimerTarget: Send + Sync {
    /// Called at `now`, which is at or after the requested instant.
    ///
    /// Called with no lock held, on the timer thread or on the thread that advances a manual clock.
    /// A cancellation that came too late does not prevent the call. So the target must check its
    /// own state before it acts.
    fn fire(&self, now: Instant);
}

/// The key of a timer in a [`TimerQueue`], returned by [`TimerQueue::add`]. Needed to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    priority: TimerPriority,
    number: u64,
}

/// The order of timers that are due at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerPriority {
    /// The broker's own work. It comes first, so a message that becomes ready at the end of a
    /// `recv_timeout` is still received.
    Task,
    /// The time-out of a wait.
    TimeOut,
}

/// Timers by instant, priority and order of insertion. Has weak references, and skips targets that
/// were dropped.
#[derive(Default)]
pub(crate) struct TimerQueue {
    entries: BTreeMap<TimerKey, Weak<dyn TimerTarget>>,
    added: u64,
}

impl TimerQueue {
    /// Adds a timer for `target` at `at`. An instant in the past is allowed and means "next".
    pub(crate) fn add(
        &mut self,
        at: Instant,
        priority: TimerPriority,
        target: Weak<dyn TimerTarget>,
    ) -> TimerKey {
        let key = TimerKey {
            at,
            priority,
            number: self.added,
        };
        self.added += 1;
        self.entries.insert(key, target);
        key
    }

    /// Removes a timer. `false` if it was taken already.
    pub(crate) fn cancel(&mut self, key: &TimerKey) -> bool {
        self.entries.remove(key).is_some()
    }

    /// The instant of the first timer.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(key, _)| key.at)
    }

    /// Removes and returns the first timer that is due at `now` and whose target still exists, with
    /// its instant.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Instant, Arc<dyn TimerTarget>)> {
        while let Some(entry) = self.entries.first_entry() {
            if entry.key().at > now {
                break;
            }
            let (key, target) = entry.remove_entry();
            if let Some(target) = target.upgrade() {
                return Some((key.at, target));
            }
        }
        None
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the timers whose target was dropped.
    pub(crate) fn forget_dead(&mut self) {
        self.entries.retain(|_, target| target.strong_count() > 0);
    }

    /// Removes the broker's own work. The time-outs stay.
    pub(crate) fn forget_tasks(&mut self) {
        self.entries
            .retain(|key, _| key.priority == TimerPriority::TimeOut);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Debug for TimerQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerQueue")
            .field("entries", &self.entries.len())
            .finish()
    }
}
