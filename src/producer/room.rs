//! Waiting for room in a queue that has its publishers wait.

use std::{sync::Arc, task::Poll, time::Duration};

use crate::{
    queue::Queue,
    vhost::VirtualHost,
    waiter::{Source, Ticket, WaitList},
};

/// How a publish deals with full blocking queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It waits for room.
    Wait,
    /// It fails.
    Try,
    /// It waits so long.
    Within(Duration),
    /// It has waited already.
    Ignore,
}

/// Room in one queue. A deleted one is not waited for: the publish then finds that it is gone.
pub(super) struct RoomIn {
    pub(super) queue: Arc<Queue>,
    pub(super) vhost: Arc<VirtualHost>,
}

impl Source for RoomIn {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
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
        f(self.queue.lock().publishers());
    }
}
