//! What a store has of a broker, and how a virtual host is made from it.
//!
//! A virtual host comes back by the operations that made it: budgets, exchanges, policies, queues
//! and bindings are declared in this order. Then the messages are put where they were. Only after
//! that do limits and times apply, so that a dead letter finds its queue.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use serde_json::Value;

use super::{
    About, AliasChange, BindingRequest, ConnectionId, Identity, KeptParts, VirtualHost,
    WithBindings,
    storage::{BindingRecord, ExchangeRecord, Numbers, QueueRecord, read_record},
};
use crate::{
    engine::{
        access::{Access, Grants},
        policy::{ForeignSettings, Policy, PolicyKind},
        queue::{Effects, QueueCore, QueueState, RestoredPlace},
        store::{
            Mark, MessageHead, Operation, RecordKind, Recovered, Store, StoredMessage, StoredQueue,
            WallClock,
        },
    },
    message::{
        envelope::{Address, Deaths, Envelope, Meta, NEVER},
        headers::x_death::DeathReason,
        payload::Body,
    },
    model::{
        access::{Permissions, TopicPermissions, User},
        bytes::Bytes,
        descriptions,
        error::{Result, StoreError},
        name::Name,
    },
};

/// Everything that a store has.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) vhosts: BTreeMap<Name, RecoveredVhost>,
    pub(crate) users: Vec<User>,
    pub(crate) global_parameters: BTreeMap<Name, Value>,
    /// The first number that nothing in the store has.
    pub(crate) next_number: u64,
    /// The messages that share a body with others, by queue and position.
    pub(crate) shared: Vec<((u64, u64), u64)>,
    /// What nothing belongs to: messages of a queue without a record, bodies without a message.
    pub(crate) orphans: Vec<Operation>,
}

/// What a store has of one virtual host.
#[derive(Debug, Default)]
pub(crate) struct RecoveredVhost {
    about: About,
    permissions: Vec<(Name, Permissions)>,
    topic_permissions: Vec<(Name, TopicPermissions)>,
    budgets: Vec<descriptions::Budget>,
    policies: Vec<(Policy, PolicyKind)>,
    kept_parts: KeptParts,
    exchanges: Vec<ExchangeRecord>,
    queues: Vec<QueueRecord>,
    /// Each with its place in the order of those of its source, if that has a meaning.
    bindings: Vec<(BindingRecord, Option<u64>)>,
    aliases: Vec<descriptions::AliasQueue>,
    models: Vec<descriptions::ModelQueue>,
    messages: HashMap<u64, Vec<RecoveredMessage>>,
    /// Whether the broker was ended in order. If not, any message may have been delivered.
    was_closed: bool,
}

/// One message of a store.
#[derive(Debug)]
struct RecoveredMessage {
    position: u64,
    head: MessageHead<'static>,
    body: Bytes,
    mark: Mark,
}

impl Recovery {
    /// Reads a store.
    ///
    /// # Errors
    /// Those of the store; [`StoreErrorKind::Damaged`](crate::StoreErrorKind::Damaged) for a
    /// record or a message that cannot be read.
    pub(crate) fn read(store: &mut dyn Store) -> Result<Recovery, StoreError> {
        let mut reader = Reader::default();
        let mut read = Ok(());
        store.recover(&mut |recovered| {
            if read.is_ok() {
                read = reader.add(recovered);
            }
        })?;
        let read = read.and_then(|()| reader.into_recovery(store.was_closed()));
        read.map_err(|reason| store.damaged(&reason))
    }
}

/// Collects what a store shows. The errors are reasons why something cannot be read.
#[derive(Default)]
struct Reader {
    recovery: Recovery,
    /// Where the messages of a queue belong.
    homes: HashMap<u64, Name>,
    messages: HashMap<u64, Vec<RecoveredMessage>>,
    /// The bodies that are kept by themselves, and whether a message uses them.
    bodies: HashMap<u64, (Bytes, bool)>,
}

impl Reader {
    fn add(&mut self, recovered: Recovered<'_>) -> Result<(), String> {
        match recovered {
            Recovered::Record { kind, name, value } => return self.add_record(kind, name, value),
            Recovered::Body { body, octets } => {
                self.uses(body);
                self.bodies.insert(body, (octets.into(), false));
            }
            Recovered::Message {
                queue,
                position,
                message,
                mark,
            } => {
                self.uses(queue);
                let unreadable = |error| {
                    format!("the message {position} of the queue {queue} is unreadable: {error}")
                };
                let (head, octets) = StoredMessage::read(message).map_err(unreadable)?;
                let body = match head.body {
                    None => octets.into(),
                    Some(body) => {
                        let place = (queue, position);
                        self.recovery.shared.push((place, body));
                        let shared = self.bodies.get_mut(&body);
                        let (octets, is_used) =
                            shared.ok_or_else(|| format!("the body {body} is missing"))?;
                        *is_used = true;
                        octets.clone()
                    }
                };
                let message = RecoveredMessage {
                    position,
                    head,
                    body,
                    mark: mark.unwrap_or_default(),
                };
                self.messages.entry(queue).or_default().push(message);
            }
        }
        Ok(())
    }

    fn add_record(&mut self, kind: RecordKind, name: &str, value: &[u8]) -> Result<(), String> {
        match kind {
            RecordKind::Vhost => {
                let about: Option<About> = read_record(kind, name, value)?;
                let vhost = self.vhost(read_record(kind, name, name.as_bytes())?);
                vhost.about = about.unwrap_or_default();
            }
            RecordKind::User => self.recovery.users.push(read_record(kind, name, value)?),
            RecordKind::Permissions => {
                let (vhost, user): (Name, Name) = read_record(kind, name, name.as_bytes())?;
                let permissions = read_record(kind, name, value)?;
                self.vhost(vhost).permissions.push((user, permissions));
            }
            RecordKind::TopicPermissions => {
                let (vhost, user, _): (Name, Name, Name) =
                    read_record(kind, name, name.as_bytes())?;
                let topic = read_record(kind, name, value)?;
                self.vhost(vhost).topic_permissions.push((user, topic));
            }
            RecordKind::Budget => {
                let (vhost, _): (Name, Name) = read_record(kind, name, name.as_bytes())?;
                let budget = read_record(kind, name, value)?;
                self.vhost(vhost).budgets.push(budget);
            }
            RecordKind::Policy => {
                let (vhost, is_operator, _): (Name, bool, String) =
                    read_record(kind, name, name.as_bytes())?;
                let of = match is_operator {
                    true => PolicyKind::Operator,
                    false => PolicyKind::User,
                };
                let policy = read_record(kind, name, value)?;
                self.vhost(vhost).policies.push((policy, of));
            }
            RecordKind::Exchange => {
                let (vhost, _): (Name, Name) = read_record(kind, name, name.as_bytes())?;
                let exchange: ExchangeRecord = read_record(kind, name, value)?;
                for number in exchange.delay_queue.into_iter().chain(exchange.history) {
                    self.uses(number);
                    self.homes.insert(number, vhost.clone());
                }
                self.vhost(vhost).exchanges.push(exchange);
            }
            RecordKind::Queue => {
                let (vhost, _): (Name, Name) = read_record(kind, name, name.as_bytes())?;
                let queue: QueueRecord = read_record(kind, name, value)?;
                self.uses(queue.number);
                self.homes.insert(queue.number, vhost.clone());
                self.vhost(vhost).queues.push(queue);
            }
            RecordKind::Alias => {
                let (vhost, _): (Name, Name) = read_record(kind, name, name.as_bytes())?;
                let alias = read_record(kind, name, value)?;
                self.vhost(vhost).aliases.push(alias);
            }
            RecordKind::Model => {
                let (vhost, _): (Name, Name) = read_record(kind, name, name.as_bytes())?;
                let model = read_record(kind, name, value)?;
                self.vhost(vhost).models.push(model);
            }
            RecordKind::Binding => {
                let binding: BindingRecord = read_record(kind, name, name.as_bytes())?;
                let place: Option<u64> = read_record(kind, name, value)?;
                place.into_iter().for_each(|place| self.uses(place));
                let vhost = self.vhost(binding.vhost.clone());
                vhost.bindings.push((binding, place));
            }
            RecordKind::KeptPart => {
                let (vhost, section, key): (Name, String, String) =
                    read_record(kind, name, name.as_bytes())?;
                let item = read_record(kind, name, value)?;
                self.vhost(vhost).kept_parts.insert(&section, key, item);
            }
            RecordKind::GlobalParameter => {
                let parameter = read_record(kind, name, name.as_bytes())?;
                let value = read_record(kind, name, value)?;
                let parameters = &mut self.recovery.global_parameters;
                parameters.insert(parameter, value);
            }
        }
        Ok(())
    }

    fn vhost(&mut self, name: Name) -> &mut RecoveredVhost {
        self.recovery.vhosts.entry(name).or_default()
    }

    fn uses(&mut self, number: u64) {
        let next = &mut self.recovery.next_number;
        *next = (*next).max(number.saturating_add(1));
    }

    fn into_recovery(mut self, was_closed: bool) -> Result<Recovery, String> {
        for (queue, mut messages) in self.messages {
            messages.sort_by_key(|message| message.position);
            let home = self.homes.get(&queue);
            match home.and_then(|vhost| self.recovery.vhosts.get_mut(vhost)) {
                Some(vhost) => {
                    vhost.messages.insert(queue, messages);
                }
                None => self.recovery.orphans.push(Operation::DropQueue { queue }),
            }
        }
        let unused = self.bodies.into_iter().filter(|(_, (_, is_used))| !is_used);
        let unused = unused.map(|(body, _)| Operation::DropBody { body });
        self.recovery.orphans.extend(unused);
        for vhost in self.recovery.vhosts.values_mut() {
            vhost.was_closed = was_closed;
        }
        Ok(self.recovery)
    }
}

impl RecoveredVhost {
    /// The numbers of the queues and of the delay queues.
    pub(crate) fn numbers(&self) -> Numbers {
        let queues = self.queues.iter();
        let queues = queues.filter_map(|it| Some((Name::new(it.queue.name()).ok()?, it.number)));
        let exchanges = self.exchanges.iter();
        let delay_queues =
            exchanges.filter_map(|it| Some((Name::new(it.exchange.name()).ok()?, it.delay_queue?)));
        let exchanges = self.exchanges.iter();
        let histories =
            exchanges.filter_map(|it| Some((Name::new(it.exchange.name()).ok()?, it.history?)));
        Numbers {
            queues: queues.collect(),
            delay_queues: delay_queues.collect(),
            histories: histories.collect(),
        }
    }
}

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
        };
        for budget in &recovered.budgets {
            self.declare_budget(budget)?;
        }
        for record in &recovered.exchanges {
            self.declare_exchange(nobody, &record.exchange, WithBindings::No)?;
        }
        for (user, permissions) in &recovered.permissions {
            self.set_permissions(user, permissions, Grants::compile(permissions)?);
        }
        for (user, topic) in &recovered.topic_permissions {
            let compiled = self.grants().compile_topic(user, topic)?;
            let exchange = Name::of_entity(&topic.exchange)?;
            self.set_topic_permissions(user, &exchange, topic, compiled)?;
        }
        for (policy, kind) in recovered.policies.drain(..) {
            self.set_policy_with(policy, kind, ForeignSettings::Kept)?;
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
            let messages = recovered.messages.remove(&record.number);
            let messages = messages.unwrap_or_default();
            if let Some(last) = messages
                .last()
                .filter(|_| !was_closed && !queue.is_quorum())
            {
                record.failed_before = record.failed_before.max(last.position + 1);
                changed.push((name, &*record));
            }
            let effects = self.restore(&queue, messages, was_closed, record.failed_before);
            restored.push((queue, effects));
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
        let aftermath = topology.take_aftermath();
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
            let mut envelope = self.envelope_of(head, body, clock).at(position);
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
        for message in messages {
            let RecoveredMessage {
                position,
                head,
                body,
                ..
            } = message;
            history.restore(self.envelope_of(head, body, clock).at(position));
        }
    }

    fn envelope_of(&self, head: MessageHead<'_>, body: Bytes, clock: WallClock) -> Envelope {
        let exchange = self.exchange_names().of(&head.exchange);
        let key = Name::new(&head.routing_key).unwrap_or_default();
        let address = Address::new(&exchange, &key);
        let meta = Meta {
            properties: head.properties.into_owned(),
            size: head.size,
            bcc: head.bcc.into_owned(),
            deaths: Deaths {
                recorded: head.len_before_deaths.is_some(),
                rerouted: head.is_rerouted,
                len_before: head.len_before_deaths.unwrap_or(0),
            },
            ..Meta::default()
        };
        let mut envelope = Envelope::new(Body::encoded(body), &address, Some(Arc::new(meta)));
        envelope.deadline = head.expires.map_or(NEVER, |at| clock.nanos(at));
        envelope
    }
}

/// The connection of everything that is recovered. No queue of it is exclusive.
const NOBODY: ConnectionId = 0;
