//! What a broker does at a given time: expiry, TTL, delayed messages.
//!
//! With a manual clock everything is entered in the clock and run by `advance`. With any other clock one thread per broker, started when the
//! first thing is scheduled, sleeps until the first thing is due. Knows nothing of queues: what is due is a weak [`TimerTarget`].

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

/// A broker's appointments.
///
/// # If dropped
/// As [`stop`](Self::stop).
pub(crate) struct Timers(Arc<TimersShared>);

struct TimersShared {
    time: Time,
    // A leaf: nothing is called and no other lock is taken while it is held.
    state: Mutex<TimersState>,
}

#[derive(Default)]
struct TimersState {
    agenda: TimerQueue,
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

    /// Has `what` called at `at`, or as soon as possible if that is past (with a manual clock: at its next advance).
    ///
    /// May start the timer thread, or wake it: not to be called under a lock, but for one that only callers of this and of
    /// [`cancel`](Self::cancel) take. Once stopped, nothing is called any more.
    pub(crate) fn schedule(&self, at: Instant, what: Weak<dyn TimerTarget>) -> TimerKey {
        if let Some(clock) = self.0.time.manual() {
            return clock.add(at, what);
        }
        let mut state = self.0.state.lock();
        let appointment = state.agenda.add(at, TimerPriority::Task, what);
        if state.stopped {
            state.agenda.clear();
        } else if state.thread.is_none() {
            // If the system has no thread for us now, the next appointment tries again.
            let shared = self.0.clone();
            state.thread = thread::Builder::new()
                .name(THREAD_NAME.into())
                .spawn(move || shared.run())
                .ok();
        } else if state.agenda.is_first(&appointment) {
            // The thread sleeps until what was first before.
            let thread = state.thread.as_ref().map(|handle| handle.thread().clone());
            drop(state);
            if let Some(thread) = thread {
                thread.unpark();
            }
        }
        appointment
    }

    /// [`schedule`](Self::schedule) at `delay` after `now`; `None`, and nothing scheduled, if that is farther than an instant reaches: never.
    #[cfg(test)]
    pub(crate) fn schedule_after(
        &self,
        now: Instant,
        delay: std::time::Duration,
        what: Weak<dyn TimerTarget>,
    ) -> Option<TimerKey> {
        Some(self.schedule(now.checked_add(delay)?, what))
    }

    /// Takes an appointment back; `false` if it has been kept already, or is just being kept.
    pub(crate) fn cancel(&self, appointment: &TimerKey) -> bool {
        match self.0.time.manual() {
            Some(clock) => clock.cancel(appointment),
            None => self.0.state.lock().agenda.cancel(appointment),
        }
    }

    /// Forgets every appointment and ends the thread. Waits for it, and so for what it is just doing, unless called on that very thread:
    /// not to be called under a lock.
    pub(crate) fn stop(&self) {
        if let Some(clock) = self.0.time.manual() {
            clock.forget_dead();
        }
        let thread = {
            let mut state = self.0.state.lock();
            state.stopped = true;
            state.agenda.clear();
            state.thread.take()
        };
        if let Some(handle) = thread {
            handle.thread().unpark();
            if handle.thread().id() != thread::current().id() {
                // The thread contains every panic, so there is none to pass on.
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
            // A clock that panics must not end the thread: until it recovers, the real time is as good a guess as any.
            let now = catch_panic(|| self.time.now()).unwrap_or_else(Instant::now);
            let next = {
                let mut state = self.state.lock();
                if state.stopped {
                    return;
                }
                match state.agenda.take_due(now) {
                    Some((_, what)) => Ok(what),
                    None => Err(state.agenda.first()),
                }
            };
            // An appointment made, or a stop asked for, since the lock was released has left its unpark behind: neither sleep misses it.
            match next {
                Ok(what) => {
                    // Also the drop: this may be the last reference, and even the broker's.
                    catch_panic(move || what.fire(now));
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
