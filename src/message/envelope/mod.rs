//! The envelope: one message as a queue stores it, with its payload erased, in at most 88 bytes.
//!
//! Most messages have no properties, no long routing key and no codec of their own. These parts are
//! behind one pointer, which the copies of a message share. The routing key is there too. A message
//! without these parts has its routing key in the place of the pointer.

mod address;
mod logged;
mod meta;
mod numbers;
mod settled;
mod shown;

pub(crate) use self::{
    address::{Address, RoutingKey, ShortAddress},
    logged::LoggedMessage,
    meta::{Deaths, Meta, SharedProperties},
    numbers::Returns,
    settled::SettledMessage,
};

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use self::{
    address::{Parts, ShortKey},
    numbers::Numbers,
};
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
/// word. A block that was just written in two parts delays the next move.
#[repr(C)]
pub(crate) struct Envelope {
    parts: Parts,
    numbers: Numbers,
    body: Body,
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
    /// Addresses `body`. A publisher of many similar messages passes the same `meta` again. It is
    /// copied if it is not complete for this address.
    #[inline(always)]
    pub(crate) fn new(body: Body, address: &Address, meta: Option<Arc<Meta>>) -> Envelope {
        let meta = meta.map(|meta| address.complete_shared(meta));
        Envelope::complete(body, address, meta)
    }

    /// As [`new`](Self::new), for a `meta` that is [complete](Address::complete) for this address.
    #[inline(always)]
    pub(crate) fn complete(body: Body, address: &Address, meta: Option<Arc<Meta>>) -> Envelope {
        let parts = match meta {
            None => address.parts.clone(),
            Some(meta) => Parts::Meta(meta),
        };
        Envelope {
            parts,
            numbers: Numbers::new(address.origin),
            body,
        }
    }

    /// Addresses `body`, which has nothing else, at this position of a queue.
    #[inline(always)]
    pub(crate) fn short(body: Body, address: ShortAddress<'_>, position: u64) -> Envelope {
        let mut numbers = Numbers::new(address.origin);
        numbers.set_position(position);
        Envelope {
            parts: Parts::Key(*address.key),
            numbers,
            body,
        }
    }

    /// Sets its position in the queue.
    #[inline(always)]
    pub(crate) fn at(self, position: u64) -> Envelope {
        let mut envelope = self;
        envelope.numbers.set_position(position);
        envelope
    }

    /// The envelope that replaces a message that was taken out.
    pub(crate) fn empty() -> Envelope {
        Envelope {
            parts: Parts::Key(ShortKey::EMPTY),
            numbers: Numbers::new(0),
            body: Body::new(()),
        }
    }

    /// Its position in the queue. The queue sets it at the first arrival. A classic queue keeps it
    /// when the message returns, a quorum queue sets another one.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.numbers.position()
    }

    #[inline]
    pub(crate) fn set_position(&mut self, position: u64) {
        self.numbers.set_position(position);
    }

    /// The time when the message expires, in nanoseconds of the broker's clock; [`NEVER`] if it
    /// does not.
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.numbers.deadline()
    }

    /// Sets the time when the message expires. It may become up to a quarter of a millisecond
    /// later.
    #[inline]
    pub(crate) fn set_deadline(&mut self, deadline: u64) {
        self.numbers.set_deadline(deadline);
    }

    /// Has it expire this long after `now`, not earlier and up to a quarter of a millisecond later.
    /// After no time at all it has expired at `now`.
    #[inline]
    pub(crate) fn expire_after(&mut self, now: u64, ttl: u64) {
        match ttl {
            0 => self.numbers.set_past(now),
            ttl => self.set_deadline(now.saturating_add(ttl)),
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
        self.parts.meta()
    }

    /// The properties. Those of a plain message have only its content type.
    pub(crate) fn properties(&self) -> &Properties {
        match self.meta() {
            Some(meta) => &meta.properties,
            None => Self::plain_properties(&self.body),
        }
    }

    /// The properties. They are copied if another message has them too.
    pub(crate) fn into_properties(self) -> Properties {
        match self.parts {
            Parts::Key(_) => Self::plain_properties(&self.body).clone(),
            Parts::Meta(meta) => match Arc::try_unwrap(meta) {
                Ok(meta) => meta.properties,
                Err(shared) => shared.properties.clone(),
            },
        }
    }

    /// The properties, without a borrow of the message.
    pub(crate) fn shared_properties(&self) -> SharedProperties {
        match self.meta() {
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
        self.parts.routing_key()
    }

    /// The number of the exchange, or its name if it has no number.
    pub(crate) fn origin(&self) -> ExchangeId {
        self.parts.origin(self.numbers.origin())
    }

    /// The time that the message may wait in a queue by its own `expiration`, in nanoseconds;
    /// [`NEVER`] without one.
    pub(crate) fn expiration(&self) -> u64 {
        self.meta().map_or(NEVER, |meta| meta.expiration())
    }

    /// Whether [`expiration`](Self::expiration) may return a time: a plain message has none.
    pub(crate) fn may_expire(&self) -> bool {
        self.meta().is_some()
    }

    /// The size that limits, budgets and counts use, in bytes.
    #[inline]
    pub(crate) fn size(&self) -> u64 {
        match self.meta().and_then(|meta| meta.size) {
            Some(size) => size,
            None => self.body.size() as u64,
        }
    }

    /// The bytes of its properties as they were published, in AMQP 0-9-1. What the broker records
    /// of its deaths does not count.
    pub(crate) fn published_len(&self) -> u64 {
        match self.meta() {
            Some(meta) => meta.published_len(),
            None => self.properties().encoded_len(),
        }
    }

    /// Marks it as delivered before, by the queue that it comes from.
    pub(crate) fn mark_delivered_before(&mut self) {
        self.numbers.mark(Numbers::DELIVERED_BEFORE);
    }

    pub(crate) fn redelivered(&self) -> bool {
        self.acquired_count() > 0 || self.numbers.has(Numbers::DELIVERED_BEFORE)
    }

    /// Marks it as one of the returned messages, which a quorum queue delivers first.
    pub(crate) fn mark_returned(&mut self) {
        self.numbers.mark(Numbers::RETURNED);
    }

    pub(crate) fn is_returned(&self) -> bool {
        self.numbers.has(Numbers::RETURNED)
    }

    /// Whether a durable queue keeps it over the end of the broker: its delivery mode says so.
    pub(crate) fn is_persistent(&self) -> bool {
        let meta = self.meta();
        meta.is_some_and(|meta| meta.properties.are_persistent())
    }

    /// A second copy with the payload as octets. It does not share the payload, so that the payload
    /// can still be moved out of this message. `None` if there can be no copy. Runs user code.
    pub(crate) fn separate_copy(&mut self) -> Option<Envelope> {
        let codec = self.meta().and_then(|meta| meta.codec.clone());
        let codec = codec.as_deref().unwrap_or(&Json);
        if self.body.content_type(codec).is_none() {
            // A payload that is never encoded can still be copied, if it can be shared.
            return self.share().ok();
        }
        let meta = Meta {
            size: Some(self.size()),
            ..self.to_meta()
        };
        Some(Envelope {
            parts: Parts::Meta(Arc::new(meta)),
            numbers: self.numbers,
            body: Body::encoded(self.body.encode(codec).ok()?),
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
            parts: self.parts.clone(),
            numbers: self.numbers,
            body,
        }
    }

    /// A copy to look at, at the same position. It shares the payload if that can be, and has none
    /// if not. Runs no user code.
    pub(crate) fn view(&mut self) -> (Envelope, Result<(), NotShareable>) {
        let (body, parts, shared) = match self.body.share() {
            Ok(body) => (body, self.parts.clone(), Ok(())),
            Err(not_shareable) => {
                let meta = Meta {
                    size: Some(self.size()),
                    ..self.to_meta()
                };
                let none = Body::encoded(Bytes::default());
                (none, Parts::Meta(Arc::new(meta)), Err(not_shareable))
            }
        };
        let view = Envelope {
            parts,
            numbers: self.numbers,
            body,
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
            .field("position", &self.position())
            .field("routing_key", &self.routing_key())
            .field("acquired_count", &self.acquired_count())
            .field("delivery_count", &self.delivery_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_takes_at_most_88_bytes() {
        assert!(size_of::<Envelope>() <= 88, "{}", size_of::<Envelope>());
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
