//! A clock that stands still until it is advanced.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use super::{Clock, TimerKey, TimerPriority, TimerQueue, TimerTarget};
use crate::runtime::{catch_panic::catch_panic, sync::Mutex};

/// A clock for tests: time passes only when [`advance`](Self::advance) is called.
///
/// A new clock shows an arbitrary instant. Its wall-clock time is 14 November 2023, 22:13:20 UTC
/// (Unix time 1,700,000,000). Clones are the same clock, so a test keeps one and gives another to a
/// broker.
///
/// # If dropped
/// Nothing happens. The timers and waits of the clock stay and can be advanced by the remaining
/// clones.
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
    // A leaf: while it is held, no user code runs and no other lock is taken.
    state: Mutex<ManualClockState>,
}

struct ManualClockState {
    now: Instant,
    queue: TimerQueue,
}

impl ManualClock {
    /// Makes a clock that shows its start time.
    #[must_use]
    pub fn new() -> Self {
        let start = Instant::now();
        ManualClock(Arc::new(ManualClockInner {
            start,
            state: Mutex::new(ManualClockState {
                now: start,
                queue: TimerQueue::default(),
            }),
        }))
    }

    /// Moves the clock forward by `duration` and runs everything that becomes due.
    ///
    /// The due work runs on the calling thread, in the order in which it is due. It includes the
    /// drops of payloads and the wakers of tasks, which have threads of their own with any other
    /// clock. While each piece of it runs, the clock shows the instant at which it is due. Work
    /// that results from it and is due before the end runs as well. Waits that time out are woken.
    ///
    /// The call returns when no due work is left. The threads that it woke may still be running.
    /// `Duration::ZERO` runs the work that is due already. A duration beyond the last representable
    /// instant leads to that instant.
    ///
    /// Threads that advance the clock at the same time share the work. Each one goes on until no
    /// due work is left, independent of the others.
    pub fn advance(&self, duration: Duration) {
        let end = later(self.now(), duration);
        loop {
            let (now, target) = {
                let mut state = self.0.state.lock();
                let Some((at, target)) = state.queue.take_due(end) else {
                    // Another thread, or a called target, may have advanced the clock farther.
                    state.now = state.now.max(end);
                    return;
                };
                state.now = state.now.max(at);
                (state.now, target)
            };
            // Includes the drop: this may be the last reference.
            catch_panic(move || target.fire(now));
        }
    }

    /// Adds a timer for `target` at `at`. If `at` is past, it is called at the next advance.
    pub(crate) fn add(&self, at: Instant, target: Weak<dyn TimerTarget>) -> TimerKey {
        self.0
            .state
            .lock()
            .queue
            .add(at, TimerPriority::Task, target)
    }

    /// Adds the time-out of a wait. `None` if `at` has passed: the caller must not sleep then,
    /// because there may be no later advance.
    pub(crate) fn add_time_out(
        &self,
        at: Instant,
        target: Weak<dyn TimerTarget>,
    ) -> Option<TimerKey> {
        let mut state = self.0.state.lock();
        (state.now < at).then(|| state.queue.add(at, TimerPriority::TimeOut, target))
    }

    /// Removes a timer. `false` if its call has begun or is over.
    pub(crate) fn cancel(&self, key: &TimerKey) -> bool {
        self.0.state.lock().queue.cancel(key)
    }

    /// When the next timer is due.
    #[cfg(feature = "testing")]
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.0.state.lock().queue.first()
    }

    /// Whether the clock has no timer.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.state.lock().queue.first().is_none()
    }

    /// How many timers the clock has.
    #[cfg(test)]
    pub(crate) fn pending_timers(&self) -> usize {
        self.0.state.lock().queue.len()
    }

    /// Removes the timers whose target was dropped.
    pub(crate) fn forget_dead(&self) {
        self.0.state.lock().queue.forget_dead();
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

/// The wall-clock time at the start, as Unix time.
const START: Duration = Duration::from_secs(1_700_000_000);

/// `from + duration`, or the last representable instant (to the second) if that is earlier.
fn later(from: Instant, duration: Duration) -> Instant {
    from.checked_add(duration).unwrap_or_else(|| {
        (0..u64::BITS).rev().fold(from, |at, bit| {
            at.checked_add(Duration::from_secs(1 << bit)).unwrap_or(at)
        })
    })
}
