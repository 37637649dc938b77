//! The clock that stands still until it is told to move.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use super::{Clock, TimerKey, TimerPriority, TimerQueue, TimerTarget};
use crate::runtime::{catch_panic::catch_panic, sync::Mutex};

/// A clock for tests: time passes only when [`advance`](Self::advance) is called.
///
/// A new one shows an arbitrary instant, and 14 November 2023, 22:13:20 UTC (Unix time 1,700,000,000), as its wall-clock time. Clones are the
/// same clock, so a test keeps one and gives another to a broker.
///
/// # If dropped
/// Nothing happens. Whatever still waits for the clock waits on, and is moved by the clones that are left.
///
/// # Examples
/// ```
/// use leveret::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.clone().advance(Duration::from_secs(60));
/// assert_eq!(clock.now() - start, Duration::from_secs(60));
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<ManualClockInner>);

struct ManualClockInner {
    start: Instant,
    // A leaf: nothing is called and no other lock is taken while it is held.
    state: Mutex<ManualClockState>,
}

struct ManualClockState {
    now: Instant,
    agenda: TimerQueue,
}

impl ManualClock {
    /// Makes a clock that stands at its start.
    #[must_use]
    pub fn new() -> Self {
        let start = Instant::now();
        ManualClock(Arc::new(ManualClockInner {
            start,
            state: Mutex::new(ManualClockState {
                now: start,
                agenda: TimerQueue::default(),
            }),
        }))
    }

    /// Moves the clock on by `duration`, and does everything that falls due on the way.
    ///
    /// What is due runs on the calling thread, in the order in which it is due, and the clock shows the instant at which each thing is due while
    /// it runs. What that brings about, and is itself due before the end, runs as well. Waits whose time is over are woken. The call returns when nothing that is
    /// due is left; the threads it woke may still be on their way. `Duration::ZERO` runs what is due already. A duration that leads beyond the
    /// last instant that can be represented leads to that instant.
    ///
    /// Threads that advance the clock at the same time share the work: each goes on until it finds nothing left, but not in step with the others.
    pub fn advance(&self, duration: Duration) {
        let end = later(self.now(), duration);
        loop {
            let (now, what) = {
                let mut state = self.0.state.lock();
                let Some((at, what)) = state.agenda.take_due(end) else {
                    // Another thread, or something that ran, may have moved it farther.
                    state.now = state.now.max(end);
                    return;
                };
                state.now = state.now.max(at);
                (state.now, what)
            };
            // Also the drop: this may be the last reference.
            catch_panic(move || what.fire(now));
        }
    }

    /// Enters `what` for `at`, even if that is past: it then runs with the next advance.
    pub(crate) fn add(&self, at: Instant, what: Weak<dyn TimerTarget>) -> TimerKey {
        self.0
            .state
            .lock()
            .agenda
            .add(at, TimerPriority::Task, what)
    }

    /// Enters the end of a wait, unless it has come: then the caller must not sleep, for no later advance has to come.
    pub(crate) fn add_time_out(
        &self,
        at: Instant,
        what: Weak<dyn TimerTarget>,
    ) -> Option<TimerKey> {
        let mut state = self.0.state.lock();
        (state.now < at).then(|| state.agenda.add(at, TimerPriority::TimeOut, what))
    }

    /// Removes an entry; `false` if it has run, or is running.
    pub(crate) fn cancel(&self, appointment: &TimerKey) -> bool {
        self.0.state.lock().agenda.cancel(appointment)
    }

    /// Whether nothing is entered.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.state.lock().agenda.first().is_none()
    }

    /// How many things are entered.
    #[cfg(test)]
    pub(crate) fn pending_timers(&self) -> usize {
        self.0.state.lock().agenda.len()
    }

    /// Removes the entries of what is gone.
    pub(crate) fn forget_dead(&self) {
        self.0.state.lock().agenda.forget_dead();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.state.lock().now
    }

    fn system_now(&self) -> SystemTime {
        let elapsed = self.now().saturating_duration_since(self.0.start);
        let start = SystemTime::UNIX_EPOCH + START;
        start.checked_add(elapsed).unwrap_or(start)
    }

    fn manual(&self) -> Option<&ManualClock> {
        Some(self)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.now().saturating_duration_since(self.0.start);
        f.debug_struct("ManualClock")
            .field("elapsed", &elapsed)
            .finish_non_exhaustive()
    }
}

/// What the wall clock shows at the start, as Unix time.
const START: Duration = Duration::from_secs(1_700_000_000);

/// `from + duration`, or the last instant that can be represented (to the second) if that is earlier.
fn later(from: Instant, duration: Duration) -> Instant {
    from.checked_add(duration).unwrap_or_else(|| {
        (0..u64::BITS).rev().fold(from, |at, bit| {
            at.checked_add(Duration::from_secs(1 << bit)).unwrap_or(at)
        })
    })
}
