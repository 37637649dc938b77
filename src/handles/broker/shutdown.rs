//! The orderly end of a broker: publishers first, then consumers, then everything.

use std::{sync::Arc, task::Poll, time::Duration};

use super::Broker;
use crate::{
    engine::{queue::QueueCore, vhost::VirtualHost},
    model::{error::Result, name::Name},
    runtime::waiter::{self, Ticket, WaitList, Waitable},
};

/// What a broker held when it shut down.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// broker.producer::<u32>(&Queue::new("q"))?.publish(7)?;
/// let report = broker.shutdown(Duration::ZERO)?;
/// assert_eq!(report.queues[0].ready, 1);
/// assert!(!report.timed_out); // nobody was at work on it
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether consumers were still at work when the time was over.
    pub timed_out: bool,
    /// The queues that were not empty, by virtual host and name.
    pub queues: Vec<RemainingQueue>,
    /// The [delayed exchanges](crate::Exchange::delayed) that kept messages back, by virtual host and name.
    pub exchanges: Vec<RemainingExchange>,
}

/// What was left in one delayed exchange.
///
/// It is part of a [`ShutdownReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemainingExchange {
    /// Its virtual host.
    pub vhost: Name,
    /// Its name.
    pub exchange: Name,
    /// Messages whose time had not come.
    pub delayed: u64,
}

/// What was left in one queue.
///
/// [`ShutdownReport`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemainingQueue {
    /// Its virtual host.
    pub vhost: Name,
    /// Its name.
    pub queue: Name,
    /// Messages that nobody had been handed.
    pub ready: u64,
    /// Messages that were delivered and not settled.
    pub unsettled: u64,
    /// Messages whose time had not come.
    pub delayed: u64,
}

/// Waits until nothing is under way in one queue.
struct Idle(Arc<QueueCore>);

impl Waitable for Idle {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self.0.idle_or_wait(ticket) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.0.with_idle_waiters(f);
    }
}

impl Broker {
    /// Shuts the broker down in order: from now on every publish is refused; consumers go on until their queues are
    /// empty and everything is settled, or until `deadline` from now; then the broker ends as if its last handle were
    /// dropped. Returns what was left.
    ///
    /// Messages that nobody is there to consume are not waited for.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if it is shut down already.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error, Queue};
    /// # use std::time::Duration;
    /// # let broker = Broker::new();
    /// let producer = broker.producer::<u32>(&Queue::new("q"))?;
    /// let report = broker.shutdown(Duration::from_secs(10))?; // nothing to wait for
    /// assert!(!report.timed_out && report.queues.is_empty());
    /// assert_eq!(producer.publish(7).unwrap_err().error(), &Error::ShutDown);
    /// assert_eq!(broker.shutdown(Duration::ZERO), Err(Error::ShutDown));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn shutdown(&self, deadline: Duration) -> Result<ShutdownReport> {
        let vhosts = self.virtual_hosts()?;
        for vhost in &vhosts {
            vhost.stop_publishing();
        }
        let until = self.handle.time.deadline(deadline);
        let mut timed_out = false;
        // One pass may move messages on, as dead letters, into queues that were looked at before.
        while !timed_out && !all_idle(&vhosts) {
            for vhost in &vhosts {
                for queue in queues(vhost).into_iter().chain(delay_queues(vhost)) {
                    timed_out |= waiter::wait(&Idle(queue), until).is_none();
                }
            }
        }
        let mut report = ShutdownReport {
            timed_out,
            queues: Vec::new(),
            exchanges: Vec::new(),
        };
        for vhost in &vhosts {
            report.queues.extend(
                queues(vhost)
                    .iter()
                    .filter_map(|queue| remaining_queues(vhost, queue)),
            );
            report.exchanges.extend(
                delay_queues(vhost)
                    .iter()
                    .filter_map(|shelf| remaining_exchanges(vhost, shelf)),
            );
        }
        report
            .queues
            .sort_by(|a, b| (&a.vhost, &a.queue).cmp(&(&b.vhost, &b.queue)));
        report
            .exchanges
            .sort_by(|a, b| (&a.vhost, &a.exchange).cmp(&(&b.vhost, &b.exchange)));
        self.handle.shut_down();
        Ok(report)
    }
}

fn queues(vhost: &VirtualHost) -> Vec<Arc<QueueCore>> {
    vhost.read_topology(|topology| {
        topology
            .queues
            .values()
            .map(|declared| Arc::clone(&declared.queue))
            .collect()
    })
}

/// Where delayed exchanges keep messages back.
fn delay_queues(vhost: &VirtualHost) -> Vec<Arc<QueueCore>> {
    vhost.read_topology(|topology| {
        let exchanges = topology.exchanges.values();
        exchanges
            .filter_map(|exchange| exchange.delay_queue.clone())
            .collect()
    })
}

fn all_idle(vhosts: &[Arc<VirtualHost>]) -> bool {
    vhosts
        .iter()
        .flat_map(|vhost| queues(vhost).into_iter().chain(delay_queues(vhost)))
        .all(|queue| queue.is_idle())
}

fn remaining_exchanges(
    vhost: &Arc<VirtualHost>,
    shelf: &Arc<QueueCore>,
) -> Option<RemainingExchange> {
    let counts = vhost.counts(shelf);
    let delayed = counts.delayed.messages;
    (delayed > 0).then(|| RemainingExchange {
        vhost: vhost.name().clone(),
        exchange: shelf.name().clone(),
        delayed,
    })
}

fn remaining_queues(vhost: &Arc<VirtualHost>, queue: &Arc<QueueCore>) -> Option<RemainingQueue> {
    let counts = vhost.counts(queue);
    let left = RemainingQueue {
        vhost: vhost.name().clone(),
        queue: queue.name().clone(),
        ready: counts.ready.messages,
        unsettled: counts.unsettled.messages,
        delayed: counts.delayed.messages,
    };
    (left.ready + left.unsettled + left.delayed > 0).then_some(left)
}
