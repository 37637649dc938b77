//! Dead letters: routing what died in a queue to where the queue says.

use std::sync::Arc;

use super::{VirtualHost, effects::PendingEffects, route};
use crate::{
    engine::queue::{DeadLetter, Effect, Effects, PushedBy, QueueCore},
    message::{
        envelope::{Address, Envelope, Meta},
        headers::x_death::{self, Death},
    },
    model::name::Name,
};

impl VirtualHost {
    /// Publishes a dead letter to the exchange that its queue names; if there is none of that name, it is dropped.
    ///
    /// What this owes in turn is added to the work list: a chain of dead-letter queues of any length needs no stack.
    pub(super) fn publish_dead_letter(
        &self,
        queue: &Arc<QueueCore>,
        dead: DeadLetter,
        work: &mut PendingEffects,
    ) {
        let DeadLetter {
            mut envelope,
            reason,
            exchange,
            routing_key,
        } = dead;
        let published_to = self.exchange_names().name(envelope.origin());
        let death = Death {
            reason,
            queue: queue.name(),
            exchange: &published_to,
            routing_key: envelope.routing_key(),
            dead_letter_routing_key: routing_key.as_deref(),
            time: self.time().system_now(),
        };
        let properties = envelope.properties();
        let bcc = envelope
            .meta()
            .map(|meta| meta.bcc.as_slice())
            .unwrap_or_default();
        let buried = x_death::with_death_recorded(properties, &death);
        let keys = x_death::routing_keys(&death, properties, bcc);
        let (targets, cut) = {
            let topology = self.topology.read();
            let mut targets =
                route::route_keys(&topology, &exchange, &keys, buried.headers.as_ref());
            let all = targets.len();
            targets
                .queues
                .retain(|target| !x_death::closes_cycle(buried.headers.as_ref(), target.name()));
            let cut = targets.len() < all;
            (targets, cut)
        };
        // A key from the headers may be longer than a name; it routed, and the letter is marked with what fits.
        let key = keys
            .first()
            .and_then(|key| Name::new(key).ok())
            .unwrap_or_default();
        let meta = Meta {
            properties: buried,
            bcc: match routing_key {
                Some(_) => Vec::new(),
                None => bcc.to_vec(),
            },
            ..envelope
                .meta()
                .map(|meta| Meta::clone(meta))
                .unwrap_or_default()
        };
        let meta = Arc::new(Meta {
            routing_key: None,
            exchange: None,
            ..meta
        });
        let address = Address::new(&self.exchange_names().of(&exchange), &key);
        let mut letters = Vec::new();
        for _ in 1..targets.len() {
            match envelope.body_mut().share() {
                Ok(body) => letters.push(Envelope::new(body, &address, Some(Arc::clone(&meta)))),
                Err(_) => break,
            }
        }
        if targets.is_empty() {
            // Cut off from a cycle, it is meant to go; else nobody is there to take it.
            let exists = self.read_topology(|topology| {
                exchange.is_empty() || topology.exchanges.contains_key(&exchange)
            });
            let why = match (cut, exists) {
                (true, _) => None,
                (false, true) => Some(Undeliverable::NoRoute),
                (false, false) => Some(Undeliverable::NoExchange),
            };
            let letter = Envelope::new(envelope.into_body(), &address, Some(meta));
            work.push_back(self.route_undeliverable(letter, why, queue));
            return;
        }
        letters.push(Envelope::new(envelope.into_body(), &address, Some(meta)));
        self.push_internal(targets.into_targets(self.nanos()), letters, work);
    }

    /// The queue for what can be neither delivered nor routed on; `None` drops it.
    pub(crate) fn set_dead_letter_queue(&self, queue: Option<Arc<QueueCore>>) {
        *self.dead_letter_queue.lock() = queue;
    }

    /// Puts a published message that reaches no queue into the dead-letter queue, if there is one, or drops it.
    pub(crate) fn drop_unroutable(self: &Arc<Self>, envelope: Envelope) {
        let last = self.dead_letter_queue.lock().clone();
        if let Some(last) = last {
            let effects = self.push_undeliverable(&last, envelope, Undeliverable::NoRoute);
            self.run_effects(&last, effects);
        }
    }

    /// As [`drop_unroutable`](Self::drop_unroutable) for a message that waited in the shelf of an exchange. Returns what is owed.
    pub(super) fn route_undeliverable_due(
        &self,
        envelope: Envelope,
        shelf: &Arc<QueueCore>,
    ) -> (Arc<QueueCore>, Effects) {
        self.route_undeliverable(envelope, Some(Undeliverable::NoRoute), shelf)
    }

    /// As [`drop_unroutable`](Self::drop_unroutable) for a dead letter of `from`; without a reason it is dropped, and one
    /// that died in the dead-letter queue itself is not put there again. Returns what is owed.
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
        let mut message = Some(envelope);
        let pushed = last
            .lock()
            .enqueue(&mut message, PushedBy::Broker, now, &mut effects);
        if let (Err(_), Some(envelope)) = (pushed, message) {
            effects.add(Effect::Drop(envelope));
        }
        effects
    }
}

/// The header that says why a message is in the dead-letter queue of its virtual host.
const UNDELIVERABLE: &str = "x-undeliverable-reason";

/// Why a message can be neither delivered nor routed on.
#[derive(Clone, Copy, Debug)]
enum Undeliverable {
    /// No queue is bound for it.
    NoRoute,
    /// The exchange that it was to go to does not exist.
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
