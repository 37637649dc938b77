//! A time-out that a task can wait for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Instant,
};

use super::{
    clock::{TimerKey, TimerTarget},
    sync::Mutex,
    timers::Timers,
    waiter::{Ticket, WaitList, Waitable, Waiting},
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

/// A future that is ready at a point in time.
///
/// # If dropped
/// Its timer is cancelled.
pub(crate) struct Until<'a> {
    time_out: Arc<TimeOut>,
    waiting: Waiting<Arc<TimeOut>>,
    timers: &'a Timers,
    timer: TimerKey,
}

impl<'a> Until<'a> {
    pub(crate) fn new(timers: &'a Timers, at: Instant) -> Until<'a> {
        let time_out = Arc::new(TimeOut::default());
        let target: Weak<dyn TimerTarget> = Arc::downgrade(&time_out) as _;
        let timer = timers.add(at, target);
        timers.wake_thread();
        Until {
            waiting: Waiting::new(Arc::clone(&time_out)),
            time_out,
            timers,
            timer,
        }
    }

    /// The time-out, for a wait that has other sources as well.
    pub(crate) fn time_out(&self) -> &Arc<TimeOut> {
        &self.time_out
    }
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.waiting).poll(context)
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.timers.cancel(&self.timer);
    }
}

impl fmt::Debug for TimeOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeOut")
            .field("has_passed", &self.state.lock().has_passed)
            .finish()
    }
}
