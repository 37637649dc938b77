//! A message as a stream keeps it: an envelope without the parts that only a queue needs.

use std::sync::Arc;

use super::{Envelope, ExchangeId, Key, Meta, NAMED, NEVER, PackedIds};
use crate::{
    message::{
        payload::{Body, Lender},
        properties::Properties,
    },
    model::{descriptions::names::STREAM_FILTER_VALUE, field_value::FieldValue},
};

/// A message of a stream, in at most 88 bytes.
pub(crate) struct LoggedMessage {
    body: Body,
    meta: Option<Arc<Meta>>,
    key: Key,
    origin: u16,
    /// When it came: milliseconds after a time that its keeper knows.
    pub(crate) millis: u32,
}

impl LoggedMessage {
    /// A message that came `millis` after a time that the keeper knows. Its headers are those that
    /// a stream of RabbitMQ keeps. Runs no user code.
    #[inline(always)]
    pub(crate) fn new(envelope: Envelope, millis: u32) -> Self {
        let Envelope {
            body,
            meta,
            key,
            marks,
            ..
        } = envelope;
        Self {
            body,
            meta: meta.map(kept),
            key,
            origin: marks.origin(),
            millis,
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn meta(&self) -> Option<&Arc<Meta>> {
        self.meta.as_ref()
    }

    /// The properties. Those of a plain message have only its content type.
    pub(crate) fn properties(&self) -> &Properties {
        match &self.meta {
            Some(meta) => &meta.properties,
            None => Envelope::plain_properties(&self.body),
        }
    }

    pub(crate) fn routing_key(&self) -> &str {
        Envelope::key_text(&self.key, self.meta.as_ref())
    }

    /// The number of the exchange, or its name if it has no number.
    pub(crate) fn origin(&self) -> ExchangeId {
        match (self.origin, &self.meta) {
            (NAMED, Some(meta)) => ExchangeId::Named(meta.exchange.clone().unwrap_or_default()),
            (number, _) => ExchangeId::Interned(number),
        }
    }

    /// The value that filters compare.
    pub(crate) fn filter_value(&self) -> Option<&str> {
        let headers = self.meta.as_ref()?.properties.headers.as_ref()?;
        headers.get(STREAM_FILTER_VALUE)?.as_str()
    }

    /// The size that counts use, in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self.meta.as_ref().and_then(|meta| meta.size) {
            Some(size) => size,
            None => self.body.size() as u64,
        }
    }

    /// A copy for a consumer, at this offset. `lender` has the message at `index`. Runs no user
    /// code.
    pub(crate) fn envelope(&self, lender: &Arc<dyn Lender>, index: u32, offset: u64) -> Envelope {
        Envelope {
            body: Body::lent(lender, index),
            meta: self.meta.clone(),
            key: self.key,
            position: offset,
            deadline: NEVER,
            marks: PackedIds::new(self.origin),
        }
    }
}

/// The parts that a stream keeps. RabbitMQ stores a message there as AMQP 1.0 and drops headers
/// whose values are tables or arrays, unless their names begin with `x-`.
#[inline(never)]
fn kept(meta: Arc<Meta>) -> Arc<Meta> {
    let is_own_death = |name: &str| name == "x-death" && !meta.deaths.recorded;
    let is_nested =
        |value: &FieldValue| matches!(value, FieldValue::Array(_) | FieldValue::Table(_));
    let is_dropped = |name: &str, value: &FieldValue| {
        is_own_death(name) || is_nested(value) && !name.starts_with("x-") && !is_routing(name)
    };
    let Some(headers) = &meta.properties.headers else {
        return meta;
    };
    let changes = headers
        .iter()
        .any(|(name, value)| is_dropped(name, value) || matches!(value, FieldValue::Bytes(_)));
    if !changes {
        return meta;
    }
    let mut kept = Meta::clone(&meta);
    let headers = kept.properties.headers_mut();
    let old = std::mem::take(headers);
    for (name, value) in &old {
        match value {
            _ if is_dropped(name, value) => {}
            FieldValue::Bytes(octets) => {
                headers.insert(name, String::from_utf8_lossy(octets).into_owned());
            }
            value => drop(headers.insert(name, value.clone())),
        }
    }
    Arc::new(kept)
}

/// Whether the header has routing keys, which RabbitMQ keeps apart.
fn is_routing(name: &str) -> bool {
    matches!(name, "CC" | "BCC")
}

const _: () = assert!(size_of::<LoggedMessage>() <= 88);
