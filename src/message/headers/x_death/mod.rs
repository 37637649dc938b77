//! Dead-lettering of a message: its new properties, its new routing keys, and the queues that it
//! must not go to.
//!
//! The `x-death` header records the deaths of a message, the latest first, with one entry for each
//! pair of queue and reason. A header of the publisher counts too, so that deaths are counted over
//! a republish. These are pure functions of a message. They do not know dead letter exchanges and
//! their bindings.

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

/// The properties of the dead letter. The death is in `x-death`. The expiration is removed, and the
/// record keeps it. If the queue has a dead letter routing key, `CC` is removed.
pub(crate) fn with_death_recorded(properties: &Properties, death: &Death<'_>) -> Properties {
    let mut buried = properties.clone();
    let mut headers = buried.headers.take().unwrap_or_default();
    let deaths = match headers.remove(X_DEATH).map(FieldValue::into_array) {
        None => {
            headers.insert("x-first-death-reason", death.reason.as_str());
            headers.insert("x-first-death-queue", death.queue);
            headers.insert("x-first-death-exchange", death.exchange);
            vec![record(properties, death)]
        }
        Some(Ok(deaths)) => add(deaths, properties, death),
        // A client changed its type, as some clients do that print headers and parse them again.
        Some(Err(_)) => vec![record(properties, death)],
    };
    headers.insert(X_DEATH, FieldValue::Array(deaths));
    if death.dead_letter_routing_key.is_some() {
        headers.remove(CC);
    }
    buried.headers = Some(headers);
    buried.expiration = None;
    buried
}

/// The keys to route the dead letter by; the first is its new routing key. They are the dead letter
/// routing key of the queue, if there is one. Otherwise they are the key of the message and its
/// `CC` and `BCC` keys.
///
/// `bcc` has the keys that the publish removed. A dead letter routing key replaces them for good.
/// Otherwise they stay with the dead letter, in case it dies again.
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

/// Whether a dead letter with these headers, as [`with_death_recorded`] made them, would be in
/// `queue` a second time without a rejection since the first. It would then cycle without end, so
/// that queue does not get it.
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
    // A record that is not a table comes from a client. A client then takes part in the cycle, not
    // the broker alone.
    tables()
        .take(first + 1)
        .all(|death| death.is_some_and(|death| !is(death, REASON, DeathReason::Rejected.as_str())))
}

/// The record of the first death in this queue for this reason.
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

/// Adds one death to the records, and puts its record first. An existing record counts up and is
/// otherwise unchanged: it describes the first of its deaths.
fn add(deaths: Vec<FieldValue>, properties: &Properties, death: &Death<'_>) -> Vec<FieldValue> {
    let (same, others): (Vec<_>, Vec<_>) = grouped(deaths)
        .into_iter()
        .partition(|entry| is_same(entry, death.queue, death.reason));
    let latest = match same.into_iter().next().map(FieldValue::into_table) {
        Some(Ok(mut record)) => {
            let count = record.get(COUNT).and_then(FieldValue::as_i64).unwrap_or(1);
            record.insert(COUNT, count.saturating_add(1));
            FieldValue::Table(record)
        }
        _ => record(properties, death),
    };
    [latest].into_iter().chain(others).collect()
}

/// The queue and the reason of a record.
type DeathKey<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// One record for each queue and reason. Brokers before 3.6 wrote one record for each death,
/// without a count.
///
/// With two or more records, RabbitMQ reverses their order at each further death. Its detection of
/// cycles depends on that order, so the order is reversed here too.
fn grouped(deaths: Vec<FieldValue>) -> Vec<FieldValue> {
    if deaths.len() < 2 {
        return deaths;
    }
    // The place of each record in `counts`. A chain of many queues leaves many records.
    let mut places: HashMap<DeathKey<'_>, usize> = HashMap::new();
    let mut counts: Vec<i64> = Vec::new();
    let mut firsts = Vec::new();
    for death in &deaths {
        let text = |field| {
            death
                .as_table()
                .and_then(|record| record.get(field)?.as_bytes())
        };
        // A record that is not a table comes from a client, and is not merged with others.
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
        .map(|(mut group, deaths)| {
            if let FieldValue::Table(record) = &mut group {
                if !record.contains_key(COUNT) {
                    record.insert(COUNT, deaths);
                }
            }
            group
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

/// Whether a field of a record has this text. It may be sent as text or as bytes.
fn is(record: &FieldTable, field: &str, text: &str) -> bool {
    record.get(field).and_then(FieldValue::as_bytes) == Some(text.as_bytes())
}

#[cfg(test)]
mod tests;
