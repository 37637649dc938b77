//! What a store has of a broker.

use std::{collections::BTreeMap, fmt, sync::Arc};

use hashbrown::HashMap;
use serde_json::Value;

use super::{
    About, KeptParts,
    storage::Numbers,
    topology_records::{BindingRecord, ExchangeRecord, QueueRecord, read_record},
};
use crate::{
    engine::{
        policy::{Policy, PolicyKind},
        store::{
            Arrival, Mark, MessageHead, MessageReader, Operation, RecordKind, Recovered, Store,
            StoredSegment,
        },
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
    pub(super) about: About,
    pub(super) permissions: Vec<(Name, Permissions)>,
    pub(super) topic_permissions: Vec<(Name, TopicPermissions)>,
    pub(super) budgets: Vec<descriptions::Budget>,
    pub(super) policies: Vec<(Policy, PolicyKind)>,
    pub(super) kept_parts: KeptParts,
    pub(super) exchanges: Vec<ExchangeRecord>,
    pub(super) queues: Vec<QueueRecord>,
    /// Each with its place in the order of those of its source, if that has a meaning.
    pub(super) bindings: Vec<(BindingRecord, Option<u64>)>,
    pub(super) aliases: Vec<descriptions::AliasQueue>,
    pub(super) models: Vec<descriptions::ModelQueue>,
    pub(super) messages: HashMap<u64, Vec<RecoveredMessage>>,
    pub(super) streams: HashMap<u64, RecoveredStream>,
    /// The stream, the name of the reader, and the offset that it has stored.
    pub(super) stream_offsets: Vec<(Name, Name, u64)>,
    /// Whether the broker was ended in order. If not, any message may have been delivered.
    pub(super) was_closed: bool,
}

/// One message of a store.
#[derive(Debug)]
pub(super) struct RecoveredMessage {
    pub(super) position: u64,
    /// Messages of a queue may share it.
    pub(super) head: Arc<MessageHead<'static>>,
    pub(super) body: Bytes,
    pub(super) mark: Mark,
}

/// One stream of a store.
#[derive(Debug, Default)]
pub(super) struct RecoveredStream {
    /// The first offset that is kept. If nothing is, that of the next message.
    pub(super) first: u64,
    /// The segments that have files of their own.
    pub(super) segments: Vec<StoredSegment>,
    /// The other messages, in their order.
    pub(super) entries: Vec<(RecoveredMessage, Arrival)>,
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
    messages: HashMap<u64, (MessageReader, Vec<RecoveredMessage>)>,
    streams: HashMap<u64, (MessageReader, RecoveredStream)>,
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
            Recovered::Stream {
                stream,
                first,
                segments,
            } => {
                self.uses(stream);
                let recovered = RecoveredStream {
                    first,
                    segments: segments.to_vec(),
                    entries: Vec::new(),
                };
                let reader = MessageReader::default();
                self.streams.insert(stream, (reader, recovered));
            }
            Recovered::Entry {
                stream,
                offset,
                message,
                arrival,
            } => {
                let (reader, recovered) = self.streams.entry(stream).or_default();
                let read = reader.read(message);
                let (head, octets) =
                    read.map_err(|error| unreadable("stream", stream, offset, error))?;
                let message = RecoveredMessage {
                    position: offset,
                    head,
                    body: octets.into(),
                    mark: Mark::default(),
                };
                recovered.entries.push((message, arrival));
            }
            Recovered::Message {
                queue,
                position,
                message,
                mark,
            } => {
                self.uses(queue);
                let (reader, messages) = self.messages.entry(queue).or_default();
                let read = reader.read(message);
                let (head, octets) =
                    read.map_err(|error| unreadable("queue", queue, position, error))?;
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
                messages.push(RecoveredMessage {
                    position,
                    head,
                    body,
                    mark: mark.unwrap_or_default(),
                });
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
            RecordKind::StreamOffset => {
                let (vhost, stream, reader): (Name, Name, Name) =
                    read_record(kind, name, name.as_bytes())?;
                let offset = read_record(kind, name, value)?;
                let vhost = self.vhost(vhost);
                vhost.stream_offsets.push((stream, reader, offset));
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
        for (queue, (_, mut messages)) in self.messages {
            messages.sort_by_key(|message| message.position);
            let home = self.homes.get(&queue);
            match home.and_then(|vhost| self.recovery.vhosts.get_mut(vhost)) {
                Some(vhost) => {
                    vhost.messages.insert(queue, messages);
                }
                None => self.recovery.orphans.push(Operation::DropQueue { queue }),
            }
        }
        for (stream, (_, recovered)) in self.streams {
            let home = self.homes.get(&stream);
            match home.and_then(|vhost| self.recovery.vhosts.get_mut(vhost)) {
                Some(vhost) => {
                    vhost.streams.insert(stream, recovered);
                }
                None => {
                    let orphan = Operation::DropQueue { queue: stream };
                    self.recovery.orphans.push(orphan);
                }
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

fn unreadable(kind: &str, number: u64, position: u64, error: impl fmt::Display) -> String {
    format!("the message {position} of the {kind} {number} is unreadable: {error}")
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
