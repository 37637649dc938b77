//! How a virtual host is made from what a store has of it.
//!
//! A virtual host comes back by the operations that made it: budgets, exchanges, policies, queues
//! and bindings are declared in this order. Then the messages are put where they were. Only after
//! that do limits and times apply, so that a dead letter finds its queue.

use std::sync::Arc;

use super::{
    AliasChange, BindingRequest, ConnectionId, Identity, VirtualHost, WithBindings,
    envelopes::Envelopes,
    recovered::{RecoveredMessage, RecoveredVhost},
    topology_records::ExchangeRecord,
};
use crate::{
    engine::{
        access::{Access, Grants},
        events::Actor,
        policy::ForeignSettings,
        queue::{Effects, QueueCore, QueueState, RestoredPlace},
        store::StoredQueue,
    },
    message::headers::x_death::DeathReason,
    model::{error::Result, name::Name},
};

impl VirtualHost {
    /// Makes everything that the store has of this virtual host, which is new.
    ///
    /// # Errors
    /// Those of a declaration: a router is missing that an exchange had, say.
    pub(crate) fn recover(self: &Arc<Self>, mut recovered: RecoveredVhost) -> Result {
        self.add_kept_parts(std::mem::take(&mut recovered.kept_parts));
        let nobody = Identity {
            connection: NOBODY,
            access: &Access::All,
            refuses_block: false,
        };
        for budget in &recovered.budgets {
            self.declare_budget(budget)?;
        }
        for record in &recovered.exchanges {
            self.declare_exchange(nobody, &record.exchange, WithBindings::No)?;
        }
        for (user, permissions) in &recovered.permissions {
            // No one reads events yet.
            drop(self.set_permissions(user, permissions, Grants::compile(permissions)?));
        }
        for (user, topic) in &recovered.topic_permissions {
            let compiled = self.grants().compile_topic(user, topic)?;
            let exchange = Name::of_entity(&topic.exchange)?;
            drop(self.set_topic_permissions(user, &exchange, topic, compiled)?);
        }
        for (policy, kind) in recovered.policies.drain(..) {
            self.set_policy_with(policy, kind, ForeignSettings::Kept, Actor::Internal)?;
        }
        for record in &recovered.queues {
            self.declare_queue(nobody, &record.queue, WithBindings::No)?;
        }
        for alias in &recovered.aliases {
            self.change_alias(alias, AliasChange::Declare)?;
        }
        for model in &recovered.models {
            self.declare_model(model)?;
        }
        // As in RabbitMQ, those without a place come last.
        let last = |place: &Option<u64>| (place.is_none(), *place);
        recovered.bindings.sort_by_key(|(_, place)| last(place));
        for (binding, _) in &recovered.bindings {
            self.bind(
                nobody,
                BindingRequest {
                    source: &binding.source,
                    destination: &binding.destination,
                    to_queue: binding.to_queue,
                    routing_key: &binding.routing_key,
                    arguments: &binding.arguments,
                },
            )?;
        }
        // Only now, so that the limit does not refuse what was there.
        *self.about.lock() = std::mem::take(&mut recovered.about);
        let was_closed = recovered.was_closed;
        let mut restored = Vec::new();
        for record in &recovered.exchanges {
            let name = Name::of_entity(record.exchange.name())?;
            let messages = record
                .delay_queue
                .and_then(|it| recovered.messages.remove(&it));
            if let (Some(messages), Ok(queue)) = (messages, self.delay_queue(&name)) {
                // No consumer had one of these, however the broker has ended.
                let effects = self.restore(&queue, messages, true, 0);
                restored.push((queue, effects));
            }
            let messages = record.history.and_then(|it| recovered.messages.remove(&it));
            self.restore_history(&name, messages.unwrap_or_default());
        }
        let mut changed = Vec::new();
        for record in &mut recovered.queues {
            let name = Name::of_entity(record.queue.name())?;
            let Some(queue) = self.read_topology(|topology| topology.queue(&name)) else {
                continue;
            };
            if queue.is_stream() {
                let stream = recovered.streams.remove(&record.number);
                let effects = self.restore_stream(&queue, stream.unwrap_or_default())?;
                restored.push((queue, effects));
                continue;
            }
            let messages = recovered.messages.remove(&record.number);
            let messages = messages.unwrap_or_default();
            if let Some(last) = messages
                .last()
                .filter(|_| !was_closed && queue.is_classic())
            {
                record.failed_before = record.failed_before.max(last.position + 1);
                changed.push((name, &*record));
            }
            let effects = self.restore(&queue, messages, was_closed, record.failed_before);
            restored.push((queue, effects));
        }
        for (stream, reader, offset) in std::mem::take(&mut recovered.stream_offsets) {
            if let Some(queue) = self.read_topology(|topology| topology.queue(&stream)) {
                queue.lock().store_offset(&reader, offset);
            }
        }
        if let Some(storage) = self.storage() {
            storage.begin_to_write();
            for (name, record) in changed {
                storage.write_queue_record(&name, record);
            }
        }
        self.delete_unbound(&recovered.exchanges);
        for (queue, effects) in restored {
            // Nothing is written of its messages any more, so they may not come back again.
            if let Some(stored) = queue.stored().filter(|stored| stored.is_in_memory()) {
                stored.drop_all();
            }
            self.run_effects(&queue, effects);
            self.with_queue(&queue, QueueState::restored);
        }
        Ok(())
    }

    /// Deletes the auto-delete exchanges whose bindings have all ended with the broker. Their
    /// queues were exclusive or transient.
    fn delete_unbound(self: &Arc<Self>, exchanges: &[ExchangeRecord]) {
        let bound = exchanges.iter().filter(|record| record.had_binding);
        let names = bound.filter_map(|record| Name::new(record.exchange.name()).ok());
        let mut topology = self.topology.write();
        topology.collect(names.collect());
        let aftermath = topology.take_aftermath(Actor::Internal);
        drop(topology);
        self.finish_change(aftermath);
    }

    /// Puts the messages of a queue where they were.
    fn restore(
        &self,
        queue: &Arc<QueueCore>,
        messages: Vec<RecoveredMessage>,
        was_closed: bool,
        failed_before: u64,
    ) -> Effects {
        let mut effects = Effects::none();
        let Some(stored) = queue.stored() else {
            return effects;
        };
        let clock = stored.clock();
        let now = self.nanos();
        let is_quorum = queue.is_quorum();
        if !messages.is_empty() {
            queue.set_timed();
        }
        let mut envelopes = Envelopes::new(self, clock);
        let mut state = queue.lock();
        state.skip_positions(failed_before);
        for message in messages {
            let RecoveredMessage {
                position,
                head,
                body,
                mark,
            } = message;
            let mark = match mark.out && !was_closed {
                true => {
                    let mark = mark.failed_once_more();
                    stored.mark(position, mark);
                    mark
                }
                false => mark,
            };
            let due = mark.due.or(head.due).map(|due| clock.nanos(due));
            // A delay queue routes its messages when they are due. It has no other messages.
            let is_delayed = |due: &u64| queue.is_delay_queue() || *due > now;
            // With those of queues that it was in before. After a crash a delivery of everything in
            // a classic queue has failed.
            let failed = mark.failed.max(head.failed);
            let failed = failed.max(u32::from(position < failed_before));
            let mut envelope = envelopes.make(head, body, position);
            // As in RabbitMQ 4.3: a message that was only given back to a classic queue counts as
            // never delivered.
            envelope.restore_counts(if is_quorum { mark.acquired } else { 0 }, failed);
            if failed > 0 {
                envelope.mark_delivered_before();
            }
            if mark.returned {
                envelope.mark_returned();
            }
            let place = match (mark.dead.and_then(DeathReason::of_number), due) {
                (Some(reason), _) => RestoredPlace::Dead(reason),
                (None, Some(due)) if is_delayed(&due) => RestoredPlace::Delayed {
                    due,
                    returning: mark.due.is_some(),
                },
                (None, _) => RestoredPlace::Ready,
            };
            state.restore(envelope, place, &mut effects);
        }
        effects
    }

    /// Puts the messages of a history where they were.
    fn restore_history(&self, exchange: &Name, messages: Vec<RecoveredMessage>) {
        let history = self.read_topology(|topology| {
            let exchange = topology.exchanges.get(exchange)?;
            exchange.history.clone()
        });
        let Some(history) = history else { return };
        let Some(clock) = history.stored().map(StoredQueue::clock) else {
            return;
        };
        let mut envelopes = Envelopes::new(self, clock);
        for message in messages {
            let RecoveredMessage {
                position,
                head,
                body,
                ..
            } = message;
            history.restore(envelopes.make(head, body, position));
        }
    }
}

/// The connection of everything that is recovered. No queue of it is exclusive.
const NOBODY: ConnectionId = 0;
