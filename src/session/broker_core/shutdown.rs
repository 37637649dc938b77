//! The graceful shutdown of a broker. Outside publishers end first, then consumers, then the rest.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    BrokerCore,
    at_rest::{Awaited, DueBy},
    shutdown_report::{FirstCounts, ShutdownReport},
};
use crate::{
    engine::vhost::VirtualHost,
    model::error::{CancelReason, Error, Result},
    runtime::{
        time_out::Until,
        waiter::{self, WaitingAny},
    },
};

/// A shutdown that has begun.
struct Shutdown {
    vhosts: Vec<(Arc<VirtualHost>, FirstCounts)>,
    /// The deadline. Messages that are due before it are delivered.
    due_by: DueBy,
}

impl BrokerCore {
    /// Shuts the broker down gracefully.
    ///
    /// # Errors
    /// [`Error::ShutDown`] if the broker is shut down already.
    pub(crate) fn shutdown(&self, deadline: Duration) -> Result<ShutdownReport> {
        let deadline = self.time.deadline(deadline);
        let shutdown = self.begin_shutdown(deadline.map(|deadline| deadline.at()))?;
        let timed_out = !self.wait_at_rest(shutdown.due_by, deadline);
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
        let timed_out = match deadline.is_zero() {
            true => self.under_way(shutdown.due_by).is_some(),
            false => !self.at_rest_before(shutdown.due_by, &time_out).await,
        };
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
            due_by: DueBy::Time(until),
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
        match &self.journal {
            Some(journal) => journal.check().map(|()| report),
            None => Ok(report),
        }
    }
}
