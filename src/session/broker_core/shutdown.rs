//! The graceful shutdown of a broker. Publishers end first, then consumers, and then the rest.

use std::{sync::Arc, task::Poll, time::Duration};

use super::BrokerCore;
use crate::{
    engine::{queue::QueueCore, vhost::VirtualHost},
    model::{
        error::{CancelReason, Result},
        name::Name,
    },
    runtime::waiter::{self, Ticket, WaitList, Waitable},
};

/// The messages that a broker still had when it shut down.
///
/// # Examples
/// ```
/// use leveret::Broker;
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// broker.producer::<u32>("q")?.publish(7)?;
/// let report = broker.shutdown(Duration::ZERO)?;
/// assert_eq!(report.queues[0].ready, 1);
/// assert!(!report.timed_out); // the queue has no consumer to wait for
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether consumers still had work when the deadline passed.
    pub timed_out: bool,
    /// The queues that were not empty, sorted by virtual host and name.
    pub queues: Vec<RemainingQueue>,
    /// The [delayed exchanges](crate::Exchange::delayed) that still held messages, sorted by
    /// virtual host and name.
    pub exchanges: Vec<RemainingExchange>,
}

/// The messages that were left in one delayed exchange. It is part of a [`ShutdownReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemainingExchange {
    /// The virtual host of the exchange.
    pub vhost: Name,
    /// The name of the exchange.
    pub exchange: Name,
    /// The number of messages whose delay had not ended.
    pub delayed: u64,
}

/// The messages that were left in one queue.
///
/// [`ShutdownReport`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemainingQueue {
    /// The virtual host of the queue.
    pub vhost: Name,
    /// The name of the queue.
    pub queue: Name,
    /// The number of messages that were not delivered.
    pub ready: u64,
    /// The number of messages that were delivered and not settled.
    pub unsettled: u64,
    /// The number of messages whose delay had not ended.
    pub delayed: u64,
}

/// Waits until one queue is idle.
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

impl BrokerCore {
    /// Shuts the broker down gracefully, and returns the messages that were left.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down already.
    pub(crate) fn shutdown(&self, deadline: Duration) -> Result<ShutdownReport> {
        let vhosts = self.virtual_hosts()?;
        for vhost in &vhosts {
            vhost.stop_publishing();
        }
        let until = self.time.deadline(deadline);
        let mut timed_out = false;
        // During a pass, messages can be dead-lettered to queues that the pass has checked already.
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
                    .filter_map(|delay_queue| remaining_exchanges(vhost, delay_queue)),
            );
        }
        report
            .queues
            .sort_by(|a, b| (&a.vhost, &a.queue).cmp(&(&b.vhost, &b.queue)));
        report
            .exchanges
            .sort_by(|a, b| (&a.vhost, &a.exchange).cmp(&(&b.vhost, &b.exchange)));
        self.end(CancelReason::ShutDown);
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

/// The queues in which the delayed exchanges hold messages.
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
    delay_queue: &Arc<QueueCore>,
) -> Option<RemainingExchange> {
    let counts = vhost.counts(delay_queue);
    let delayed = counts.delayed.messages;
    (delayed > 0).then(|| RemainingExchange {
        vhost: vhost.name().clone(),
        exchange: delay_queue.name().clone(),
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
