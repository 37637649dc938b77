//! The parts of a message that most messages do not have.

use std::{ops::Deref, sync::Arc};

use super::{NEVER, Returns, RoutingKey};
use crate::{
    message::{
        codec::Codec,
        properties::{Properties, PropertyList},
    },
    model::name::Name,
};

/// The parts of a message besides its payload. A plain message has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meta {
    pub(crate) properties: Properties,
    /// The codec that encodes the payload; `None` is the default codec.
    pub(crate) codec: Option<Arc<dyn Codec>>,
    /// The exchange, if the virtual host has no number for it.
    pub(crate) exchange: Option<Name>,
    pub(crate) routing_key: RoutingKey,
    /// The size in bytes by the producer's `sized_by`.
    pub(crate) size: Option<u64>,
    /// The routing keys of the `BCC` header.
    pub(crate) bcc: Vec<String>,
    /// What the broker knows of its deaths.
    pub(crate) deaths: Deaths,
    /// The delivery at the engine that the message came from, if that is not this one.
    pub(crate) delivery: Option<u64>,
    /// When its expiration is over here, if it came from such an engine, in nanoseconds; 0 without
    /// one.
    pub(crate) expires_at: u64,
    /// The counts of its deliveries, if they are too large for an envelope.
    pub(crate) returns: Returns,
    /// It has headers that its receiver has added.
    pub(crate) is_annotated: bool,
}

impl Meta {
    /// The time that the message may wait in a queue by its `expiration`, in nanoseconds;
    /// [`NEVER`] without one.
    pub(crate) fn expiration(&self) -> u64 {
        // The publish checked it. A dead letter has no expiration.
        let properties = self.properties.as_list();
        match properties.map_or(Ok(None), PropertyList::expiration_millis) {
            Ok(Some(millis)) => millis.saturating_mul(1_000_000).min(NEVER - 1),
            _ => NEVER,
        }
    }

    /// The bytes of the properties as they were published, in AMQP 0-9-1.
    pub(crate) fn published_len(&self) -> u64 {
        match self.deaths.recorded {
            true => self.deaths.len_before,
            false => self.properties.encoded_len(),
        }
    }
}

/// What the broker knows of the deaths of a message. Its headers alone do not tell, since they may
/// be those of a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deaths {
    /// The header `x-death` is the broker's.
    pub(crate) recorded: bool,
    /// A dead letter routing key has replaced the routing keys of the message, and those of its
    /// `CC` and `BCC` headers.
    pub(crate) rerouted: bool,
    /// The encoded length of the properties before the first death, in bytes.
    pub(crate) len_before: u64,
}

/// The properties of a message, without a borrow of the message.
#[derive(Clone, Debug)]
pub(crate) enum SharedProperties {
    /// The message has some.
    Own(Arc<Meta>),
    /// The message is plain.
    Plain(&'static Properties),
}

impl Deref for SharedProperties {
    type Target = Properties;

    fn deref(&self) -> &Properties {
        match self {
            SharedProperties::Own(meta) => &meta.properties,
            SharedProperties::Plain(properties) => properties,
        }
    }
}
