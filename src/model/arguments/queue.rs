//! The arguments of a queue.

use super::reader::ArgumentReader;
use crate::model::{
    descriptions::{Overflow, Queue, names as x},
    error::{EntityKind, Error, Result},
    field_value::FieldTable,
    name::Name,
};
use std::{sync::Arc, time::Duration};

/// The type of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum QueueType {
    /// A classic queue.
    #[default]
    Classic,
    /// A classic queue that counts deliveries and must be durable.
    Quorum,
}

impl QueueType {
    /// The value of `x-queue-type`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }

    /// The name of the type in RabbitMQ's errors.
    pub(crate) const fn module(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
        }
    }

    /// The arguments that queues of this type take. A redeclaration is compared by the same
    /// arguments.
    ///
    /// RabbitMQ's classic queues have no delivery limit. Here they have one.
    pub(crate) const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Classic => &[
                x::BUDGET,
                x::EXPIRES,
                x::MESSAGE_TTL,
                x::DEAD_LETTER_EXCHANGE,
                x::DEAD_LETTER_ROUTING_KEY,
                x::MAX_LENGTH,
                x::MAX_LENGTH_BYTES,
                x::MAX_IN_MEMORY_LENGTH,
                x::MAX_IN_MEMORY_BYTES,
                x::MAX_PRIORITY,
                x::OVERFLOW,
                x::QUEUE_MODE,
                x::QUEUE_VERSION,
                x::SINGLE_ACTIVE_CONSUMER,
                x::QUEUE_TYPE,
                x::QUEUE_MASTER_LOCATOR,
                x::DELIVERY_LIMIT,
            ],
            Self::Quorum => &[
                x::BUDGET,
                x::DEAD_LETTER_EXCHANGE,
                x::DEAD_LETTER_ROUTING_KEY,
                x::DEAD_LETTER_STRATEGY,
                x::EXPIRES,
                x::MAX_LENGTH,
                x::MAX_LENGTH_BYTES,
                x::MAX_IN_MEMORY_LENGTH,
                x::MAX_IN_MEMORY_BYTES,
                x::OVERFLOW,
                x::SINGLE_ACTIVE_CONSUMER,
                x::QUEUE_TYPE,
                x::QUORUM_INITIAL_GROUP_SIZE,
                x::DELIVERY_LIMIT,
                x::MESSAGE_TTL,
                x::QUEUE_LEADER_LOCATOR,
            ],
        }
    }

    /// The type in an argument table.
    pub(crate) fn of(arguments: &FieldTable) -> Self {
        match arguments.get(x::QUEUE_TYPE).and_then(|word| word.as_str()) {
            Some("quorum") => Self::Quorum,
            _ => Self::Classic,
        }
    }
}

/// The arguments of streams. RabbitMQ knows them besides those of classic and quorum queues.
const OF_STREAMS: [&str; 3] = [
    x::MAX_AGE,
    x::STREAM_MAX_SEGMENT_SIZE_BYTES,
    x::INITIAL_CLUSTER_SIZE,
];

/// The checked arguments of a queue. `None` means that the argument was not given, so that a policy
/// may give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueArguments {
    /// The budget that the queue shares with other queues.
    pub(crate) budget: Option<Name>,
    /// The exchange for dead letters. The empty name is the default exchange.
    pub(crate) dead_letter_exchange: Option<Name>,
    /// The routing key for dead letters, instead of their own. It is given only with an exchange.
    pub(crate) dead_letter_routing_key: Option<Arc<str>>,
    /// The number of returns that a message survives.
    pub(crate) delivery_limit: Option<u64>,
    /// The time without use after which the queue is deleted. It is more than zero.
    pub(crate) expires: Option<Duration>,
    /// The most messages that may be ready.
    pub(crate) max_length: Option<u64>,
    /// The most bytes of bodies that may be ready.
    pub(crate) max_length_bytes: Option<u64>,
    /// The highest priority that the queue distinguishes.
    pub(crate) max_priority: Option<u8>,
    /// The time that a message may wait.
    pub(crate) message_ttl: Option<Duration>,
    /// The behaviour at a limit.
    pub(crate) overflow: Option<Overflow>,
    /// The type of the queue. The default is classic.
    pub(crate) queue_type: QueueType,
    /// Whether the queue serves one consumer at a time.
    pub(crate) single_active_consumer: bool,
}

impl QueueArguments {
    /// Checks the arguments of the queue `name`. [`check_properties`](Self::check_properties)
    /// checks the rest of the description.
    pub(crate) fn parse(arguments: &FieldTable, name: &Name, vhost: &Name) -> Result<Self> {
        let reader = ArgumentReader {
            table: arguments,
            entity: EntityKind::Queue,
            name,
            vhost,
        };
        let dead_letter_exchange = reader.exchange(x::DEAD_LETTER_EXCHANGE)?;
        let queue_type = queue_type(&reader)?;
        check_supported(arguments, queue_type, name, vhost)?;
        check_without_effect(&reader)?;
        check_room(&reader)?;
        Ok(Self {
            budget: budget(&reader)?,
            dead_letter_routing_key: dead_letter_routing_key(&reader)?,
            dead_letter_exchange,
            delivery_limit: delivery_limit(&reader)?,
            expires: expires(&reader)?,
            max_length: reader.size(x::MAX_LENGTH)?,
            max_length_bytes: reader.size(x::MAX_LENGTH_BYTES)?,
            max_priority: reader.octet(x::MAX_PRIORITY)?,
            message_ttl: reader.time(x::MESSAGE_TTL)?,
            overflow: overflow(&reader)?,
            queue_type,
            single_active_consumer: reader.flag(x::SINGLE_ACTIVE_CONSUMER)?.unwrap_or(false),
        })
    }

    /// Checks that a queue of this type may have the flags of its description.
    pub(crate) fn check_properties(&self, queue: &Queue, name: &Name, vhost: &Name) -> Result {
        if self.queue_type == QueueType::Classic {
            return Ok(());
        }
        let refused = if !queue.is_durable() {
            "non-durable"
        } else if queue.is_auto_delete() {
            "auto-delete"
        } else if queue.is_exclusive() {
            "exclusive"
        } else {
            return Ok(());
        };
        Err(Error::invalid_property(refused, name, vhost))
    }
}

fn queue_type(reader: &ArgumentReader<'_>) -> Result<QueueType> {
    match reader.text(x::QUEUE_TYPE)? {
        None | Some("classic") => Ok(QueueType::Classic),
        Some("quorum") => Ok(QueueType::Quorum),
        Some("stream") => Err(Error::not_implemented(format_args!(
            "queue type 'stream' of queue '{}' in vhost '{}'",
            reader.name, reader.vhost
        ))),
        Some(other) => Err(reader.invalid(
            x::QUEUE_TYPE,
            format_args!("\"unsupported queue type '{other}'\", expected classic or quorum"),
        )),
    }
}

/// A queue with `x-overflow: block` must have room for at least one message.
fn check_room(reader: &ArgumentReader<'_>) -> Result {
    if overflow(reader)? != Some(Overflow::Block) {
        return Ok(());
    }
    for limit in [x::MAX_LENGTH, x::MAX_LENGTH_BYTES] {
        if reader.size(limit)? == Some(0) {
            let reason = "{value_zero,0}, expected 1 or more where x-overflow is block";
            return Err(reader.invalid(limit, reason));
        }
    }
    Ok(())
}

/// Refuses arguments that RabbitMQ takes only for queues of other types.
fn check_supported(
    arguments: &FieldTable,
    queue_type: QueueType,
    name: &Name,
    vhost: &Name,
) -> Result {
    let supported = queue_type.arguments();
    let known = [
        QueueType::Classic.arguments(),
        QueueType::Quorum.arguments(),
        &OF_STREAMS,
    ];
    for (argument, _) in arguments {
        let is_known = known.iter().any(|names| names.contains(&argument));
        if is_known && !supported.contains(&argument) {
            return Err(Error::unsupported_argument(
                argument,
                name,
                vhost,
                queue_type.module(),
            ));
        }
    }
    Ok(())
}

/// Checks the arguments that are recorded and compared but have no effect in one process.
fn check_without_effect(reader: &ArgumentReader<'_>) -> Result {
    reader.size(x::MAX_IN_MEMORY_LENGTH)?;
    reader.size(x::MAX_IN_MEMORY_BYTES)?;
    match reader.text(x::QUEUE_MODE)? {
        None | Some("default" | "lazy") => {}
        Some(other) => {
            let reason =
                format_args!("\"unsupported queue mode '{other}'\", expected default or lazy");
            return Err(reader.invalid(x::QUEUE_MODE, reason));
        }
    }
    match reader.size(x::QUEUE_VERSION)? {
        None | Some(1 | 2) => {}
        Some(other) => {
            let reason = format_args!("\"unsupported queue version '{other}'\", expected 1 or 2");
            return Err(reader.invalid(x::QUEUE_VERSION, reason));
        }
    }
    match reader.text(x::DEAD_LETTER_STRATEGY)? {
        None | Some("at-most-once" | "at-least-once") => {}
        Some(_) => {
            let reason = "invalid_dlx_strategy, expected at-most-once or at-least-once";
            return Err(reader.invalid(x::DEAD_LETTER_STRATEGY, reason));
        }
    }
    match reader.text(x::QUEUE_LEADER_LOCATOR)? {
        None | Some("client-local" | "random" | "least-leaders" | "balanced") => {}
        Some(_) => {
            let reason = "invalid_queue_locator_arg, expected client-local or balanced";
            return Err(reader.invalid(x::QUEUE_LEADER_LOCATOR, reason));
        }
    }
    match reader.size(x::QUORUM_INITIAL_GROUP_SIZE)? {
        Some(0) => Err(reader.invalid(
            x::QUORUM_INITIAL_GROUP_SIZE,
            "{value_zero,0}, expected 1 or more",
        )),
        _ => Ok(()),
    }
}

fn budget(reader: &ArgumentReader<'_>) -> Result<Option<Name>> {
    match reader.text(x::BUDGET)? {
        Some("") => Err(reader.invalid(x::BUDGET, "it is empty, expected the name of a budget")),
        name => Ok(name.map(Name::of_entity).transpose()?),
    }
}

fn dead_letter_routing_key(reader: &ArgumentReader<'_>) -> Result<Option<Arc<str>>> {
    let routing_key = reader.text(x::DEAD_LETTER_ROUTING_KEY)?;
    if routing_key.is_some() && !reader.table.contains_key(x::DEAD_LETTER_EXCHANGE) {
        let reason = format_args!(
            "routing_key_but_no_dlx_defined, expected {} too",
            x::DEAD_LETTER_EXCHANGE
        );
        return Err(reader.invalid(x::DEAD_LETTER_ROUTING_KEY, reason));
    }
    Ok(routing_key.map(Arc::from))
}

/// In later versions of RabbitMQ, -1 means "no limit".
fn delivery_limit(reader: &ArgumentReader<'_>) -> Result<Option<u64>> {
    match reader.integer(x::DELIVERY_LIMIT)? {
        Some(-1) => Ok(None),
        _ => reader.size(x::DELIVERY_LIMIT),
    }
}

fn expires(reader: &ArgumentReader<'_>) -> Result<Option<Duration>> {
    match reader.time(x::EXPIRES)? {
        Some(Duration::ZERO) => {
            Err(reader.invalid(x::EXPIRES, "{value_zero,0}, expected 1 or more"))
        }
        expires => Ok(expires),
    }
}

fn overflow(reader: &ArgumentReader<'_>) -> Result<Option<Overflow>> {
    match reader.text(x::OVERFLOW)? {
        None => Ok(None),
        Some(word) => match Overflow::from_word(word) {
            Some(overflow) => Ok(Some(overflow)),
            None => Err(reader.invalid(
                x::OVERFLOW,
                "invalid_overflow, expected drop-head, reject-publish, reject-publish-dlx or block",
            )),
        },
    }
}
