//! A queue's verbs, on the plain data behind its lock: holding the lock is a type here, not a promise.
//!
//! Taking in, handing over, settling and ending; how messages end without a consumer is in `fate`, what the clock does
//! in `timing`.

use std::{collections::VecDeque, sync::Arc};

use super::{
    consumers::{ConsumerId, Consumers, Group, Sink, Subscribe, Subscriber},
    credit::Credit,
    effects::{Effect, Effects},
    ready::Ready,
    tally::{Amount, Counts, Tally},
    timing::Timing,
};
use crate::{
    arguments::QueueArguments,
    dead_letter::DeathReason,
    envelope::{Envelope, NEVER},
    error::CancelReason,
    waiter::{Ticket, WaitList},
};

/// Everything behind a queue's lock.
#[derive(Debug)]
pub(crate) struct State {
    /// The arguments in effect: the queue's own, and those of the policies that match it.
    pub(super) settings: QueueArguments,
    pub(super) ready: Ready,
    consumers: Consumers,
    next_position: u64,
    /// Those who wait for a message without being consumers.
    getters: WaitList,
    /// Publishers that wait for room.
    publishers: WaitList,
    /// Credits of removed consumers whose deliveries are still out, with what they were handed.
    retired: Vec<Retired>,
    had_consumer: bool,
    deleted: bool,
    pub(super) timing: Timing,
    pub(super) tally: Tally,
}

#[derive(Debug)]
struct Retired {
    handed: Amount,
    credit: Arc<Credit>,
}

/// Who brings a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A publisher, who can be refused or made to wait.
    Publisher,
    /// The broker itself, which cannot: a dead letter, a delayed message whose time has come.
    Effect,
}

/// Why a queue does not take a message.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// It is deleted.
    Deleted(Envelope),
    /// It is at its limit.
    Refused(Envelope),
}

/// A message on its way back, and the consumer that held it (`None`: a get).
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) consumer: Option<(ConsumerId, Arc<Credit>)>,
    pub(crate) envelope: Envelope,
}

/// What a consumer finds when it asks for its run.
#[derive(Debug)]
pub(crate) enum Run {
    /// The run was empty and now holds what the inbox held.
    Taken,
    /// Nothing there; the waiter, if one was given, is registered.
    Empty,
    /// The queue no longer knows the consumer.
    Gone,
}

/// Why a consumer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscribeRefused {
    /// An exclusive consumer is there, or this one wants to be alone and cannot.
    InUse,
    /// The queue was deleted.
    Deleted,
}

/// Why a queue is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteRefused {
    InUse,
    NotEmpty,
    /// It was deleted before.
    Deleted,
}

/// What a deleted queue leaves behind.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// How many messages were ready.
    pub(crate) messages: u64,
    pub(crate) effects: Effects,
}

impl State {
    pub(crate) fn new(settings: QueueArguments) -> State {
        State {
            ready: Ready::new(settings.max_priority.unwrap_or(0)),
            consumers: Consumers::new(settings.single_active_consumer),
            settings,
            next_position: 0,
            getters: WaitList::default(),
            publishers: WaitList::default(),
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
        self.settle_ready(By::Publisher, now, effects);
    }

    /// Takes a new message in: to a consumer if one can take it, else to the ready messages.
    pub(crate) fn push(
        &mut self,
        mut envelope: Envelope,
        by: By,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), NotTaken> {
        if self.deleted {
            return Err(NotTaken::Deleted(envelope));
        }
        if self.refuses(&envelope) {
            self.bury_refused(&mut envelope, effects);
            return Err(NotTaken::Refused(envelope));
        }
        self.tally.taken_in.add(&envelope);
        envelope.position = self.next_position();
        // Invariant 3: while something is ready, no consumer is in turn that could take this one first.
        if self.ready.is_empty() {
            match self.consumers.hand(envelope, effects) {
                Ok(()) => return Ok(()),
                Err(nobody) => envelope = nobody,
            }
        }
        let timed = envelope.deadline != NEVER;
        self.ready.arrive(envelope);
        if timed || self.settings.max_length.is_some() || self.settings.max_length_bytes.is_some() {
            self.trim(by, effects);
            self.expire(now, effects);
            self.schedule(effects);
        }
        effects.wake(self.getters.take_one());
        Ok(())
    }

    /// Takes the next ready message out, to be settled by [`settle_gets`](Self::settle_gets). With it comes the number of
    /// messages that are still ready.
    pub(crate) fn get(&mut self, now: u64, effects: &mut Effects) -> Option<(Envelope, usize)> {
        self.look_again(now, effects);
        self.expire(now, effects);
        let envelope = self.ready.pop();
        self.expire(now, effects);
        self.schedule(effects);
        self.wake_publishers(effects);
        let envelope = envelope?;
        self.tally.got.add(&envelope);
        Some((envelope, self.ready.len()))
    }

    /// Those who wait for a ready message. They register when [`get`](Self::get) gave nothing and the queue is there.
    pub(crate) fn getters(&mut self) -> &mut WaitList {
        &mut self.getters
    }

    /// Those who wait for room. They register when the queue [is full](Self::is_full).
    pub(crate) fn publishers(&mut self) -> &mut WaitList {
        &mut self.publishers
    }

    /// Messages taken by [`get`](Self::get) are acknowledged.
    pub(crate) fn settle_gets(&mut self, messages: u64, bytes: u64) {
        let amount = Amount::new(messages, bytes);
        self.tally.got -= amount;
        self.tally.acked += amount;
    }

    /// A consumer without credit has settled something: it takes turns again, and is served.
    pub(crate) fn settled(&mut self, consumer: ConsumerId, now: u64, effects: &mut Effects) {
        if let Some(group) = self.consumers.group_of(consumer) {
            self.consumers.reconsider(Some(group));
        }
        self.settle_ready(By::Publisher, now, effects);
    }

    /// The group's common limit has room again.
    pub(crate) fn resume(&mut self, group: Group, now: u64, effects: &mut Effects) {
        if self.consumers.resume(group) {
            self.settle_ready(By::Publisher, now, effects);
        }
    }

    /// Messages come back from a consumer that had seen them (`None`: from a get), to their places, as redelivered.
    pub(crate) fn give_back(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        for envelope in batch {
            self.withdraw(consumer, envelope.size());
            if let Some(envelope) = self.count_return(envelope, effects) {
                self.ready.put_back(envelope);
            }
        }
        // The credit of what came back counts before anything is served again.
        if let Some(group) = consumer.and_then(|(consumer, _)| self.consumers.group_of(consumer)) {
            self.consumers.reconsider(Some(group));
        }
        self.settle_ready(By::Publisher, now, effects);
    }

    /// Counts one more return; gives the message back unless it was one too many, or the queue is gone.
    pub(super) fn count_return(
        &mut self,
        mut envelope: Envelope,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        if self.deleted {
            effects.add(Effect::Drop(envelope));
            return None;
        }
        envelope.delivery_count = envelope.delivery_count.saturating_add(1);
        let limit = self.settings.delivery_limit;
        if limit.is_some_and(|limit| u64::from(envelope.delivery_count) > limit) {
            self.die(envelope, DeathReason::DeliveryLimit, effects);
            return None;
        }
        Some(envelope)
    }

    /// Messages are rejected for good.
    pub(crate) fn discard(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        for envelope in batch {
            self.withdraw(consumer, envelope.size());
            match self.deleted {
                true => effects.add(Effect::Drop(envelope)),
                false => self.die(envelope, DeathReason::Rejected, effects),
            }
        }
        if let Some((consumer, _)) = consumer {
            self.settled(consumer, now, effects);
        }
    }

    /// A message that was handed over is no longer unsettled, and was not acknowledged.
    pub(super) fn withdraw(&mut self, consumer: Option<(ConsumerId, &Credit)>, bytes: u64) {
        match consumer {
            Some((_, credit)) => {
                // Whether the queue wanted to be told does not matter: it is being told.
                let _ = credit.settle(1, bytes);
                self.tally.not_acked += Amount::new(1, bytes);
            }
            None => self.tally.got -= Amount::new(1, bytes),
        }
    }

    /// Adds a consumer; `sink` learns its id before the first message comes.
    pub(crate) fn subscribe(
        &mut self,
        ask: Subscribe,
        sink: impl FnOnce(ConsumerId) -> Sink,
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
        self.settle_ready(By::Publisher, now, effects);
        Ok(id)
    }

    /// Removes consumers, all in one critical section: those of a channel, or one. What their inboxes and `run`
    /// (messages taken from an inbox and shown to nobody) hold goes back as if it had never been handed over, and
    /// `returned` (what had been seen) as redelivered. Then the others are served. `false` if none was there.
    pub(crate) fn leave(
        &mut self,
        ids: &[ConsumerId],
        run: &mut VecDeque<Envelope>,
        returned: Vec<Returned>,
        now: u64,
        effects: &mut Effects,
    ) -> bool {
        let mut removed = false;
        for id in ids {
            if let Some(mut subscriber) = self.consumers.remove(*id) {
                self.retire(&mut subscriber, run.drain(..), effects);
                removed = true;
            }
        }
        for Returned { consumer, envelope } in returned {
            let consumer = consumer.as_ref().map(|(id, credit)| (*id, &**credit));
            self.withdraw(consumer, envelope.size());
            if let Some(envelope) = self.count_return(envelope, effects) {
                self.ready.put_back(envelope);
            }
        }
        if removed && self.is_abandoned() {
            effects.add(Effect::Unused);
            self.renew_lease(now, effects);
        }
        self.settle_ready(By::Publisher, now, effects);
        removed
    }

    fn retire(
        &mut self,
        subscriber: &mut Subscriber,
        run: impl Iterator<Item = Envelope>,
        effects: &mut Effects,
    ) {
        if let Sink::Inbox(inbox) = &mut subscriber.sink {
            for envelope in run.chain(inbox.run.drain(..)) {
                subscriber.handed -= Amount::new(1, envelope.size());
                match self.deleted {
                    true => {
                        self.tally.deleted.add(&envelope);
                        effects.add(Effect::Drop(envelope));
                    }
                    false => self.ready.put_back(envelope),
                }
            }
            for wake in inbox.waiting.take_all() {
                effects.wake(Some(wake));
            }
        }
        self.prune();
        let credit = Arc::clone(&subscriber.credit);
        self.retired.push(Retired {
            handed: subscriber.handed,
            credit,
        });
    }

    /// Forgets removed consumers whose last delivery is settled.
    fn prune(&mut self) {
        let acked = &mut self.tally.acked;
        self.retired.retain(|retired| {
            let out = retired.credit.settled().messages < retired.handed.messages;
            if !out {
                *acked += retired.handed;
            }
            out
        });
    }

    /// A consumer has worked through its run: it gets all that is in its inbox. If that is nothing, the receiver with
    /// the ticket is registered.
    pub(crate) fn take_run(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        ticket: Option<Ticket<'_>>,
        now: u64,
        effects: &mut Effects,
    ) -> Run {
        let Some(inbox) = self.consumers.inbox(id) else {
            return Run::Gone;
        };
        if inbox.run.is_empty() && !self.ready.is_empty() {
            // Before the credit is looked at: one who waits asks to be told of every settlement.
            inbox.hungry = true;
            self.look_again(now, effects);
        }
        let Some(inbox) = self.consumers.inbox(id) else {
            return Run::Gone;
        };
        inbox.hungry = inbox.run.is_empty();
        if !inbox.hungry {
            std::mem::swap(run, &mut inbox.run);
            return Run::Taken;
        }
        if let Some(ticket) = ticket {
            inbox.waiting.register(ticket);
        }
        Run::Empty
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
        self.settle_ready(By::Publisher, now, effects);
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
        let messages = self.ready.len() as u64;
        for envelope in self.ready.drain().into_iter().chain(self.drain_delayed()) {
            self.tally.deleted.add(&envelope);
            effects.add(Effect::Drop(envelope));
        }
        for mut subscriber in self.consumers.drain() {
            subscriber.credit.end();
            if let Sink::Outlet(outlet) = &subscriber.sink {
                outlet.cancelled(reason, &mut effects);
            }
            self.retire(&mut subscriber, std::iter::empty(), &mut effects);
        }
        for wake in self
            .getters
            .take_all()
            .into_iter()
            .chain(self.publishers.take_all())
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
        self.look_again(now, effects);
        self.prune();
        let tally = self.tally;
        let (mut unsettled, mut acked) = (tally.got, tally.acked);
        let live = self
            .consumers
            .iter()
            .map(|subscriber| (subscriber.handed, &subscriber.credit));
        let retired = self
            .retired
            .iter()
            .map(|retired| (retired.handed, &retired.credit));
        for (handed, credit) in live.chain(retired) {
            let settled = credit.settled();
            acked += settled;
            unsettled += handed;
            unsettled -= settled;
        }
        acked -= tally.not_acked;
        Counts {
            ready: Amount::new(self.ready.len() as u64, self.ready.bytes()),
            unsettled,
            delayed: self.delayed(),
            consumers: self.consumers.len(),
            taken_in: tally.taken_in,
            acked,
            dead_lettered: tally.dead_lettered,
            expired: tally.expired,
            dropped: tally.dropped,
            purged: tally.purged,
            deleted: tally.deleted,
        }
    }

    /// Has what was settled quietly take effect: consumers that have credit again are served.
    pub(super) fn look_again(&mut self, now: u64, effects: &mut Effects) {
        if !self.ready.is_empty() && self.consumers.reconsider(None) {
            self.serve(now, effects);
        }
    }

    /// After ready messages came or consumers became able to take some: limits, expiry, service, and whoever waits.
    pub(super) fn settle_ready(&mut self, by: By, now: u64, effects: &mut Effects) {
        if self.ready.is_empty() {
            return;
        }
        self.trim(by, effects);
        self.expire(now, effects);
        self.serve(now, effects);
        if !self.ready.is_empty() {
            effects.wake(self.getters.take_one());
        }
        self.schedule(effects);
        self.wake_publishers(effects);
    }

    /// Hands ready messages over until none is left or nobody can take one (invariant 3).
    fn serve(&mut self, now: u64, effects: &mut Effects) {
        while self.consumers.any_in_turn() {
            let Some(envelope) = self.ready.pop() else {
                return;
            };
            if let Err(nobody) = self.consumers.hand(envelope, effects) {
                self.ready.put_back(nobody);
                return;
            }
            self.expire(now, effects);
        }
    }

    /// Wakes publishers that wait for room, if there is some.
    pub(super) fn wake_publishers(&mut self, effects: &mut Effects) {
        if !self.publishers.is_empty() && !self.is_full() {
            for wake in self.publishers.take_all() {
                effects.wake(Some(wake));
            }
        }
    }
}
