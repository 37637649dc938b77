//! A broker's timers: expiry, time to live, delayed messages.
//!
//! With a manual clock all timers are in the clock, and `advance` runs them. With any other clock
//! each broker has one timer thread, which starts with the first timer. It sleeps until the first
//! timer is due. Knows nothing of queues: a timer has a weak [`TimerTarget`].

#[cfg(all(test, not(shuttle)))]
mod tests;
mod user_code;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

pub(crate) use self::user_code::{UserCode, UserThread};
pub(crate) use crate::runtime::clock::{TimerKey, TimerPriority, TimerTarget};
use crate::runtime::{
    catch_panic::catch_panic,
    clock::{Time, TimerQueue},
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
    pub(crate) fn add(
        &self,
        at: Instant,
        priority: TimerPriority,
        target: Weak<dyn TimerTarget>,
    ) -> TimerKey {
        if let Some(clock) = self.0.time.manual() {
            return clock.add(at, priority, target);
        }
        let mut state = self.0.state.lock();
        let key = state.queue.add(at, priority, target);
        if state.stopped {
            state.queue.clear();
        }
        key
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
        match self.0.time.manual() {
            Some(clock) => clock.cancel(key),
            None => self.0.state.lock().queue.cancel(key),
        }
    }

    /// Removes every timer and ends the threads. Must not be called under a lock.
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
            state.queue.clear();
            state.thread.take()
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
                if state.stopped {
                    return;
                }
                match state.queue.take_due(now) {
                    Some((_, target)) => Ok(target),
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
