//! A broker's timers: expiry, time to live, delayed messages.
//!
//! With a manual clock all timers are in the clock, and `advance` runs them. With any other clock
//! each broker has one timer thread, which starts with the first timer. It sleeps until the first
//! timer is due. Knows nothing of queues: a timer has a weak [`TimerTarget`].

#[cfg(all(test, not(shuttle)))]
mod tests;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

pub(crate) use crate::runtime::clock::{TimerKey, TimerTarget};
use crate::runtime::{
    catch_panic::catch_panic,
    clock::{Time, TimerPriority, TimerQueue},
    sync::{
        Mutex,
        thread::{self, JoinHandle},
    },
};

/// The timers of a broker.
///
/// # If dropped
/// As [`stop`](Self::stop).
pub(crate) struct Timers(Arc<TimersShared>);

struct TimersShared {
    time: Time,
    // A leaf: while it is held, no user code runs and no other lock is taken.
    state: Mutex<TimersState>,
}

#[derive(Default)]
struct TimersState {
    queue: TimerQueue,
    thread: Option<JoinHandle<()>>,
    stopped: bool,
}

impl Timers {
    pub(crate) fn new(time: Time) -> Self {
        Timers(Arc::new(TimersShared {
            time,
            state: Mutex::default(),
        }))
    }

    /// Schedules a call of `target` at `at`. If `at` is past, the call comes as soon as possible
    /// (with a manual clock, at its next advance).
    ///
    /// May start the timer thread, or wake it. So it must not be called under a lock. The exception
    /// is a lock that only callers of this and of [`cancel`](Self::cancel) take. There are no calls
    /// after [`stop`](Self::stop).
    pub(crate) fn schedule(&self, at: Instant, target: Weak<dyn TimerTarget>) -> TimerKey {
        if let Some(clock) = self.0.time.manual() {
            return clock.add(at, target);
        }
        let mut state = self.0.state.lock();
        let key = state.queue.add(at, TimerPriority::Task, target);
        if state.stopped {
            state.queue.clear();
        } else if state.thread.is_none() {
            // If the system cannot start a thread now, the next timer tries again.
            let shared = self.0.clone();
            state.thread = thread::Builder::new()
                .name(THREAD_NAME.into())
                .spawn(move || shared.run())
                .ok();
        } else if state.queue.is_first(&key) {
            // The thread sleeps until the time of the previous first timer.
            let thread = state.thread.as_ref().map(|handle| handle.thread().clone());
            drop(state);
            if let Some(thread) = thread {
                thread.unpark();
            }
        }
        key
    }

    /// [`schedule`](Self::schedule) at `delay` after `now`. `None` if no instant can represent that
    /// time; then nothing is scheduled.
    #[cfg(test)]
    pub(crate) fn schedule_after(
        &self,
        now: Instant,
        delay: std::time::Duration,
        target: Weak<dyn TimerTarget>,
    ) -> Option<TimerKey> {
        Some(self.schedule(now.checked_add(delay)?, target))
    }

    /// Cancels a timer. `false` if its call has begun or is over.
    pub(crate) fn cancel(&self, key: &TimerKey) -> bool {
        match self.0.time.manual() {
            Some(clock) => clock.cancel(key),
            None => self.0.state.lock().queue.cancel(key),
        }
    }

    /// Removes every timer and ends the thread. Waits for the thread and so for a running call,
    /// unless called on that thread itself. Must not be called under a lock.
    pub(crate) fn stop(&self) {
        if let Some(clock) = self.0.time.manual() {
            clock.forget_dead();
        }
        let thread = {
            let mut state = self.0.state.lock();
            state.stopped = true;
            state.queue.clear();
            state.thread.take()
        };
        if let Some(handle) = thread {
            handle.thread().unpark();
            if handle.thread().id() != thread::current().id() {
                // The thread contains every panic, so there is none to propagate.
                let _ = handle.join();
            }
        }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl TimersShared {
    /// The timer thread.
    fn run(&self) {
        loop {
            // A clock that panics must not end the thread. Until it recovers, the real time is
            // used.
            let now = catch_panic(|| self.time.now()).unwrap_or_else(Instant::now);
            let next = {
                let mut state = self.state.lock();
                if state.stopped {
                    return;
                }
                match state.queue.take_due(now) {
                    Some((_, target)) => Ok(target),
                    None => Err(state.queue.first()),
                }
            };
            // A `schedule` or a `stop` since the lock was released has left its unpark behind, so
            // neither kind of park misses it.
            match next {
                Ok(target) => {
                    // Includes the drop: this may be the last reference, even the broker's last
                    // one.
                    catch_panic(move || target.fire(now));
                }
                Err(Some(at)) => thread::park_timeout(at.saturating_duration_since(now)),
                Err(None) => thread::park(),
            }
        }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("time", &self.0.time)
            .finish_non_exhaustive()
    }
}

const THREAD_NAME: &str = "leveret-timer";
