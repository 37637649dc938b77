//! What comes back to a queue: credit, returned and rejected messages, and consumers that leave.

use std::{collections::VecDeque, sync::Arc};

use super::{
    consumer_id::ConsumerId,
    consumer_state::{ConsumerState, DeliveryTarget, Group},
    credit::Credit,
    effects::{Effect, Effects},
    outcome::{PushedBy, ReturnedDelivery},
    state::QueueState,
};
use crate::model::message_totals::MessageTotals;
use crate::{
    message::{envelope::Envelope, headers::x_death::DeathReason},
    runtime::waiter::WaitList,
};

/// A consumer that left while deliveries of it are still out: what it was handed, and how much came back.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) handed: MessageTotals,
    pub(super) credit: Arc<Credit>,
}

impl QueueState {
    /// A consumer without credit has settled something: it takes turns again, and is served.
    pub(crate) fn restore_credit(&mut self, consumer: ConsumerId, now: u64, effects: &mut Effects) {
        if let Some(group) = self.consumers.group_of(consumer) {
            self.consumers.reconsider(Some(group));
        }
        self.settle_ready(PushedBy::Publisher, now, effects);
    }

    /// The group's common limit has room again.
    pub(crate) fn resume(&mut self, group: Group, now: u64, effects: &mut Effects) {
        if self.consumers.resume(group) {
            self.settle_ready(PushedBy::Publisher, now, effects);
        }
    }

    /// Messages come back from a consumer that had seen them (`None`: from a get), to their places, as redelivered.
    pub(crate) fn requeue(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        let mut told = false;
        for envelope in batch {
            told |= self.withdraw(consumer, envelope.size());
            if let Some(envelope) = self.count_return(envelope, effects) {
                self.ready.put_back(envelope);
            }
        }
        self.withdrawn(consumer, told, now, effects);
    }

    /// Messages come back that nobody has seen (taken from a consumer's inbox and not shown, or looked through): to their
    /// places, as they were.
    pub(crate) fn requeue_undelivered(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        for envelope in batch {
            self.withdraw(consumer, envelope.size());
            self.put_back_undelivered(envelope, effects);
        }
        self.settle_ready(PushedBy::Publisher, now, effects);
    }

    /// A message that nobody has seen goes to its place, or with the queue.
    fn put_back_undelivered(&mut self, envelope: Envelope, effects: &mut Effects) {
        match self.deleted {
            true => {
                self.tally.deleted.add_message(envelope.size());
                effects.add(Effect::Drop(envelope));
            }
            false => self.ready.put_back(envelope),
        }
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
        envelope.count_return();
        let limit = self.settings.delivery_limit;
        if limit.is_some_and(|limit| u64::from(envelope.delivery_count()) > limit) {
            self.dead_letter_or_drop(envelope, DeathReason::DeliveryLimit, effects);
            return None;
        }
        Some(envelope)
    }

    /// Messages that were taken out by gets, or because they were due, went to other queues.
    pub(crate) fn settle_moved(&mut self, messages: u64, bytes: u64, effects: &mut Effects) {
        let amount = MessageTotals::new(messages, bytes);
        self.tally.got -= amount;
        self.tally.moved += amount;
        self.refund(bytes, effects);
        self.wake_idle_waiters(effects);
    }

    /// Messages are rejected for good: those of the highest priority first.
    pub(crate) fn discard(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        mut batch: Vec<Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        let mut told = false;
        self.ready.sort_by_priority(&mut batch);
        for envelope in batch {
            told |= self.withdraw(consumer, envelope.size());
            match self.deleted {
                true => effects.add(Effect::Drop(envelope)),
                false => self.dead_letter_or_drop(envelope, DeathReason::Rejected, effects),
            }
        }
        self.withdrawn(consumer, told, now, effects);
    }

    /// A message that was handed over is no longer unsettled, and was not acknowledged. `true` if the queue wanted to be
    /// told.
    pub(super) fn withdraw(&mut self, consumer: Option<(ConsumerId, &Credit)>, bytes: u64) -> bool {
        match consumer {
            Some((_, credit)) => {
                self.tally.not_acked += MessageTotals::new(1, bytes);
                credit.settle(1, bytes)
            }
            None => {
                self.tally.got -= MessageTotals::new(1, bytes);
                false
            }
        }
    }

    /// The credit of what came back counts before anything is served again. As after an acknowledgement, consumers of a
    /// channel at its common limit keep their places until it has room, unless one was out of credit of its own.
    fn withdrawn(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        told: bool,
        now: u64,
        effects: &mut Effects,
    ) {
        let group = consumer.and_then(|(consumer, _)| self.consumers.group_of(consumer));
        if let Some(group) = group.filter(|group| told || !self.consumers.is_suspended(*group)) {
            self.consumers.reconsider(Some(group));
        }
        self.settle_ready(PushedBy::Publisher, now, effects);
    }

    /// Removes consumers, all in one critical section: those of a channel, or one. What their inboxes and `run`
    /// (messages taken from an inbox and shown to nobody) hold goes back as if it had never been handed over, and
    /// `returned` (what had been seen) as redelivered. Then the others are served. `false` if none was there.
    pub(crate) fn remove_consumers(
        &mut self,
        ids: &[ConsumerId],
        run: &mut VecDeque<Envelope>,
        returned: Vec<ReturnedDelivery>,
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
        for ReturnedDelivery { consumer, envelope } in returned {
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
        self.settle_ready(PushedBy::Publisher, now, effects);
        removed
    }

    pub(super) fn retire(
        &mut self,
        subscriber: &mut ConsumerState,
        run: impl Iterator<Item = Envelope>,
        effects: &mut Effects,
    ) {
        if let DeliveryTarget::Inbox(inbox) = &mut subscriber.target {
            for envelope in run.chain(inbox.run.drain(..)) {
                subscriber.delivered.totals -= MessageTotals::new(1, envelope.size());
                self.put_back_undelivered(envelope, effects);
            }
            for wake in inbox.waiting.take_all() {
                effects.wake(Some(wake));
            }
        }
        self.prune();
        let credit = Arc::clone(&subscriber.credit);
        self.retired.push(Retired {
            handed: subscriber.delivered.totals,
            credit,
        });
    }

    /// Forgets removed consumers whose last delivery is settled.
    pub(super) fn prune(&mut self) {
        let acked = &mut self.tally.acked;
        self.retired.retain(|retired| {
            let out = retired.credit.settled().messages < retired.handed.messages;
            if !out {
                *acked += retired.handed;
            }
            out
        });
    }

    /// What each consumer was handed, and the credit by which it tells what it settled; of those that are gone as well.
    pub(super) fn credits(&self) -> impl Iterator<Item = (MessageTotals, &Credit)> {
        let live = self.consumers.iter();
        let live = live.map(|subscriber| (subscriber.delivered.totals, &*subscriber.credit));
        let retired = self.retired.iter();
        live.chain(retired.map(|retired| (retired.handed, &*retired.credit)))
    }

    /// Whether nothing is under way: everything handed over is settled, and what is ready nobody is here to take.
    pub(crate) fn is_idle(&self) -> bool {
        let settled = self
            .credits()
            .all(|(handed, credit)| credit.settled() == handed);
        let served = self.ready.is_empty() || self.consumers.is_empty();
        self.deleted || settled && served && self.tally.got == MessageTotals::default()
    }

    /// Asks every consumer to tell of its last settlement.
    pub(crate) fn arm_idle_notify(&mut self) {
        for (handed, credit) in self.credits() {
            credit.notify_no_later_than(handed.messages);
        }
    }

    /// Those who wait for the queue to be [idle](Self::is_idle), having [asked](Self::arm_idle_notify).
    pub(crate) fn idle_waiters(&mut self) -> &mut WaitList {
        &mut self.idle_waiters
    }

    /// Wakes those who wait for the queue to be idle, if it is; else asks again, since whoever was handed something in
    /// the meantime has forgotten.
    pub(super) fn wake_idle_waiters(&mut self, effects: &mut Effects) {
        if self.idle_waiters.is_empty() {
            return;
        }
        self.arm_idle_notify();
        if self.is_idle() {
            for wake in self.idle_waiters.take_all() {
                effects.wake(Some(wake));
            }
        }
    }
}
