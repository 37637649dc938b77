//! Waits for capacity in a queue, or in a budget, that makes its publishers wait.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Route, VirtualHost};
use crate::{
    engine::queue::{BudgetCapacity, QueueCore},
    model::name::Name,
    runtime::{
        clock::Deadline,
        waiter::{self, TaskWait, Ticket, WaitList, Waitable},
    },
};

/// Capacity in one queue, or in a budget that covers it. The wait ends if the queue is deleted, and
/// the publish then finds it deleted.
pub(crate) struct CapacityWait {
    vhost: Arc<VirtualHost>,
    queue: Arc<QueueCore>,
    /// The budget, if the budget has no capacity.
    budget: Option<BudgetCapacity>,
    /// Whether the wait ends when the broker begins to drain.
    ends_with_drain: bool,
}

impl CapacityWait {
    /// The queue that cannot take the message.
    pub(crate) fn queue(&self) -> &Name {
        self.queue.name()
    }

    /// Whether the drain has ended the wait, or the end of the virtual host.
    fn is_over(&self) -> bool {
        !self.vhost.is_up() || self.ends_with_drain && self.vhost.drain.has_begun()
    }

    /// Waits for capacity or for `end`. `None` at the deadline.
    pub(crate) fn wait_or<E: Waitable<Output = ()>>(
        self,
        end: E,
        deadline: Option<Deadline<'_>>,
    ) -> Option<()> {
        let sources = [CapacityOrEnd::End(end), CapacityOrEnd::Capacity(self)];
        waiter::wait_any(&sources, 0, deadline).map(drop)
    }

    /// As [`wait_or`](Self::wait_or), for a task.
    pub(crate) fn or<E: Waitable<Output = ()>>(self, end: E) -> WaitForCapacity<E> {
        WaitForCapacity {
            sources: [CapacityOrEnd::End(end), CapacityOrEnd::Capacity(self)],
            task: TaskWait::default(),
        }
    }
}

impl VirtualHost {
    /// The capacity that a publish must wait for first, if a queue of its route makes publishers
    /// wait and has no capacity.
    #[inline]
    pub(crate) fn lacking_capacity(
        self: &Arc<Self>,
        route: &Route,
        ends_with_drain: bool,
    ) -> Option<CapacityWait> {
        let mut blocking = route.targets().filter(|queue| queue.is_blocking());
        blocking.find_map(|queue| {
            let budget = queue.account().and_then(|account| account.lacking());
            (budget.is_some() || queue.blocks_by_itself() && queue.lock().is_full()).then(|| {
                CapacityWait {
                    vhost: Arc::clone(self),
                    queue: Arc::clone(queue),
                    budget,
                    ends_with_drain,
                }
            })
        })
    }
}

impl Waitable for CapacityWait {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        if let Some(budget) = &self.budget {
            return budget.attempt(ticket, || self.is_over());
        }
        self.vhost.with_queue(&self.queue, |state, now, effects| {
            // Checked under the lock under which publishers are woken when the drain begins.
            if state.is_deleted() || self.is_over() || !state.stays_full(now, effects) {
                return Poll::Ready(());
            }
            if let Some(ticket) = ticket {
                state.publish_waiters().register(ticket);
            }
            Poll::Pending
        })
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match &self.budget {
            Some(budget) => budget.with_waiters(f),
            None => f(self.queue.lock().publish_waiters()),
        }
    }
}

/// Capacity, or the end of the waiting handle: a connection or a channel that is closed.
enum CapacityOrEnd<E> {
    Capacity(CapacityWait),
    End(E),
}

impl<E: Waitable<Output = ()>> Waitable for CapacityOrEnd<E> {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            CapacityOrEnd::Capacity(capacity) => capacity.attempt(ticket),
            CapacityOrEnd::End(end) => end.attempt(ticket),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            CapacityOrEnd::Capacity(capacity) => capacity.with_waiters(f),
            CapacityOrEnd::End(end) => end.with_waiters(f),
        }
    }
}

/// A task that waits for capacity.
///
/// # If dropped
/// The task stops waiting.
pub(crate) struct WaitForCapacity<E: Waitable<Output = ()>> {
    sources: [CapacityOrEnd<E>; 2],
    task: TaskWait,
}

// No field is pinned.
impl<E: Waitable<Output = ()>> Unpin for WaitForCapacity<E> {}

impl<E: Waitable<Output = ()>> Future for WaitForCapacity<E> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let WaitForCapacity { sources, task } = self.get_mut();
        task.poll(sources, 0, context).map(drop)
    }
}

impl<E: Waitable<Output = ()>> Drop for WaitForCapacity<E> {
    fn drop(&mut self) {
        self.task.leave(&self.sources);
    }
}
