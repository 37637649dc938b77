//! The ways in which ready messages end without a consumer: expired, over a limit, returned too
//! often, rejected.
//!
//! All of them end in [`QueueState::dead_letter_or_drop`].

use super::{
    blocked::Place,
    effects::{DeadLetter, Effect, Effects},
    kind::Kind,
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
        mut envelope: Envelope,
        reason: DeathReason,
        effects: &mut Effects,
    ) {
        if let Some(transit) = self.keep_in_transit(&mut envelope, reason) {
            self.try_to_dead_letter(envelope, reason, transit, effects);
            return;
        }
        self.refund(envelope.size(), effects);
        match self.settings.dead_letter_exchange.clone() {
            Some(exchange) => {
                self.tally.dead_letter(envelope.size(), reason);
                let routing_key = self.settings.dead_letter_routing_key.clone();
                effects.add(Effect::DeadLetter(Box::new(DeadLetter {
                    envelope,
                    reason,
                    was_in_queue: true,
                    exchange,
                    routing_key,
                    on_its_way: self.in_flight.begin(),
                    transit: None,
                })));
            }
            None => {
                self.tally.drop_message(envelope.size(), reason);
                self.forget(&envelope);
                effects.add(Effect::Drop(envelope));
            }
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

    /// Notes whether the queue has a length limit, and whether it may refuse a message, make its
    /// publisher wait, write it, or tell another queue of it.
    pub(super) fn note_selective(&mut self) {
        let settings = &self.settings;
        let overflow = settings.overflow;
        self.is_limited = settings.max_length.is_some() || settings.max_length_bytes.is_some();
        let besides = self.deleted
            || self.storage.is_some()
            || self.has_trigger()
            || self.consumers.has_slow_policy()
            || self.kind.is_stream()
            || overflow.is_some_and(|overflow| overflow != Overflow::DropHead);
        let account = self.account.as_ref();
        self.is_selective = besides || account.is_some();
        self.only_pays = !besides && account.is_some_and(|account| account.is_single());
    }

    /// Admits a message of `size` bytes to the ready messages, and pays the budgets for it, or
    /// returns the reason why not. As in RabbitMQ, this is decided before the queue looks for a
    /// consumer. A publisher with a place joins the line where there is no room.
    pub(super) fn admit(
        &mut self,
        size: u64,
        by: PushedBy,
        mut place: Option<&mut Place>,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        self.check_limits(size, now, effects)?;
        // A message that is refused in the end does not wait first.
        if by == PushedBy::Publisher {
            if self.is_refused_by_budget(size) {
                return Err(PushError::Refused(None));
            }
            self.find_room(size, place.as_deref_mut(), now, effects)?;
        }
        self.pay(size, by, place, effects)
    }

    /// Returns an error if the queue refuses a new message of `size` bytes because of its length.
    pub(super) fn check_limits(
        &mut self,
        size: u64,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        if self.refuses_overflow() && self.refuses_more(size) {
            self.apply_settlements(now, effects);
            if self.refuses_more(size) {
                return Err(PushError::Refused(self.dead_letter_target_of_refused()));
            }
        }
        Ok(())
    }

    /// Pays the budgets for a new message, or returns the reason why not. A publisher with a place
    /// joins the line where there is no room. Otherwise the message uses up the publisher's room.
    pub(super) fn pay(
        &mut self,
        size: u64,
        by: PushedBy,
        mut place: Option<&mut Place>,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        if let Some(account) = &self.account {
            match by {
                PushedBy::Broker => account.charge(size),
                PushedBy::Publisher => account.pay(size, place.as_deref_mut(), effects)?,
            }
        }
        if let Some(place) = place {
            self.spend(place);
        }
        Ok(())
    }

    fn is_refused_by_budget(&self, size: u64) -> bool {
        let account = self.account.as_ref();
        account.is_some_and(|account| account.refuses(size))
    }

    fn refuses_overflow(&self) -> bool {
        matches!(
            self.overflow(),
            Overflow::RejectPublish | Overflow::RejectPublishDlx
        )
    }

    /// The dead-letter target of a refused message, if the queue dead-letters refused messages.
    fn dead_letter_target_of_refused(&self) -> Option<Box<DeadLetterTarget>> {
        let settings = &self.settings;
        let exchange = settings.dead_letter_exchange.clone()?;
        (self.overflow() == Overflow::RejectPublishDlx).then(|| {
            Box::new(DeadLetterTarget::new(
                exchange,
                settings.dead_letter_routing_key.clone(),
                self.in_flight.begin(),
            ))
        })
    }

    /// Drops from the head until the limits hold (invariant 4). A queue that refuses publishers
    /// keeps returned messages. A queue that makes publishers wait drops only for messages of the
    /// broker, which cannot wait. Delayed messages of publishers wait too, so they drop none.
    #[inline]
    pub(super) fn trim(&mut self, by: PushedBy, effects: &mut Effects) {
        if self.is_limited {
            self.trim_limited(by, effects);
        }
    }

    fn trim_limited(&mut self, by: PushedBy, effects: &mut Effects) {
        let drops = match self.overflow() {
            Overflow::DropHead => true,
            Overflow::Block => by == PushedBy::Broker,
            Overflow::RejectPublish | Overflow::RejectPublishDlx => false,
        };
        while drops && self.is_over() {
            let Some(head) = self.ready.pop() else { return };
            self.dead_letter_or_drop(head, DeathReason::MaxLen, effects);
        }
    }

    /// Dead-letters or drops expired messages at the head. Those behind an unexpired one stay, as
    /// in RabbitMQ.
    #[inline(always)]
    pub(super) fn expire(&mut self, now: u64, effects: &mut Effects) {
        if now != 0 && self.timing.has_deadlines() {
            self.expire_ready(now, effects);
        }
    }

    fn expire_ready(&mut self, now: u64, effects: &mut Effects) {
        while let Some(head) = self.ready.pop_expired(now) {
            self.dead_letter_or_drop(head, DeathReason::Expired, effects);
        }
    }

    /// Drops all ready messages, and in a quorum queue those that are delayed or in transit too.
    /// Unsettled ones stay.
    pub(crate) fn purge(&mut self, now: u64, effects: &mut Effects) -> u64 {
        self.apply_settlements(now, effects);
        let mut all = self.ready.drain();
        if let Kind::Quorum(quorum) = &mut self.kind {
            all.extend(self.timing.delayed.drain());
            all.extend(quorum.in_transit.drain().map(|(envelope, _)| envelope));
        }
        self.note_limits();
        let count = all.len() as u64;
        for envelope in all {
            self.drop_purged(envelope, effects);
        }
        self.admit_waiting(now, effects);
        count
    }

    /// Drops a message because the queue was purged or its delay cancelled. Counted as `purged`.
    pub(super) fn drop_purged(&mut self, envelope: Envelope, effects: &mut Effects) {
        self.tally.rare().purged += MessageTotals::new(1, envelope.size());
        self.forget(&envelope);
        self.refund(envelope.size(), effects);
        effects.add(Effect::Drop(envelope));
    }
}
