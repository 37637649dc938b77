//! The graceful shutdown of a broker. Outside publishers end first, then consumers, then the rest.

use std::{
    sync::{Arc, Weak},
    task::Poll,
    time::{Duration, Instant},
};

use super::{
    BrokerCore,
    shutdown_report::{FirstCounts, ShutdownReport},
};
use crate::{
    engine::{
        queue::{AwaitedDelays, InFlight, QueueCore},
        vhost::{Drain, VirtualHost},
    },
    model::error::{CancelReason, Error, Result},
    runtime::{
        time_out::TimeOut,
        timers::UserThread,
        waiter::{self, Ticket, WaitList, Waitable, WaitingAny},
    },
};

/// A shutdown that has begun.
struct Shutdown {
    drain: Arc<Drain>,
    vhosts: Vec<(Arc<VirtualHost>, FirstCounts)>,
    /// `None` if the deadline is too far away to be represented.
    until: Option<Instant>,
}

/// What a shutdown waits for.
enum Awaited {
    /// A queue that is not idle.
    Queue(Arc<QueueCore>, AwaitedDelays),
    /// Messages on their way from one queue to another.
    InFlight(Arc<InFlight>),
    /// User code that was due at a timer.
    UserCode(Arc<UserThread>),
    /// The deadline, for a task.
    Deadline(Arc<TimeOut>),
}

impl Waitable for Awaited {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            Awaited::Queue(queue, awaited) => match queue.idle_or_wait(*awaited, ticket) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            },
            Awaited::InFlight(in_flight) => in_flight.attempt(ticket),
            Awaited::UserCode(thread) => thread.attempt(ticket),
            Awaited::Deadline(time_out) => time_out.attempt(ticket),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            Awaited::Queue(queue, _) => queue.with_idle_waiters(f),
            Awaited::InFlight(in_flight) => in_flight.with_waiters(f),
            Awaited::UserCode(thread) => thread.with_waiters(f),
            Awaited::Deadline(time_out) => time_out.with_waiters(f),
        }
    }
}

impl Shutdown {
    /// The first thing that is not quiet; `None` if everything is.
    fn awaited(&self) -> Option<Awaited> {
        let in_flight = self.drain.in_flight();
        let before = in_flight.settled();
        let queues = self.vhosts.iter().flat_map(|(vhost, _)| {
            let until = self.until.map_or(u64::MAX, |until| vhost.nanos_at(until));
            let awaited = move |unserved| AwaitedDelays { until, unserved };
            let queues = vhost.queues().into_iter();
            let delay_queues = vhost.delay_queues().into_iter();
            let queues = queues.map(move |queue| (queue, awaited(false)));
            queues.chain(delay_queues.map(move |queue| (queue, awaited(true))))
        });
        for (queue, awaited) in queues {
            if !queue.idle_or_wait(awaited, None) {
                return Some(Awaited::Queue(queue, awaited));
            }
        }
        // A message may have left a queue that was not looked at yet, for one that was.
        match before.is_some() && before == in_flight.settled() {
            true => None,
            false => Some(Awaited::InFlight(Arc::clone(in_flight))),
        }
    }
}

impl BrokerCore {
    /// Shuts the broker down gracefully.
    ///
    /// # Errors
    /// [`Error::ShutDown`] if the broker is shut down already.
    pub(crate) fn shutdown(&self, deadline: Duration) -> Result<ShutdownReport> {
        let deadline = self.time.deadline(deadline);
        let shutdown = self.begin_shutdown(deadline.map(|deadline| deadline.at()))?;
        let mut timed_out = false;
        while let Some(awaited) = shutdown.awaited() {
            let waited = waiter::wait(&awaited, deadline);
            if waited.is_none() || deadline.is_some_and(|deadline| deadline.has_passed()) {
                timed_out = true;
                break;
            }
        }
        let report = self.end_shutdown(shutdown, timed_out)?;
        self.timers.stop();
        for thread in self.timers.user_threads() {
            waiter::wait(&thread, deadline);
        }
        Ok(report)
    }

    /// As [`shutdown`](Self::shutdown), for a task.
    pub(crate) async fn shutdown_async(&self, deadline: Duration) -> Result<ShutdownReport> {
        let until = self.time.deadline(deadline).map(|deadline| deadline.at());
        let shutdown = self.begin_shutdown(until)?;
        let time_out = Arc::new(TimeOut::default());
        let timer = until.map(|until| {
            let target: Weak<TimeOut> = Arc::downgrade(&time_out);
            let timer = self.timers.add(until, target);
            self.timers.wake_thread();
            timer
        });
        let mut timed_out = deadline.is_zero() && shutdown.awaited().is_some();
        while !timed_out {
            let Some(awaited) = shutdown.awaited() else {
                break;
            };
            let sources = [Awaited::Deadline(Arc::clone(&time_out)), awaited];
            let (first, ()) = WaitingAny::new(sources).await;
            timed_out = first == 0;
        }
        let report = self.end_shutdown(shutdown, timed_out)?;
        for thread in self.timers.user_threads() {
            let deadline = Awaited::Deadline(Arc::clone(&time_out));
            WaitingAny::new([deadline, Awaited::UserCode(thread)]).await;
        }
        // Not before, since the deadline is a timer.
        timer.map(|timer| self.timers.cancel(&timer));
        self.timers.stop();
        Ok(report)
    }

    fn begin_shutdown(&self, until: Option<Instant>) -> Result<Shutdown> {
        // First: a virtual host that is made from now on is made in vain.
        self.drain.begin();
        let vhosts = self.virtual_hosts()?;
        for vhost in &vhosts {
            vhost.stop_publishing();
        }
        let vhosts = vhosts.into_iter().map(|vhost| {
            let queues = vhost.queues().into_iter();
            let counts = queues.map(|queue| {
                let counts = vhost.counts(&queue);
                (queue, counts)
            });
            let first = FirstCounts::new(vhost.name().clone(), counts.collect::<Vec<_>>());
            (vhost, first)
        });
        Ok(Shutdown {
            drain: Arc::clone(&self.drain),
            vhosts: vhosts.collect(),
            until,
        })
    }

    fn end_shutdown(&self, shutdown: Shutdown, timed_out: bool) -> Result<ShutdownReport> {
        let mut ended = self.end(CancelReason::ShutDown).ok_or(Error::ShutDown)?;
        let mut report = ShutdownReport {
            timed_out,
            ..ShutdownReport::default()
        };
        for (vhost, first) in shutdown.vhosts {
            let last = ended.remove(vhost.name()).unwrap_or_default();
            first.report(last, |queue| vhost.counts(queue), &mut report);
        }
        report.sort();
        Ok(report)
    }
}
