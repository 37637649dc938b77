//! The arguments of a queue.

use super::{
    DelayedRetry, QueueType, reader::ArgumentReader, stream::StreamArguments,
    trigger::TriggerArguments,
};
use crate::model::{
    descriptions::{DeadLetterStrategy, Durability, Overflow, Queue, names as x},
    error::{EntityKind, Error, Result},
    field_value::FieldTable,
    name::Name,
};
use std::{sync::Arc, time::Duration};

/// The checked arguments of a queue. `None` means that the argument was not given, so that a policy
/// may give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueArguments {
    /// The budget that the queue shares with other queues.
    pub(crate) budget: Option<Name>,
    /// The time for which a consumer of a quorum queue may hold a delivery.
    pub(crate) consumer_timeout: Option<Duration>,
    /// The exchange for dead letters. The empty name is the default exchange.
    pub(crate) dead_letter_exchange: Option<Name>,
    /// The routing key for dead letters, instead of their own. It is given only with an exchange.
    pub(crate) dead_letter_routing_key: Option<Arc<str>>,
    /// The guarantee for dead letters, of a quorum queue.
    pub(crate) dead_letter_strategy: Option<DeadLetterStrategy>,
    /// The delays with which a quorum queue holds back returned messages.
    pub(crate) delayed_retry: DelayedRetry,
    /// The number of returns that a message of a classic queue survives, or of failed deliveries
    /// that a message of a quorum queue survives. `u64::MAX` means "no limit".
    pub(crate) delivery_limit: Option<u64>,
    /// When its messages are on disk.
    pub(crate) durability: Option<Durability>,
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
    /// What only a stream has.
    pub(crate) stream: StreamArguments,
    /// When it sends trigger messages.
    pub(crate) trigger: Option<TriggerArguments>,
    /// The policies that apply, once they are merged with the arguments. `None` if there is none.
    pub(crate) policies: Option<Arc<AppliedPolicies>>,
}

/// The policies that apply to a queue: one of each kind at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedPolicies {
    pub(crate) policy: Option<Name>,
    pub(crate) operator_policy: Option<Name>,
}

impl QueueArguments {
    /// Checks the arguments of the queue `name`, in RabbitMQ's order.
    /// [`check_properties`](Self::check_properties) checks the rest of the description.
    pub(crate) fn parse(arguments: &FieldTable, name: &Name, vhost: &Name) -> Result<Self> {
        let reader = |queue_type: QueueType| ArgumentReader {
            table: arguments,
            arguments: queue_type.arguments(),
            entity: EntityKind::Queue,
            name,
            vhost,
        };
        let dead_letter_exchange =
            reader(QueueType::default()).exchange(x::DEAD_LETTER_EXCHANGE)?;
        let queue_type = queue_type(&reader(QueueType::default()))?;
        let reader = reader(queue_type);
        let expires = expires(&reader)?;
        let message_ttl = reader.time(x::MESSAGE_TTL)?;
        let dead_letter_routing_key = dead_letter_routing_key(&reader)?;
        let dead_letter_strategy = dead_letter_strategy(&reader)?;
        let max_length = reader.size(x::MAX_LENGTH)?;
        let max_length_bytes = reader.size(x::MAX_LENGTH_BYTES)?;
        reader.size(x::MAX_IN_MEMORY_LENGTH)?;
        reader.size(x::MAX_IN_MEMORY_BYTES)?;
        let max_priority = reader.octet(x::MAX_PRIORITY)?;
        let overflow = overflow(&reader)?;
        check_version(&reader)?;
        let single_active_consumer = reader.flag(x::SINGLE_ACTIVE_CONSUMER)?;
        let consumer_timeout = reader.size(x::CONSUMER_TIMEOUT)?;
        reader.size(x::CONSUMER_DISCONNECTED_TIMEOUT)?;
        check_group_size(&reader)?;
        check_leader_locator(&reader)?;
        let stream = StreamArguments::parse(&reader)?;
        check_room(&reader, overflow)?;
        for (argument, _) in arguments {
            if queue_type.is_foreign(argument) {
                let queue_type = queue_type.module();
                return Err(Error::unsupported_argument(
                    argument, name, vhost, queue_type,
                ));
            }
        }
        if reader.get(x::QUEUE_MASTER_LOCATOR).is_some() {
            return Err(Error::queue_master_locator());
        }
        Ok(Self {
            budget: budget(&reader)?,
            consumer_timeout: consumer_timeout.map(Duration::from_millis),
            dead_letter_exchange,
            dead_letter_routing_key,
            dead_letter_strategy,
            delayed_retry: DelayedRetry::parse(&reader),
            delivery_limit: delivery_limit(&reader, queue_type)?,
            durability: durability(&reader)?,
            expires,
            max_length,
            max_length_bytes,
            // RabbitMQ gives a queue with priorities at least two of them.
            max_priority: max_priority.map(|highest| highest.max(1)),
            message_ttl,
            overflow,
            queue_type,
            single_active_consumer: single_active_consumer.unwrap_or(false),
            stream,
            trigger: TriggerArguments::parse(&reader)?,
            policies: None,
        })
    }

    /// Checks that the broker may name a queue with these arguments.
    pub(crate) fn check_unnamed(arguments: &FieldTable) -> Result {
        match QueueType::of(arguments) {
            QueueType::Classic => Ok(()),
            named @ (QueueType::Quorum | QueueType::Stream) => {
                Err(Error::server_named(named.module()))
            }
        }
    }

    /// Checks that a queue of this type may have the flags of its description.
    pub(crate) fn check_properties(&self, queue: &Queue, name: &Name, vhost: &Name) -> Result {
        if self.queue_type == QueueType::Classic {
            return Ok(());
        }
        let refused = if queue.is_auto_delete() {
            "auto-delete"
        } else if queue.is_exclusive() {
            "exclusive-owner"
        } else if !queue.is_durable() {
            "non-durable"
        } else {
            return Ok(());
        };
        Err(Error::invalid_property(refused, name, vhost))
    }
}

fn queue_type(reader: &ArgumentReader<'_>) -> Result<QueueType> {
    match reader.text(x::QUEUE_TYPE)? {
        // RabbitMQ takes these two for its default type.
        None | Some("" | "undefined" | "classic") => Ok(QueueType::Classic),
        Some("quorum") => Ok(QueueType::Quorum),
        Some("stream") => Ok(QueueType::Stream),
        Some(other) => Err(reader.invalid(
            x::QUEUE_TYPE,
            format_args!(
                "\"unsupported queue type '{other}'\", expected classic, quorum or stream"
            ),
        )),
    }
}

/// A queue with `x-overflow: block` must have room for at least one message.
fn check_room(reader: &ArgumentReader<'_>, overflow: Option<Overflow>) -> Result {
    if overflow != Some(Overflow::Block) {
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

fn check_version(reader: &ArgumentReader<'_>) -> Result {
    match reader.size(x::QUEUE_VERSION)? {
        None | Some(2) => Ok(()),
        Some(other) => {
            let reason = format_args!("\"unsupported queue version '{other}'\", expected 2");
            Err(reader.invalid(x::QUEUE_VERSION, reason))
        }
    }
}

fn check_group_size(reader: &ArgumentReader<'_>) -> Result {
    match reader.size(x::QUORUM_INITIAL_GROUP_SIZE)? {
        Some(0) => {
            let reason = "{value_zero,0}, expected 1 or more";
            Err(reader.invalid(x::QUORUM_INITIAL_GROUP_SIZE, reason))
        }
        _ => Ok(()),
    }
}

fn check_leader_locator(reader: &ArgumentReader<'_>) -> Result {
    match reader.text(x::QUEUE_LEADER_LOCATOR)? {
        None | Some("client-local" | "random" | "least-leaders" | "balanced") => Ok(()),
        Some(_) => {
            let reason = "invalid_queue_locator_arg, expected client-local or balanced";
            Err(reader.invalid(x::QUEUE_LEADER_LOCATOR, reason))
        }
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

fn dead_letter_strategy(reader: &ArgumentReader<'_>) -> Result<Option<DeadLetterStrategy>> {
    match reader.text(x::DEAD_LETTER_STRATEGY)? {
        None => Ok(None),
        Some(word) => match DeadLetterStrategy::from_word(word) {
            Some(strategy) => Ok(Some(strategy)),
            None => Err(reader.invalid(
                x::DEAD_LETTER_STRATEGY,
                "invalid_dlx_strategy, expected at-most-once or at-least-once",
            )),
        },
    }
}

/// RabbitMQ never refuses the limit of a quorum queue. One that is no integer counts as absent, and
/// a negative one is no limit.
fn delivery_limit(reader: &ArgumentReader<'_>, queue_type: QueueType) -> Result<Option<u64>> {
    match queue_type {
        QueueType::Classic => reader.size(x::CLASSIC_DELIVERY_LIMIT),
        QueueType::Quorum => {
            let limit = reader
                .get(x::DELIVERY_LIMIT)
                .and_then(|limit| limit.as_i64());
            Ok(limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX)))
        }
        QueueType::Stream => Ok(None),
    }
}

fn durability(reader: &ArgumentReader<'_>) -> Result<Option<Durability>> {
    let Some(value) = reader.get(x::DURABILITY) else {
        return Ok(None);
    };
    match Durability::from_value(value) {
        Some(durability) => Ok(Some(durability)),
        None => Err(reader.invalid(
            x::DURABILITY,
            "invalid_durability, expected memory, synced or 0 or more milliseconds",
        )),
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
