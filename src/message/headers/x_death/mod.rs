//! Dead-lettering of a message: its new properties, its new routing keys, and the queues that it
//! must not go to.
//!
//! The `x-death` header records the deaths of a message, the latest first, with one entry for each
//! pair of queue and reason. As in RabbitMQ 4, the header of a client counts for nothing. The mark
//! [`Deaths::recorded`] of a message tells whether its header is the broker's. These are pure
//! functions of a message. They do not know dead letter exchanges and their bindings.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    message::{
        envelope::{Deaths, Meta},
        headers::cc_bcc::cc,
    },
    model::{
        descriptions::names::{ORIGINAL_EXPIRATION, X_DEATH},
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
};

const COUNT: &str = "count";
const QUEUE: &str = "queue";
const REASON: &str = "reason";

/// The reason why a message died in a queue: the `reason` in its `x-death` header.
///
/// # Examples
/// ```
/// use leveret::DeathReason;
///
/// assert_eq!(DeathReason::MaxLen.to_string(), "maxlen");
/// assert_eq!(DeathReason::Rejected.as_str(), "rejected");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DeathReason {
    /// It returned to its queue more often than the delivery limit allows.
    #[serde(rename = "delivery_limit")]
    DeliveryLimit,
    /// Its time to live, or that of its queue, was over.
    #[serde(rename = "expired")]
    Expired,
    /// The queue was at its length limit.
    #[serde(rename = "maxlen")]
    MaxLen,
    /// It was rejected, or negatively acknowledged, and not requeued.
    #[serde(rename = "rejected")]
    Rejected,
}

impl DeathReason {
    /// The name in `x-death`: `delivery_limit`, `expired`, `maxlen` or `rejected`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeliveryLimit => "delivery_limit",
            Self::Expired => "expired",
            Self::MaxLen => "maxlen",
            Self::Rejected => "rejected",
        }
    }

    /// The number in a store. A number is never used again.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::DeliveryLimit => 1,
            Self::Expired => 2,
            Self::MaxLen => 3,
            Self::Rejected => 4,
        }
    }

    /// The counterpart of [`number`](Self::number).
    pub(crate) fn of_number(number: u8) -> Option<DeathReason> {
        let mut all = [
            Self::DeliveryLimit,
            Self::Expired,
            Self::MaxLen,
            Self::Rejected,
        ]
        .into_iter();
        all.find(|reason| reason.number() == number)
    }
}

impl fmt::Display for DeathReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A death: the reason and the queue, and the way by which the message came there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death<'a> {
    pub(crate) reason: DeathReason,
    /// The queue in which it died.
    pub(crate) queue: &'a Name,
    /// The exchange that it was published to. For a second death it is the dead letter exchange of
    /// the first.
    pub(crate) exchange: &'a Name,
    /// The routing key that it was published with.
    pub(crate) routing_key: &'a str,
    /// The dead letter routing key of the queue.
    pub(crate) dead_letter_routing_key: Option<&'a str>,
    pub(crate) time: SystemTime,
}

impl Death<'_> {
    /// The parts of the dead letter besides its payload. The death is in its headers. The
    /// expiration is removed, and the record keeps it. `meta` has the properties of the message.
    pub(crate) fn bury(&self, meta: &Meta) -> Meta {
        let mut buried = meta.clone();
        let mut headers = buried.properties.headers.take().unwrap_or_default();
        let earlier = match headers.remove(X_DEATH).map(FieldValue::into_array) {
            Some(Ok(earlier)) if meta.deaths.recorded => earlier,
            _ => Vec::new(),
        };
        let facts = [
            ("reason", self.reason.as_str()),
            ("queue", &**self.queue),
            ("exchange", &**self.exchange),
        ];
        for (fact, value) in facts {
            if !meta.deaths.recorded {
                headers.insert(format!("x-first-death-{fact}"), value);
            }
            headers.insert(format!("x-last-death-{fact}"), value);
        }
        headers.insert(X_DEATH, FieldValue::Array(self.add_to(earlier, meta)));
        buried.properties.headers = Some(headers);
        buried.properties.expiration = None;
        buried.deaths = Deaths {
            recorded: true,
            rerouted: meta.deaths.rerouted || self.dead_letter_routing_key.is_some(),
            len_before: meta.published_len(),
        };
        buried
    }

    /// The keys to route the dead letter by; the first is its new routing key. They are the dead
    /// letter routing key of the queue, if there is one, and the keys of the message if not.
    pub(crate) fn routing_keys<'a>(&'a self, meta: &'a Meta) -> Vec<&'a str> {
        match self.dead_letter_routing_key {
            Some(key) => vec![key],
            None => routing_keys(self.routing_key, meta).collect(),
        }
    }

    /// Adds this death to the records, and puts its record first. An existing record counts up and
    /// is otherwise unchanged: it describes the first of its deaths.
    fn add_to(&self, mut deaths: Vec<FieldValue>, meta: &Meta) -> Vec<FieldValue> {
        let is_same = |record: &FieldValue| {
            record.as_table().is_some_and(|record| {
                is(record, QUEUE, self.queue) && is(record, REASON, self.reason.as_str())
            })
        };
        let same = deaths.iter().position(is_same);
        let latest = match same.map(|place| deaths.remove(place).into_table()) {
            Some(Ok(mut record)) => {
                let count = record.get(COUNT).and_then(FieldValue::as_i64).unwrap_or(0);
                record.insert(COUNT, count.saturating_add(1));
                record
            }
            _ => self.record(meta),
        };
        deaths.insert(0, FieldValue::Table(latest));
        deaths
    }

    /// The record of the first death in this queue for this reason.
    fn record(&self, meta: &Meta) -> FieldTable {
        // RabbitMQ subtracts the keys of `BCC` from all keys, also after a dead letter routing key.
        let mut keys: Vec<&str> = routing_keys(self.routing_key, meta).collect();
        for hidden in &meta.bcc {
            if let Some(place) = keys.iter().position(|key| key == hidden) {
                keys.remove(place);
            }
        }
        let mut record = FieldTable::new()
            .with(COUNT, 1_i64)
            .with(REASON, self.reason.as_str())
            .with(QUEUE, self.queue)
            .with("time", self.time)
            .with("exchange", self.exchange)
            .with(
                "routing-keys",
                FieldValue::Array(keys.into_iter().map(FieldValue::from).collect()),
            );
        if let Some(expiration) = &meta.properties.expiration {
            record.insert(ORIGINAL_EXPIRATION, expiration.as_str());
        }
        record
    }
}

/// The keys that a message with this routing key is routed by: the key itself, then those of `CC`
/// and `BCC`, unless a dead letter routing key has replaced them for good.
pub(crate) fn routing_keys<'a>(
    routing_key: &'a str,
    meta: &'a Meta,
) -> impl Iterator<Item = &'a str> {
    let more = cc(&meta.properties).chain(meta.bcc.iter().map(String::as_str));
    let more = (!meta.deaths.rerouted).then_some(more);
    std::iter::once(routing_key).chain(more.into_iter().flatten())
}

/// The queue in which a message died last.
pub(crate) fn last_queue(meta: &Meta) -> Option<&str> {
    let headers = meta.properties.headers.as_ref();
    let deaths = headers.filter(|_| meta.deaths.recorded)?.get(X_DEATH)?;
    deaths.as_array()?.first()?.as_table()?.get(QUEUE)?.as_str()
}

/// Whether a dead letter, as [`Death::bury`] made it, would be in `queue` a second time without a
/// rejection since the first. It would then cycle without end, so that queue does not get it.
pub(crate) fn closes_cycle(buried: &Meta, queue: &Name) -> bool {
    let deaths = buried.properties.header_value(X_DEATH);
    let deaths = deaths.and_then(FieldValue::as_array).unwrap_or_default();
    let mut tables = deaths.iter().filter_map(FieldValue::as_table);
    let Some(first) = tables.clone().position(|death| is(death, QUEUE, queue)) else {
        return false;
    };
    let mut since = tables.by_ref().take(first + 1);
    since.all(|death| !is(death, REASON, DeathReason::Rejected.as_str()))
}

/// Whether a field of a record has this text.
fn is(record: &FieldTable, field: &str, text: &str) -> bool {
    record.get(field).and_then(FieldValue::as_str) == Some(text)
}

#[cfg(test)]
mod tests;
