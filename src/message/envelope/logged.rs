//! A message as a stream keeps it: an envelope without the parts that only a queue needs.

use std::sync::Arc;

use super::{Envelope, ExchangeId, Meta, Numbers, Parts};
use crate::{
    message::{
        payload::{Body, Lender},
        properties::Properties,
    },
    model::{
        descriptions::names::{ORIGINAL_EXPIRATION, STREAM_FILTER_VALUE, X_DEATH},
        field_value::{FieldTable, FieldValue},
    },
};

/// A message of a stream, in at most 80 bytes.
pub(crate) struct LoggedMessage {
    body: Body,
    parts: Parts,
    origin: u16,
    /// When it came: milliseconds after a time that its keeper knows.
    pub(crate) millis: u32,
}

impl LoggedMessage {
    /// A message that came `millis` after a time that the keeper knows. Its properties are those
    /// that a stream of RabbitMQ keeps. Runs no user code.
    #[inline(always)]
    pub(crate) fn new(envelope: Envelope, millis: u32) -> Self {
        let Envelope {
            parts,
            numbers,
            body,
        } = envelope;
        let parts = match parts {
            Parts::Meta(meta) => Parts::Meta(kept(meta)),
            key => key,
        };
        Self {
            body,
            parts,
            origin: numbers.origin(),
            millis,
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn meta(&self) -> Option<&Arc<Meta>> {
        self.parts.meta()
    }

    /// The properties. Those of a plain message have only its content type.
    pub(crate) fn properties(&self) -> &Properties {
        match self.meta() {
            Some(meta) => &meta.properties,
            None => Envelope::plain_properties(&self.body),
        }
    }

    pub(crate) fn routing_key(&self) -> &str {
        self.parts.routing_key()
    }

    /// The number of the exchange, or its name if it has no number.
    pub(crate) fn origin(&self) -> ExchangeId {
        self.parts.origin(self.origin)
    }

    /// The value that filters compare.
    pub(crate) fn filter_value(&self) -> Option<&str> {
        let headers = self.meta()?.properties.headers.as_ref()?;
        headers.get(STREAM_FILTER_VALUE)?.as_str()
    }

    /// The size that counts use, in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self.meta().and_then(|meta| meta.size) {
            Some(size) => size,
            None => self.body.size() as u64,
        }
    }

    /// A copy for a consumer, at this offset. `lender` has the message at `index`. Runs no user
    /// code.
    pub(crate) fn envelope(&self, lender: &Arc<dyn Lender>, index: u32, offset: u64) -> Envelope {
        let mut numbers = Numbers::new(self.origin);
        numbers.set_position(offset);
        Envelope {
            parts: self.parts.clone(),
            numbers,
            body: Body::lent(lender, index),
        }
    }
}

/// The parts that a stream keeps. RabbitMQ stores a message there as AMQP 1.0, which has no cluster
/// id and two delivery modes only.
///
/// A dead letter shows there the expiration that it had when it was published.
#[inline(never)]
fn kept(meta: Arc<Meta>) -> Arc<Meta> {
    let properties = &meta.properties;
    let is_other_mode = |mode| !matches!(mode, Properties::TRANSIENT | Properties::PERSISTENT);
    let has_other_mode = properties.delivery_mode.is_some_and(is_other_mode);
    let headers = kept_headers(&meta);
    let expiration = original_expiration(&meta).map(str::to_owned);
    if !has_other_mode
        && properties.cluster_id.is_none()
        && headers.is_none()
        && expiration.is_none()
    {
        return meta;
    }
    let mut kept = Meta::clone(&meta);
    let properties = &mut kept.properties;
    properties.cluster_id = None;
    if has_other_mode {
        properties.delivery_mode = Some(Properties::TRANSIENT);
    }
    if let Some(headers) = headers {
        properties.headers = Some(headers);
    }
    if let Some(expiration) = expiration {
        properties.expiration = Some(expiration);
    }
    Arc::new(kept)
}

/// The headers that a stream keeps, if those are others. It drops headers whose values are tables
/// or arrays, unless their names begin with `x-`.
fn kept_headers(meta: &Meta) -> Option<FieldTable> {
    let is_own_death = |name: &str| name == X_DEATH && !meta.deaths.recorded;
    let is_nested =
        |value: &FieldValue| matches!(value, FieldValue::Array(_) | FieldValue::Table(_));
    let is_dropped = |name: &str, value: &FieldValue| {
        is_own_death(name) || is_nested(value) && !name.starts_with("x-") && !is_routing(name)
    };
    let headers = meta.properties.headers.as_ref()?;
    let changes = headers
        .iter()
        .any(|(name, value)| is_dropped(name, value) || text(value).is_some());
    changes.then(|| {
        let kept = headers
            .iter()
            .filter(|(name, value)| !is_dropped(name, value));
        let kept = kept.map(|(name, value)| match text(value) {
            Some(text) => (name, FieldValue::from(text)),
            None => (name, value.clone()),
        });
        kept.collect()
    })
}

/// The text of octets that are UTF-8, as which a stream keeps them.
fn text(value: &FieldValue) -> Option<&str> {
    match value {
        FieldValue::Bytes(octets) => std::str::from_utf8(octets).ok(),
        _ => None,
    }
}

/// The expiration that a dead letter had when it was published.
fn original_expiration(meta: &Meta) -> Option<&str> {
    let records = match meta.properties.header_value(X_DEATH)? {
        FieldValue::Array(records) if meta.deaths.recorded => records,
        _ => return None,
    };
    records.iter().find_map(|record| match record {
        FieldValue::Table(record) => record.get(ORIGINAL_EXPIRATION)?.as_str(),
        _ => None,
    })
}

/// Whether the header has routing keys, which RabbitMQ keeps apart.
fn is_routing(name: &str) -> bool {
    matches!(name, "CC" | "BCC")
}

const _: () = assert!(size_of::<LoggedMessage>() <= 80);
