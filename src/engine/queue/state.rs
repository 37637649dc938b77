//! A queue's verbs, on the plain data behind its lock: holding the lock is a type here, not a promise.
//!
//! Taking in, handing over, settling and ending; how messages end without a consumer is in `limits`, what the clock does
//! in `timing`.

use std::{collections::VecDeque, sync::Arc, vec};

use super::{
    budget::Account,
    consumer_id::ConsumerId,
    consumer_state::{DeliveryTarget, SubscribeRequest},
    consumers::Consumers,
    effects::{Effect, Effects},
    outcome::{Checkout, DeleteRefused, Deleted, PushError, PushedBy, SubscribeRefused},
    permit::Permit,
    ready::Ready,
    returns::Retired,
    tally::{Counts, Tally},
    timing::Timing,
};
use crate::model::message_totals::MessageTotals;
use crate::{
    message::envelope::{Envelope, NEVER},
    model::{arguments::QueueArguments, error::CancelReason},
    runtime::waiter::{Ticket, WaitList},
};

/// For how many messages there is room where nothing happens.
pub(crate) const IDLE_CAPACITY: usize = 4;

/// Everything behind a queue's lock.
#[derive(Debug)]
pub(crate) struct QueueState {
    /// The arguments in effect: the queue's own, and those of the policies that match it.
    pub(super) settings: QueueArguments,
    /// With the budgets that cover the queue.
    pub(super) account: Option<Arc<Account>>,
    pub(super) ready: Ready,
    pub(super) consumers: Consumers,
    next_position: u64,
    /// Those who wait for a message without being consumers.
    get_waiters: WaitList,
    /// Those who wait until nothing is under way any more.
    pub(super) idle_waiters: WaitList,
    /// Publishers that wait for room.
    publish_waiters: WaitList,
    /// Credits of removed consumers whose deliveries are still out, with what they were handed.
    pub(super) retired: Vec<Retired>,
    had_consumer: bool,
    pub(super) deleted: bool,
    pub(super) timing: Timing,
    pub(super) tally: Tally,
}

impl QueueState {
    pub(crate) fn new(settings: QueueArguments, account: Option<Arc<Account>>) -> QueueState {
        QueueState {
            account,
            ready: Ready::new(settings.max_priority.unwrap_or(0)),
            consumers: Consumers::new(settings.single_active_consumer),
            settings,
            next_position: 0,
            get_waiters: WaitList::default(),
            idle_waiters: WaitList::default(),
            publish_waiters: WaitList::default(),
            retired: Vec::new(),
            had_consumer: false,
            deleted: false,
            timing: Timing::default(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    pub(super) fn next_position(&mut self) -> u64 {
        let position = self.next_position;
        self.next_position += 1;
        position
    }

    /// Other arguments are in effect now: limits hold at once, a new time to live only for what comes.
    pub(crate) fn reconfigure(
        &mut self,
        settings: QueueArguments,
        now: u64,
        effects: &mut Effects,
    ) {
        if self.deleted {
            return;
        }
        let lease_changed = self.settings.expires != settings.expires;
        self.settings = settings;
        if lease_changed {
            self.renew_lease(now, effects);
        }
        self.settle_ready(PushedBy::Publisher, now, effects);
    }

    /// Takes a new message in, out of `message`: to a consumer if one can take it, else to the ready messages.
    ///
    /// Passed by reference, it is moved once, into its place: an envelope is large, and this is the way that every message goes.
    #[inline]
    pub(crate) fn enqueue(
        &mut self,
        message: &mut Option<Envelope>,
        by: PushedBy,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        let Some(envelope) = message else {
            return Ok(());
        };
        let size = envelope.size();
        if envelope.deadline == NEVER {
            if let Some(permit) = self.reserve() {
                if let Some(envelope) = message.take() {
                    effects.wake(permit.send(size, |position| envelope.at(position)));
                }
                return Ok(());
            }
        }
        if self.deleted {
            return Err(PushError::Deleted);
        }
        if self.is_selective() {
            self.admit(size, by, now, effects)?;
        }
        self.tally.taken_in += MessageTotals::new(1, size);
        envelope.position = self.next_position();
        // Invariant 3: while something is ready, no consumer is in turn that could take this one first.
        if self.ready.is_empty() && self.consumers.deliver(message, size, effects) {
            if !self.idle_waiters.is_empty() {
                self.wake_idle_waiters(effects);
            }
        } else if let Some(envelope) = message.take() {
            self.make_ready(envelope, by, now, effects);
        }
        Ok(())
    }

    /// Reserves the slot for the next message. `None` if a limit, a priority, a budget or a waiter
    /// other than a receiver has a say in where the message goes, or if no slot is free.
    #[inline(always)]
    pub(super) fn reserve(&mut self) -> Option<Permit<'_>> {
        if self.deleted || self.is_selective() || !self.idle_waiters.is_empty() {
            return None;
        }
        let slot = match self.ready.is_empty() {
            true => self.consumers.reserve()?,
            // Invariant 3: no consumer is in turn that could take it.
            false if self.is_limited() || !self.get_waiters.is_empty() => return None,
            false => self.ready.reserve()?,
        };
        Some(Permit {
            slot,
            taken_in: &mut self.tally.taken_in,
            next_position: &mut self.next_position,
        })
    }

    /// Takes plain messages in, one after the other: `make` makes one of each payload and its
    /// position, and runs no user code. It stops at a message that is refused and returns that; the
    /// payloads behind it stay in `payloads`. A queue that is deleted or may refuse takes none.
    pub(super) fn enqueue_batch<P>(
        &mut self,
        payloads: &mut vec::IntoIter<P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, u64) -> Envelope,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        if self.deleted || self.is_selective() {
            return None;
        }
        for payload in payloads {
            if let Some(permit) = self.reserve() {
                effects.wake(permit.send(size(&payload), |position| make(payload, position)));
                continue;
            }
            let mut message = Some(make(payload, 0));
            let enqueued = self.enqueue(&mut message, PushedBy::Publisher, 0, effects);
            if enqueued.is_err() {
                return message;
            }
        }
        None
    }

    /// Has a new message wait until a consumer can take it.
    fn make_ready(&mut self, envelope: Envelope, by: PushedBy, now: u64, effects: &mut Effects) {
        let timed = envelope.deadline != NEVER;
        self.ready.push_back(envelope);
        if timed || self.is_limited() {
            if self.is_over() {
                self.apply_settlements(now, effects);
            }
            self.trim(by, effects);
            self.expire(now, effects);
            self.schedule(effects);
            self.wake_publish_waiters(effects);
        }
        effects.wake(self.get_waiters.take_one());
    }

    /// Takes the next ready message out, to be settled by [`settle_gets`](Self::settle_gets). With it comes the number of
    /// messages that are still ready.
    pub(crate) fn get(&mut self, now: u64, effects: &mut Effects) -> Option<(Envelope, usize)> {
        self.apply_settlements(now, effects);
        self.expire(now, effects);
        let envelope = self.ready.pop();
        self.expire(now, effects);
        self.schedule(effects);
        self.wake_publish_waiters(effects);
        let envelope = envelope?;
        self.tally.got.add_message(envelope.size());
        Some((envelope, self.ready.len()))
    }

    /// Those who wait for a ready message. They register when [`get`](Self::get) gave nothing and the queue is there.
    pub(crate) fn get_waiters(&mut self) -> &mut WaitList {
        &mut self.get_waiters
    }

    /// Those who wait for room. They register when the queue [is full](Self::is_full).
    pub(crate) fn publish_waiters(&mut self) -> &mut WaitList {
        &mut self.publish_waiters
    }

    /// Messages taken by [`get`](Self::get) are acknowledged.
    pub(crate) fn settle_gets(&mut self, messages: u64, bytes: u64, effects: &mut Effects) {
        let amount = MessageTotals::new(messages, bytes);
        self.tally.got -= amount;
        self.tally.acked += amount;
        self.refund(bytes, effects);
        self.wake_idle_waiters(effects);
    }

    /// Adds a consumer; `sink` learns its id before the first message comes.
    pub(crate) fn subscribe(
        &mut self,
        ask: SubscribeRequest,
        sink: impl FnOnce(ConsumerId) -> DeliveryTarget,
        now: u64,
        effects: &mut Effects,
    ) -> Result<ConsumerId, SubscribeRefused> {
        if self.deleted {
            return Err(SubscribeRefused::Deleted);
        }
        let alone = !self.consumers.is_empty() || self.settings.single_active_consumer;
        if self.consumers.has_exclusive() || ask.exclusive && alone {
            return Err(SubscribeRefused::InUse);
        }
        self.had_consumer = true;
        let id = self.consumers.add(ask, sink);
        self.settle_ready(PushedBy::Publisher, now, effects);
        Ok(id)
    }

    /// A consumer has worked through its run: it gets all that is in its inbox. If that is nothing, the receiver with
    /// the ticket is registered.
    pub(crate) fn checkout(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        ticket: Option<Ticket<'_>>,
        now: u64,
        effects: &mut Effects,
    ) -> Checkout {
        let Some(inbox) = self.consumers.inbox(id) else {
            return Checkout::Gone;
        };
        if inbox.run.is_empty() {
            // Before the credit is looked at: one who waits asks to be told of every settlement. That holds if nothing is ready, too: the
            // consumer may be out of credit from earlier, and what comes next passes it by unless it asks now.
            inbox.wants_more = true;
            self.apply_settlements(now, effects);
        }
        let Some(subscriber) = self.consumers.get_mut(id) else {
            return Checkout::Gone;
        };
        if subscriber.drain_inbox(run) {
            return Checkout::Taken;
        }
        if let (Some(ticket), Some(inbox)) = (ticket, self.consumers.inbox(id)) {
            inbox.waiting.register(ticket);
        }
        Checkout::Empty
    }

    /// Nobody has anything to do: the room that a burst has taken is not kept for the next. The consumer is the one that waits, if it is one.
    pub(crate) fn on_idle(&mut self, consumer: Option<ConsumerId>) {
        if let Some(inbox) = consumer.and_then(|id| self.consumers.inbox(id)) {
            inbox.run.shrink_to(IDLE_CAPACITY);
        }
        self.ready.shrink_to_idle();
    }

    /// For how many messages there is room in a consumer's inbox, and among the ready ones.
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

    pub(crate) fn set_prefetch(
        &mut self,
        id: ConsumerId,
        prefetch: u32,
        now: u64,
        effects: &mut Effects,
    ) {
        self.consumers.set_prefetch(id, prefetch);
        self.settle_ready(PushedBy::Publisher, now, effects);
    }

    /// Ends the queue: messages are dropped, consumers are told. Nothing is dead-lettered.
    pub(crate) fn delete(
        &mut self,
        if_unused: bool,
        if_empty: bool,
        reason: CancelReason,
    ) -> Result<Deleted, DeleteRefused> {
        let mut effects = Effects::none();
        let refused = match () {
            () if self.deleted => Some(DeleteRefused::Deleted),
            () if if_unused && !self.consumers.is_empty() => Some(DeleteRefused::InUse),
            () if if_empty && !self.ready.is_empty() => Some(DeleteRefused::NotEmpty),
            () => None,
        };
        if let Some(refused) = refused {
            return Err(refused);
        }
        self.deleted = true;
        if self.timing.is_scheduled() {
            effects.add(Effect::Unschedule);
        }
        let messages = self.ready.len() as u64;
        for envelope in self
            .ready
            .drain()
            .into_iter()
            .chain(self.timing.delayed.drain())
        {
            self.tally.deleted.add_message(envelope.size());
            effects.add(Effect::Drop(envelope));
        }
        for mut subscriber in self.consumers.drain() {
            subscriber.credit.end();
            if let DeliveryTarget::Push(outlet) = &subscriber.target {
                outlet.cancelled(reason, &mut effects);
            }
            self.retire(&mut subscriber, std::iter::empty(), &mut effects);
        }
        let payers = self.account.as_ref().map(|account| account.close());
        for wake in self
            .get_waiters
            .take_all()
            .into_iter()
            .chain(self.publish_waiters.take_all())
            .chain(self.idle_waiters.take_all())
            .chain(payers.unwrap_or_default())
        {
            effects.wake(Some(wake));
        }
        Ok(Deleted { messages, effects })
    }

    /// Whether an auto-delete queue's time has come.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.had_consumer && self.consumers.is_empty()
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// The counts, after everything settled so far has had its effect.
    pub(crate) fn counts(&mut self, now: u64, effects: &mut Effects) -> Counts {
        self.apply_settlements(now, effects);
        self.prune();
        let tally = self.tally;
        let (mut unsettled, mut acked) = (tally.got, tally.acked);
        for (handed, credit) in self.credits() {
            let settled = credit.settled();
            acked += settled;
            unsettled += handed;
            unsettled -= settled;
        }
        acked -= tally.not_acked;
        Counts {
            ready: MessageTotals::new(self.ready.len() as u64, self.ready.bytes()),
            unsettled,
            delayed: self.delayed(),
            consumers: self.consumers.len(),
            taken_in: tally.taken_in,
            acked,
            dead_lettered: tally.dead_lettered,
            expired: tally.expired,
            dropped: tally.dropped,
            purged: tally.purged,
            moved: tally.moved,
            deleted: tally.deleted,
        }
    }

    /// Has what was settled quietly take effect: consumers that have credit again are served.
    pub(super) fn apply_settlements(&mut self, now: u64, effects: &mut Effects) {
        if !self.consumers.reconsider(None) {
            return;
        }
        if !self.ready.is_empty() {
            self.serve(now, effects);
            self.schedule(effects);
            self.wake_publish_waiters(effects);
        }
        // Consumers that have credit again have forgotten what they were asked to tell.
        self.wake_idle_waiters(effects);
    }

    /// After ready messages came or consumers became able to take some: limits, expiry, service, and whoever waits.
    pub(super) fn settle_ready(&mut self, by: PushedBy, now: u64, effects: &mut Effects) {
        if self.ready.is_empty() {
            self.wake_publish_waiters(effects);
            self.wake_idle_waiters(effects);
            return;
        }
        self.trim(by, effects);
        self.expire(now, effects);
        self.serve(now, effects);
        for _ in 0..self.ready.len() {
            match self.get_waiters.take_one() {
                Some(wake) => effects.wake(Some(wake)),
                None => break,
            }
        }
        self.schedule(effects);
        self.wake_publish_waiters(effects);
        self.wake_idle_waiters(effects);
    }

    /// Hands ready messages over until none is left or nobody can take one (invariant 3).
    fn serve(&mut self, now: u64, effects: &mut Effects) {
        while !self.ready.is_empty() {
            let Some(taker) = self.consumers.next_consumer() else {
                return;
            };
            // Where nothing expires, whoever takes no turns with others takes its messages as one run.
            let ready = &mut self.ready;
            let fill = |run: &mut Vec<Envelope>, most| ready.pop_batch(most, run);
            if now == 0 && taker.alone && self.consumers.deliver_batch(&taker, effects, fill) {
                continue;
            }
            let mut message = self.ready.pop();
            let size = message.as_ref().map_or(0, Envelope::size);
            if !self.consumers.deliver(&mut message, size, effects) {
                message
                    .into_iter()
                    .for_each(|nobodys| self.ready.put_back(nobodys));
                return;
            }
            self.expire(now, effects);
        }
    }

    /// Wakes publishers that wait for room, if there is some.
    pub(super) fn wake_publish_waiters(&mut self, effects: &mut Effects) {
        if !self.publish_waiters.is_empty() && !self.is_full() {
            for wake in self.publish_waiters.take_all() {
                effects.wake(Some(wake));
            }
        }
    }
}
