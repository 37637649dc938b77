//! The envelope: one message as a queue stores it, with its payload erased, in at most 104 bytes.
//!
//! Most messages have no properties, no long routing key and no codec of their own. These parts are
//! behind one pointer, which the copies of a message share. A short routing key and the number of
//! the exchange are copied inline: a reference count that both producer and consumer write would
//! cost as much as the rest of the publish and the receive.

mod logged;
mod meta;
mod packed_ids;
mod settled;
mod shown;

pub(crate) use self::{
    logged::LoggedMessage,
    meta::{Deaths, Meta, SharedProperties},
    settled::SettledMessage,
};

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use self::packed_ids::PackedIds;
use crate::{
    message::{
        codec::Json,
        payload::{Body, NotShareable},
        properties::Properties,
    },
    model::{bytes::Bytes, error::CodecError, name::Name},
};

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// The origin of a message whose exchange has no number. The name is in [`Meta::exchange`].
const NAMED: u16 = u16::MAX;

/// A message in a queue, in a consumer's inbox, or in a delivery.
///
/// The order of the fields matters, since an envelope is moved in blocks of 16 bytes and a last
/// word. The last word is `marks`. It shows whether an `Option` has an envelope, and so it is read
/// by itself. A block that was just written in two parts delays the next move.
#[repr(C)]
pub(crate) struct Envelope {
    body: Body,
    meta: Option<Arc<Meta>>,
    key: Key,
    /// The queue sets it at the first arrival. A classic queue keeps it when the message returns, a
    /// quorum queue sets another one.
    pub(crate) position: u64,
    /// The time when the message expires, in nanoseconds of the broker's clock; [`NEVER`] if it
    /// does not.
    pub(crate) deadline: u64,
    marks: PackedIds,
}

/// The exchange that a message was published to, as the virtual host numbers it.
#[derive(Clone, Debug)]
pub(crate) enum ExchangeId {
    /// An exchange with a number.
    Interned(u16),
    /// An exchange by its name, since all numbers are in use.
    Named(Name),
}

impl Envelope {
    /// Addresses `body`. A publisher of many similar messages passes the same `meta` again. It may
    /// be that of another message, since its exchange and routing key are not used.
    #[inline(always)]
    pub(crate) fn new(body: Body, address: &Address, meta: Option<Arc<Meta>>) -> Envelope {
        let meta = match &address.extra {
            None => meta,
            Some(extra) => Some(match meta {
                None => Arc::clone(extra),
                Some(meta) => Arc::new(Meta {
                    exchange: extra.exchange.clone(),
                    routing_key: extra.routing_key.clone(),
                    ..Meta::clone(&meta)
                }),
            }),
        };
        Envelope {
            body,
            meta,
            position: 0,
            deadline: NEVER,
            key: address.key,
            marks: PackedIds::new(address.origin),
        }
    }

    /// Sets its position in the queue.
    #[inline(always)]
    pub(crate) fn at(self, position: u64) -> Envelope {
        let mut envelope = self;
        envelope.position = position;
        envelope
    }

    /// The envelope that replaces a message that was taken out.
    pub(crate) fn empty() -> Envelope {
        Envelope {
            body: Body::new(()),
            meta: None,
            position: 0,
            deadline: NEVER,
            key: Key::LONG,
            marks: PackedIds::new(0),
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }

    pub(crate) fn meta(&self) -> Option<&Arc<Meta>> {
        self.meta.as_ref()
    }

    /// The properties. Those of a plain message have only its content type.
    pub(crate) fn properties(&self) -> &Properties {
        match &self.meta {
            Some(meta) => &meta.properties,
            None => Self::plain_properties(&self.body),
        }
    }

    /// The properties. They are copied if another message has them too.
    pub(crate) fn into_properties(self) -> Properties {
        match self.meta.map(Arc::try_unwrap) {
            Some(Ok(meta)) => meta.properties,
            Some(Err(shared)) => shared.properties.clone(),
            None => Self::plain_properties(&self.body).clone(),
        }
    }

    /// The properties, without a borrow of the message.
    pub(crate) fn shared_properties(&self) -> SharedProperties {
        match &self.meta {
            Some(meta) => SharedProperties::Own(Arc::clone(meta)),
            None => SharedProperties::Plain(Self::plain_properties(&self.body)),
        }
    }

    fn plain_properties(body: &Body) -> &'static Properties {
        static NONE: Properties = Properties::new();
        static PLAIN: [LazyLock<Properties>; 3] = [
            LazyLock::new(|| Properties::new().content_type("application/json")),
            LazyLock::new(|| Properties::new().content_type("text/plain")),
            LazyLock::new(|| Properties::new().content_type("application/octet-stream")),
        ];
        match body.content_type(&Json) {
            Some("application/json") => &PLAIN[0],
            Some("text/plain") => &PLAIN[1],
            Some("application/octet-stream") => &PLAIN[2],
            _ => &NONE,
        }
    }

    pub(crate) fn routing_key(&self) -> &str {
        Self::key_text(&self.key, self.meta.as_ref())
    }

    fn key_text<'a>(key: &'a Key, meta: Option<&'a Arc<Meta>>) -> &'a str {
        match key.as_str() {
            Some(key) => key,
            None => meta
                .and_then(|meta| meta.routing_key.as_deref())
                .unwrap_or_default(),
        }
    }

    /// The number of the exchange, or its name if it has no number.
    pub(crate) fn origin(&self) -> ExchangeId {
        match (self.marks.origin(), &self.meta) {
            (NAMED, Some(meta)) => ExchangeId::Named(meta.exchange.clone().unwrap_or_default()),
            (number, _) => ExchangeId::Interned(number),
        }
    }

    /// The time that the message may wait in a queue by its own `expiration`, in nanoseconds;
    /// [`NEVER`] without one.
    pub(crate) fn expiration(&self) -> u64 {
        self.meta.as_ref().map_or(NEVER, |meta| meta.expiration())
    }

    /// Whether [`expiration`](Self::expiration) may return a time: a plain message has none.
    pub(crate) fn may_expire(&self) -> bool {
        self.meta.is_some()
    }

    /// The size that limits, budgets and counts use, in bytes.
    #[inline]
    pub(crate) fn size(&self) -> u64 {
        match self.meta.as_ref().and_then(|meta| meta.size) {
            Some(size) => size,
            None => self.body.size() as u64,
        }
    }

    /// The bytes of its properties as they were published, in AMQP 0-9-1. What the broker records
    /// of its deaths does not count.
    pub(crate) fn published_len(&self) -> u64 {
        match &self.meta {
            Some(meta) => meta.published_len(),
            None => self.properties().encoded_len(),
        }
    }

    /// The number of deliveries of this message in its queue that ended without an acknowledgement.
    pub(crate) fn acquired_count(&self) -> u32 {
        self.marks.acquired_count()
    }

    /// The number of deliveries of this message that failed, with those in queues that it was in
    /// before.
    pub(crate) fn delivery_count(&self) -> u32 {
        self.marks.delivery_count()
    }

    /// Counts one more delivery that ended without an acknowledgement.
    pub(crate) fn count_return(&mut self, failed: bool) {
        self.marks = self.marks.with_return(failed);
    }

    /// Marks it as delivered before, by the queue that it comes from.
    pub(crate) fn mark_delivered_before(&mut self) {
        self.marks = self.marks.with(PackedIds::DELIVERED_BEFORE);
    }

    pub(crate) fn redelivered(&self) -> bool {
        self.acquired_count() > 0 || self.marks.has(PackedIds::DELIVERED_BEFORE)
    }

    /// Marks it as one of the returned messages, which a quorum queue delivers first.
    pub(crate) fn mark_returned(&mut self) {
        self.marks = self.marks.with(PackedIds::RETURNED);
    }

    pub(crate) fn is_returned(&self) -> bool {
        self.marks.has(PackedIds::RETURNED)
    }

    /// Carries the failed deliveries of a message over to the copy of it that another queue gets.
    pub(crate) fn carry_failures(&mut self, failures: u32) {
        self.marks = self.marks.with_counts(0, failures);
    }

    /// Gives it the counts that it had before the broker ended.
    pub(crate) fn restore_counts(&mut self, acquired: u32, failed: u32) {
        self.marks = self.marks.with_counts(acquired, failed);
    }

    /// Whether a durable queue keeps it over the end of the broker: its delivery mode says so.
    pub(crate) fn is_persistent(&self) -> bool {
        let meta = self.meta.as_ref();
        meta.is_some_and(|meta| meta.properties.are_persistent())
    }

    /// A second copy with the payload as octets. It does not share the payload, so that the payload
    /// can still be moved out of this message. `None` if there can be no copy. Runs user code.
    pub(crate) fn separate_copy(&mut self) -> Option<Envelope> {
        let codec = self.meta.as_ref().and_then(|meta| meta.codec.clone());
        let codec = codec.as_deref().unwrap_or(&Json);
        if self.body.content_type(codec).is_none() {
            // A payload that is never encoded can still be copied, if it can be shared.
            return self.share().ok();
        }
        let meta = Meta {
            properties: self.properties().clone(),
            size: Some(self.size()),
            ..self.meta.as_deref().cloned().unwrap_or_default()
        };
        Some(Envelope {
            body: Body::encoded(self.body.encode(codec).ok()?),
            meta: Some(Arc::new(meta)),
            position: self.position,
            deadline: self.deadline,
            key: self.key,
            marks: self.marks,
        })
    }

    /// A second copy for another queue. Both share the payload from now on. Runs no user code.
    pub(crate) fn share(&mut self) -> Result<Envelope, NotShareable> {
        let body = self.body.share()?;
        Ok(self.with_body(body))
    }

    /// The same message with another handle to its payload. Runs no user code.
    #[inline(always)]
    pub(crate) fn with_body(&self, body: Body) -> Envelope {
        Envelope {
            body,
            meta: self.meta.clone(),
            position: self.position,
            deadline: self.deadline,
            key: self.key,
            marks: self.marks,
        }
    }

    /// A copy to look at, at the same position. It shares the payload if that can be, and has none
    /// if not. Runs no user code.
    pub(crate) fn view(&mut self) -> (Envelope, Result<(), NotShareable>) {
        let (body, meta, shared) = match self.body.share() {
            Ok(body) => (body, self.meta.clone(), Ok(())),
            Err(not_shareable) => {
                let meta = Meta {
                    properties: self.properties().clone(),
                    size: Some(self.size()),
                    ..self.meta.as_deref().cloned().unwrap_or_default()
                };
                let none = Body::encoded(Bytes::default());
                (none, Some(Arc::new(meta)), Err(not_shareable))
            }
        };
        let view = Envelope {
            body,
            meta,
            position: self.position,
            deadline: self.deadline,
            key: self.key,
            marks: self.marks,
        };
        (view, shared)
    }

    /// The body as octets, by the codec of its producer. Runs user code.
    pub(crate) fn encode(&self) -> Result<Bytes, CodecError> {
        match self.meta().and_then(|meta| meta.codec.as_deref()) {
            Some(codec) => self.body().encode(codec),
            None => self.body().encode(&Json),
        }
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("payload", &self.body.type_name())
            .field("position", &self.position)
            .field("routing_key", &self.routing_key())
            .field("acquired_count", &self.acquired_count())
            .field("delivery_count", &self.delivery_count())
            .finish_non_exhaustive()
    }
}

/// Exchange and routing key in the form that an envelope holds: made once for a route, and copied
/// for each message.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    origin: u16,
    key: Key,
    extra: Option<Arc<Meta>>,
}

impl Address {
    pub(crate) fn new(origin: &ExchangeId, routing_key: &Name) -> Address {
        let (number, exchange) = match origin {
            ExchangeId::Interned(number) => (*number, None),
            ExchangeId::Named(name) => (NAMED, Some(name.clone())),
        };
        let (key, long) = match Key::new(routing_key) {
            Some(key) => (key, None),
            None => (Key::LONG, Some(routing_key.clone())),
        };
        let extra = (exchange.is_some() || long.is_some()).then(|| {
            Arc::new(Meta {
                exchange,
                routing_key: long,
                ..Meta::default()
            })
        });
        Address {
            origin: number,
            key,
            extra,
        }
    }

    /// Whether an envelope holds all of it inline. For another address the properties of a message
    /// are copied.
    #[inline]
    pub(crate) fn is_inline(&self) -> bool {
        self.extra.is_none()
    }
}

/// A routing key of at most 15 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
struct Key {
    length: u8,
    bytes: [u8; Key::INLINE],
}

impl Key {
    const INLINE: usize = 15;
    const LONG: Key = Key {
        length: u8::MAX,
        bytes: [0; Key::INLINE],
    };

    fn new(text: &str) -> Option<Key> {
        let mut bytes = [0; Key::INLINE];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Key {
            length: text.len() as u8,
            bytes,
        })
    }

    /// `None` for a long key.
    fn as_str(&self) -> Option<&str> {
        // The bytes are those of a whole `str`, so the check cannot fail. It is cheap for 15 bytes.
        let bytes = self.bytes.get(..usize::from(self.length))?;
        std::str::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_takes_at_most_104_bytes() {
        assert!(size_of::<Envelope>() <= 104, "{}", size_of::<Envelope>());
    }

    #[test]
    fn an_envelope_that_may_be_missing_takes_no_more() {
        assert_eq!(size_of::<Option<Envelope>>(), size_of::<Envelope>());
    }

    #[test]
    fn keys_of_every_length_come_back_as_they_were() {
        for length in 0..=255 {
            let key =
                Name::new("é".repeat(length / 2) + if length % 2 == 1 { "x" } else { "" }).unwrap();
            let address = Address::new(&ExchangeId::Interned(3), &key);
            let envelope = Envelope::new(Body::new(1u8), &address, None);
            assert_eq!(envelope.routing_key(), &*key);
            assert!(matches!(envelope.origin(), ExchangeId::Interned(3)));
        }
    }

    #[test]
    fn an_exchange_without_a_number_travels_by_name_beside_other_properties() {
        let exchange = Name::new("logs").unwrap();
        let address = Address::new(
            &ExchangeId::Named(exchange.clone()),
            &Name::new("k").unwrap(),
        );
        let meta = Arc::new(Meta {
            size: Some(7),
            ..Meta::default()
        });
        let envelope = Envelope::new(Body::new(1u8), &address, Some(meta));
        assert!(matches!(envelope.origin(), ExchangeId::Named(name) if name == exchange));
        assert_eq!(envelope.size(), 7);
        assert_eq!(envelope.routing_key(), "k");
    }
}
