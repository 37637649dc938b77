//! Publishes that wait for room in blocking queues.

use std::{collections::VecDeque, sync::Arc, task::Poll};

use super::{
    Published, VirtualHost,
    publish::{PushFailure, PushOptions},
    refusal::Refusal,
};
use crate::{
    engine::{
        queue::{Effects, Place, PushError, QueueCore},
        store::StoredBody,
    },
    message::envelope::Envelope,
    runtime::{
        clock::Deadline,
        waiter::{self, Ticket, WaitList, Waitable, WaitingAny},
    },
};

/// A publish whose message is in every queue of its route that had room. It waits for the others
/// one after the other, in the order of the route, and holds room in at most one of them.
///
/// # If dropped
/// The queues that took the message keep it. The next publisher in line gets the room.
pub(crate) struct BlockedPublish {
    vhost: Arc<VirtualHost>,
    full: VecDeque<FullQueue>,
    /// The place in the lines of the first of them.
    place: Place,
    published: Published,
    refused_by: Option<Refusal>,
    /// The body of the message, if a queue of the route keeps it.
    stored: Option<StoredBody>,
}

/// A queue that had no room, and the time before which it does not deliver the message.
pub(super) struct FullQueue {
    pub(super) queue: Arc<QueueCore>,
    pub(super) due: Option<u64>,
    /// It is the delay queue of a delayed exchange.
    pub(super) is_delay_queue: bool,
}

/// Whether a publish waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Wait,
    /// A queue without room refuses the message.
    None,
}

impl BlockedPublish {
    pub(super) fn new(
        vhost: &Arc<VirtualHost>,
        full: VecDeque<FullQueue>,
        published: Published,
        refused_by: Option<Refusal>,
    ) -> BlockedPublish {
        BlockedPublish {
            vhost: Arc::clone(vhost),
            full,
            place: Place::default(),
            published,
            refused_by,
            stored: None,
        }
    }

    /// The same publish, of a message with this body.
    pub(super) fn with_body(mut self, body: Option<&StoredBody>) -> BlockedPublish {
        self.stored = body.cloned();
        self
    }

    /// Whether it waits for a budget, and not for room in a queue.
    pub(crate) fn waits_for_budget(&self) -> bool {
        self.place.waits_for_budget()
    }

    /// Gives the message to the queues that have room now, up to the first that has none. Pending
    /// if the publish has to wait for that queue; it is in line there then.
    ///
    /// Queues that were deleted meanwhile are skipped. A message that no queue has taken is in
    /// `message` again.
    pub(crate) fn advance(
        &mut self,
        message: &mut Option<Envelope>,
        patience: Patience,
    ) -> Poll<std::result::Result<Published, PushFailure>> {
        while let Some(full) = self.full.front() {
            let queue = Arc::clone(&full.queue);
            // The last queue gets the message itself.
            let mut copy = match self.full.len() {
                1 => message.take(),
                _ => message.as_mut().and_then(|message| message.share().ok()),
            };
            let place = (patience == Patience::Wait || !self.place.is_in_no_line())
                .then_some(&mut self.place);
            let mut effects = Effects::none();
            let options = PushOptions {
                due: full.due,
                body: self.stored.as_ref(),
            };
            let pushed = self
                .vhost
                .push_one(&queue, &mut copy, options, place, &mut effects);
            self.vhost.run_effects(&queue, effects);
            if message.is_none() {
                *message = copy;
            }
            match pushed {
                Ok(()) if full.is_delay_queue => self.published.delayed += 1,
                Ok(()) => self.published.routed += 1,
                Err(PushError::Deleted) => {}
                Err(PushError::Full) if patience == Patience::Wait => return Poll::Pending,
                Err(PushError::Full | PushError::Refused(_)) => self.refuse(&queue, false),
                Err(PushError::DeadLettered) => self.refuse(&queue, true),
                Err(PushError::NotStored(error)) => {
                    return Poll::Ready(Err(PushFailure::NotStored(error)));
                }
            }
            self.leave_lines();
            self.full.pop_front();
        }
        Poll::Ready(self.outcome())
    }

    /// Ends the publish, whose message is in no further queue.
    pub(crate) fn abandon(&mut self) -> std::result::Result<Published, PushFailure> {
        self.leave_lines();
        while let Some(FullQueue { queue, .. }) = self.full.pop_front() {
            self.refuse(&queue, false);
        }
        self.outcome()
    }

    fn refuse(&mut self, queue: &QueueCore, dead_lettered: bool) {
        self.published.refused += 1;
        Refusal::note(&mut self.refused_by, queue, dead_lettered);
    }

    fn outcome(&mut self) -> std::result::Result<Published, PushFailure> {
        match self.refused_by.take() {
            _ if self.published.is_taken() => Ok(self.published),
            Some(by) => Err(PushFailure::Refused {
                by,
                refused: self.published.refused,
            }),
            None => Err(PushFailure::QueueDeleted),
        }
    }

    fn leave_lines(&mut self) {
        if let Some(FullQueue { queue, .. }) = self.full.front() {
            let effects = queue.leave_lines(&mut self.place);
            self.vhost.run_effects(queue, effects);
        }
    }

    /// Waits for room or for `end`. `None` at the deadline. The wait also ends with the queue, with
    /// the virtual host and, if it `ends_with_drain`, when the broker begins to drain.
    pub(crate) fn wait_or<E: Waitable<Output = ()>>(
        &self,
        end: E,
        ends_with_drain: bool,
        deadline: Option<Deadline<'_>>,
    ) -> Option<()> {
        let sources = [RoomOrEnd::End(end), RoomOrEnd::Room(self, ends_with_drain)];
        waiter::wait_any(&sources, 0, deadline).map(drop)
    }

    /// As [`wait_or`](Self::wait_or), for a task.
    pub(crate) async fn or<E: Waitable<Output = ()>>(&self, end: E, ends_with_drain: bool) {
        let sources = [RoomOrEnd::End(end), RoomOrEnd::Room(self, ends_with_drain)];
        WaitingAny::new(sources).await;
    }

    fn attempt(&self, ends_with_drain: bool, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self.full.front() {
            None => Poll::Ready(()),
            Some(FullQueue { queue, .. }) => {
                let vhost = &self.vhost;
                // Read under the lock under which publishers are woken when the drain begins.
                let is_over = || !vhost.is_up() || ends_with_drain && vhost.drain().has_begun();
                queue.await_room(&self.place, ticket, is_over)
            }
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        if let Some(FullQueue { queue, .. }) = self.full.front() {
            queue.with_blocked(&self.place, |waiters| {
                if let Some(waiters) = waiters {
                    f(waiters);
                }
            });
        }
    }
}

impl Drop for BlockedPublish {
    fn drop(&mut self) {
        self.leave_lines();
    }
}

/// Room, and whether the wait for it ends with the drain; or the end of the waiting handle: a
/// connection or a channel that is closed.
enum RoomOrEnd<'a, E> {
    Room(&'a BlockedPublish, bool),
    End(E),
}

impl<E: Waitable<Output = ()>> Waitable for RoomOrEnd<'_, E> {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            RoomOrEnd::Room(room, ends_with_drain) => room.attempt(*ends_with_drain, ticket),
            RoomOrEnd::End(end) => end.attempt(ticket),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            RoomOrEnd::Room(room, _) => room.with_waiters(f),
            RoomOrEnd::End(end) => end.with_waiters(f),
        }
    }
}
