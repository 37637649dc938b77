//! A one-time event that threads and tasks can wait for.

use std::{fmt, task::Poll, time::Instant};

use super::{
    clock::TimerTarget,
    sync::{
        Mutex,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    waiter::{Ticket, WaitList, Waitable},
};

/// Is set once and stays set. A timer can set it.
#[derive(Default)]
pub(crate) struct Signal {
    is_set: AtomicBool,
    /// A leaf lock. `is_set` changes under it.
    waiting: Mutex<WaitList>,
}

impl Signal {
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Acquire)
    }

    /// Sets the signal, and wakes all that wait for it. Runs user code (wakers).
    pub(crate) fn set(&self) {
        let wakes = {
            let mut waiting = self.waiting.lock();
            self.is_set.store(true, Release);
            waiting.take_all()
        };
        wakes.into_iter().for_each(|wake| wake.wake());
    }
}

impl TimerTarget for Signal {
    fn fire(&self, _: Instant) {
        self.set();
    }
}

/// Ready once it is set.
impl Waitable for Signal {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        if self.is_set() {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.waiting.lock());
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("is_set", &self.is_set())
            .finish()
    }
}
