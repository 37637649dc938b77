//! Time-outs: [`Alarm`] for a target, and [`Until`] for a task that waits.

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

/// A timer that is cancelled when it is dropped.
pub(crate) struct Alarm<'a> {
    timers: &'a Timers,
    /// `None` if it was too late for one.
    timer: Option<TimerKey>,
}

impl<'a> Alarm<'a> {
    /// Has `target` called at `at`, even if the broker has ended by then. Must not be called under
    /// a lock.
    pub(crate) fn new(timers: &'a Timers, at: Instant, target: Weak<dyn TimerTarget>) -> Alarm<'a> {
        let timer = timers.add_time_out(at, Weak::clone(&target));
        match timer {
            Some(_) => timers.wake_thread(),
            None => target.upgrade().into_iter().for_each(|it| it.fire(at)),
        }
        Alarm { timers, timer }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            self.timers.cancel(timer);
        }
    }
}

/// A future that is ready at a point in time. The waits of tasks have no deadline, so a task waits
/// for this beside what it wants.
///
/// # If dropped
/// Its timer is cancelled.
pub(crate) struct Until<'a> {
    time_out: Arc<Signal>,
    waiting: Waiting<Arc<Signal>>,
    _alarm: Alarm<'a>,
}

impl<'a> Until<'a> {
    pub(crate) fn new(timers: &'a Timers, at: Instant) -> Until<'a> {
        let time_out = Arc::new(Signal::default());
        let target: Weak<dyn TimerTarget> = Arc::downgrade(&time_out) as _;
        Until {
            waiting: Waiting::new(Arc::clone(&time_out)),
            _alarm: Alarm::new(timers, at, target),
            time_out,
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
