//! A time-out that a task can wait for.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Instant,
};

use super::{
    clock::{TimerKey, TimerTarget},
    signal::Signal,
    timers::Timers,
    waiter::Waiting,
};

/// A future that is ready at a point in time. The waits of tasks have no deadline, so a task waits
/// for this beside what it wants.
///
/// # If dropped
/// Its timer is cancelled.
pub(crate) struct Until<'a> {
    time_out: Arc<Signal>,
    waiting: Waiting<Arc<Signal>>,
    timers: &'a Timers,
    timer: TimerKey,
}

impl<'a> Until<'a> {
    pub(crate) fn new(timers: &'a Timers, at: Instant) -> Until<'a> {
        let time_out = Arc::new(Signal::default());
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
    pub(crate) fn time_out(&self) -> &Arc<Signal> {
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
