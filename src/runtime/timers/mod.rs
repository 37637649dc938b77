//! A broker's timers: expiry, time to live, delayed messages.
//!
//! With a manual clock all timers are in the clock, and `advance` runs them. With any other clock
//! each broker has one timer thread, which starts with the first timer. It sleeps until the first
//! timer is due. Knows nothing of queues: a timer has a weak [`TimerTarget`].
//!
//! The broker's own timers end with it. The time-outs of waits outlive it: such a wait can belong
//! to a handler that still runs.

#[cfg(all(test, not(shuttle)))]
mod tests;
mod user_code;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

pub(crate) use self::user_code::{UserCode, UserThread};
pub(crate) use crate::runtime::clock::{TimerKey, TimerTarget};
use crate::runtime::{
    catch_panic::catch_panic,
    clock::{Time, TimerPriority, TimerQueue},
    sync::{
        Mutex,
        thread::{self, JoinHandle},
    },
    user_drop::run_elsewhere,
};

/// The timers of a broker.
///
/// # If dropped
/// As [`stop`](Self::stop).
pub(crate) struct Timers(Arc<TimersShared>);

struct TimersShared {
    time: Time,
    user_code: Arc<UserCode>,
    // A leaf: while it is held, no user code runs and no other lock is taken.
    state: Mutex<TimersState>,
}

#[derive(Default)]
struct TimersState {
    queue: TimerQueue,
    /// A thread that is not this one any more ends.
    thread: Option<JoinHandle<()>>,
    /// When the thread looks at the timers again by itself. `None` if not at all.
    looks_at: Option<Instant>,
    stopped: bool,
}

impl Timers {
    pub(crate) fn new(time: Time) -> Self {
        Timers(Arc::new(TimersShared {
            time,
            user_code: Arc::new(UserCode::new()),
            state: Mutex::default(),
        }))
    }

    /// Adds a call of `target` at `at`. If `at` is past, the call comes as soon as possible (with a
    /// manual clock, at its next advance). There are no calls after [`stop`](Self::stop).
    ///
    /// May be called under a lock. [`wake_thread`](Self::wake_thread) must follow.
    #[must_use = "without its key a timer cannot be cancelled"]
    pub(crate) fn add(&self, at: Instant, target: Weak<dyn TimerTarget>) -> TimerKey {
        if let Some(clock) = self.0.time.manual() {
            return clock.add(at, target);
        }
        let mut state = self.0.state.lock();
        let key = state.queue.add(at, TimerPriority::Task, target);
        if state.stopped {
            state.queue.cancel(&key);
        }
        key
    }

    /// Adds the time-out of a wait, which is called after the broker's own work of the same
    /// instant. It is called even after [`stop`](Self::stop).
    ///
    /// `None` if `at` has passed on a manual clock. The time is over then, and there may be no
    /// later advance.
    #[must_use = "without its key a timer cannot be cancelled"]
    pub(crate) fn add_time_out(
        &self,
        at: Instant,
        target: Weak<dyn TimerTarget>,
    ) -> Option<TimerKey> {
        if let Some(clock) = self.0.time.manual() {
            return clock.add_time_out(at, target);
        }
        let mut state = self.0.state.lock();
        Some(state.queue.add(at, TimerPriority::TimeOut, target))
    }

    /// Starts the timer thread if there are timers and no thread. Wakes it if it sleeps longer than
    /// until the first timer. Must not be called under a lock.
    pub(crate) fn wake_thread(&self) {
        let mut state = self.0.state.lock();
        // With a manual clock there is never one here.
        let Some(first) = state.queue.first() else {
            return;
        };
        let Some(thread) = &state.thread else {
            // If the system cannot start a thread now, the next call tries again.
            let shared = self.0.clone();
            state.thread = thread::Builder::new()
                .name(THREAD_NAME.into())
                .spawn(move || shared.run())
                .ok();
            return;
        };
        if state.looks_at.is_none_or(|at| first < at) {
            let thread = thread.thread().clone();
            state.looks_at = Some(first);
            drop(state);
            thread.unpark();
        }
    }

    /// Cancels a timer. `false` if its call has begun or is over.
    pub(crate) fn cancel(&self, key: &TimerKey) -> bool {
        if let Some(clock) = self.0.time.manual() {
            return clock.cancel(key);
        }
        let mut state = self.0.state.lock();
        let is_cancelled = state.queue.cancel(key);
        // The thread has waited for the last time-outs.
        let thread = match state.stopped && state.queue.is_empty() {
            true => state.thread.take(),
            false => None,
        };
        drop(state);
        if let Some(handle) = thread {
            handle.thread().unpark();
        }
        is_cancelled
    }

    /// Removes every timer of the broker and ends the threads. Must not be called under a lock.
    ///
    /// If there are time-outs, the timer thread goes on until none is left.
    ///
    /// Waits for the timer thread and so for a running call, unless called on that thread itself.
    /// Does not wait for user code. A timer thread whose clock is the user's may end later, and the
    /// [threads for user code](Self::user_threads) end when they have run what they have.
    pub(crate) fn stop(&self) {
        if let Some(clock) = self.0.time.manual() {
            clock.forget_dead();
        }
        let thread = {
            let mut state = self.0.state.lock();
            state.stopped = true;
            state.queue.forget_tasks();
            match state.queue.is_empty() {
                true => state.thread.take(),
                false => None,
            }
        };
        if let Some(handle) = thread {
            handle.thread().unpark();
            if !self.0.time.is_user_code() && handle.thread().id() != thread::current().id() {
                // The thread contains every panic, so there is none to propagate.
                let _ = handle.join();
            }
        }
        self.0.user_code.stop();
    }

    /// The threads that run the user code which is due at a timer.
    pub(crate) fn user_threads(&self) -> [Arc<UserThread>; 2] {
        self.0.user_code.threads()
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
        let _elsewhere = run_elsewhere(self.user_code.clone());
        loop {
            let now = self.time.now();
            let next = {
                let mut state = self.state.lock();
                let own = state.thread.as_ref().map(|own| own.thread().id());
                if own != Some(thread::current().id()) {
                    return;
                }
                match state.queue.take_due(now) {
                    Some((_, target)) => Ok(target),
                    None if state.stopped && state.queue.is_empty() => {
                        state.thread = None;
                        return;
                    }
                    None => {
                        state.looks_at = state.queue.first();
                        Err(state.looks_at)
                    }
                }
            };
            // A `wake_thread` or a `stop` since the lock was released has left its unpark behind,
            // so neither kind of park misses it.
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
