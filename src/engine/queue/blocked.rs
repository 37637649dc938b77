//! Blocked publishers: those that wait for room in a blocking queue, or in a blocking budget.
//!
//! # The lines
//! A queue has a line of publishers, and so has each budget. A publisher passes the line of the
//! queue first, then those of the budgets: the budget that the queue names, then those of the whole
//! virtual host in the order of their names. It keeps its room in one line while it waits in the
//! next. That stops no publisher that could go on, since all those in the one line need room in the
//! next as well. The order is the same for all, so no publishers wait in a circle.
//!
//! Room that becomes free is given to the first publisher in line, if its message fits, and so on.
//! Each publisher is woken once. The room is its own until it publishes or leaves. A newcomer waits
//! behind all others, also if its smaller message would fit. Only messages that are in the queue
//! already, or that cannot wait, take precedence: delayed messages that are due, returned messages
//! and messages of the broker itself. The publisher whose room they have taken waits again, at its
//! old place in line.
//!
//! A due message does not wait for a publisher that has room in the line of the queue. That
//! publisher may still wait in the line of a budget, for the bytes of the due message itself.

use std::task::Poll;

use super::{
    QueueCore,
    effects::Effects,
    line::LinePlace,
    outcome::{PushError, PushedBy},
    state::QueueState,
};
use crate::{
    message::envelope::Envelope,
    model::{descriptions::Overflow, message_totals::MessageTotals},
    runtime::waiter::{Ticket, WaitList, Wake},
};

/// The places of one publisher in the lines that lead into one queue.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(super) queue: Option<LinePlace>,
    /// By the index of the blocking budget.
    pub(super) budgets: Vec<Option<LinePlace>>,
    pub(super) waits_for: WaitsFor,
}

/// The line in which a publisher waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WaitsFor {
    #[default]
    Queue,
    /// The blocking budget with this index.
    Budget(usize),
}

impl Place {
    pub(crate) fn is_in_no_line(&self) -> bool {
        self.queue.is_none() && self.budgets.is_empty()
    }

    /// Whether the last wait was for a budget, and not for the queue.
    pub(crate) fn waits_for_budget(&self) -> bool {
        matches!(self.waits_for, WaitsFor::Budget(_))
    }
}

impl QueueState {
    /// As [`enqueue`](Self::enqueue) for a publisher that waits for room. If there is none, it has
    /// a place in line afterwards.
    pub(crate) fn enqueue_in_line(
        &mut self,
        message: &mut Option<Envelope>,
        place: &mut Place,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        if self.deleted {
            return Err(PushError::Deleted);
        }
        self.check_shareable(message)?;
        let size = message.as_ref().map_or(0, Envelope::size);
        self.admit(size, PushedBy::Publisher, Some(place), now, effects)?;
        self.take_in_selectively(message, PushedBy::Publisher, now, effects);
        Ok(())
    }

    /// Finds room for a publisher's message of `size` bytes among the ready messages. If there is
    /// none, a publisher with a place joins the line.
    pub(super) fn find_room(
        &mut self,
        size: u64,
        place: Option<&mut Place>,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        if self.settings.overflow != Some(Overflow::Block) {
            return Ok(());
        }
        let own = place.as_ref().and_then(|place| place.queue);
        let mut has_room = self.has_room_in_line(size, own.as_ref());
        if !has_room {
            // It may be full of messages that consumers could have by now.
            self.apply_settlements(now, effects);
            has_room = self.has_room_in_line(size, own.as_ref());
        }
        let Some(place) = place else {
            return if has_room {
                Ok(())
            } else {
                Err(PushError::Full)
            };
        };
        if has_room {
            place.queue = Some(own.unwrap_or_else(|| self.line.grant(size)));
            return Ok(());
        }
        place.waits_for = WaitsFor::Queue;
        match &mut place.queue {
            None => place.queue = Some(self.line.join(size, 0)),
            Some(own) if self.line.is_waiting(own) => {}
            Some(own) => {
                self.line.revoke(own, 0);
                // What waits in one line holds no room in a later one.
                let later = std::mem::take(&mut place.budgets);
                if let Some(account) = &self.account {
                    account.leave(&later, effects);
                }
            }
        }
        Err(PushError::Full)
    }

    fn has_room_in_line(&self, size: u64, own: Option<&LinePlace>) -> bool {
        match own {
            Some(own) => {
                !self.line.is_waiting(own) && self.has_room_beside(MessageTotals::default(), size)
            }
            None => {
                self.line.is_empty()
                    && !self.timing.delayed.has_overdue()
                    && self.has_room_beside(self.line.granted(), size)
            }
        }
    }

    /// Whether a publisher's message fits beside the ready messages and those of `others`. The
    /// first message always fits, whatever its size and the limit, so that no publisher waits
    /// forever.
    pub(super) fn has_room_beside(&self, others: MessageTotals, size: u64) -> bool {
        let settings = &self.settings;
        let messages = (self.ready.len() as u64).saturating_add(others.messages);
        if settings.overflow != Some(Overflow::Block) || messages == 0 {
            return true;
        }
        let bytes = self.ready.bytes().saturating_add(others.bytes);
        let bytes = bytes.saturating_add(size);
        settings.max_length.is_none_or(|limit| messages < limit)
            && settings.max_length_bytes.is_none_or(|limit| bytes <= limit)
    }

    /// Gives the room that there is to the due messages that wait for it, then to the publishers
    /// that wait. Messages may have become ready, so the timer may have to be set.
    #[inline]
    pub(super) fn admit_waiting(&mut self, now: u64, effects: &mut Effects) {
        self.admit_overdue(now, effects);
        self.schedule(effects);
        self.admit_publishers(effects);
    }

    /// Gives the room that there is to the publishers that wait, in their order. They come after
    /// all due messages.
    pub(super) fn admit_publishers(&mut self, effects: &mut Effects) {
        while let Some(size) = self.line.first_size() {
            let waits = self.timing.delayed.has_overdue();
            if waits || !self.has_room_beside(self.line.granted(), size) {
                return;
            }
            effects.wake(self.line.grant_first());
        }
    }

    /// Uses up the room of a publisher whose message enters the queue.
    pub(super) fn spend(&mut self, place: &mut Place) {
        let Place { queue, budgets, .. } = std::mem::take(place);
        if let Some(own) = queue {
            self.line.leave(&own);
        }
        if let Some(account) = &self.account {
            account.spend(&budgets);
        }
    }

    /// Removes a publisher from the lines. The next ones get its room.
    fn leave_lines(&mut self, place: Place, effects: &mut Effects) {
        if let Some(own) = place.queue {
            self.line.leave(&own);
            self.admit_publishers(effects);
        }
        if let Some(account) = &self.account {
            account.leave(&place.budgets, effects);
        }
    }
}

impl QueueCore {
    /// Ready if the publisher need not wait in the line in which it waited last, or if `over`
    /// returns `true`. Otherwise registers it with the ticket.
    pub(crate) fn await_room(
        &self,
        place: &Place,
        ticket: Option<Ticket<'_>>,
        over: impl FnOnce() -> bool,
    ) -> Poll<()> {
        let mut poll = Poll::Ready(());
        self.with_blocked(place, |waiters| {
            if over() {
                return;
            }
            if let Some(waiters) = waiters {
                poll = Poll::Pending;
                if let Some(ticket) = ticket {
                    waiters.register(ticket);
                }
            }
        });
        poll
    }

    /// Calls `f` with the list in which the publisher registers, if it waits.
    pub(crate) fn with_blocked(&self, place: &Place, f: impl FnOnce(Option<&mut WaitList>)) {
        match (place.waits_for, &self.account) {
            (WaitsFor::Budget(index), Some(account)) => account.with_blocked(place, index, f),
            _ => {
                let mut state = self.lock();
                let own = place.queue.as_ref();
                f(own.and_then(|own| state.line.waiters(own)));
            }
        }
    }

    /// Removes a publisher from the lines.
    pub(crate) fn leave_lines(&self, place: &mut Place) -> Effects {
        let mut effects = Effects::none();
        if !place.is_in_no_line() {
            let place = std::mem::take(place);
            self.lock().leave_lines(place, &mut effects);
        }
        effects
    }

    /// Lets all publishers that wait for room in the queue look again, because the broker drains.
    #[must_use = "the returned waiters must be woken"]
    pub(crate) fn wake_blocked(&self) -> Vec<Wake> {
        self.lock().line.wake_all()
    }

    /// The number of publishers that wait for room in the queue itself.
    #[cfg(test)]
    pub(crate) fn blocked_len(&self) -> usize {
        self.lock().line.len()
    }
}
