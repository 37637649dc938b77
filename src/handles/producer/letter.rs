//! What a message brings that its producer does not have already: a key, properties, a size, its own mind on being mandatory.

use std::sync::Arc;

use super::ProducerShared;
use crate::{
    engine::queue::after,
    message::{
        codec::{Codec, Json},
        envelope::{Envelope, Meta},
        headers::cc_bcc,
        outgoing::Delay,
        payload::{Payload, SealedPayload},
        properties::Properties,
    },
    model::{
        error::{Error, Result},
        field_value::FieldTable,
        name::Name,
    },
};

pub(super) struct Letter<'a> {
    /// Checked to be no longer than a name may be.
    pub(super) key: &'a str,
    /// What goes into the envelope; taken out while it is there.
    pub(super) meta: Option<Arc<Meta>>,
    /// The headers as given, if those that travel are others: the hidden keys among them, which route as well.
    all_headers: Option<FieldTable>,
    /// What the message's own properties did not say; `None` if it brought none, and has the producer's.
    completed: Option<Completed>,
    pub(super) mandatory: bool,
    /// When it may be delivered at the earliest, in nanoseconds of the virtual host.
    pub(super) due: Option<u64>,
}

/// Which properties were missing and are there now.
#[derive(Clone, Copy)]
struct Completed {
    content_type: bool,
    content_encoding: bool,
}

impl<'a> Letter<'a> {
    /// A plain message to another key.
    pub(super) fn to(key: &'a str, shared: &ProducerShared) -> Result<Letter<'a>> {
        Name::check(key)?;
        Ok(Letter::plain(key, shared))
    }

    /// A message that brings nothing but a key.
    fn plain(key: &'a str, shared: &ProducerShared) -> Letter<'a> {
        Letter {
            key,
            meta: shared.meta.clone(),
            all_headers: None,
            completed: None,
            mandatory: shared.mandatory,
            due: None,
        }
    }

    /// A message with properties of its own, which are moved and not copied: allocated here and freed where the message is received, they
    /// cost more than the rest of it. After an error they come back.
    pub(super) fn new<T: Payload>(
        properties: Properties,
        routing_key: Option<&'a str>,
        mandatory: Option<bool>,
        delay: Delay,
        shared: &'a ProducerShared,
    ) -> Result<Letter<'a>, (Error, Properties)> {
        let key = match check(&properties, routing_key, shared) {
            Ok(key) => key,
            Err(error) => return Err((error, properties)),
        };
        let mandatory = mandatory.unwrap_or(shared.mandatory);
        let due = shared.due(delay);
        if properties.is_empty() {
            return Ok(Letter {
                mandatory,
                due,
                ..Letter::plain(key, shared)
            });
        }
        let completed = Completed {
            content_type: properties.content_type.is_none(),
            content_encoding: properties.content_encoding.is_none(),
        };
        let (meta, all_headers) = complete::<T>(properties, shared.codec.clone());
        Ok(Letter {
            key,
            all_headers,
            meta: Some(Arc::new(meta)),
            completed: Some(completed),
            mandatory,
            due,
        })
    }

    /// The headers that route, if this message may be routed by headers.
    pub(super) fn headers<'b>(&'b self, shared: &'b ProducerShared) -> Option<&'b FieldTable> {
        if self.completed.is_none() {
            return shared.headers.as_ref();
        }
        let visible = || self.meta.as_ref()?.properties.headers.as_ref();
        self.all_headers.as_ref().or_else(visible)
    }

    /// What a message that is in no queue had from its letter goes back there.
    pub(super) fn take_back(letter: &mut Option<&mut Letter<'_>>, message: &Option<Envelope>) {
        if let Some(letter) = letter {
            letter.meta = message.as_ref().and_then(Envelope::meta).cloned();
        }
    }

    /// The properties as they were given.
    pub(super) fn into_properties(self) -> Properties {
        let (Some(meta), Some(missing)) = (self.meta, self.completed) else {
            return Properties::new();
        };
        let mut properties = Arc::unwrap_or_clone(meta).properties;
        if missing.content_type {
            properties.content_type = None;
        }
        if missing.content_encoding {
            properties.content_encoding = None;
        }
        if self.all_headers.is_some() {
            properties.headers = self.all_headers;
        }
        properties
    }
}

/// What travels with a payload that has these properties; and the headers as they were given, if others travel.
pub(super) fn complete<T: Payload>(
    properties: Properties,
    codec: Option<Arc<dyn Codec>>,
) -> (Meta, Option<FieldTable>) {
    let mut properties = typed::<T>(properties, codec.as_deref());
    let (mut bcc, mut all_headers) = (Vec::new(), None);
    if properties.header_value(cc_bcc::BCC).is_some() {
        all_headers = properties.headers.clone();
        bcc = cc_bcc::take_bcc(&mut properties);
    }
    let meta = Meta {
        properties,
        codec,
        bcc,
        ..Meta::default()
    };
    (meta, all_headers)
}

/// What can be wrong with a message by itself. The key that it goes to.
fn check<'a>(
    properties: &Properties,
    routing_key: Option<&'a str>,
    shared: &'a ProducerShared,
) -> Result<&'a str> {
    shared.connection.check_user_id(properties)?;
    properties.validate()?;
    match routing_key {
        Some(key) => Name::check(key).map(|()| key),
        None => Ok(&shared.routing_key),
    }
}

impl ProducerShared {
    fn due(&self, delay: Delay) -> Option<u64> {
        let vhost = self.connection.vhost();
        let delay = match delay {
            Delay::None => return None,
            Delay::After(delay) => delay,
            Delay::At(at) => at
                .duration_since(vhost.time().system_now())
                .unwrap_or_default(),
        };
        (!delay.is_zero()).then(|| after(vhost.nanos(), delay))
    }
}

/// Says what the payload is, if the message does not.
fn typed<T: Payload>(properties: Properties, codec: Option<&dyn Codec>) -> Properties {
    let codec: &dyn Codec = codec.unwrap_or(&Json);
    match (
        &properties.content_type,
        <T as SealedPayload>::content_type(codec),
    ) {
        (None, Some(content_type)) => {
            let content_type = content_type.to_owned();
            let properties = properties.content_type(content_type);
            match codec.content_encoding() {
                Some(encoding) if properties.content_encoding.is_none() => {
                    let encoding = encoding.to_owned();
                    properties.content_encoding(encoding)
                }
                _ => properties,
            }
        }
        _ => properties,
    }
}

/// What a larger size counts as, in bytes: so that sums of sizes stay sums.
const LARGEST: u64 = 1 << 48;

/// Adds the size that a producer's own measure gave.
pub(super) fn sized<T: Payload>(meta: Option<Arc<Meta>>, size: u64) -> Meta {
    let meta = match meta {
        Some(meta) => Meta::clone(&meta),
        None => Meta {
            properties: typed::<T>(Properties::new(), None),
            ..Meta::default()
        },
    };
    Meta {
        size: Some(size.min(LARGEST)),
        ..meta
    }
}
