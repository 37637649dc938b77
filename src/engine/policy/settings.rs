//! The definition of a policy: checked with RabbitMQ's messages, parsed into plain values, and
//! merged.

use std::{cmp, sync::Arc, time::Duration};

use super::{PolicyKind, term::Term};
use crate::model::{
    arguments::{
        DelayedRetry, ExchangeArguments, LARGEST_SEGMENT, QueueArguments, QueueType,
        StreamArguments,
    },
    descriptions::{DeadLetterStrategy, DelayedRetryKind, Overflow, age::parse_age},
    field_value::{FieldTable, FieldValue},
    name::Name,
};

/// The keys that an operator policy may hold.
const OF_OPERATORS: [&str; 13] = [
    "delayed-retry-max",
    "delayed-retry-min",
    "delayed-retry-type",
    "delivery-limit",
    "expires",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "overflow",
    "queue-version",
    "target-group-size",
];

/// A key of older versions of RabbitMQ. RabbitMQ 4.3 knows it and refuses it.
const QUEUE_MASTER_LOCATOR: &str = "queue-master-locator";

/// The keys of federation, which is not here.
const OF_FEDERATION: [&str; 3] = [
    "federation-upstream",
    "federation-upstream-pattern",
    "federation-upstream-set",
];

/// The keys of mirrored queues, which RabbitMQ had until 3.13.
const OF_MIRRORS: [&str; 6] = [
    "ha-mode",
    "ha-params",
    "ha-promote-on-failure",
    "ha-promote-on-shutdown",
    "ha-sync-batch-size",
    "ha-sync-mode",
];

/// What happens to settings of features that are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForeignSettings {
    Refused,
    /// They stay in the policy, and have no effect.
    Kept,
}

/// Whether it is a setting of a feature that is not here. It is kept and has no effect.
pub(crate) fn is_foreign_setting(key: &str) -> bool {
    OF_FEDERATION.contains(&key) || OF_MIRRORS.contains(&key)
}

/// The reason why a definition is refused: the key and a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) key: String,
    pub(super) reason: String,
}

/// The checked settings of policies. `None` means "not set".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    alternate_exchange: Option<Name>,
    consumer_timeout: Option<Duration>,
    dead_letter_exchange: Option<Name>,
    dead_letter_routing_key: Option<Arc<str>>,
    dead_letter_strategy: Option<DeadLetterStrategy>,
    delayed_retry: DelayedRetry,
    delivery_limit: Option<u64>,
    expires: Option<Duration>,
    max_length: Option<u64>,
    max_length_bytes: Option<u64>,
    message_ttl: Option<Duration>,
    overflow: Option<Overflow>,
    stream: StreamArguments,
}

impl Settings {
    pub(super) fn parse(
        definition: &FieldTable,
        kind: PolicyKind,
        foreign: ForeignSettings,
    ) -> Result<Self, Invalid> {
        if definition.is_empty() {
            return Err(Invalid {
                key: "definition".to_owned(),
                reason: "no policy provided".to_owned(),
            });
        }
        let mut settings = Self::default();
        let mut unknown = Vec::new();
        for (key, value) in definition {
            let known = match kind {
                _ if foreign == ForeignSettings::Kept && is_foreign_setting(key) => true,
                _ if key == QUEUE_MASTER_LOCATOR => {
                    let reason = "use of deprecated queue-master-locator argument is not permitted";
                    return Err(invalid(key, reason.to_owned()));
                }
                PolicyKind::Operator if !OF_OPERATORS.contains(&key) => false,
                _ => settings
                    .read(key, value)
                    .map_err(|reason| invalid(key, reason))?,
            };
            if !known {
                unknown.push((key, value));
            }
        }
        settings.check_delayed_retry()?;
        // As in RabbitMQ after the others, and all together, by name.
        unknown.sort_by_key(|(key, _)| *key);
        match unknown.first() {
            None => Ok(settings),
            Some((first, _)) => Err(invalid(first, unrecognised(&unknown, kind))),
        }
    }

    /// Checks the settings of a delayed retry against one another.
    fn check_delayed_retry(&self) -> Result<(), Invalid> {
        let DelayedRetry { kind, min, max } = self.delayed_retry;
        let kind = kind.filter(|&kind| kind != DelayedRetryKind::Disabled);
        if let (Some(kind), None) = (kind, min) {
            let reason = format!("delayed-retry-min is required when delayed-retry-type is {kind}");
            return Err(invalid("delayed-retry-min", reason));
        }
        if let (Some(min), Some(max)) = (min, max)
            && max < min
        {
            let (min, max) = (min.as_millis(), max.as_millis());
            let reason = format!(
                "delayed-retry-max ({max}) must not be smaller than delayed-retry-min ({min})"
            );
            return Err(invalid("delayed-retry-max", reason));
        }
        Ok(())
    }

    /// Parses one entry. `false` if there is no such key.
    fn read(&mut self, key: &str, value: &FieldValue) -> Result<bool, String> {
        let setting = Setting(value);
        match key {
            "alternate-exchange" => {
                self.alternate_exchange = setting.name("alternate exchange name")?;
            }
            "dead-letter-exchange" => {
                self.dead_letter_exchange = setting.name("dead letter exchange name")?;
            }
            "dead-letter-routing-key" => {
                self.dead_letter_routing_key = setting
                    .read(FieldValue::as_str, "dead letter routing key", "text")?
                    .map(Arc::from);
            }
            "consumer-timeout" => {
                let timeout = setting.size("consumer timeout")?;
                self.consumer_timeout = timeout.map(Duration::from_millis);
            }
            "dead-letter-strategy" => {
                let word = |value: &FieldValue| DeadLetterStrategy::from_word(value.as_str()?);
                let expected = "at-most-once or at-least-once";
                self.dead_letter_strategy = setting.read(word, "dead letter strategy", expected)?;
            }
            "delayed-retry-max" => self.delayed_retry.max = setting.retry_delay("maximum")?,
            "delayed-retry-min" => self.delayed_retry.min = setting.retry_delay("minimum")?,
            "delayed-retry-type" => self.delayed_retry.kind = setting.retry_kind()?,
            "delivery-limit" => self.delivery_limit = setting.delivery_limit()?,
            "expires" => self.expires = setting.time(1, "queue expiry")?,
            "max-age" => {
                let age = |value: &FieldValue| parse_age(value.as_str()?);
                let expected = "a whole number above 0 and one of Y, M, D, h, m, s";
                self.stream.max_age = setting.read(age, "max age", expected)?;
            }
            "stream-max-segment-size-bytes" => {
                let expected = format!("a whole number from 0 to {LARGEST_SEGMENT}");
                self.stream.max_segment_bytes =
                    setting.number(0, LARGEST_SEGMENT, "segment size", &expected)?;
            }
            "max-length" => self.max_length = setting.size("maximum length")?,
            "max-length-bytes" => {
                self.max_length_bytes = setting.size("maximum length in bytes")?;
            }
            "message-ttl" => self.message_ttl = setting.time(0, "message TTL")?,
            "overflow" => {
                let word = |value: &FieldValue| value.as_str().and_then(Overflow::from_word);
                let expected = "drop-head, reject-publish, reject-publish-dlx or block";
                self.overflow = setting.read(word, "overflow value", expected)?;
            }
            _ => return setting.check_without_effect(key),
        }
        Ok(true)
    }

    /// Merges these settings with those of an operator. Of two limits the lower one applies. Of two
    /// words it is the operator's. A delayed retry waits for the longer of both minimums.
    pub(super) fn limited_by(self, operator: &Self) -> Self {
        Self {
            delayed_retry: DelayedRetry {
                kind: operator.delayed_retry.kind.or(self.delayed_retry.kind),
                min: cmp::max(self.delayed_retry.min, operator.delayed_retry.min),
                max: lower(self.delayed_retry.max, operator.delayed_retry.max),
            },
            delivery_limit: lower(self.delivery_limit, operator.delivery_limit),
            expires: lower(self.expires, operator.expires),
            max_length: lower(self.max_length, operator.max_length),
            max_length_bytes: lower(self.max_length_bytes, operator.max_length_bytes),
            message_ttl: lower(self.message_ttl, operator.message_ttl),
            overflow: operator.overflow.or(self.overflow),
            ..self
        }
    }

    /// The effective arguments of a queue that was declared with these arguments.
    pub(super) fn apply_to_queue(&self, declared: &QueueArguments) -> QueueArguments {
        match declared.queue_type {
            QueueType::Classic => self.apply_to_any_queue(declared),
            QueueType::Quorum => self.apply_to_quorum_queue(declared),
            QueueType::Stream => self.apply_to_stream(declared),
        }
    }

    fn apply_to_any_queue(&self, declared: &QueueArguments) -> QueueArguments {
        let dead_letter_exchange = declared
            .dead_letter_exchange
            .clone()
            .or_else(|| self.dead_letter_exchange.clone());
        // Both are independent, as in RabbitMQ: the argument may give the exchange and the policy
        // the key. Without an exchange the key has no effect.
        let dead_letter_routing_key = declared
            .dead_letter_routing_key
            .clone()
            .or_else(|| self.dead_letter_routing_key.clone())
            .filter(|_| dead_letter_exchange.is_some());
        QueueArguments {
            // No policy sets a budget, since the messages in a queue were paid for when they
            // arrived.
            budget: declared.budget.clone(),
            consumer_timeout: declared.consumer_timeout,
            dead_letter_exchange,
            dead_letter_routing_key,
            dead_letter_strategy: declared.dead_letter_strategy.or(self.dead_letter_strategy),
            delayed_retry: declared.delayed_retry,
            delivery_limit: lower(declared.delivery_limit, self.delivery_limit),
            durability: declared.durability,
            expires: lower(declared.expires, self.expires),
            max_length: lower(declared.max_length, self.max_length),
            max_length_bytes: lower(declared.max_length_bytes, self.max_length_bytes),
            max_priority: declared.max_priority,
            message_ttl: lower(declared.message_ttl, self.message_ttl),
            overflow: declared.overflow.or(self.overflow),
            queue_type: declared.queue_type,
            single_active_consumer: declared.single_active_consumer,
            stream: declared.stream.clone(),
            trigger: declared.trigger.clone(),
            policies: None,
        }
    }

    /// The effective arguments of a quorum queue that was declared with these arguments. It has
    /// settings that a classic queue does not have, and the policy decides on its overflow.
    fn apply_to_quorum_queue(&self, declared: &QueueArguments) -> QueueArguments {
        let (retry, declared_retry) = (self.delayed_retry, declared.delayed_retry);
        QueueArguments {
            consumer_timeout: lower(declared.consumer_timeout, self.consumer_timeout),
            delayed_retry: DelayedRetry {
                kind: retry.kind.or(declared_retry.kind),
                min: lower(declared_retry.min, retry.min),
                max: lower(declared_retry.max, retry.max),
            },
            overflow: self.overflow.or(declared.overflow),
            ..self.apply_to_any_queue(declared)
        }
    }

    /// The effective arguments of a stream that was declared with these arguments. The policy wins
    /// over them.
    fn apply_to_stream(&self, declared: &QueueArguments) -> QueueArguments {
        QueueArguments {
            max_length_bytes: self.max_length_bytes.or(declared.max_length_bytes),
            stream: StreamArguments {
                max_age: self.stream.max_age.or(declared.stream.max_age),
                max_segment_bytes: self
                    .stream
                    .max_segment_bytes
                    .or(declared.stream.max_segment_bytes),
            },
            ..declared.clone()
        }
    }

    /// The effective arguments of an exchange that was declared with these arguments.
    pub(super) fn apply_to_exchange(&self, declared: &ExchangeArguments) -> ExchangeArguments {
        ExchangeArguments {
            alternate_exchange: declared
                .alternate_exchange
                .clone()
                .or_else(|| self.alternate_exchange.clone()),
        }
    }
}

/// The lower of two limits. `None` is no limit, which is higher than any limit.
fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(cmp::min(one, other)),
        (one, other) => one.or(other),
    }
}

/// The value of one key. Its parsers never return `None`, so their results can be stored as they
/// are.
struct Setting<'a>(&'a FieldValue);

impl<'a> Setting<'a> {
    fn read<T>(
        &self,
        read: impl FnOnce(&'a FieldValue) -> Option<T>,
        what: &str,
        expected: &str,
    ) -> Result<Option<T>, String> {
        match read(self.0) {
            None => Err(format!(
                "{} is not a valid {what}, expected {expected}",
                Term(self.0)
            )),
            value => Ok(value),
        }
    }

    fn name(&self, what: &str) -> Result<Option<Name>, String> {
        let name = |value: &FieldValue| Name::of_entity(value.as_str()?).ok();
        self.read(name, what, "text of at most 255 bytes")
    }

    fn size(&self, what: &str) -> Result<Option<u64>, String> {
        self.number(0, i64::MAX as u64, what, "a whole number, 0 or more")
    }

    /// A negative limit is none.
    fn delivery_limit(&self) -> Result<Option<u64>, String> {
        let limit = |value: &FieldValue| {
            let limit = value.as_i64()?;
            Some(u64::try_from(limit).unwrap_or(u64::MAX))
        };
        let expected = "a whole number, where a negative one means no limit";
        self.read(limit, "delivery limit", expected)
    }

    fn retry_kind(&self) -> Result<Option<DelayedRetryKind>, String> {
        let kind = self.0.as_str().and_then(DelayedRetryKind::from_word);
        kind.map(Some).ok_or_else(|| {
            format!(
                "{} is not a valid delayed retry type. Must be one of: all, failed, returned, \
                 disabled",
                Term(self.0)
            )
        })
    }

    fn retry_delay(&self, which: &str) -> Result<Option<Duration>, String> {
        let millis = self
            .0
            .as_i64()
            .and_then(|millis| u64::try_from(millis).ok());
        match millis {
            None | Some(0) => Err(format!(
                "{} is not a valid delayed retry {which} delay. Must be a positive integer",
                Term(self.0)
            )),
            Some(millis) => Ok(Some(Duration::from_millis(millis))),
        }
    }

    fn time(&self, least: u64, what: &str) -> Result<Option<Duration>, String> {
        let expected = format!("a whole number of milliseconds, {least} or more");
        let millis = self.number(least, i64::MAX as u64, what, &expected)?;
        Ok(millis.map(Duration::from_millis))
    }

    fn number(
        &self,
        least: u64,
        most: u64,
        what: &str,
        expected: &str,
    ) -> Result<Option<u64>, String> {
        let number = |value: &FieldValue| {
            u64::try_from(value.as_i64()?)
                .ok()
                .filter(|number| (least..=most).contains(number))
        };
        self.read(number, what, expected)
    }

    fn word(&self, words: &[&str], what: &str) -> Result<(), String> {
        let word = |value: &'a FieldValue| value.as_str().filter(|word| words.contains(word));
        self.read(word, what, &words.join(" or ")).map(drop)
    }

    /// Checks the settings of RabbitMQ that have no effect in one process. `false` if there is no
    /// such key.
    fn check_without_effect(&self, key: &str) -> Result<bool, String> {
        match key {
            "consumer-disconnected-timeout" => drop(self.size("consumer disconnected timeout")?),
            "initial-cluster-size" => drop(self.size("cluster size")?),
            "max-in-memory-bytes" | "max-in-memory-length" => {
                self.size("maximum memory in bytes")?;
            }
            "queue-leader-locator" => {
                let words = ["client-local", "balanced", "random", "least-leaders"];
                self.word(&words, "queue leader locator value")?;
            }
            "queue-mode" => self.word(&["default", "lazy"], "queue-mode value")?,
            "queue-version" => drop(self.number(1, 2, "queue-version value", "1 or 2")?),
            "stream-filter-size-bytes" => {
                let what = "filter size. Valid range is 16-255";
                self.number(16, 255, what, "a whole number from 16 to 255")?;
            }
            "target-group-size" => {
                let what = "qq target count value";
                self.number(1, i64::MAX as u64, what, "a whole number, 1 or more")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn invalid(key: &str, reason: String) -> Invalid {
    Invalid {
        key: key.to_owned(),
        reason,
    }
}

fn unrecognised(unknown: &[(&str, &FieldValue)], kind: PolicyKind) -> String {
    let hint = match kind {
        PolicyKind::User => "see the documentation of Policy for those that are".to_owned(),
        PolicyKind::Operator => {
            format!("an operator policy may hold {}", OF_OPERATORS.join(", "))
        }
    };
    let pairs = unknown
        .iter()
        .map(|(key, value)| format!("{{<<\"{key}\">>,{}}}", Term(value)));
    let pairs = pairs.collect::<Vec<_>>().join(",");
    format!("[{pairs}] are not recognised policy settings, {hint}")
}
