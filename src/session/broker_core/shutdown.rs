//! The graceful shutdown of a broker. Outside publishers end first, then consumers, then the rest.

use std::{
    collections::BTreeMap,
    sync::Arc,
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
    message::envelope::NEVER,
    model::error::{CancelReason, Error, Result},
    runtime::{
        signal::Signal,
        time_out::Until,
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
    Deadline(Arc<Signal>),
}

impl Waitable for Awaited {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            Awaited::Queue(queue, awaited) => match queue.idle_or_wait(*awaited, ticket) {
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
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
    ///
    /// The queues are looked at one after the other, so a message could move behind the back of a
    /// look: out of a queue that was not looked at yet, into one that was. So two looks must find
    /// every queue idle, and no message taken in between. A message on its way is in no queue, so
    /// no move may be under way either.
    fn awaited(&self) -> Option<Awaited> {
        let in_flight = self.drain.in_flight();
        let before = in_flight.settled();
        let (first, second) = match self.look().and_then(|first| Ok((first, self.look()?))) {
            Ok(looks) => looks,
            Err(awaited) => return Some(awaited),
        };
        match before.is_some() && before == in_flight.settled() && first == second {
            true => None,
            false => Some(Awaited::InFlight(Arc::clone(in_flight))),
        }
    }

    /// The number of messages that the queues have ever taken in, if all of them are idle.
    fn look(&self) -> Result<u64, Awaited> {
        let mut taken_in = 0_u64;
        for (vhost, _) in &self.vhosts {
            let until = self.until.map_or(NEVER, |until| vhost.nanos_at(until));
            // A queue without delayed messages has its first one due at NEVER.
            let until = until.min(NEVER - 1);
            let queues = vhost.queues().into_iter().map(|queue| (queue, false));
            let delay_queues = vhost.delay_queues().into_iter().map(|queue| (queue, true));
            for (queue, unserved) in queues.chain(delay_queues) {
                let awaited = AwaitedDelays { until, unserved };
                match queue.idle_or_wait(awaited, None) {
                    Some(taken) => taken_in = taken_in.wrapping_add(taken),
                    None => return Err(Awaited::Queue(queue, awaited)),
                }
            }
        }
        Ok(taken_in)
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
        let until = until.map(|until| Until::new(&self.timers, until));
        let time_out = match &until {
            Some(until) => Arc::clone(until.time_out()),
            None => Arc::default(),
        };
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
        drop(until);
        self.timers.stop();
        Ok(report)
    }

    fn begin_shutdown(&self, until: Option<Instant>) -> Result<Shutdown> {
        // Counted first: everything that happens from the first refusal on is in the report.
        let counted = self.virtual_hosts()?.into_iter().map(|vhost| {
            let queues = vhost.queues().into_iter();
            let counts = queues.map(|queue| {
                let counts = vhost.counts(&queue);
                (queue, counts)
            });
            let counts = FirstCounts::new(vhost.name().clone(), counts.collect::<Vec<_>>());
            (vhost.name().clone(), counts)
        });
        let mut counted: BTreeMap<_, _> = counted.collect();
        // A virtual host that is made from now on is made in vain.
        self.drain.begin(&self.time, until);
        let vhosts = self.virtual_hosts()?.into_iter().map(|vhost| {
            vhost.stop_publishing();
            let first = counted.remove(vhost.name());
            let first = first.unwrap_or_else(|| FirstCounts::new(vhost.name().clone(), []));
            (vhost, first)
        });
        Ok(Shutdown {
            vhosts: vhosts.collect(),
            drain: Arc::clone(&self.drain),
            until,
        })
    }

    fn end_shutdown(&self, shutdown: Shutdown, timed_out: bool) -> Result<ShutdownReport> {
        let mut ended = self.end(CancelReason::ShutDown).ok_or(Error::ShutDown)?;
        let mut report = ShutdownReport {
            timed_out: timed_out || self.drain.has_run_out(),
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
