//! Waiting until a broker is at rest: nothing is under way in it. A shutdown waits for that, and so
//! does the test kit.

use std::{sync::Arc, task::Poll, time::Instant};

use super::BrokerCore;
#[cfg(feature = "testing")]
use crate::{engine::queue::Counts, model::name::Name};
use crate::{
    engine::{
        queue::{AwaitedDelays, InFlight, QueueCore},
        vhost::VirtualHost,
    },
    message::envelope::NEVER,
    model::error::Result,
    runtime::{
        clock::Deadline,
        signal::Signal,
        timers::UserThread,
        waiter::{self, Ticket, WaitList, Waitable, WaitingAny},
    },
};

/// The delayed messages that a broker at rest does not have, in queues with consumers and in
/// delayed exchanges.
#[derive(Clone, Copy, Debug)]
pub(super) enum DueBy {
    /// Those that are due now.
    #[cfg(feature = "testing")]
    Now,
    /// Those that are due at this time or before. `None` stands for a time too far away to be
    /// represented.
    Time(Option<Instant>),
}

impl DueBy {
    fn nanos(self, vhost: &VirtualHost) -> u64 {
        let nanos = match self {
            #[cfg(feature = "testing")]
            DueBy::Now => vhost.nanos(),
            DueBy::Time(time) => time.map_or(NEVER, |time| vhost.nanos_at(time)),
        };
        // A queue without delayed messages has its first one due at NEVER.
        nanos.min(NEVER - 1)
    }
}

/// What a broker waits for.
pub(super) enum Awaited {
    /// A queue that is not idle.
    Queue(Arc<QueueCore>, AwaitedDelays),
    /// Messages on their way from one queue to another, or handlers that run.
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

/// The changes of each idle queue: the number of its virtual host, its id and its count.
type Look = Vec<(usize, u64, u64)>;

impl BrokerCore {
    /// The first thing that keeps the broker from being at rest; `None` if nothing does.
    ///
    /// The queues are looked at one after the other, so a message could move behind the back of a
    /// look: out of a queue that was not looked at yet, into one that was. So two looks must find
    /// every queue idle and unchanged. Then each queue was idle at the moment between the looks. A
    /// message on its way is in no queue, so no move may be under way at that moment either.
    pub(super) fn under_way(&self, due_by: DueBy) -> Option<Awaited> {
        let counts = [self.drain.in_flight(), self.drain.handlers()];
        let before = counts.map(|count| count.settled());
        let (first, second) = match self
            .look(due_by)
            .and_then(|it| Ok((it, self.look(due_by)?)))
        {
            Ok(looks) => looks,
            Err(awaited) => return Some(awaited),
        };
        let restless = counts.into_iter().zip(before).find(|(count, before)| {
            let after = count.settled();
            after.is_none() || after != *before
        });
        match restless {
            Some((count, _)) => Some(Awaited::InFlight(Arc::clone(count))),
            None if first == second => None,
            // It ends at once, and the queues are looked at again.
            None => Some(Awaited::InFlight(Arc::clone(counts[0]))),
        }
    }

    /// The changes of all queues, if all of them are idle.
    fn look(&self, due_by: DueBy) -> Result<Look, Awaited> {
        let mut look = Look::new();
        // A broker that has ended has no queues.
        let vhosts = self.virtual_hosts().unwrap_or_default();
        for (number, vhost) in vhosts.iter().enumerate() {
            let until = due_by.nanos(vhost);
            let queues = vhost.queues().into_iter().chain(vhost.detached_queues());
            let queues = queues.map(|queue| (queue, false));
            let delay_queues = vhost.delay_queues().into_iter().map(|queue| (queue, true));
            for (queue, unserved) in queues.chain(delay_queues) {
                let awaited = AwaitedDelays { until, unserved };
                match queue.idle_or_wait(awaited, None) {
                    Some(changes) => look.push((number, queue.id(), changes)),
                    None => return Err(Awaited::Queue(queue, awaited)),
                }
            }
        }
        Ok(look)
    }

    /// Waits until the broker is at rest. `false` at the deadline.
    pub(super) fn wait_at_rest(&self, due_by: DueBy, deadline: Option<Deadline<'_>>) -> bool {
        while let Some(awaited) = self.under_way(due_by) {
            if deadline.is_some_and(|deadline| deadline.has_passed()) {
                return false;
            }
            // It is looked at once more after the deadline.
            let _ = waiter::wait(&awaited, deadline);
        }
        true
    }

    /// As [`wait_at_rest`](Self::wait_at_rest), for a task. `false` if the time-out is first.
    pub(super) async fn at_rest_before(&self, due_by: DueBy, time_out: &Arc<Signal>) -> bool {
        while let Some(awaited) = self.under_way(due_by) {
            let sources = [Awaited::Deadline(Arc::clone(time_out)), awaited];
            let (first, ()) = WaitingAny::new(sources).await;
            if first == 0 {
                return false;
            }
        }
        true
    }
}

/// For the test kit.
#[cfg(feature = "testing")]
impl BrokerCore {
    /// Whether the broker is at rest.
    pub(crate) fn is_settled(&self) -> bool {
        self.under_way(DueBy::Now).is_none()
    }

    /// Waits until the broker is at rest. `false` at the deadline.
    pub(crate) fn wait_settled(&self, deadline: Option<Deadline<'_>>) -> bool {
        self.wait_at_rest(DueBy::Now, deadline)
    }

    /// As [`wait_settled`](Self::wait_settled), for a task.
    pub(crate) async fn wait_settled_async(&self) {
        self.at_rest_before(DueBy::Now, &Arc::default()).await;
    }

    /// How many messages are on their way to a queue, and how many handlers run whose message is
    /// settled.
    pub(crate) fn count_under_way(&self) -> (u64, u64) {
        (
            self.drain.in_flight().count(),
            self.drain.handlers().count(),
        )
    }

    /// The queues that are not idle, with the names of their virtual hosts and their counts, sorted
    /// by name.
    pub(crate) fn busy_queues(&self) -> Vec<(Name, Name, Counts)> {
        let mut busy = Vec::new();
        for vhost in self.virtual_hosts().unwrap_or_default() {
            let awaited = AwaitedDelays {
                until: DueBy::Now.nanos(&vhost),
                unserved: false,
            };
            for queue in vhost.queues() {
                if queue.idle_or_wait(awaited, None).is_none() {
                    let counts = vhost.counts(&queue);
                    busy.push((vhost.name().clone(), queue.name().clone(), counts));
                }
            }
        }
        busy.sort_by(|(vhost, queue, _), (other_vhost, other, _)| {
            (vhost, queue).cmp(&(other_vhost, other))
        });
        busy
    }
}
