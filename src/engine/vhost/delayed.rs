//! Delayed exchanges: messages that wait in an exchange, and are routed when their time has come.
//!
//! They wait in a *shelf*: a queue that no name leads to, nobody consumes from, and of which nothing is used but what a
//! queue does with delayed messages. What has become due is taken out a run at a time and routed on.

use std::sync::{Arc, Weak};

use super::{
    Published, Topology, VirtualHost,
    effects::PendingEffects,
    publish::{PushFailure, Route},
    route::route_keys,
};
use crate::{
    engine::queue::{Effect, Effects, PushError, PushedBy, QueueCore, after},
    message::{
        envelope::Envelope,
        headers::{cc_bcc, x_delay},
    },
    model::{
        arguments::QueueArguments,
        error::{EntityKind, Error, Result},
        name::Name,
    },
    runtime::clock::TimerTarget,
};

/// How many messages are taken out of a shelf at once: so long its lock is held.
const RUN: usize = 256;

/// What the timers hold of a shelf.
struct DelayQueueTimer {
    vhost: Weak<VirtualHost>,
    queue: Weak<QueueCore>,
}

impl TimerTarget for DelayQueueTimer {
    fn fire(&self, _: std::time::Instant) {
        if let (Some(vhost), Some(shelf)) = (self.vhost.upgrade(), self.queue.upgrade()) {
            shelf.timer_fired();
            vhost.route_due_messages(&shelf);
        }
    }
}

impl VirtualHost {
    /// A shelf for the exchange of this name. What lies there counts against the budgets of the whole virtual host.
    pub(super) fn new_delay_queue(
        self: &Arc<Self>,
        topology: &Topology,
        exchange: &Name,
    ) -> Result<Arc<QueueCore>> {
        let settings = QueueArguments::default();
        let account = self.open_account(topology, &settings)?;
        let number = self.next_number();
        let shelf = Arc::new(QueueCore::new(exchange.clone(), number, settings, account));
        shelf.set_timed();
        shelf.timer_target(|| {
            Arc::new(DelayQueueTimer {
                vhost: Arc::downgrade(self),
                queue: Arc::downgrade(&shelf),
            })
        });
        Ok(shelf)
    }

    /// The shelf of the exchange of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`] if it is no delayed exchange, [`Error::ShutDown`].
    pub(crate) fn delay_queue(&self, exchange: &Name) -> Result<Arc<QueueCore>> {
        let topology = self.topology.read();
        self.check_up()?;
        match topology.exchanges.get(exchange) {
            None => Err(Error::not_found(
                EntityKind::Exchange,
                exchange,
                self.name(),
            )),
            Some(declared) => match &declared.delay_queue {
                Some(shelf) => Ok(Arc::clone(shelf)),
                None => Err(Error::not_delayed(exchange, self.name())),
            },
        }
    }

    /// As [`push`](Self::push), where delayed exchanges are on the way that keep the message back.
    pub(super) fn push_delayed_copies(
        self: &Arc<Self>,
        route: &Route,
        message: &mut Option<Envelope>,
        due: Option<u64>,
    ) -> std::result::Result<Published, PushFailure> {
        let Some(envelope) = message else {
            return Ok(Published::default());
        };
        let over = after(self.nanos(), route.delay).max(due.unwrap_or(0));
        // Where no queue is to have it now, the last shelf gets the message itself.
        let mut copies = Vec::with_capacity(route.delay_queues.len());
        for _ in usize::from(route.queues.is_empty())..route.delay_queues.len() {
            match envelope.share() {
                Ok(copy) => copies.push(copy),
                Err(_) => return Err(PushFailure::NotShareable),
            }
        }
        let mut published = Published::default();
        match route.queues.is_empty() {
            true => copies.extend(message.take()),
            false => match self.push_to_queues(route, message, due) {
                Ok(pushed) => published = pushed,
                Err(PushFailure::Refused { refused, .. }) => published.refused = refused,
                // It is routed anew: the shelves must not have it already.
                Err(failure) => return Err(failure),
            },
        }
        let mut left = None;
        for (shelf, copy) in route.delay_queues.iter().zip(copies) {
            let mut effects = Effects::none();
            let mut copy = Some(copy);
            let kept =
                shelf
                    .lock()
                    .enqueue_delayed(&mut copy, over, PushedBy::Publisher, &mut effects);
            self.run_effects(shelf, effects);
            match kept {
                Ok(()) => published.delayed += 1,
                Err(PushError::Deleted) => left = Some((PushFailure::QueueDeleted, copy)),
                Err(PushError::Refused(_)) => {
                    published.refused += 1;
                    let failure = PushFailure::Refused {
                        queue: shelf.name().clone(),
                        refused: published.refused,
                    };
                    left = Some((failure, copy));
                }
            }
        }
        match left {
            Some((failure, copy)) if published.routed + published.delayed == 0 => {
                *message = copy;
                Err(failure)
            }
            _ => Ok(published),
        }
    }

    /// Routes what has become due in a shelf.
    fn route_due_messages(self: &Arc<Self>, shelf: &Arc<QueueCore>) {
        loop {
            let due = self.with_queue(shelf, |state, now, effects| {
                state.take_due(RUN, now, effects)
            });
            let messages = due.len();
            let bytes = due.iter().map(Envelope::size).fold(0, u64::wrapping_add);
            let mut work = PendingEffects::new();
            for envelope in due {
                self.route_due(shelf, envelope, &mut work);
            }
            self.run_all_effects(work);
            self.with_queue(shelf, |state, _, effects| {
                state.settle_moved(messages as u64, bytes, effects);
            });
            if messages < RUN {
                return;
            }
        }
    }

    /// Routes one message whose delay is over, from the exchange that kept it back.
    fn route_due(&self, shelf: &Arc<QueueCore>, mut envelope: Envelope, work: &mut PendingEffects) {
        x_delay::mark_over(&mut envelope);
        let found = {
            let properties = envelope.properties();
            let bcc = envelope.meta().map(|meta| meta.bcc.as_slice());
            let keys: Vec<&str> = [envelope.routing_key()]
                .into_iter()
                .chain(cc_bcc::cc(properties))
                .chain(bcc.unwrap_or_default().iter().map(String::as_str))
                .collect();
            let topology = self.topology.read();
            route_keys(&topology, shelf.name(), &keys, properties.headers.as_ref())
        };
        let mut letters = Vec::with_capacity(found.len());
        for _ in 1..found.len() {
            match envelope.share() {
                Ok(copy) => letters.push(copy),
                Err(_) => break,
            }
        }
        match found.is_empty() {
            true => work.push_back(self.route_undeliverable_due(envelope, shelf)),
            false => {
                letters.push(envelope);
                self.push_internal(found.into_targets(self.nanos()), letters, work);
            }
        }
    }

    /// Puts messages that the broker itself has under way each into the queue or the shelf that it goes to. Nobody waits for
    /// room in a queue, and one that refuses its message loses it, as RabbitMQ's do.
    pub(super) fn push_internal(
        &self,
        stops: impl Iterator<Item = (Arc<QueueCore>, Option<u64>)>,
        letters: Vec<Envelope>,
        work: &mut PendingEffects,
    ) {
        for ((queue, due), mut letter) in stops.zip(letters) {
            let mut effects = Effects::none();
            let now = self.stamp(&queue, &mut letter);
            let mut message = Some(letter);
            let pushed = match due {
                None => queue
                    .lock()
                    .enqueue(&mut message, PushedBy::Broker, now, &mut effects),
                Some(due) => {
                    queue
                        .lock()
                        .enqueue_delayed(&mut message, due, PushedBy::Broker, &mut effects)
                }
            };
            if let (Err(why), Some(letter)) = (pushed, message) {
                effects.add(match why {
                    PushError::Refused(Some(burial)) => burial.dead_letter(letter),
                    PushError::Deleted | PushError::Refused(None) => Effect::Drop(letter),
                });
            }
            if !effects.is_empty() {
                work.push_back((queue, effects));
            }
        }
    }
}
