//! A time-out that a task can wait for.

use std::{fmt, task::Poll, time::Instant};

use super::{
    clock::TimerTarget,
    sync::Mutex,
    waiter::{Ticket, WaitList, Waitable},
};

/// Passes once, when its timer fires. The waits of tasks have no deadline, so a task waits for this
/// beside what it wants.
#[derive(Default)]
pub(crate) struct TimeOut {
    state: Mutex<TimeOutState>,
}

#[derive(Default)]
struct TimeOutState {
    has_passed: bool,
    waiting: WaitList,
}

impl TimerTarget for TimeOut {
    fn fire(&self, _: Instant) {
        let wakes = {
            let mut state = self.state.lock();
            state.has_passed = true;
            state.waiting.take_all()
        };
        wakes.into_iter().for_each(|wake| wake.wake());
    }
}

impl Waitable for TimeOut {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.has_passed {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            state.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().waiting);
    }
}

impl fmt::Debug for TimeOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeOut")
            .field("has_passed", &self.state.lock().has_passed)
            .finish()
    }
}
