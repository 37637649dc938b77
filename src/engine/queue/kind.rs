//! The kinds of queues: what a quorum queue does that a classic one does not.
//!
//! A quorum queue here is not replicated. It has the order, the counts and the limits of RabbitMQ's
//! quorum queues (4.3).

use std::time::Duration;

use super::{
    consumers::SingleActive,
    effects::{DeadLetter, Effect, Effects, Transit},
    in_transit::{InTransit, TransitId},
    outcome::Cause,
    ready::{Order, Ready},
    state::QueueState,
    stream::Stream,
    timeout::Timeout,
};
use crate::{
    message::{
        envelope::{Envelope, NEVER},
        headers::x_death::DeathReason,
    },
    model::{
        arguments::{QueueArguments, QueueType},
        descriptions::{DeadLetterStrategy, Overflow},
        message_totals::MessageTotals,
        name::Name,
    },
};

/// How many failed deliveries a message of a quorum queue survives, if nothing else is set.
const DELIVERY_LIMIT: u64 = 20;

/// How long a consumer of a quorum queue may hold a delivery, if nothing else is set.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How often a quorum queue looks at its lease, in nanoseconds.
const TICK: u64 = 5_000_000_000;

/// The kind of a queue, with the state that only this kind has.
#[derive(Debug)]
pub(super) enum Kind {
    Classic,
    Quorum(Box<Quorum>),
    Stream(Box<Stream>),
}

/// What only a quorum queue has.
#[derive(Debug, Default)]
pub(super) struct Quorum {
    /// Whether it refuses publishers. It began when the queue was over its limit, and ends when it
    /// is at four fifths of it.
    pub(super) refuses: bool,
    /// When the queue was declared, in nanoseconds of the virtual host. It looks at its lease every
    /// [`TICK`] since then.
    declared_at: u64,
    /// Dead letters that other queues have not taken yet.
    pub(super) in_transit: InTransit,
}

impl Kind {
    pub(super) fn of(settings: &QueueArguments) -> Kind {
        match settings.queue_type {
            QueueType::Classic => Kind::Classic,
            QueueType::Quorum => Kind::Quorum(Box::default()),
            QueueType::Stream => Kind::Stream(Box::new(Stream::new(settings))),
        }
    }

    /// The place of its ready messages.
    pub(super) fn ready(&self, settings: &QueueArguments) -> Ready {
        let mut ready = Ready::new(match self {
            Kind::Classic => Order::Classic(settings.max_priority.unwrap_or(0)),
            // It has none: they are in its log.
            Kind::Stream(_) => Order::Classic(0),
            Kind::Quorum(_) => Order::Quorum,
        });
        ready.count_overhead(settings.max_length_bytes);
        ready
    }

    pub(super) fn single_active(&self, settings: &QueueArguments) -> SingleActive {
        match self {
            _ if !settings.single_active_consumer => SingleActive::No,
            Kind::Classic | Kind::Stream(_) => SingleActive::UntilGone,
            Kind::Quorum(_) => SingleActive::ByPriority,
        }
    }

    /// How long a consumer may hold a delivery, if it has no time of its own.
    pub(super) fn consumer_timeout(&self, settings: &QueueArguments) -> Timeout {
        match self {
            Kind::Classic | Kind::Stream(_) => Timeout::default(),
            Kind::Quorum(_) => Timeout {
                asked: settings.consumer_timeout,
                built_in: Some(CONSUMER_TIMEOUT),
            },
        }
    }

    pub(super) fn is_classic(&self) -> bool {
        matches!(self, Kind::Classic)
    }

    pub(super) fn is_quorum(&self) -> bool {
        matches!(self, Kind::Quorum(_))
    }
}

impl QueueState {
    /// What happens at a length limit. A quorum queue dead-letters no refused messages, and drops
    /// the head instead.
    pub(super) fn overflow(&self) -> Overflow {
        match (&self.kind, self.settings.overflow) {
            (_, None) => Overflow::DropHead,
            (Kind::Quorum(_), Some(Overflow::RejectPublishDlx)) => Overflow::DropHead,
            (_, Some(overflow)) => overflow,
        }
    }

    /// The messages that a length limit counts: the ready ones, and in a quorum queue those that
    /// are delayed or in transit too. A quorum queue counts the bytes of the properties with those
    /// of the bodies.
    pub(super) fn limited(&self) -> MessageTotals {
        let ready = MessageTotals::new(self.ready.len() as u64, self.ready.limited_bytes());
        match &self.kind {
            Kind::Classic | Kind::Stream(_) => ready,
            Kind::Quorum(quorum) => {
                let mut all = ready;
                all += self.timing.delayed.limited();
                all += quorum.in_transit.limited();
                all
            }
        }
    }

    /// Whether `limited` is over a length limit, of which `part` of `whole` count.
    fn is_over_part(&self, limited: MessageTotals, (part, whole): (u64, u64)) -> bool {
        let share = |max: u64| (u128::from(max) * u128::from(part) / u128::from(whole)) as u64;
        let settings = &self.settings;
        let length = settings.max_length.map(share);
        let bytes = settings.max_length_bytes.map(share);
        length.is_some_and(|max| limited.messages > max)
            || bytes.is_some_and(|max| limited.bytes > max)
    }

    /// Whether the queue is over a length limit.
    pub(super) fn is_over(&self) -> bool {
        self.is_over_by(self.limited())
    }

    /// Whether these messages would be over a length limit.
    pub(super) fn is_over_by(&self, limited: MessageTotals) -> bool {
        self.is_over_part(limited, (1, 1))
    }

    /// Whether the queue refuses a new message of `size` bytes because of a length limit.
    pub(super) fn refuses_more(&mut self, size: u64) -> bool {
        self.note_limits();
        match &self.kind {
            Kind::Quorum(quorum) => quorum.refuses,
            Kind::Stream(_) => false,
            Kind::Classic => {
                let mut limited = self.limited();
                limited.messages += 1;
                limited.bytes = limited.bytes.saturating_add(size);
                self.is_over_part(limited, (1, 1))
            }
        }
    }

    /// Records that a quorum queue has crossed its limit, or is well below it again.
    ///
    /// RabbitMQ tells the publishers, and one that has not published yet looks at the limit itself.
    /// Here all publishers are refused alike.
    #[inline]
    pub(super) fn note_limits(&mut self) {
        let is_limited = self.is_limited;
        match &mut self.kind {
            Kind::Classic | Kind::Stream(_) => {}
            Kind::Quorum(quorum) if !is_limited => quorum.refuses = false,
            Kind::Quorum(_) => self.note_quorum_limits(),
        }
    }

    fn note_quorum_limits(&mut self) {
        let rejects = self.overflow() == Overflow::RejectPublish;
        let limited = self.limited();
        let over = rejects && self.is_over_part(limited, (1, 1));
        let above_low_mark = rejects && self.is_over_part(limited, (4, 5));
        if let Kind::Quorum(quorum) = &mut self.kind {
            quorum.refuses = over || quorum.refuses && above_low_mark;
        }
    }

    /// Whether a message that returned has been delivered too often.
    ///
    /// A classic queue has a limit only as an addition of leveret, and counts every return.
    pub(super) fn is_over_delivery_limit(&self, envelope: &Envelope) -> bool {
        let limit = self.settings.delivery_limit;
        match &self.kind {
            Kind::Classic => {
                limit.is_some_and(|limit| u64::from(envelope.acquired_count()) > limit)
            }
            Kind::Quorum(_) => {
                u64::from(envelope.delivery_count()) > limit.unwrap_or(DELIVERY_LIMIT)
            }
            Kind::Stream(_) => false,
        }
    }

    /// How long the queue delays a message that returns.
    pub(super) fn retry_delay(&self, envelope: &Envelope, cause: Cause) -> Duration {
        match &self.kind {
            Kind::Classic | Kind::Stream(_) => Duration::ZERO,
            Kind::Quorum(_) => {
                let retry = &self.settings.delayed_retry;
                let delay = retry.delay(cause == Cause::Failed, envelope.delivery_count());
                delay.unwrap_or_default()
            }
        }
    }

    /// When the queue is deleted if it is not used. A quorum queue looks at its lease only now and
    /// then.
    pub(super) fn lease_ends(&self) -> Option<u64> {
        let over = self.timing.lease_over()?;
        match &self.kind {
            Kind::Classic | Kind::Stream(_) => Some(over),
            Kind::Quorum(quorum) => {
                let ticks = over
                    .saturating_sub(quorum.declared_at)
                    .div_ceil(TICK)
                    .max(1);
                Some(
                    quorum
                        .declared_at
                        .saturating_add(ticks.saturating_mul(TICK)),
                )
            }
        }
    }

    /// Renews the lease because of a declaration. Only the first one has an effect on a quorum
    /// queue.
    pub(crate) fn renew_lease_by_declaration(&mut self, now: u64, effects: &mut Effects) {
        match &mut self.kind {
            Kind::Quorum(_) if self.timing.lease_over().is_some() => return,
            Kind::Quorum(quorum) => quorum.declared_at = now,
            Kind::Classic | Kind::Stream(_) => {}
        }
        self.renew_lease(now, effects);
    }

    /// The number of consumers that a declaration tells. A quorum queue counts an unsettled get and
    /// a cancelled consumer with unsettled deliveries too.
    pub(super) fn counted_consumers(&self) -> usize {
        match &self.kind {
            Kind::Classic | Kind::Stream(_) => self.consumers.len(),
            Kind::Quorum(_) => {
                let gets = self.tally.got().messages as usize;
                let retired = self
                    .retired
                    .iter()
                    .filter(|retired| retired.credit.settled().messages < retired.handed.messages);
                self.consumers.counted() + gets + retired.count()
            }
        }
    }

    /// Whether the queue is used, so that its lease does not end.
    pub(super) fn is_in_use(&self) -> bool {
        let gets = self.kind.is_quorum() && self.tally.got().messages > 0;
        self.consumer_count() > 0 || gets
    }

    /// Whether the queue dead-letters at least once. As in RabbitMQ, only a queue that refuses
    /// publishers at its limit does so.
    fn keeps_dead_letters(&self) -> bool {
        self.settings.dead_letter_strategy == Some(DeadLetterStrategy::AtLeastOnce)
            && self.overflow() == Overflow::RejectPublish
            && self.settings.dead_letter_exchange.is_some()
    }

    /// Drops the messages in transit if the queue does not dead-letter at least once any more, as
    /// RabbitMQ does.
    pub(super) fn drop_unkept(&mut self, effects: &mut Effects) {
        let keeps = self.keeps_dead_letters();
        let Kind::Quorum(quorum) = &mut self.kind else {
            return;
        };
        if keeps {
            return;
        }
        let unkept: Vec<_> = quorum.in_transit.drain().collect();
        for (envelope, reason) in unkept {
            self.tally.drop_message(envelope.size(), reason);
            self.forget(&envelope);
            self.refund(envelope.size(), effects);
            effects.add(Effect::Drop(envelope));
        }
    }

    /// Keeps a copy of a dead letter until other queues have taken it, if the queue dead-letters at
    /// least once. `None` if it does not, or if there can be no copy.
    pub(super) fn keep_in_transit(
        &mut self,
        envelope: &mut Envelope,
        reason: DeathReason,
    ) -> Option<Transit> {
        let keeps = self.keeps_dead_letters();
        let overhead = self.ready.order().overhead(envelope);
        match &mut self.kind {
            Kind::Quorum(quorum) if keeps => {
                let copy = envelope.share().ok()?;
                let id = quorum.in_transit.insert(copy, reason, overhead);
                self.write_in_transit(envelope, reason);
                let taken_by = Vec::new();
                Some(Transit { id, taken_by })
            }
            _ => None,
        }
    }

    /// Has a copy of a message in transit published to the dead-letter exchange.
    pub(super) fn try_to_dead_letter(
        &self,
        envelope: Envelope,
        reason: DeathReason,
        transit: Transit,
        effects: &mut Effects,
    ) {
        let settings = &self.settings;
        effects.add(Effect::DeadLetter(Box::new(DeadLetter {
            envelope,
            reason,
            was_in_queue: true,
            exchange: settings.dead_letter_exchange.clone().unwrap_or_default(),
            routing_key: settings.dead_letter_routing_key.clone(),
            on_its_way: self.in_flight.begin(),
            transit: Some(transit),
        })));
    }

    /// A try to dead-letter a message has ended. `left` has the queues that have taken it, if not
    /// all queues of its route have, or if there is none.
    pub(crate) fn tried_to_dead_letter(
        &mut self,
        id: TransitId,
        left: Option<Vec<Name>>,
        now: u64,
        effects: &mut Effects,
    ) {
        let Kind::Quorum(quorum) = &mut self.kind else {
            return;
        };
        if let Some(taken_by) = left {
            quorum.in_transit.try_later(id, taken_by, now);
            self.schedule(effects);
            return;
        }
        let Some((envelope, reason)) = quorum.in_transit.remove(id) else {
            return;
        };
        self.tally.dead_letter(envelope.size(), reason);
        self.forget(&envelope);
        self.refund(envelope.size(), effects);
        effects.add(Effect::Drop(envelope));
        self.note_limits();
    }

    /// Tries again to dead-letter the messages in transit that wait for it.
    pub(super) fn retry_dead_letters(&mut self, now: u64, effects: &mut Effects) {
        let Kind::Quorum(quorum) = &mut self.kind else {
            return;
        };
        for again in quorum.in_transit.due(now) {
            let transit = Transit {
                id: again.id,
                taken_by: again.taken_by,
            };
            self.try_to_dead_letter(again.envelope, again.reason, transit, effects);
        }
    }

    /// The dead letters that other queues have not taken yet.
    pub(super) fn in_transit(&self) -> MessageTotals {
        match &self.kind {
            Kind::Classic | Kind::Stream(_) => MessageTotals::default(),
            Kind::Quorum(quorum) => quorum.in_transit.totals(),
        }
    }

    /// The positions of the messages in transit.
    pub(super) fn in_transit_positions(&self) -> Vec<u64> {
        match &self.kind {
            Kind::Classic | Kind::Stream(_) => Vec::new(),
            Kind::Quorum(quorum) => quorum.in_transit.positions().collect(),
        }
    }

    /// When a dead letter is tried again next, or [`NEVER`].
    pub(super) fn next_dead_letter(&self) -> u64 {
        match &self.kind {
            Kind::Classic | Kind::Stream(_) => NEVER,
            Kind::Quorum(quorum) => quorum.in_transit.next_due(),
        }
    }

    /// Makes a returned message ready. In a classic queue it keeps its position, in a quorum queue
    /// it gets the last one among the returned messages.
    pub(super) fn make_returned_ready(&mut self, mut envelope: Envelope) {
        let from = envelope.position();
        if self.kind.is_quorum() {
            envelope.set_position(self.next_position());
            envelope.mark_returned();
            self.write_move(from, &envelope);
        } else {
            self.write_mark(&envelope);
        }
        self.ready.put_back(envelope);
    }
}
