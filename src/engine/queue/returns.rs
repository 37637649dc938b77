//! The way back into a queue: credit, returned and rejected messages, and removed consumers.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    consumer_id::ConsumerId,
    consumer_state::{ConsumerState, DeliveryTarget, Group},
    credit::Credit,
    effects::{Effect, Effects},
    outcome::{Cause, ReturnedDelivery},
    retired::Retired,
    state::QueueState,
    storage::Storage,
    timing::after,
};
use crate::{
    message::{envelope::Envelope, headers::x_death::DeathReason},
    model::{error::CancelReason, message_totals::MessageTotals},
};

impl QueueState {
    /// Puts a consumer that had no credit back into the turn order after a settlement, and serves
    /// it.
    pub(crate) fn restore_credit(&mut self, consumer: ConsumerId, now: u64, effects: &mut Effects) {
        if let Some(group) = self.consumers.group_of(consumer) {
            self.consumers.reconsider(Some(group));
        }
        self.settle_ready(now, effects);
    }

    /// Serves a group again because its common limit has capacity again.
    pub(crate) fn resume(&mut self, group: Group, now: u64, effects: &mut Effects) {
        if self.consumers.resume(group) {
            self.settle_ready(now, effects);
        }
    }

    /// Returns messages from a consumer that has seen them to their positions, as redelivered. The
    /// consumer is `None` for messages from a get.
    pub(crate) fn requeue(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        cause: Cause,
        now: u64,
        effects: &mut Effects,
    ) {
        let mut notify = false;
        for envelope in batch {
            notify |= self.withdraw(credit_of(consumer), envelope.size());
            self.give_back(envelope, cause, Duration::ZERO, now, effects);
        }
        self.withdrawn(consumer, notify, now, effects);
    }

    /// Returns messages that no consumer has seen to their positions, unchanged. They were in a run
    /// or an inbox and were not shown, or were only browsed.
    pub(crate) fn requeue_undelivered(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        for envelope in batch {
            self.withdraw(credit_of(consumer), envelope.size());
            self.put_back_undelivered(envelope, effects);
        }
        self.settle_ready(now, effects);
    }

    /// Returns a message that no consumer has seen to its position. Drops it if the queue is
    /// deleted.
    pub(super) fn put_back_undelivered(&mut self, envelope: Envelope, effects: &mut Effects) {
        match self.deleted {
            _ if self.kind.is_stream() => effects.add(Effect::Drop(envelope)),
            true => {
                self.tally.rare().deleted.add_message(envelope.size());
                effects.add(Effect::Drop(envelope));
            }
            false => {
                Storage::write_back(&self.storage, &envelope);
                self.ready.put_back(envelope);
            }
        }
    }

    /// Takes back a message that a consumer has seen: makes it ready, at once or after the longer
    /// one of `delay` and of the queue's own delay for retries.
    pub(super) fn give_back(
        &mut self,
        envelope: Envelope,
        cause: Cause,
        delay: Duration,
        now: u64,
        effects: &mut Effects,
    ) {
        if self.kind.is_stream() {
            effects.add(Effect::Drop(envelope));
            return;
        }
        let Some(envelope) = self.count_return(envelope, cause, effects) else {
            return;
        };
        match delay.max(self.retry_delay(&envelope, cause)) {
            Duration::ZERO => self.make_returned_ready(envelope),
            delay => self.delay(envelope, after(now, delay), true, effects),
        }
    }

    /// Counts one more return. Gives the message back unless it is over the delivery limit or the
    /// queue is deleted.
    pub(super) fn count_return(
        &mut self,
        mut envelope: Envelope,
        cause: Cause,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        if self.deleted {
            self.tally.rare().deleted.add_message(envelope.size());
            effects.add(Effect::Drop(envelope));
            return None;
        }
        envelope.count_return(cause == Cause::Failed);
        if self.is_over_delivery_limit(&envelope) {
            self.dead_letter_or_drop(envelope, DeathReason::DeliveryLimit, effects);
            return None;
        }
        self.tally.rare().requeued += 1;
        Some(envelope)
    }

    /// Acknowledges messages that [`get`](Self::get) took.
    pub(crate) fn settle_gets(&mut self, messages: u64, bytes: u64, effects: &mut Effects) {
        let amount = MessageTotals::new(messages, bytes);
        let rare = self.tally.rare();
        rare.got -= amount;
        rare.acked += amount;
        self.refund(bytes, effects);
        self.wake_idle_waiters(effects);
    }

    /// Counts messages as moved that a get or [`take_due`](Self::take_due) took out and that went
    /// to other queues.
    pub(crate) fn settle_moved(&mut self, messages: u64, bytes: u64, effects: &mut Effects) {
        let amount = MessageTotals::new(messages, bytes);
        let rare = self.tally.rare();
        rare.got -= amount;
        rare.moved += amount;
        self.refund(bytes, effects);
        self.wake_idle_waiters(effects);
    }

    /// Rejects messages without requeueing them, those of the highest priority first.
    pub(crate) fn discard(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        mut batch: Vec<Envelope>,
        cause: Cause,
        now: u64,
        effects: &mut Effects,
    ) {
        let mut notify = false;
        self.ready.sort_by_priority(&mut batch);
        for mut envelope in batch {
            notify |= self.withdraw(credit_of(consumer), envelope.size());
            envelope.count_return(cause == Cause::Failed);
            match self.deleted {
                true => self.put_back_undelivered(envelope, effects),
                false if self.kind.is_stream() => effects.add(Effect::Drop(envelope)),
                false => self.dead_letter_or_drop(envelope, DeathReason::Rejected, effects),
            }
        }
        self.withdrawn(consumer, notify, now, effects);
    }

    /// Ends a delivery that was not acknowledged: its message is not unsettled any more. `true` if
    /// the queue has to be notified. The credit is that of its consumer; `None` for a get.
    pub(super) fn withdraw(&mut self, credit: Option<&Credit>, bytes: u64) -> bool {
        match credit {
            Some(credit) => {
                self.tally.rare().not_acked += MessageTotals::new(1, bytes);
                credit.settle(1, bytes)
            }
            None => {
                let rare = self.tally.rare();
                rare.got -= MessageTotals::new(1, bytes);
                rare.again_ready += 1;
                false
            }
        }
    }

    /// Counts the credit of the returned messages before any consumer is served again.
    ///
    /// As after an acknowledgement, the consumers of a channel at its common limit stay suspended
    /// until the channel has capacity. The exception is a consumer that was out of its own credit.
    fn withdrawn(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        notify: bool,
        now: u64,
        effects: &mut Effects,
    ) {
        let group = consumer.and_then(|(consumer, _)| self.consumers.group_of(consumer));
        if let Some(group) = group.filter(|group| notify || !self.consumers.is_suspended(*group)) {
            self.consumers.reconsider(Some(group));
        }
        self.settle_ready(now, effects);
    }

    /// Removes consumers in one critical section: all those of a channel, or one. Then serves the
    /// other consumers. `false` if the queue had none of them.
    ///
    /// The messages of their inboxes and of `run` (taken from an inbox and not shown yet) are
    /// returned as if they were never delivered. Those of `returned`, which a consumer has seen,
    /// are returned as redelivered.
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
                self.end_reading(*id);
                self.note_selective();
                self.retire(&mut subscriber, run.drain(..), effects);
                removed = true;
            }
        }
        for ReturnedDelivery { consumer, envelope } in returned {
            let credit = consumer.as_ref().map(|(_, credit)| &**credit);
            self.withdraw(credit, envelope.size());
            self.give_back(envelope, Cause::Failed, Duration::ZERO, now, effects);
        }
        if removed && self.is_abandoned() {
            effects.add(Effect::Unused);
            self.renew_lease(now, effects);
        }
        self.settle_ready(now, effects);
        if removed && self.consumer_count() == 0 {
            self.trigger_by_close(effects);
        }
        removed
    }

    /// Ends a consumer by itself, and tells it the reason.
    pub(in crate::engine) fn cancel_consumer(
        &mut self,
        id: ConsumerId,
        reason: CancelReason,
        now: u64,
        effects: &mut Effects,
    ) {
        if let Some(sink) = self.consumers.get_mut(id).and_then(|it| it.target.sink()) {
            sink.clone().cancelled(reason, effects);
        }
        self.remove_consumers(&[id], &mut VecDeque::new(), Vec::new(), now, effects);
    }

    pub(super) fn retire(
        &mut self,
        subscriber: &mut ConsumerState,
        run: impl Iterator<Item = Envelope>,
        effects: &mut Effects,
    ) {
        self.announce_removed(subscriber, effects);
        if let DeliveryTarget::Inbox(_) = &subscriber.target {
            for envelope in subscriber.take_back(run) {
                self.put_back_undelivered(envelope, effects);
            }
        }
        if let DeliveryTarget::Inbox(inbox) = &mut subscriber.target {
            let receivers = inbox.waiting.take_all();
            for wake in receivers.into_iter().chain(inbox.end_waiters.take_all()) {
                effects.wake(Some(wake));
            }
        }
        self.prune();
        let credit = Arc::clone(&subscriber.credit);
        self.retired.push(Retired {
            handed: subscriber.delivered.totals,
            credit,
            auto_ack: subscriber.auto_ack,
            sink: subscriber.target.sink().cloned(),
            next_overdue: subscriber.overdue.next(),
        });
    }

    /// Forgets removed consumers whose last delivery is settled.
    pub(super) fn prune(&mut self) {
        let tally = &mut self.tally;
        self.retired.retain(|retired| {
            let handed = retired.handed;
            let out = retired.credit.settled().messages < handed.messages;
            if !out && handed.messages > 0 {
                let tally = tally.rare();
                tally.acked += handed;
                tally.delivered.add(retired.auto_ack, handed.messages);
            }
            out
        });
    }

    /// The count of each consumer's deliveries, the credit that counts its settlements, and whether
    /// its deliveries count as acknowledged. For removed consumers as well.
    pub(super) fn credits(&self) -> impl Iterator<Item = (MessageTotals, &Credit, bool)> {
        let live = self.consumers.iter();
        let live = live.map(|it| (it.delivered.totals, &*it.credit, it.auto_ack));
        let retired = self.retired.iter();
        live.chain(retired.map(|it| (it.handed, &*it.credit, it.auto_ack)))
    }

    /// The number of unsettled deliveries of the consumer with this credit, without those in its
    /// inbox.
    pub(super) fn unsettled_of(&self, credit: &Arc<Credit>) -> u64 {
        let live = self
            .consumers
            .iter()
            .find(|live| Arc::ptr_eq(&live.credit, credit));
        let handed = match live {
            Some(live) => live.delivered.totals.messages - live.inbox_len(),
            None => {
                let mut retired = self.retired.iter();
                let retired = retired.find(|retired| Arc::ptr_eq(&retired.credit, credit));
                retired.map_or(0, |retired| retired.handed.messages)
            }
        };
        handed.saturating_sub(credit.settled().messages)
    }
}

/// The credit of a consumer; `None` for a get.
pub(super) fn credit_of(consumer: Option<(ConsumerId, &Credit)>) -> Option<&Credit> {
    consumer.map(|(_, credit)| credit)
}
