//! What a version of RabbitMQ does not take.

use super::super::options::RabbitMqVersion;
use crate::{
    engine::policy::{ApplyTo, Policy, PolicyKind},
    model::{
        descriptions::{Exchange, Queue, names},
        field_value::{FieldTable, FieldValue},
    },
};

/// The exchange types of RabbitMQ 3.10 with the plugins that come along. 4.3 has more.
const EXCHANGE_TYPES: [&str; 10] = [
    "direct",
    "fanout",
    "headers",
    "topic",
    "x-consistent-hash",
    "x-event",
    "x-jms-topic",
    "x-modulus-hash",
    "x-random",
    "x-recent-history",
];

/// The arguments of queues that only leveret has.
const OWN_ARGUMENTS: [&str; 3] = [
    names::BUDGET,
    names::CLASSIC_DELIVERY_LIMIT,
    names::DURABILITY,
];

/// The arguments of queues, and the keys of policies without their `x-`, that RabbitMQ 3.10 does
/// not have.
const SINCE_3_10: [&str; 7] = [
    names::CONSUMER_DISCONNECTED_TIMEOUT,
    names::CONSUMER_TIMEOUT,
    names::DELAYED_RETRY_MAX,
    names::DELAYED_RETRY_MIN,
    names::DELAYED_RETRY_TYPE,
    "x-stream-filter-size-bytes",
    "x-target-group-size",
];

/// The keys that RabbitMQ 3.10 takes in operator policies.
const OPERATOR_KEYS_OF_3_10: [&str; 7] = [
    "delivery-limit",
    "expires",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "max-length",
    "max-length-bytes",
    "message-ttl",
];

/// Why a version does not take the queue.
pub(super) fn of_queue(queue: &Queue, version: RabbitMqVersion) -> Option<String> {
    let mut arguments = queue.argument_table().iter().map(|(name, _)| name);
    let unknown = arguments.find(|name| is_unknown_argument(name, version));
    match unknown {
        Some(name) => Some(format!("the argument '{name}' is not there")),
        None => blocks(queue.argument_table(), names::OVERFLOW),
    }
}

fn is_unknown_argument(name: &str, version: RabbitMqVersion) -> bool {
    let is_later = version == RabbitMqVersion::V3_10 && SINCE_3_10.contains(&name);
    is_later || OWN_ARGUMENTS.contains(&name) || name.starts_with("x-leveret-")
}

fn blocks(table: &FieldTable, key: &str) -> Option<String> {
    let overflow = table.get(key).and_then(FieldValue::as_str);
    (overflow == Some("block")).then(|| "a full queue cannot block publishers".to_owned())
}

/// Why a version does not take the exchange.
pub(super) fn of_exchange(exchange: &Exchange, version: RabbitMqVersion) -> Option<String> {
    of_exchange_type(exchange.kind(), version)
}

/// Why a version does not take exchanges of this type.
pub(super) fn of_exchange_type(kind: &str, version: RabbitMqVersion) -> Option<String> {
    let is_later = version == RabbitMqVersion::V4_3 && kind == names::LOCAL_RANDOM;
    let is_there = EXCHANGE_TYPES.contains(&kind) || is_later;
    (!is_there).then(|| format!("the exchange type '{kind}' is not there"))
}

/// Why a version does not take the policy.
pub(super) fn of_policy(
    policy: &Policy,
    kind: PolicyKind,
    version: RabbitMqVersion,
) -> Option<String> {
    let is_old = version == RabbitMqVersion::V3_10;
    let of_3_10 = [ApplyTo::All, ApplyTo::Exchanges, ApplyTo::Queues];
    if is_old && !of_3_10.contains(&policy.apply_to) {
        return Some(format!("apply-to '{}' is not there", policy.apply_to));
    }
    let mut keys = policy.definition.iter().map(|(key, _)| key);
    let is_unknown = |key: &&str| match (kind, version) {
        (PolicyKind::Operator, RabbitMqVersion::V3_10) => !OPERATOR_KEYS_OF_3_10.contains(key),
        (_, RabbitMqVersion::V3_10) => SINCE_3_10
            .iter()
            .any(|it| it.strip_prefix("x-") == Some(*key)),
        (_, RabbitMqVersion::V4_3) => key.starts_with("ha-"),
    };
    match keys.find(is_unknown) {
        Some(key) => Some(format!("the setting '{key}' is not there")),
        None => blocks(&policy.definition, "overflow"),
    }
}
