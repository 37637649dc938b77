//! Delayed exchanges: they keep messages and route them when their delay is over.
//!
//! The messages wait in a *delay queue*. No name leads to it and it has no consumers. Only the
//! delayed messages of the queue are used. Due messages are taken out in batches and routed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Instant,
};

use super::{
    DeclaredBudget, VirtualHost, effects::PendingEffects, found::Found, route::route_keys,
};
use crate::{
    engine::queue::{Effect, Effects, PushError, PushedBy, QueueCore},
    message::{
        envelope::{Envelope, SettledMessage},
        headers::{x_death, x_delay},
        properties::RoutingProperties,
    },
    model::{
        arguments::QueueArguments,
        error::{EntityKind, Error, Result},
        name::Name,
    },
    runtime::clock::TimerTarget,
};

/// How many messages are taken out of a delay queue in one critical section.
const RUN: usize = 256;

/// The timers' reference to a delay queue.
struct DelayQueueTimer {
    vhost: Weak<VirtualHost>,
    queue: Weak<QueueCore>,
}

impl TimerTarget for DelayQueueTimer {
    fn fire(&self, now: Instant) {
        if let (Some(vhost), Some(delay_queue)) = (self.vhost.upgrade(), self.queue.upgrade()) {
            vhost.route_due_messages(&delay_queue, vhost.nanos_at(now));
            // Only now, so that no other thread routes the next run before this one. If more is
            // due, the timer fires again at once.
            vhost.set_timer(&delay_queue);
        }
    }
}

impl VirtualHost {
    /// Makes a delay queue for the exchange of this name. Its messages count against the budgets of
    /// the whole virtual host.
    pub(super) fn new_delay_queue(
        self: &Arc<Self>,
        budgets: &BTreeMap<Name, DeclaredBudget>,
        exchange: &Name,
        is_durable: bool,
    ) -> Result<Arc<QueueCore>> {
        let settings = Arc::<QueueArguments>::default();
        let account = self.open_account(budgets, &settings)?;
        let number = self.next_number();
        let in_flight = Arc::clone(self.drain().in_flight());
        let mut queue = QueueCore::new(exchange.clone(), number, settings, account, in_flight);
        if let Some(storage) = self.storage().filter(|_| is_durable) {
            queue = queue.stored_in(storage.of_delay_queue(exchange));
        }
        let queue = Arc::new(queue.of_delayed_exchange());
        queue.set_timed();
        queue.timer_target(|| {
            Arc::new(DelayQueueTimer {
                vhost: Arc::downgrade(self),
                queue: Arc::downgrade(&queue),
            })
        });
        Ok(queue)
    }

    /// The delay queue of the exchange of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`] if it is not a delayed exchange,
    /// [`Error::ShutDown`].
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
                Some(queue) => Ok(Arc::clone(queue)),
                None => Err(Error::not_delayed(exchange, self.name())),
            },
        }
    }

    /// Routes a run of the messages of a delay queue that are due at `now`.
    fn route_due_messages(self: &Arc<Self>, delay_queue: &Arc<QueueCore>, now: u64) {
        let due = delay_queue.lock().take_due(RUN, now);
        let messages = due.len() as u64;
        let bytes = due.iter().map(Envelope::size).fold(0, u64::wrapping_add);
        let settled: Vec<_> = due.iter().map(SettledMessage::of).collect();
        let mut work = PendingEffects::new();
        for envelope in due {
            self.route_due(delay_queue, envelope, &mut work);
        }
        self.run_all_effects(work);
        // Only now, when its copies are written.
        settled
            .into_iter()
            .for_each(|message| delay_queue.forget(message));
        self.settle_moved(delay_queue, messages, bytes);
    }

    /// Routes one message whose delay is over, from the exchange that kept it.
    fn route_due(
        &self,
        delay_queue: &Arc<QueueCore>,
        mut envelope: Envelope,
        work: &mut PendingEffects,
    ) {
        x_delay::mark_over(&mut envelope);
        let found = {
            let keys: Vec<&str> = match envelope.meta() {
                Some(meta) => x_death::routing_keys(envelope.routing_key(), meta).collect(),
                None => vec![envelope.routing_key()],
            };
            let properties = RoutingProperties::from(envelope.properties());
            let name = delay_queue.name();
            self.with_routers(&keys, properties, |topology, routers| {
                route_keys(topology, name, &keys, properties, routers)
            })
        };
        self.keep_found(&found, &mut envelope);
        let mut copies = Vec::with_capacity(found.len());
        for _ in 1..found.len() {
            match envelope.share() {
                Ok(copy) => copies.push(copy),
                Err(_) => break,
            }
        }
        match found.is_empty() {
            true => work.push_back(self.route_undeliverable_due(envelope, delay_queue)),
            false => {
                copies.push(envelope);
                self.push_internal(delay_queue, found, copies, work);
            }
        }
    }

    /// Puts each message of the broker itself into its queue or delay queue, or hands it to its
    /// requester. The broker does not wait for capacity. A message that its queue refuses is lost,
    /// as in RabbitMQ. `from` is the queue that the message comes from. All copies have the same
    /// body, which the store keeps once.
    pub(super) fn push_internal(
        &self,
        from: &Arc<QueueCore>,
        found: Found,
        copies: Vec<Envelope>,
        work: &mut PendingEffects,
    ) -> Vec<Name> {
        let mut taken_by = Vec::new();
        let mut copies = copies.into_iter();
        for (reply, copy) in found.replies.iter().zip(&mut copies) {
            let mut effects = Effects::none();
            match reply.hand_over(copy) {
                Ok(wake) => effects.wake(wake),
                Err(copy) => effects.add(Effect::Drop(copy)),
            }
            // A message to a requester that is gone is dropped as in RabbitMQ.
            taken_by.push(reply.address().clone());
            work.push_back((Arc::clone(from), effects));
        }
        let mut copies = copies.peekable();
        let body = copies.peek().and_then(|copy| found.stored_body(copy));
        for ((queue, due), mut copy) in found.into_targets(self.nanos()).zip(copies) {
            let mut effects = Effects::none();
            let now = self.stamp(&queue, &mut copy);
            let record = self.record_of_broker(&queue, &copy, due, body.as_ref());
            let mut message = Some(copy);
            let pushed = match due {
                None => queue.lock_for(record).enqueue(
                    &mut message,
                    PushedBy::Broker,
                    now,
                    &mut effects,
                ),
                Some(due) => queue.lock_for(record).enqueue_delayed(
                    &mut message,
                    due,
                    PushedBy::Broker,
                    None,
                    now,
                    &mut effects,
                ),
            };
            if pushed.is_ok() {
                taken_by.push(queue.name().clone());
            } else if let (Err(why), Some(copy)) = (pushed, message) {
                effects.add(match why {
                    PushError::Refused(Some(target)) => target.dead_letter(copy),
                    PushError::Deleted
                    | PushError::Refused(None)
                    | PushError::DeadLettered
                    | PushError::NotStored(_)
                    | PushError::Full => Effect::Drop(copy),
                });
            }
            if !effects.is_empty() {
                work.push_back((queue, effects));
            }
        }
        taken_by
    }
}
