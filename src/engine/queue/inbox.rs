//! The inbox of a typed consumer: the messages that it has in advance and that it has not seen.
//!
//! A receiver takes the whole inbox as one run, without another look at the queue for each message.
//! Messages expire in the inbox as they do in the queue: at the head, by the timer, and at the
//! latest when they would be received. So a run returns to the inbox as soon as the time of one of
//! its messages is over. From then on they are taken one by one, until none of them is left.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Weak},
};

use super::{
    consumer_id::ConsumerId, consumer_state::DeliveryTarget, effects::Effects, outcome::Checkout,
    singles::Singles, state::QueueState,
};
use crate::{
    message::{
        envelope::{Envelope, NEVER},
        headers::x_death::DeathReason,
    },
    model::{message_totals::MessageTotals, slow_consumer::SlowConsumerPolicy},
    runtime::waiter::{SeldomWaitList, Ticket, WaitList, Wake},
};

/// The consumer of an inbox, which has the run that it took last.
pub(crate) trait InboxOwner: fmt::Debug + Send + Sync {
    /// Returns to the queue what the consumer has in advance. Returns the number of messages.
    fn return_unseen(&self) -> u64;

    /// Returns to the queue what the consumer has in advance, if it has not settled deliveries in
    /// time. Runs user code.
    fn return_if_late(&self);

    /// Cancels the consumer, since it is too slow. Runs user code.
    fn cancel_slow(&self);

    /// Puts its run back into the inbox, if the time of a message of it is over. Runs user code.
    fn look_after_run(&self);
}

/// How long a consumer gets nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pause {
    #[default]
    None,
    /// The consumer has given back what it had in advance.
    UntilReceive,
    /// The user has paused the consumer.
    UntilResume,
    /// The consumer has not settled deliveries in time.
    UntilSettled,
}

impl Pause {
    /// Whether only the user of the consumer can end it.
    pub(super) fn is_absence(self) -> bool {
        self >= Pause::UntilResume
    }
}

/// Messages that a consumer has in advance. Each delivery uses the first two fields, which are the
/// first in memory too.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Inbox {
    /// In the order of delivery, behind those of `singles`. Messages are only added here and taken
    /// all at once, so a `Vec` is enough.
    pub(super) run: Vec<Envelope>,
    /// Receivers that found the inbox empty.
    pub(super) waiting: WaitList,
    /// Messages that are taken one by one. In a box, since they are only where messages expire.
    pub(super) singles: Option<Box<Singles>>,
    /// A receiver asked for messages and found none since the last run was taken.
    pub(super) wants_more: bool,
    /// Whether the consumer gets nothing now.
    pub(super) pause: Pause,
    /// Waiters for the end of the consumer.
    pub(super) end_waiters: SeldomWaitList,
    owner: Option<Weak<dyn InboxOwner>>,
}

impl Inbox {
    pub(super) fn len(&self) -> usize {
        let singles = self.singles.as_ref();
        singles.map_or(0, |singles| singles.messages.len()) + self.run.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.has_no_singles()
    }

    fn has_no_singles(&self) -> bool {
        let singles = self.singles.as_ref();
        singles.is_none_or(|singles| singles.messages.is_empty())
    }

    /// The consumer, if it is still there.
    pub(super) fn owner(&self) -> Option<Arc<dyn InboxOwner>> {
        self.owner.as_ref()?.upgrade()
    }

    /// Frees the buffers that are empty.
    fn free_buffers(&mut self) {
        if self.run.is_empty() {
            self.run = Vec::new();
        }
        self.singles = self.singles.take().filter(|singles| singles.is_used());
    }

    /// Records that the message at this position does not expire here.
    pub(super) fn keep(&mut self, position: u64, awaited: bool) {
        let singles = self.singles.get_or_insert_default();
        singles.keep(position, awaited);
    }

    /// See [`Singles::release_last`].
    fn release_last(&mut self) {
        if let Some(singles) = &mut self.singles {
            singles.release_last();
        }
    }

    /// Puts a message that was taken from here back to the front. Returns the receiver to be woken.
    fn put_back(&mut self, envelope: Envelope) -> Option<Wake> {
        self.split_run().put_back(envelope);
        let wake = self.waiting.take_one();
        if wake.is_none() {
            self.release_last();
        }
        wake
    }

    /// Takes all messages, in the order of delivery.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Envelope> + '_ {
        let singles = self.singles.iter_mut();
        let first = singles.flat_map(|singles| singles.drain());
        first.chain(self.run.drain(..))
    }

    /// Moves all messages into `run`, which is empty.
    pub(super) fn take_run(&mut self, run: &mut VecDeque<Envelope>) {
        if self.has_no_singles() {
            let room = std::mem::take(run).into();
            *run = std::mem::replace(&mut self.run, room).into();
        } else {
            run.extend(self.drain());
        }
    }

    /// Moves the first message into `run`.
    pub(super) fn take_first(&mut self, run: &mut VecDeque<Envelope>) {
        run.extend(self.split_run().take_first());
    }

    /// Makes the messages of the run ready to be taken one by one.
    pub(super) fn split_run(&mut self) -> &mut Singles {
        let singles = self.singles.get_or_insert_default();
        if singles.messages.is_empty() {
            let room = std::mem::take(&mut singles.messages).into();
            singles.messages = std::mem::replace(&mut self.run, room).into();
        }
        singles
    }

    /// Takes the first message out if it has expired.
    fn pop_expired(&mut self, now: u64) -> Option<Envelope> {
        let is_due = |first: &Envelope| first.deadline() <= now;
        match self.is_one_run() {
            true if !self.run.first().is_some_and(is_due) => None,
            _ => self.split_run().pop_expired(now),
        }
    }

    /// Takes out expired messages. Those behind an unexpired one stay, as in RabbitMQ. Messages
    /// that do not expire here are passed over.
    fn expire(&mut self, now: u64, expired: &mut Vec<Envelope>) {
        let singles = self.singles.get_or_insert_default();
        let mut kept = 0;
        loop {
            if kept >= singles.messages.len() {
                singles.messages.extend(self.run.drain(..));
            }
            let Some(head) = singles.messages.get(kept) else {
                return;
            };
            if singles.is_kept(kept, head) {
                kept += 1;
            } else if head.deadline() <= now {
                expired.extend(singles.messages.remove(kept));
            } else {
                return;
            }
        }
    }

    /// When the first message that may expire here expires. [`NEVER`] means not at all.
    pub(super) fn first_due(&self) -> u64 {
        let singles = self.singles.as_deref();
        let first = singles.into_iter().flat_map(|singles| &singles.messages);
        let mut messages = first.chain(&self.run).enumerate();
        let expires = |(index, envelope): &(usize, &Envelope)| {
            !singles.is_some_and(|singles| singles.is_kept(*index, envelope))
        };
        let first = messages.find(expires);
        first.map_or(NEVER, |(_, envelope)| envelope.deadline())
    }
}

impl QueueState {
    /// Moves messages of a consumer's inbox into `run`, which the consumer has finished. If the
    /// inbox is empty, registers the receiver with the ticket.
    pub(crate) fn checkout(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        ticket: Option<Ticket<'_>>,
        now: u64,
        effects: &mut Effects,
    ) -> Checkout {
        let one_by_one = self.timing.has_deadlines();
        if one_by_one {
            self.expire_head(id, now, effects);
        }
        let Some(inbox) = self.consumers.inbox(id) else {
            return Checkout::Gone;
        };
        if inbox.is_empty() {
            if inbox.pause == Pause::UntilReceive {
                inbox.pause = Pause::None;
            }
            // Set before the credit is checked, since a receiver that waits needs a notification of
            // every settlement. This also holds if nothing is ready. The consumer may already be
            // out of credit, and without the notification the next message would not be delivered
            // to it.
            inbox.wants_more = true;
            self.apply_settlements(now, effects);
        }
        let Some(subscriber) = self.consumers.get_mut(id) else {
            return Checkout::Gone;
        };
        // A message that is taken cannot be dropped any more if the consumer is too slow.
        let single = subscriber.on_slow == SlowConsumerPolicy::DropOldest
            || one_by_one && !subscriber.has_one_run();
        if subscriber.take_inbox(run, single) {
            if one_by_one {
                // The receiver takes the first one now.
                self.lend(id, run.iter().skip(1), effects);
                self.expire_again(id, now, effects);
            }
            return Checkout::Taken;
        }
        if let (Some(ticket), Some(inbox)) = (ticket, self.consumers.inbox(id)) {
            inbox.waiting.register(ticket);
        }
        Checkout::Empty
    }

    /// Puts a message that a consumer has taken from its inbox and has not seen back to the front
    /// of the inbox. Another receiver may have found no message in the meantime, so one is woken.
    /// The consumer's run returns there too, behind that message. Gives the message back if the
    /// consumer was removed.
    pub(crate) fn put_back_in_inbox(
        &mut self,
        id: ConsumerId,
        envelope: Envelope,
        run: &mut VecDeque<Envelope>,
        now: u64,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        let subscriber = match self.consumers.get_mut(id) {
            Some(subscriber) => subscriber,
            None => return Some(envelope),
        };
        let DeliveryTarget::Inbox(inbox) = &mut subscriber.target else {
            return Some(envelope);
        };
        inbox.put_run_back(run);
        effects.wake(inbox.put_back(envelope));
        subscriber.credit.set_filled(true);
        self.expire_again(id, now, effects);
        None
    }

    /// A receiver that was woken for a message has taken none. Wakes the next one in its place. If
    /// there is none, the message may expire again.
    pub(crate) fn receiver_left(&mut self, id: ConsumerId, now: u64, effects: &mut Effects) {
        let Some(inbox) = self.consumers.inbox(id) else {
            return;
        };
        match inbox.waiting.take_one() {
            Some(wake) => effects.wake(Some(wake)),
            None => {
                inbox.release_last();
                self.expire_again(id, now, effects);
            }
        }
    }

    /// Another message of an inbox may be the first that expires there. Ends it if its time is
    /// over. Otherwise the timer does it.
    fn expire_again(&mut self, id: ConsumerId, now: u64, effects: &mut Effects) {
        let due = self.consumers.inbox(id).map(|inbox| inbox.first_due());
        self.delivered_in_advance(due.unwrap_or(NEVER), effects);
        self.expire_inboxes(now, effects);
    }

    /// Sets the consumer of an inbox.
    pub(crate) fn set_inbox_owner(&mut self, id: ConsumerId, owner: Weak<dyn InboxOwner>) {
        if let Some(inbox) = self.consumers.inbox(id) {
            inbox.owner = Some(owner);
        }
    }

    /// Returns the messages that a consumer has in advance to their positions, unchanged: those of
    /// its inbox, and those of `run`. Returns their number.
    ///
    /// The consumer gets nothing until its next receive, unless a receiver waits for a message now.
    pub(crate) fn return_unseen(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        now: u64,
        effects: &mut Effects,
    ) -> u64 {
        self.consumers.pause_until_receive(id);
        self.take_back(id, run, now, effects)
    }

    /// Pauses a consumer, or ends its pause. A paused consumer gets nothing, whether a receiver
    /// waits or not. What it has in advance returns, as by [`return_unseen`](Self::return_unseen).
    pub(crate) fn set_paused(
        &mut self,
        id: ConsumerId,
        paused: bool,
        run: &mut VecDeque<Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        if paused {
            self.consumers.pause(id, Pause::UntilResume);
            self.take_back(id, run, now, effects);
            return;
        }
        match self.consumers.inbox(id) {
            Some(inbox) if inbox.pause == Pause::UntilResume => inbox.pause = Pause::None,
            _ => return,
        }
        self.tally.rare().again_ready += 1;
        self.serve_again(now, effects);
    }

    /// Returns what a consumer has in advance to its positions, and serves the others.
    pub(super) fn take_back(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        now: u64,
        effects: &mut Effects,
    ) -> u64 {
        let returned = self.return_inbox(id, run, effects);
        self.serve_again(now, effects);
        returned
    }

    /// As [`take_back`](Self::take_back), and serves no one.
    pub(super) fn return_inbox(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        effects: &mut Effects,
    ) -> u64 {
        let Some(subscriber) = self.consumers.get_mut(id) else {
            return 0;
        };
        let unseen = subscriber.take_back(run.drain(..));
        let returned = unseen.len() as u64;
        if let Some(first) = unseen.first() {
            self.read_again(id, first.position());
        }
        for envelope in unseen {
            self.put_back_undelivered(envelope, effects);
        }
        returned
    }

    /// Ends the messages at the head of a consumer's inbox that have expired.
    fn expire_head(&mut self, id: ConsumerId, now: u64, effects: &mut Effects) {
        let mut expired = Vec::new();
        if let Some(subscriber) = self.consumers.get_mut(id) {
            subscriber.remove_from_inbox(&mut expired, |inbox, expired| {
                expired.extend(std::iter::from_fn(|| inbox.pop_expired(now)));
            });
        }
        self.end_expired(expired, now, effects);
    }

    /// Ends the expired messages of all inboxes, as far as they are not behind an unexpired one.
    /// `false` if runs with expired messages are put back first, after which the timer is called.
    pub(super) fn expire_inboxes(&mut self, now: u64, effects: &mut Effects) -> bool {
        if self.timing.inboxes_due().is_none_or(|due| due > now) {
            return true;
        }
        if self.calls_runs_back(now, effects) {
            return false;
        }
        let mut expired = Vec::new();
        let mut due = NEVER;
        for subscriber in self.consumers.iter_mut() {
            subscriber.remove_from_inbox(&mut expired, |inbox, expired| {
                inbox.expire(now, expired);
                due = due
                    .min(inbox.first_due())
                    .min(inbox.run_due().unwrap_or(NEVER));
            });
        }
        self.timing.set_inboxes_due((due != NEVER).then_some(due));
        self.end_expired(expired, now, effects);
        true
    }

    fn end_expired(&mut self, expired: Vec<Envelope>, now: u64, effects: &mut Effects) {
        if expired.is_empty() {
            return;
        }
        for envelope in expired {
            self.dead_letter_or_drop(envelope, DeathReason::Expired, effects);
        }
        self.serve_again(now, effects);
    }

    /// Serves consumers that have credit again.
    fn serve_again(&mut self, now: u64, effects: &mut Effects) {
        self.consumers.reconsider(None);
        self.settle_ready(now, effects);
    }

    /// Frees the buffers of an idle queue. Who waits for long has time to get new ones, and there
    /// may be very many idle queues. `consumer` is the consumer that waits, if there is one.
    pub(crate) fn on_idle(&mut self, consumer: Option<ConsumerId>) {
        if let Some(inbox) = consumer.and_then(|id| self.consumers.inbox(id)) {
            inbox.free_buffers();
        }
        self.ready.shrink_to_idle();
    }

    /// The capacities of a consumer's inbox and of the ready messages.
    #[cfg(test)]
    pub(crate) fn capacities(&mut self, id: ConsumerId) -> (usize, usize) {
        let inbox = self.consumers.inbox(id);
        (
            inbox.map_or(0, |inbox| inbox.run.capacity()),
            self.ready.capacity(),
        )
    }

    /// The receivers that wait for a consumer's inbox.
    pub(crate) fn receivers(&mut self, id: ConsumerId) -> Option<&mut WaitList> {
        self.consumers.inbox(id).map(|inbox| &mut inbox.waiting)
    }

    /// The waiters for the end of a consumer.
    pub(crate) fn end_waiters(&mut self, id: ConsumerId) -> Option<&mut WaitList> {
        let inbox = self.consumers.inbox(id)?;
        Some(inbox.end_waiters.list())
    }

    /// The number of messages that a consumer may receive: those of its inbox, and the ready ones.
    /// 0 if it was removed.
    pub(crate) fn within_reach(&mut self, id: ConsumerId) -> usize {
        let inbox = self.consumers.inbox(id).map(|inbox| inbox.len());
        inbox.map_or(0, |inbox| inbox + self.ready.len() + self.unread(id))
    }

    /// The prefetch of a consumer, if it holds as many unsettled messages.
    pub(crate) fn reached_prefetch(&mut self, id: ConsumerId) -> Option<u32> {
        self.consumers.get_mut(id)?.reached_prefetch()
    }
}

/// Adds the messages of an iterator to the totals.
pub(super) fn totals_of<'a>(messages: impl IntoIterator<Item = &'a Envelope>) -> MessageTotals {
    let mut totals = MessageTotals::default();
    for envelope in messages {
        totals.add_message(envelope.size());
    }
    totals
}
