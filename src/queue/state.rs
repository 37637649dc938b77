//! A queue's verbs, on the plain data behind its lock: holding the lock is a type here, not a promise.

use std::{collections::VecDeque, sync::Arc};

use super::{
    consumers::{ConsumerId, Consumers, Group, Sink, Subscribe, Subscriber},
    credit::Credit,
    effects::Effects,
    ready::Ready,
};
use crate::{
    arguments::QueueArguments,
    envelope::Envelope,
    error::CancelReason,
    waiter::{Ticket, WaitList},
};

/// Everything behind a queue's lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    ready: Ready,
    consumers: Consumers,
    /// The position of the next newcomer.
    next_position: u64,
    /// Those who wait for a message without being consumers.
    getters: WaitList,
    /// Credits of removed consumers whose deliveries are still out, with what they were handed.
    retired: Vec<Retired>,
    had_consumer: bool,
    deleted: bool,
    /// How often a message may come back; the next return is its last.
    delivery_limit: Option<u64>,
    tally: Tally,
}

#[derive(Debug)]
struct Retired {
    handed: u64,
    handed_bytes: u64,
    credit: Arc<Credit>,
}

/// What became of messages, in messages and bytes, since the queue exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    fn add(&mut self, envelope: &Envelope) {
        self.messages += 1;
        self.bytes += envelope.size();
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    taken_in: Amount,
    /// Settled by an acknowledgement or on delivery, of gets and of consumers that are gone.
    acked: Amount,
    /// Of `Credit::settled`, what was not an acknowledgement: returned or dropped.
    not_acked: Amount,
    dropped: Amount,
    purged: Amount,
    deleted: Amount,
    gets_unsettled: Amount,
}

/// The counts of a queue at one moment (invariant 5 holds among them when no settlement is under way).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ready: Amount,
    pub(crate) unsettled: Amount,
    pub(crate) consumers: usize,
    pub(crate) taken_in: Amount,
    pub(crate) acked: Amount,
    pub(crate) dropped: Amount,
    pub(crate) purged: Amount,
    pub(crate) deleted: Amount,
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
    /// An exclusive consumer is there, or this one wants to be alone and is not.
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
    pub(crate) fn new(arguments: &QueueArguments) -> State {
        State {
            delivery_limit: arguments.delivery_limit,
            ..State::default()
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Takes a new message in: to a consumer if one can take it, else to the ready messages. A deleted queue gives it
    /// back.
    pub(crate) fn push(
        &mut self,
        mut envelope: Envelope,
        effects: &mut Effects,
    ) -> Result<(), Envelope> {
        if self.deleted {
            return Err(envelope);
        }
        self.tally.taken_in.add(&envelope);
        envelope.position = self.next_position;
        self.next_position += 1;
        // Invariant 3: while something is ready, no consumer is in turn that could take this one first.
        if self.ready.is_empty() {
            match self.consumers.hand(envelope, effects) {
                Ok(()) => return Ok(()),
                Err(nobody) => envelope = nobody,
            }
        }
        self.ready.arrive(envelope);
        effects.wake(self.getters.take_one());
        Ok(())
    }

    /// Takes the next ready message out, to be settled by [`settle_gets`](Self::settle_gets). With it comes the number of
    /// messages that are still ready.
    pub(crate) fn get(&mut self, effects: &mut Effects) -> Option<(Envelope, usize)> {
        self.look_again(effects);
        let envelope = self.ready.pop()?;
        self.tally.gets_unsettled.add(&envelope);
        Some((envelope, self.ready.len()))
    }

    /// Those who wait for a ready message. They register when [`get`](Self::get) gave nothing and the queue is there.
    pub(crate) fn getters(&mut self) -> &mut WaitList {
        &mut self.getters
    }

    /// Messages taken by [`get`](Self::get) are acknowledged.
    pub(crate) fn settle_gets(&mut self, messages: u64, bytes: u64) {
        self.forget_gets(messages, bytes);
        self.tally.acked.messages += messages;
        self.tally.acked.bytes += bytes;
    }

    fn forget_gets(&mut self, messages: u64, bytes: u64) {
        self.tally.gets_unsettled.messages -= messages;
        self.tally.gets_unsettled.bytes -= bytes;
    }

    /// A consumer without credit has settled something: it takes turns again, and is served.
    pub(crate) fn settled(&mut self, consumer: ConsumerId, effects: &mut Effects) {
        if let Some(group) = self.consumers.group_of(consumer) {
            self.consumers.reconsider(Some(group));
            self.serve(effects);
        }
    }

    /// The group's common limit has room again.
    pub(crate) fn resume(&mut self, group: Group, effects: &mut Effects) {
        if self.consumers.resume(group) {
            self.serve(effects);
        }
    }

    /// Messages come back from a consumer that had seen them (`None`: from a get), to their places, as redelivered.
    pub(crate) fn give_back(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        effects: &mut Effects,
    ) {
        for envelope in batch {
            self.put_back(consumer, envelope, effects);
        }
        // The credit of what came back counts before anything is served again.
        if let Some((consumer, _)) = consumer {
            if let Some(group) = self.consumers.group_of(consumer) {
                self.consumers.reconsider(Some(group));
            }
        }
        self.serve(effects);
        self.wake_getter(effects);
    }

    fn put_back(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        mut envelope: Envelope,
        effects: &mut Effects,
    ) {
        self.withdraw(consumer, envelope.size());
        match self.deleted {
            true => effects.drop_message(envelope),
            false => {
                envelope.delivery_count = envelope.delivery_count.saturating_add(1);
                if self
                    .delivery_limit
                    .is_some_and(|limit| u64::from(envelope.delivery_count) > limit)
                {
                    self.tally.dropped.add(&envelope);
                    effects.drop_message(envelope);
                    return;
                }
                self.ready.put_back(envelope);
            }
        }
    }

    fn wake_getter(&mut self, effects: &mut Effects) {
        if !self.ready.is_empty() {
            effects.wake(self.getters.take_one());
        }
    }

    /// Messages are rejected for good.
    pub(crate) fn discard(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        effects: &mut Effects,
    ) {
        for envelope in batch {
            self.withdraw(consumer, envelope.size());
            if !self.deleted {
                self.tally.dropped.add(&envelope);
            }
            effects.drop_message(envelope);
        }
        if let Some((consumer, _)) = consumer {
            self.settled(consumer, effects);
        }
    }

    /// A message that was handed over is no longer unsettled, and was not acknowledged.
    fn withdraw(&mut self, consumer: Option<(ConsumerId, &Credit)>, bytes: u64) {
        match consumer {
            Some((_, credit)) => {
                // Whether the queue wanted to be told does not matter: it is being told.
                let _ = credit.settle(1, bytes);
                self.tally.not_acked.messages += 1;
                self.tally.not_acked.bytes += bytes;
            }
            None => self.forget_gets(1, bytes),
        }
    }

    /// Drops all ready messages; unsettled ones stay unsettled.
    pub(crate) fn purge(&mut self, effects: &mut Effects) -> u64 {
        self.look_again(effects);
        let all = self.ready.drain();
        let count = all.len() as u64;
        for envelope in all {
            self.tally.purged.add(&envelope);
            effects.drop_message(envelope);
        }
        count
    }

    /// Adds a consumer; `sink` learns its id before the first message comes.
    pub(crate) fn subscribe(
        &mut self,
        ask: Subscribe,
        sink: impl FnOnce(ConsumerId) -> Sink,
        effects: &mut Effects,
    ) -> Result<ConsumerId, SubscribeRefused> {
        if self.deleted {
            return Err(SubscribeRefused::Deleted);
        }
        if self.consumers.has_exclusive() || ask.exclusive && !self.consumers.is_empty() {
            return Err(SubscribeRefused::InUse);
        }
        self.had_consumer = true;
        let id = self.consumers.add(ask, sink);
        self.serve(effects);
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
            self.put_back(
                consumer.as_ref().map(|(id, credit)| (*id, &**credit)),
                envelope,
                effects,
            );
        }
        if removed && self.is_abandoned() {
            effects.unused();
        }
        self.serve(effects);
        self.wake_getter(effects);
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
                subscriber.handed -= 1;
                subscriber.handed_bytes -= envelope.size();
                match self.deleted {
                    true => {
                        self.tally.deleted.add(&envelope);
                        effects.drop_message(envelope);
                    }
                    false => self.ready.put_back(envelope),
                }
            }
            for wake in inbox.waiting.take_all() {
                effects.wake(Some(wake));
            }
        }
        self.prune();
        self.retired.push(Retired {
            handed: subscriber.handed,
            handed_bytes: subscriber.handed_bytes,
            credit: Arc::clone(&subscriber.credit),
        });
    }

    /// Forgets removed consumers whose last delivery is settled.
    fn prune(&mut self) {
        let acked = &mut self.tally.acked;
        self.retired.retain(|retired| {
            let out = retired.credit.settled() < retired.handed;
            if !out {
                acked.messages += retired.handed;
                acked.bytes += retired.handed_bytes;
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
        effects: &mut Effects,
    ) -> Run {
        let Some(inbox) = self.consumers.inbox(id) else {
            return Run::Gone;
        };
        if inbox.run.is_empty() && !self.ready.is_empty() {
            // Before the credit is looked at: one who waits asks to be told of every settlement.
            inbox.hungry = true;
            self.look_again(effects);
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

    pub(crate) fn set_prefetch(&mut self, id: ConsumerId, prefetch: u32, effects: &mut Effects) {
        self.consumers.set_prefetch(id, prefetch);
        self.serve(effects);
    }

    /// Ends the queue: messages are dropped, consumers are told. Nothing is dead-lettered.
    pub(crate) fn delete(
        &mut self,
        if_unused: bool,
        if_empty: bool,
        reason: CancelReason,
    ) -> Result<Deleted, DeleteRefused> {
        let mut effects = Effects::none();
        self.look_again(&mut effects);
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
        let ready = self.ready.drain();
        let messages = ready.len() as u64;
        for envelope in ready {
            self.tally.deleted.add(&envelope);
            effects.drop_message(envelope);
        }
        for mut subscriber in self.consumers.drain() {
            subscriber.credit.end();
            if let Sink::Outlet(outlet) = &subscriber.sink {
                outlet.cancelled(reason, &mut effects);
            }
            self.retire(&mut subscriber, std::iter::empty(), &mut effects);
        }
        for wake in self.getters.take_all() {
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
    pub(crate) fn counts(&mut self, effects: &mut Effects) -> Counts {
        self.look_again(effects);
        self.prune();
        let tally = &self.tally;
        let mut unsettled = tally.gets_unsettled;
        let mut acked = tally.acked;
        let live = self
            .consumers
            .iter()
            .map(|s| (s.handed, s.handed_bytes, s.unsettled(), s.unsettled_bytes()));
        let retired = self.retired.iter().map(|r| {
            let (settled, bytes) = (r.credit.settled(), r.credit.settled_bytes());
            (
                r.handed,
                r.handed_bytes,
                r.handed.saturating_sub(settled),
                r.handed_bytes.saturating_sub(bytes),
            )
        });
        for (handed, handed_bytes, out, out_bytes) in live.chain(retired) {
            unsettled.messages += out;
            unsettled.bytes += out_bytes;
            acked.messages += handed - out;
            acked.bytes += handed_bytes - out_bytes;
        }
        acked.messages -= tally.not_acked.messages;
        acked.bytes -= tally.not_acked.bytes;
        Counts {
            ready: Amount {
                messages: self.ready.len() as u64,
                bytes: self.ready.bytes(),
            },
            unsettled,
            consumers: self.consumers.len(),
            taken_in: tally.taken_in,
            acked,
            dropped: tally.dropped,
            purged: tally.purged,
            deleted: tally.deleted,
        }
    }

    /// Has what was settled quietly take effect: consumers that have credit again are served.
    fn look_again(&mut self, effects: &mut Effects) {
        if !self.ready.is_empty() && self.consumers.reconsider(None) {
            self.serve(effects);
        }
    }

    /// Hands ready messages over until none is left or nobody can take one (invariant 3).
    fn serve(&mut self, effects: &mut Effects) {
        while self.consumers.any_in_turn() {
            let Some(envelope) = self.ready.pop() else {
                return;
            };
            if let Err(nobody) = self.consumers.hand(envelope, effects) {
                self.ready.put_back(nobody);
                return;
            }
        }
    }
}
