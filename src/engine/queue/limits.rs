//! The ways in which ready messages end without a consumer: expired, over a limit, returned too
//! often, rejected.
//!
//! All of them end in [`QueueState::dead_letter_or_drop`].

use super::{
    effects::{DeadLetter, Effect, Effects},
    outcome::{DeadLetterTarget, PushError, PushedBy},
    state::QueueState,
};
use crate::model::message_totals::MessageTotals;
use crate::{
    message::{envelope::Envelope, headers::x_death::DeathReason},
    model::descriptions::Overflow,
};

impl QueueState {
    /// Dead-letters a message already removed from the queue, or drops it if there is no
    /// dead-letter exchange.
    pub(super) fn dead_letter_or_drop(
        &mut self,
        envelope: Envelope,
        reason: DeathReason,
        effects: &mut Effects,
    ) {
        self.refund(envelope.size(), effects);
        match self.settings.dead_letter_exchange.clone() {
            Some(exchange) => {
                self.tally.dead_lettered.add_message(envelope.size());
                let routing_key = self.settings.dead_letter_routing_key.clone();
                effects.add(Effect::DeadLetter(Box::new(DeadLetter {
                    envelope,
                    reason,
                    exchange,
                    routing_key,
                    on_its_way: self.in_flight.begin(),
                })));
            }
            None => {
                match reason {
                    DeathReason::Expired => self.tally.expired.add_message(envelope.size()),
                    _ => self.tally.dropped.add_message(envelope.size()),
                }
                effects.add(Effect::Drop(envelope));
            }
        }
    }

    /// Pays the budgets for a new message. `false` if one of them refuses it.
    #[inline]
    pub(super) fn pay(&self, size: u64, by: PushedBy) -> bool {
        match &self.account {
            None => true,
            Some(account) => account.pay(size, by),
        }
    }

    /// Refunds the bytes of a message that has left for good to the budgets.
    pub(super) fn refund(&self, bytes: u64, effects: &mut Effects) {
        if let Some(account) = &self.account {
            for wake in account.refund(bytes) {
                effects.wake(Some(wake));
            }
        }
    }

    /// Whether one more message of `size` bytes would cross a limit.
    fn would_overflow(&self, size: u64) -> bool {
        let settings = &self.settings;
        let ready = self.ready.len() as u64;
        settings.max_length.is_some_and(|max| ready + 1 > max)
            || settings
                .max_length_bytes
                .is_some_and(|max| self.ready.bytes().saturating_add(size) > max)
    }

    /// Whether the queue has a length limit.
    #[inline]
    pub(super) fn is_limited(&self) -> bool {
        self.settings.max_length.is_some() || self.settings.max_length_bytes.is_some()
    }

    /// Whether the queue may refuse a message at all.
    #[inline]
    pub(super) fn is_selective(&self) -> bool {
        self.account.is_some() || self.refuses_overflow()
    }

    /// Admits a message of `size` bytes, or returns the reason why not. As in RabbitMQ, this is
    /// decided before the queue looks for a consumer.
    pub(super) fn admit(
        &mut self,
        size: u64,
        by: PushedBy,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        if self.refuses_overflow() && self.would_overflow(size) {
            self.apply_settlements(now, effects);
            if self.would_overflow(size) {
                return Err(PushError::Refused(self.dead_letter_target_of_refused()));
            }
        }
        match self.pay(size, by) {
            true => Ok(()),
            false => Err(PushError::Refused(None)),
        }
    }

    fn refuses_overflow(&self) -> bool {
        matches!(
            self.settings.overflow,
            Some(Overflow::RejectPublish | Overflow::RejectPublishDlx)
        )
    }

    /// The dead-letter target of a refused message, if the queue dead-letters refused messages.
    fn dead_letter_target_of_refused(&self) -> Option<Box<DeadLetterTarget>> {
        let settings = &self.settings;
        let exchange = settings.dead_letter_exchange.clone()?;
        (settings.overflow == Some(Overflow::RejectPublishDlx)).then(|| {
            Box::new(DeadLetterTarget::new(
                exchange,
                settings.dead_letter_routing_key.clone(),
                self.in_flight.begin(),
            ))
        })
    }

    /// Whether a blocking queue has no capacity for another publisher's message, after all
    /// settlements so far are applied.
    pub(crate) fn stays_full(&mut self, now: u64, effects: &mut Effects) -> bool {
        if self.is_full() {
            self.apply_settlements(now, effects);
        }
        self.is_full()
    }

    /// Whether a blocking queue has no capacity for another publisher's message. A deleted queue
    /// makes no publisher wait. A limit of 0, possible in a policy, admits one message, so that no
    /// publisher waits forever.
    pub(crate) fn is_full(&self) -> bool {
        let settings = &self.settings;
        !self.is_deleted()
            && settings.overflow == Some(Overflow::Block)
            && (settings
                .max_length
                .is_some_and(|max| self.ready.len() as u64 >= max.max(1))
                || settings
                    .max_length_bytes
                    .is_some_and(|max| self.ready.bytes() >= max.max(1)))
    }

    /// Drops from the head until the limits hold (invariant 4). A queue that refuses publishers
    /// keeps returned messages. A queue that makes publishers wait drops only for messages of the
    /// broker, which cannot wait.
    pub(super) fn trim(&mut self, by: PushedBy, effects: &mut Effects) {
        let drops = match self.settings.overflow {
            None | Some(Overflow::DropHead) => true,
            Some(Overflow::Block) => by == PushedBy::Broker,
            Some(_) => false,
        };
        while drops && self.is_over() {
            let Some(head) = self.ready.pop() else { return };
            self.dead_letter_or_drop(head, DeathReason::MaxLen, effects);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let settings = &self.settings;
        settings
            .max_length
            .is_some_and(|max| self.ready.len() as u64 > max)
            || settings
                .max_length_bytes
                .is_some_and(|max| self.ready.bytes() > max)
    }

    /// Dead-letters or drops expired messages at the head. Those behind an unexpired one stay, as
    /// in RabbitMQ.
    pub(super) fn expire(&mut self, now: u64, effects: &mut Effects) {
        if now == 0 {
            return;
        }
        while self.ready.head().is_some_and(|head| head.deadline <= now) {
            let Some(head) = self.ready.pop() else { return };
            self.dead_letter_or_drop(head, DeathReason::Expired, effects);
        }
    }

    /// Drops all ready messages. Unsettled and delayed ones stay.
    pub(crate) fn purge(&mut self, now: u64, effects: &mut Effects) -> u64 {
        self.apply_settlements(now, effects);
        let all = self.ready.drain();
        let count = all.len() as u64;
        for envelope in all {
            self.drop_purged(envelope, effects);
        }
        self.wake_publish_waiters(effects);
        count
    }

    /// Drops a message because the queue was purged or its delay cancelled. Counted as `purged`.
    pub(super) fn drop_purged(&mut self, envelope: Envelope, effects: &mut Effects) {
        self.tally.purged += MessageTotals::new(1, envelope.size());
        self.refund(envelope.size(), effects);
        effects.add(Effect::Drop(envelope));
    }
}
