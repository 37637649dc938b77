//! What becomes of a message that dies: its new properties, its new routing keys, and where it may not go.
//!
//! The `x-death` header is the message's record of its deaths, the latest first, one entry for each pair of queue and
//! reason. A publisher may send such a header, and it is honoured: this is how deaths are counted over republishing.
//! Pure functions of a message; which queue has a dead letter exchange, and what is bound to it, is not known here.

use std::{collections::HashMap, fmt, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    message::{
        headers::cc_bcc::{CC, cc},
        properties::Properties,
    },
    model::{
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
};

const X_DEATH: &str = "x-death";
const COUNT: &str = "count";
const QUEUE: &str = "queue";
const REASON: &str = "reason";

/// Why a message died in a queue: the `reason` in its `x-death` header.
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
    /// It was returned more often than the queue's delivery limit allows.
    #[serde(rename = "delivery_limit")]
    DeliveryLimit,
    /// Its time to live, or that of its queue, was over.
    #[serde(rename = "expired")]
    Expired,
    /// The queue was at its length limit.
    #[serde(rename = "maxlen")]
    MaxLen,
    /// It was rejected, or negatively acknowledged, and not to be requeued.
    #[serde(rename = "rejected")]
    Rejected,
}

impl DeathReason {
    /// The word that `x-death` has for it: `delivery_limit`, `expired`, `maxlen` or `rejected`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeliveryLimit => "delivery_limit",
            Self::Expired => "expired",
            Self::MaxLen => "maxlen",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for DeathReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A death: of what, where, and how the message had come there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death<'a> {
    pub(crate) reason: DeathReason,
    /// The queue it died in.
    pub(crate) queue: &'a Name,
    /// The exchange it was published to; for a second death that is the dead letter exchange of the first.
    pub(crate) exchange: &'a Name,
    /// The routing key it was published with.
    pub(crate) routing_key: &'a str,
    /// The routing key that the queue gives to its dead letters.
    pub(crate) dead_letter_routing_key: Option<&'a str>,
    pub(crate) time: SystemTime,
}

/// The properties of the dead letter: the death is in `x-death`, there is no expiration any more (the record keeps it), and
/// no `CC` if the queue gives a key.
pub(crate) fn with_death_recorded(properties: &Properties, death: &Death<'_>) -> Properties {
    let mut buried = properties.clone();
    let mut headers = buried.headers.take().unwrap_or_default();
    let deaths = match headers.remove(X_DEATH) {
        None => {
            headers.insert("x-first-death-reason", death.reason.as_str());
            headers.insert("x-first-death-queue", death.queue);
            headers.insert("x-first-death-exchange", death.exchange);
            vec![record(properties, death)]
        }
        Some(FieldValue::Array(deaths)) => add(deaths, properties, death),
        // A client made something else of it, as some do when they print headers and read them back.
        Some(_) => vec![record(properties, death)],
    };
    headers.insert(X_DEATH, FieldValue::Array(deaths));
    if death.dead_letter_routing_key.is_some() {
        headers.remove(CC);
    }
    buried.headers = Some(headers);
    buried.expiration = None;
    buried
}

/// The keys to route the dead letter by, the one it travels on with first: the key that the queue gives, or else the
/// message's own with its `CC` and `BCC` keys (`bcc`, as they were taken out when it was published).
///
/// If the queue gives a key, the `bcc` keys are spent; or else they stay with the dead letter, in case it dies again.
pub(crate) fn routing_keys<'a>(
    death: &Death<'a>,
    properties: &'a Properties,
    bcc: &'a [String],
) -> Vec<&'a str> {
    match death.dead_letter_routing_key {
        Some(key) => vec![key],
        None => [death.routing_key]
            .into_iter()
            .chain(cc(properties))
            .chain(bcc.iter().map(String::as_str))
            .collect(),
    }
}

/// The queue in which a message with these headers died last.
pub(crate) fn last_queue(headers: Option<&FieldTable>) -> Option<&str> {
    let deaths = headers?.get(X_DEATH)?.as_array()?;
    deaths.first()?.as_table()?.get(QUEUE)?.as_str()
}

/// Whether a dead letter with these headers, as [`with_death_recorded`] made them, would be in `queue` for a second time without anybody
/// having rejected it since the first: then it would go round for ever, and that queue does not get it.
pub(crate) fn closes_cycle(headers: Option<&FieldTable>, queue: &Name) -> bool {
    let deaths = headers
        .and_then(|headers| headers.get(X_DEATH))
        .and_then(FieldValue::as_array)
        .unwrap_or_default();
    let tables = || deaths.iter().map(FieldValue::as_table);
    let Some(first) = tables().position(|death| death.is_some_and(|death| is(death, QUEUE, queue)))
    else {
        return false;
    };
    // What is not a table was put there by a client, so the broker is not alone in sending the message round.
    tables()
        .take(first + 1)
        .all(|death| death.is_some_and(|death| !is(death, REASON, DeathReason::Rejected.as_str())))
}

/// The record of a first death in this queue for this reason.
fn record(properties: &Properties, death: &Death<'_>) -> FieldValue {
    let keys = [death.routing_key].into_iter().chain(cc(properties));
    let mut record = FieldTable::new()
        .with(COUNT, 1_i64)
        .with(REASON, death.reason.as_str())
        .with(QUEUE, death.queue)
        .with("time", death.time)
        .with("exchange", death.exchange)
        .with(
            "routing-keys",
            FieldValue::Array(keys.map(FieldValue::from).collect()),
        );
    if let Some(expiration) = &properties.expiration {
        record.insert("original-expiration", expiration.as_str());
    }
    FieldValue::Table(record)
}

/// The records with one death more, its own first. One that was there counts up and is otherwise left as it was: it tells of
/// the first of its deaths.
fn add(deaths: Vec<FieldValue>, properties: &Properties, death: &Death<'_>) -> Vec<FieldValue> {
    let (same, others): (Vec<_>, Vec<_>) = grouped(deaths)
        .into_iter()
        .partition(|entry| is_same(entry, death.queue, death.reason));
    let latest = match same.into_iter().next() {
        Some(FieldValue::Table(mut record)) => {
            let count = record.get(COUNT).and_then(FieldValue::as_i64).unwrap_or(1);
            record.insert(COUNT, count.saturating_add(1));
            FieldValue::Table(record)
        }
        _ => record(properties, death),
    };
    [latest].into_iter().chain(others).collect()
}

/// The queue and the reason that a record names.
type DeathKey<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// One record for each queue and reason. Brokers before 3.6 wrote one for each death, without a count.
///
/// Where there are two or more, RabbitMQ turns their order round at each further death, and what it takes for a cycle
/// depends on that order: so it is done here too.
fn grouped(deaths: Vec<FieldValue>) -> Vec<FieldValue> {
    if deaths.len() < 2 {
        return deaths;
    }
    // By place: a chain of many queues leaves many records.
    let mut places: HashMap<DeathKey<'_>, usize> = HashMap::new();
    let mut counts: Vec<i64> = Vec::new();
    let mut firsts = Vec::new();
    for death in &deaths {
        let text = |field| {
            death
                .as_table()
                .and_then(|record| record.get(field)?.as_bytes())
        };
        // What a client put there that is no table stands for itself.
        let known = match death.as_table() {
            Some(_) => places.get(&(text(QUEUE), text(REASON))).copied(),
            None => None,
        };
        firsts.push(known.is_none());
        match known {
            Some(place) => counts[place] += 1,
            None => {
                if death.as_table().is_some() {
                    places.insert((text(QUEUE), text(REASON)), counts.len());
                }
                counts.push(1);
            }
        }
    }
    let groups = deaths
        .into_iter()
        .zip(firsts)
        .filter_map(|(death, first)| first.then_some(death));
    let mut counted: Vec<FieldValue> = groups
        .zip(counts)
        .map(|(group, deaths)| match group {
            FieldValue::Table(mut record) => {
                if !record.contains_key(COUNT) {
                    record.insert(COUNT, deaths);
                }
                FieldValue::Table(record)
            }
            other => other,
        })
        .collect();
    counted.reverse();
    counted
}

/// Whether an entry records deaths in this queue for this reason.
fn is_same(entry: &FieldValue, queue: &Name, reason: DeathReason) -> bool {
    entry
        .as_table()
        .is_some_and(|record| is(record, QUEUE, queue) && is(record, REASON, reason.as_str()))
}

/// Whether a field of a record has this text, be it sent as text or as bytes.
fn is(record: &FieldTable, field: &str, text: &str) -> bool {
    record.get(field).and_then(FieldValue::as_bytes) == Some(text.as_bytes())
}

#[cfg(test)]
mod tests;
