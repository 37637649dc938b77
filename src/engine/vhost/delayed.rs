//! Delayed exchanges: messages that wait in an exchange, and are routed when their time has come.
//!
//! They wait in a *shelf*: a queue that no name leads to, nobody consumes from, and of which nothing is used but what a
//! queue does with delayed messages. What has become due is taken out a run at a time and routed on.

use std::sync::{Arc, Weak};

use super::{
    Published, Topology, VirtualHost,
    effects::Work,
    publish::{PushFailure, Route},
    route::route_keys,
};
use crate::{
    engine::queue::{By, Effect, Effects, NotTaken, Queue, after},
    message::{
        envelope::Envelope,
        headers::{cc_bcc, x_delay},
    },
    model::{
        arguments::QueueArguments,
        error::{Entity, Error, Result},
        name::Name,
    },
    runtime::clock::Timed,
};

/// How many messages are taken out of a shelf at once: so long its lock is held.
const RUN: usize = 256;

/// What the timers hold of a shelf.
struct ShelfTimer {
    vhost: Weak<VirtualHost>,
    shelf: Weak<Queue>,
}

impl Timed for ShelfTimer {
    fn due(&self, _: std::time::Instant) {
        if let (Some(vhost), Some(shelf)) = (self.vhost.upgrade(), self.shelf.upgrade()) {
            shelf.keep_appointment();
            vhost.route_due(&shelf);
        }
    }
}

impl VirtualHost {
    /// A shelf for the exchange of this name. What lies there counts against the budgets of the whole virtual host.
    pub(super) fn new_shelf(
        self: &Arc<Self>,
        topology: &Topology,
        exchange: &Name,
    ) -> Result<Arc<Queue>> {
        let settings = QueueArguments::default();
        let account = self.open_account(topology, &settings)?;
        let number = self.next_number();
        let shelf = Arc::new(Queue::new(exchange.clone(), number, settings, account));
        shelf.set_timed();
        shelf.timed(|| {
            Arc::new(ShelfTimer {
                vhost: Arc::downgrade(self),
                shelf: Arc::downgrade(&shelf),
            })
        });
        Ok(shelf)
    }

    /// The shelf of the exchange of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`] if it is no delayed exchange, [`Error::ShutDown`].
    pub(crate) fn shelf(&self, exchange: &Name) -> Result<Arc<Queue>> {
        let topology = self.topology.read();
        self.check_up()?;
        match topology.exchanges.get(exchange) {
            None => Err(Error::not_found(Entity::Exchange, exchange, self.name())),
            Some(declared) => match &declared.shelf {
                Some(shelf) => Ok(Arc::clone(shelf)),
                None => Err(Error::not_delayed(exchange, self.name())),
            },
        }
    }

    /// As [`push_at`](Self::push_at), where delayed exchanges are on the way that keep the message back.
    pub(super) fn push_and_keep(
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
        let mut copies = Vec::with_capacity(route.shelves.len());
        for _ in usize::from(route.queues.is_empty())..route.shelves.len() {
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
        for (shelf, copy) in route.shelves.iter().zip(copies) {
            let mut effects = Effects::none();
            let mut copy = Some(copy);
            let kept = shelf
                .lock()
                .push_delayed(&mut copy, over, By::Publisher, &mut effects);
            self.carry_out(shelf, effects);
            match kept {
                Ok(()) => published.delayed += 1,
                Err(NotTaken::Deleted) => left = Some((PushFailure::QueueDeleted, copy)),
                Err(NotTaken::Refused(_)) => {
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
    fn route_due(self: &Arc<Self>, shelf: &Arc<Queue>) {
        loop {
            let due = self.with_queue(shelf, |state, now, effects| {
                state.take_due(RUN, now, effects)
            });
            let messages = due.len();
            let bytes = due.iter().map(Envelope::size).fold(0, u64::wrapping_add);
            let mut work = Work::new();
            for envelope in due {
                self.route_on(shelf, envelope, &mut work);
            }
            self.work_off(work);
            self.with_queue(shelf, |state, _, effects| {
                state.moved(messages as u64, bytes, effects);
            });
            if messages < RUN {
                return;
            }
        }
    }

    /// Routes one message whose delay is over, from the exchange that kept it back.
    fn route_on(&self, shelf: &Arc<Queue>, mut envelope: Envelope, work: &mut Work) {
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
            true => work.push_back(self.rescue_unroutable(envelope, shelf)),
            false => {
                letters.push(envelope);
                self.push_on(found.into_stops(self.nanos()), letters, work);
            }
        }
    }

    /// Puts messages that the broker itself has under way each into the queue or the shelf that it goes to. Nobody waits for
    /// room in a queue, and one that refuses its message loses it, as RabbitMQ's do.
    pub(super) fn push_on(
        &self,
        stops: impl Iterator<Item = (Arc<Queue>, Option<u64>)>,
        letters: Vec<Envelope>,
        work: &mut Work,
    ) {
        for ((queue, due), mut letter) in stops.zip(letters) {
            let mut effects = Effects::none();
            let now = self.stamp(&queue, &mut letter);
            let mut message = Some(letter);
            let pushed = match due {
                None => queue
                    .lock()
                    .push(&mut message, By::Effect, now, &mut effects),
                Some(due) => queue
                    .lock()
                    .push_delayed(&mut message, due, By::Effect, &mut effects),
            };
            if let (Err(why), Some(letter)) = (pushed, message) {
                effects.add(match why {
                    NotTaken::Refused(Some(burial)) => burial.of(letter),
                    NotTaken::Deleted | NotTaken::Refused(None) => Effect::Drop(letter),
                });
            }
            if !effects.is_empty() {
                work.push_back((queue, effects));
            }
        }
    }
}
