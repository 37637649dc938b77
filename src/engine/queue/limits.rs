//! How ready messages end without a consumer: expired, over a limit, returned too often, rejected.
//!
//! All of them end in [`QueueState::dead_letter_or_drop`]: dead-lettered if the queue says so, else dropped.

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
    /// Ends a message that is in no place any more.
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

    /// Pays the budgets for a newcomer; `false` if one of them refuses it.
    #[inline]
    pub(super) fn pay(&self, size: u64, by: PushedBy) -> bool {
        match &self.account {
            None => true,
            Some(account) => account.pay(size, by),
        }
    }

    /// A message has left for good: the budgets get its bytes back.
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

    /// Whether the queue has a limit of length.
    #[inline]
    pub(super) fn is_limited(&self) -> bool {
        self.settings.max_length.is_some() || self.settings.max_length_bytes.is_some()
    }

    /// Whether the queue may refuse a message at all.
    #[inline]
    pub(super) fn is_selective(&self) -> bool {
        self.account.is_some() || self.refuses_overflow()
    }

    /// Lets a message of `size` bytes in, or says why not. As in RabbitMQ that is decided before any consumer is looked for.
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

    /// Where a refused message is to be dead-lettered, if this queue wants that.
    fn dead_letter_target_of_refused(&self) -> Option<Box<DeadLetterTarget>> {
        let settings = &self.settings;
        let exchange = settings.dead_letter_exchange.clone()?;
        (settings.overflow == Some(Overflow::RejectPublishDlx)).then(|| {
            Box::new(DeadLetterTarget::new(
                exchange,
                settings.dead_letter_routing_key.clone(),
            ))
        })
    }

    /// Whether a blocking queue has no room for another publisher's message, after everything settled so far has had its
    /// effect.
    pub(crate) fn stays_full(&mut self, now: u64, effects: &mut Effects) -> bool {
        if self.is_full() {
            self.apply_settlements(now, effects);
        }
        self.is_full()
    }

    /// Whether a blocking queue has no room for another publisher's message. One that is deleted has nobody wait. A limit of 0,
    /// which a policy may bring, lets one message in: nobody is to wait for ever.
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

    /// Drops from the head until the limits hold (invariant 4). Queues that refuse publishers keep what comes back, and
    /// so do those that have them wait, but for what came by an effect: nobody could wait there.
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

    /// Ends expired messages at the head; those behind a live one wait, as in RabbitMQ.
    pub(super) fn expire(&mut self, now: u64, effects: &mut Effects) {
        if now == 0 {
            return;
        }
        while self.ready.head().is_some_and(|head| head.deadline <= now) {
            let Some(head) = self.ready.pop() else { return };
            self.dead_letter_or_drop(head, DeathReason::Expired, effects);
        }
    }

    /// Drops all ready messages; unsettled and delayed ones stay.
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

    /// Somebody wants this message gone.
    pub(super) fn drop_purged(&mut self, envelope: Envelope, effects: &mut Effects) {
        self.tally.purged += MessageTotals::new(1, envelope.size());
        self.refund(envelope.size(), effects);
        effects.add(Effect::Drop(envelope));
    }
}
