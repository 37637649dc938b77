//! Exchange and routing key of a message.

use std::sync::Arc;

use super::{ExchangeId, Meta, NAMED};
use crate::model::name::Name;

/// Exchange and routing key in the form that an envelope holds: made once for a route, and copied
/// for each message.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(super) origin: u16,
    /// What a message without properties has besides its payload.
    pub(super) parts: Parts,
}

/// An [`Address`] with a short routing key, and an exchange with a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortAddress<'a> {
    pub(super) origin: u16,
    pub(super) key: &'a ShortKey,
}

/// The parts of a message besides its payload and its numbers.
#[derive(Clone, Debug)]
pub(super) enum Parts {
    /// Only a short routing key.
    Key(ShortKey),
    /// Properties, a long routing key, the name of the exchange, or others. The routing key is
    /// among them, be it short or long.
    Meta(Arc<Meta>),
}

/// A routing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoutingKey {
    Short(ShortKey),
    Long(Name),
}

/// A routing key of at most 15 bytes. A copy of it shares no count with other messages: a count
/// that both producer and consumer write would cost as much as the rest of the publish and the
/// receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub(crate) struct ShortKey {
    length: Length,
    bytes: [u8; ShortKey::MOST],
}

/// The length of a short key. The values that it does not have tell the other parts of a message
/// from a key, so that a message takes no byte for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[rustfmt::skip]
enum Length { L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15 }

impl Address {
    pub(crate) fn new(origin: &ExchangeId, routing_key: &Name) -> Address {
        let (origin, exchange) = match origin {
            ExchangeId::Interned(number) => (*number, None),
            ExchangeId::Named(name) => (NAMED, Some(name.clone())),
        };
        let parts = match (RoutingKey::new(routing_key), exchange) {
            (RoutingKey::Short(key), None) => Parts::Key(key),
            (routing_key, exchange) => Parts::Meta(Arc::new(Meta {
                exchange,
                routing_key,
                ..Meta::default()
            })),
        };
        Address { origin, parts }
    }

    /// The address, if its parts are only a short key.
    #[inline(always)]
    pub(crate) fn as_short(&self) -> Option<ShortAddress<'_>> {
        let Address { origin, parts } = self;
        match parts {
            Parts::Key(key) => Some(ShortAddress {
                origin: *origin,
                key,
            }),
            Parts::Meta(_) => None,
        }
    }

    /// The parts of a message to this address that has these properties and others.
    #[inline]
    pub(crate) fn complete(&self, mut meta: Meta) -> Arc<Meta> {
        (meta.exchange, meta.routing_key) = match &self.parts {
            Parts::Key(key) => (None, RoutingKey::Short(*key)),
            Parts::Meta(own) => (own.exchange.clone(), own.routing_key.clone()),
        };
        Arc::new(meta)
    }

    /// As [`complete`](Self::complete), for parts that may be complete already and that other
    /// messages may have too.
    #[inline]
    pub(crate) fn complete_shared(&self, meta: Arc<Meta>) -> Arc<Meta> {
        let is_complete = match &self.parts {
            Parts::Key(key) => meta.routing_key.is_short(key) && meta.exchange.is_none(),
            Parts::Meta(own) => {
                own.routing_key == meta.routing_key && own.exchange == meta.exchange
            }
        };
        match is_complete {
            true => meta,
            false => self.complete(Arc::unwrap_or_clone(meta)),
        }
    }
}

impl Parts {
    #[inline]
    pub(super) fn meta(&self) -> Option<&Arc<Meta>> {
        match self {
            Parts::Key(_) => None,
            Parts::Meta(meta) => Some(meta),
        }
    }

    pub(super) fn routing_key(&self) -> &str {
        match self {
            Parts::Key(key) => key.as_str(),
            Parts::Meta(meta) => meta.routing_key.as_str(),
        }
    }

    /// The exchange with this number. Without one its name is here.
    pub(super) fn origin(&self, number: u16) -> ExchangeId {
        match (number, self) {
            (NAMED, Parts::Meta(meta)) => {
                ExchangeId::Named(meta.exchange.clone().unwrap_or_default())
            }
            (number, _) => ExchangeId::Interned(number),
        }
    }
}

impl RoutingKey {
    pub(crate) fn new(key: &Name) -> RoutingKey {
        match ShortKey::new(key) {
            Some(short) => RoutingKey::Short(short),
            None => RoutingKey::Long(key.clone()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            RoutingKey::Short(key) => key.as_str(),
            RoutingKey::Long(name) => name,
        }
    }

    #[inline]
    fn is_short(&self, key: &ShortKey) -> bool {
        matches!(self, RoutingKey::Short(own) if own == key)
    }
}

impl Default for RoutingKey {
    fn default() -> RoutingKey {
        RoutingKey::Short(ShortKey::EMPTY)
    }
}

impl ShortKey {
    const MOST: usize = 15;

    pub(super) const EMPTY: ShortKey = ShortKey {
        length: Length::L0,
        bytes: [0; ShortKey::MOST],
    };

    /// `None` for a long key.
    fn new(text: &str) -> Option<ShortKey> {
        let mut bytes = [0; ShortKey::MOST];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let length = *Length::ALL.get(text.len())?;
        Some(ShortKey { length, bytes })
    }

    pub(super) fn as_str(&self) -> &str {
        // The bytes are those of a whole `str`, so the check cannot fail. It is cheap for 15 bytes.
        let bytes = &self.bytes[..self.length as usize];
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Length {
    #[rustfmt::skip]
    const ALL: [Length; ShortKey::MOST + 1] = {
        use Length::*;
        [L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15]
    };
}
