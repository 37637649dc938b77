//! The wait for an idle queue: one in which nothing is left to be done.

use super::{effects::Effects, state::QueueState};
use crate::{
    model::message_totals::MessageTotals,
    runtime::waiter::{Ticket, WaitList, Wake},
};

/// The delayed messages that a waiter for an idle queue waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AwaitedDelays {
    /// Those that are due at this time or before, in nanoseconds; 0 is none.
    pub(crate) until: u64,
    /// Also those of a queue without a consumer.
    pub(crate) unserved: bool,
}

impl AwaitedDelays {
    /// Those that both wait for.
    fn of_both(self, other: AwaitedDelays) -> AwaitedDelays {
        AwaitedDelays {
            until: self.until.min(other.until),
            unserved: self.unserved && other.unserved,
        }
    }
}

/// The waiters for an idle queue, and the delayed messages that all of them wait for. In a box,
/// since most queues have none.
#[derive(Debug, Default)]
pub(super) struct IdleWaiters(Option<Box<(WaitList, AwaitedDelays)>>);

impl IdleWaiters {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let waiters = self.0.as_ref();
        waiters.is_none_or(|waiters| waiters.0.is_empty())
    }

    fn register(&mut self, awaited: AwaitedDelays, ticket: Ticket<'_>) {
        let (list, awaited_by_all) = &mut **self.0.get_or_insert_default();
        // All are woken when the first of them may go on. The others wait again.
        *awaited_by_all = match list.is_empty() {
            true => awaited,
            false => awaited_by_all.of_both(awaited),
        };
        list.register(ticket);
    }

    fn awaited(&self) -> AwaitedDelays {
        let waiters = self.0.as_ref();
        waiters.map_or(AwaitedDelays::default(), |waiters| waiters.1)
    }

    fn list(&mut self) -> &mut WaitList {
        &mut self.0.get_or_insert_default().0
    }

    #[must_use = "waiters that were claimed must be woken"]
    pub(super) fn take_all(&mut self) -> Vec<Wake> {
        let waiters = self.0.as_mut();
        waiters.map_or(Vec::new(), |waiters| waiters.0.take_all())
    }
}

impl QueueState {
    /// Whether the queue is idle: every delivery is settled, no consumer is here to take a ready
    /// message, and no awaited message is delayed. A consumer that its user has paused counts as
    /// absent, since it may never be resumed.
    pub(super) fn is_idle(&self, awaited: AwaitedDelays) -> bool {
        let settled = self
            .credits()
            .all(|(handed, credit, _)| credit.settled() == handed);
        let has_work = !self.ready.is_empty() || self.has_unread();
        let served = !has_work || !self.consumers.is_attended();
        let awaits = awaited.unserved || self.consumers.is_attended();
        let awaited = awaits && self.timing.delayed.first_due() <= awaited.until;
        self.deleted
            || settled && served && !awaited && self.tally.got() == MessageTotals::default()
    }

    /// Requests a notification of every consumer's last settlement.
    pub(super) fn request_settlements(&self) {
        for (handed, credit, _) in self.credits() {
            credit.notify_no_later_than(handed.messages);
        }
    }

    /// Registers a waiter for an [idle](Self::is_idle) queue. A request for
    /// [settlements](Self::request_settlements) precedes it.
    pub(super) fn await_idle(&mut self, awaited: AwaitedDelays, ticket: Ticket<'_>) {
        self.idle_waiters.register(awaited, ticket);
    }

    /// The waiters for an idle queue.
    pub(super) fn idle_waiters(&mut self) -> &mut WaitList {
        self.idle_waiters.list()
    }

    /// Wakes the waiters for an idle queue, if it is idle. Otherwise requests the notifications
    /// again, since each delivery since then has cleared one.
    pub(super) fn wake_idle_waiters(&mut self, effects: &mut Effects) {
        if self.idle_waiters.is_empty() {
            return;
        }
        self.request_settlements();
        if self.is_idle(self.idle_waiters.awaited()) {
            for wake in self.idle_waiters.take_all() {
                effects.wake(Some(wake));
            }
        }
    }
}
