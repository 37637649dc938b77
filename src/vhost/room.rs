//! Waiting for room: in a queue that has its publishers wait, or in a budget that does.

use std::{sync::Arc, task::Poll};

use super::{Route, VirtualHost};
use crate::{
    name::Name,
    queue::{Need, Queue},
    waiter::{Source, Ticket, WaitList},
};

/// Room in one queue, or in a budget that covers it. A queue that is deleted is not waited for: the publish then finds that
/// it is gone.
pub(crate) struct RoomIn {
    vhost: Arc<VirtualHost>,
    queue: Arc<Queue>,
    /// If it is the budget that is spent.
    budget: Option<Need>,
}

impl RoomIn {
    /// The queue that cannot take the message.
    pub(crate) fn queue(&self) -> &Name {
        self.queue.name()
    }
}

impl VirtualHost {
    /// What a publish must wait for first, if some queue on its way has publishers wait and no room.
    #[inline]
    pub(crate) fn lacks_room(self: &Arc<Self>, route: &Route) -> Option<RoomIn> {
        let mut blocking = route.stops().filter(|queue| queue.is_blocking());
        blocking.find_map(|queue| {
            let budget = queue.account().and_then(|account| account.need());
            (budget.is_some() || queue.blocks_by_itself() && queue.lock().is_full()).then(|| {
                RoomIn {
                    vhost: Arc::clone(self),
                    queue: Arc::clone(queue),
                    budget,
                }
            })
        })
    }
}

impl Source for RoomIn {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        if let Some(budget) = &self.budget {
            return budget.attempt(ticket);
        }
        self.vhost.with_queue(&self.queue, |state, now, effects| {
            if state.is_deleted() || !state.stays_full(now, effects) {
                return Poll::Ready(());
            }
            if let Some(ticket) = ticket {
                state.publishers().register(ticket);
            }
            Poll::Pending
        })
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match &self.budget {
            Some(budget) => budget.with_waiters(f),
            None => f(self.queue.lock().publishers()),
        }
    }
}
