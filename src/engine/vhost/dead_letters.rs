//! Routes the dead letters of queues to their dead-letter exchanges.

use std::sync::Arc;

use super::{VirtualHost, effects::PendingEffects};
use crate::{
    engine::queue::{DeadLetter, Effect, Effects, PushedBy, QueueCore},
    message::{
        envelope::{Address, Envelope, Meta, SettledMessage},
        headers::x_death::{self, Death},
        properties::RoutingProperties,
    },
    model::name::Name,
};

impl VirtualHost {
    /// Publishes a dead letter to the dead-letter exchange of its queue. Drops it if there is no
    /// such exchange.
    ///
    /// Adds the resulting effects to the work list, so that a chain of dead-letter queues of any
    /// length needs no stack.
    pub(super) fn publish_dead_letter(
        &self,
        queue: &Arc<QueueCore>,
        dead: DeadLetter,
        work: &mut PendingEffects,
    ) {
        let settled = SettledMessage::of(&dead.envelope);
        let DeadLetter {
            mut envelope,
            reason,
            was_in_queue,
            exchange,
            routing_key,
            // Dropped at the end, when the message is in its next queue.
            on_its_way: _on_its_way,
            transit,
        } = dead;
        let done_before: &[Name] = match &transit {
            Some(transit) => &transit.taken_by,
            None => &[],
        };
        let published_to = self.exchange_names().name(envelope.origin());
        let death = Death {
            reason,
            queue: queue.name(),
            exchange: &published_to,
            routing_key: envelope.routing_key(),
            dead_letter_routing_key: routing_key.as_deref(),
            time: self.time().system_now(),
        };
        let plain;
        let meta: &Meta = match envelope.meta() {
            Some(meta) => meta,
            None => {
                plain = envelope.to_meta();
                &plain
            }
        };
        let buried = death.bury(meta);
        let keys = death.routing_keys(meta);
        let (targets, cut, routed) = {
            let properties = RoutingProperties::from(&buried.properties);
            let mut targets = self.with_routers(&keys, properties, |topology, routers| {
                self.find(topology, &exchange, &keys, properties, routers)
            });
            let all = targets.len();
            targets
                .queues
                .retain(|target| !x_death::closes_cycle(&buried, target.name()));
            let cut = targets.len() < all;
            let routed = targets.len();
            targets
                .queues
                .retain(|target| !done_before.contains(target.name()));
            (targets, cut, routed)
        };
        // A key from the headers may be longer than a name. It takes part in the routing, but the
        // dead letter then has an empty routing key.
        let key = keys
            .first()
            .and_then(|key| Name::new(key).ok())
            .unwrap_or_default();
        let address = Address::new(&self.exchange_names().of(&exchange), &key);
        let (meta, failures) = (address.complete(buried), envelope.delivery_count());
        let letter = |body| {
            let mut letter = Envelope::new(body, &address, Some(Arc::clone(&meta)));
            letter.carry_failures(failures);
            letter
        };
        let mut copies = Vec::new();
        for _ in 1..targets.len() {
            match envelope.body_mut().share() {
                Ok(body) => copies.push(letter(body)),
                Err(_) => break,
            }
        }
        let mut last = letter(envelope.into_body());
        self.keep_found(&targets, &mut last);
        if let Some(transit) = transit {
            copies.push(last);
            let wanted = targets.len();
            let mut taken_by = self.push_internal(queue, targets, copies, work);
            // Without a queue it is done only if it was in a cycle.
            let all = taken_by.len() == wanted && (routed > 0 || cut);
            taken_by.extend(transit.taken_by);
            let left = (!all).then_some(taken_by);
            let now = self.nanos();
            let mut effects = Effects::none();
            let mut state = queue.lock();
            state.tried_to_dead_letter(transit.id, left, now, &mut effects);
            drop(state);
            work.push_back((Arc::clone(queue), effects));
            return;
        }
        if targets.is_empty() {
            // In a cycle the message is dropped, so there is no reason. Otherwise the queue or the
            // exchange is missing.
            let exists = self.read_topology(|topology| {
                exchange.is_empty() || topology.exchanges.contains_key(&exchange)
            });
            let why = match (cut, exists) {
                (true, _) => None,
                (false, true) => Some(Undeliverable::NoRoute),
                (false, false) => Some(Undeliverable::NoExchange),
            };
            work.push_back(self.route_undeliverable(last, why, queue));
        } else {
            copies.push(last);
            self.push_internal(queue, targets, copies, work);
        }
        // Only now, when its copies are written: a crash in between doubles the message, and does
        // not lose it.
        if was_in_queue {
            queue.forget(settled);
        }
    }

    /// Sets the queue for messages that can be neither delivered nor routed. With `None` they are
    /// dropped.
    pub(crate) fn set_dead_letter_queue(&self, queue: Option<Arc<QueueCore>>) {
        *self.dead_letter_queue.lock() = queue;
    }

    /// Puts an unroutable published message into the dead-letter queue, or drops it if there is
    /// none.
    pub(crate) fn drop_unroutable(self: &Arc<Self>, envelope: Envelope) {
        let last = self.dead_letter_queue.lock().clone();
        if let Some(last) = last {
            let effects = self.push_undeliverable(&last, envelope, Undeliverable::NoRoute);
            self.run_effects(&last, effects);
        }
    }

    /// As [`drop_unroutable`](Self::drop_unroutable) for a message of a delay queue. Returns the
    /// effects.
    pub(super) fn route_undeliverable_due(
        &self,
        envelope: Envelope,
        delay_queue: &Arc<QueueCore>,
    ) -> (Arc<QueueCore>, Effects) {
        self.route_undeliverable(envelope, Some(Undeliverable::NoRoute), delay_queue)
    }

    /// As [`drop_unroutable`](Self::drop_unroutable) for a dead letter of `from`. Drops the message
    /// if there is no reason, or if `from` is the dead-letter queue itself. Returns the effects.
    fn route_undeliverable(
        &self,
        envelope: Envelope,
        why: Option<Undeliverable>,
        from: &Arc<QueueCore>,
    ) -> (Arc<QueueCore>, Effects) {
        let last = self
            .dead_letter_queue
            .lock()
            .clone()
            .filter(|last| last != from);
        match (last, why) {
            (Some(last), Some(why)) => {
                let effects = self.push_undeliverable(&last, envelope, why);
                (last, effects)
            }
            _ => {
                let mut effects = Effects::none();
                effects.add(Effect::Drop(envelope));
                (Arc::clone(from), effects)
            }
        }
    }

    fn push_undeliverable(
        &self,
        last: &Arc<QueueCore>,
        mut envelope: Envelope,
        why: Undeliverable,
    ) -> Effects {
        envelope.add_header(UNDELIVERABLE, why.as_str());
        let now = self.stamp(last, &mut envelope);
        let mut effects = Effects::none();
        let record = self.record_of_broker(last, &envelope, None, None);
        let mut message = Some(envelope);
        let pushed =
            last.lock_for(record)
                .enqueue(&mut message, PushedBy::Broker, now, &mut effects);
        if let (Err(_), Some(envelope)) = (pushed, message) {
            effects.add(Effect::Drop(envelope));
        }
        effects
    }
}

/// The header with the reason why a message is in the dead-letter queue of its virtual host.
const UNDELIVERABLE: &str = "x-undeliverable-reason";

/// The reason why a message can be neither delivered nor routed.
#[derive(Clone, Copy, Debug)]
enum Undeliverable {
    /// No binding leads the message to a queue.
    NoRoute,
    /// The exchange that the message is published to does not exist.
    NoExchange,
}

impl Undeliverable {
    fn as_str(self) -> &'static str {
        match self {
            Undeliverable::NoRoute => "no-route",
            Undeliverable::NoExchange => "no-exchange",
        }
    }
}
