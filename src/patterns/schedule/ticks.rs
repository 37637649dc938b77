//! [`Ticks`], a schedule that a receiver waits for.

use std::{
    fmt, iter,
    task::Poll,
    time::{Duration, Instant},
};

use super::timetable::{Now, Taken, Timetable};
use crate::{
    model::error::{Error, Result},
    runtime::{
        clock::Deadline,
        signal::Signal,
        sync::Mutex,
        time_out::Until,
        waiter::{self, Ticket, WaitList, Waitable, WaitingAny},
    },
    session::connection::Connection,
};

/// Receives the ticks of a schedule, for code of your own.
///
/// [`ScheduleBuilder::ticks`](crate::ScheduleBuilder::ticks) makes it. It is as `tick` of crossbeam
/// and `interval` of tokio: a tick is the time at which it was due.
///
/// Threads and tasks can share it; each tick goes to one of them. Ticks that no receiver takes cost
/// nothing. [`MissedTickBehavior`](crate::MissedTickBehavior) tells what comes of them.
///
/// # If dropped
/// There is nothing to end: it has no timer while it is not waited for.
///
/// # Examples
/// ```
/// use leveret::{Broker, Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// let second = Duration::from_secs(1);
/// let ticks = broker.every(second).ticks()?;
/// assert_eq!(ticks.try_recv()?, None);
/// clock.advance(second);
/// assert_eq!(ticks.recv()?, clock.now());
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "ticks do nothing unless they are received"]
pub struct Ticks {
    /// The broker's own connection, which ends with the broker and keeps it not alive.
    connection: Connection,
    // A leaf: no user code runs while it is held.
    timetable: Mutex<Timetable>,
    /// Set when there are no more ticks.
    end: Signal,
}

/// What a receiver waits for besides a deadline.
enum Awaited<'a, C> {
    /// The end of the broker.
    Closing(C),
    /// The end of the ticks or, for a task, the time of the next one.
    Signal(&'a Signal),
}

impl<C: Waitable<Output = ()>> Waitable for Awaited<'_, C> {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            Awaited::Closing(closing) => closing.attempt(ticket),
            Awaited::Signal(signal) => signal.attempt(ticket),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            Awaited::Closing(closing) => closing.with_waiters(f),
            Awaited::Signal(signal) => signal.with_waiters(f),
        }
    }
}

impl Ticks {
    pub(super) fn new(connection: Connection, timetable: Timetable) -> Ticks {
        Ticks {
            connection,
            timetable: Mutex::new(timetable),
            end: Signal::default(),
        }
    }

    /// Waits for the next tick, and returns the time at which it was due.
    ///
    /// # Errors
    /// - [`Error::ScheduleEnded`] after [`cancel`](Self::cancel), and after the last tick of
    ///   [`max_runs`](crate::ScheduleBuilder::max_runs).
    /// - [`Error::ShutDown`] or [`Error::BrokerDropped`] when the broker has ended.
    pub fn recv(&self) -> Result<Instant> {
        self.wait(None)
    }

    /// Returns the next tick if it is due now, and does not wait.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<Instant>> {
        Ok(self.take()?.ok())
    }

    /// Waits for the next tick for at most `timeout`.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv), and [`Error::Timeout`] if no tick was due in time.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let ticks = broker.every(Duration::from_secs(3_600)).ticks()?;
    /// assert_eq!(ticks.recv_timeout(Duration::from_millis(1)), Err(Error::Timeout));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Instant> {
        self.wait(self.connection.time().deadline(timeout))
    }

    /// Waits for the next tick without blocking the thread.
    ///
    /// # If dropped
    /// No tick is taken.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// use leveret::{Broker, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let ticks = broker.every(Duration::from_secs(1)).ticks()?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// let mut tick = pin!(ticks.recv_async());
    /// assert!(tick.as_mut().poll(&mut context).is_pending());
    /// clock.advance(Duration::from_secs(1));
    /// assert!(tick.poll(&mut context).is_ready());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn recv_async(&self) -> Result<Instant> {
        loop {
            let due = match self.take()? {
                Ok(tick) => return Ok(tick),
                Err(due) => due,
            };
            let until = Until::new(self.connection.timers(), due);
            // Looked at after the timer is set: a manual clock that has passed the time before
            // calls the timer at its next advance only.
            if self.connection.time().until(due).has_passed() {
                continue;
            }
            let time_out = Awaited::Signal(until.time_out());
            let [end, closing] = self.ends();
            WaitingAny::new([time_out, end, closing]).await;
        }
    }

    /// Returns an iterator that waits for each tick. It ends with the ticks, or with the broker.
    pub fn iter(&self) -> impl Iterator<Item = Instant> + '_ {
        iter::from_fn(|| self.recv().ok())
    }

    /// Returns an iterator over the ticks that are due now.
    pub fn try_iter(&self) -> impl Iterator<Item = Instant> + '_ {
        iter::from_fn(|| self.try_recv().ok().flatten())
    }

    /// Ends the ticks, and wakes all that wait for one.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error};
    /// use std::{thread, time::Duration};
    ///
    /// let broker = Broker::new();
    /// let ticks = broker.every(Duration::from_secs(3_600)).ticks()?;
    /// thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| ticks.recv());
    ///     ticks.cancel();
    ///     assert_eq!(waiting.join().unwrap(), Err(Error::ScheduleEnded));
    /// });
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn cancel(&self) {
        self.timetable.lock().end();
        self.end.set();
    }

    /// When the next tick is due, by the broker's clock. `None` once there are no more.
    pub fn next_due(&self) -> Option<Instant> {
        self.connection.check_open().ok()?;
        self.timetable.lock().due()
    }

    /// How many ticks were left out, as [`MissedTickBehavior`](crate::MissedTickBehavior) says.
    pub fn missed(&self) -> u64 {
        self.timetable.lock().missed()
    }

    /// Takes the next tick, or returns when it is due.
    fn take(&self) -> Result<std::result::Result<Instant, Instant>> {
        self.connection.check_open()?;
        let now = Now::read(self.connection.time());
        let (taken, next) = {
            let mut timetable = self.timetable.lock();
            (timetable.take(now), timetable.due())
        };
        // The last tick is the end for the others that wait.
        if next.is_none() {
            self.end.set();
        }
        match taken {
            Taken::Run(due) => Ok(Ok(due)),
            Taken::NotBefore(due) => Ok(Err(due)),
            Taken::Over => Err(Error::ScheduleEnded),
        }
    }

    fn wait(&self, deadline: Option<Deadline<'_>>) -> Result<Instant> {
        loop {
            let due = match self.take()? {
                Ok(tick) => return Ok(tick),
                Err(due) => self.connection.time().until(due),
            };
            let first = match deadline {
                Some(deadline) if deadline.at() < due.at() => deadline,
                _ => due,
            };
            let ended = waiter::wait_any(&self.ends(), 0, Some(first));
            if ended.is_none() && first.at() < due.at() {
                return Err(Error::Timeout);
            }
        }
    }

    /// The ends of a wait, besides its deadline.
    fn ends(&self) -> [Awaited<'_, impl Waitable<Output = ()> + use<>>; 2] {
        let closing = self.connection.closing();
        [Awaited::Signal(&self.end), Awaited::Closing(closing)]
    }
}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticks")
            .field("next_due", &self.next_due())
            .finish_non_exhaustive()
    }
}
