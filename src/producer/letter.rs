//! What a message brings that its producer does not have already: a key, properties, its own mind on being mandatory.

use std::sync::Arc;

use super::Shared;
use crate::{
    codec::{Codec, Json},
    envelope::Meta,
    error::Result,
    field_value::FieldTable,
    message::Delay,
    name::Name,
    payload::{Carry, Payload},
    properties::Properties,
    queue::after,
    sender_selected,
};

pub(super) struct Letter<'a> {
    /// Checked to be no longer than a name may be.
    pub(super) key: &'a str,
    pub(super) meta: Option<Arc<Meta>>,
    /// As given: the hidden keys among them, which route as well.
    pub(super) headers: Option<FieldTable>,
    pub(super) mandatory: bool,
    /// When it may be delivered at the earliest, in nanoseconds of the virtual host.
    pub(super) due: Option<u64>,
}

impl<'a> Letter<'a> {
    /// A plain message to another key.
    pub(super) fn to(key: &'a str, shared: &Shared) -> Result<Letter<'a>> {
        Name::check(key)?;
        Ok(Letter {
            key,
            meta: shared.meta.clone(),
            headers: None,
            mandatory: shared.mandatory,
            due: None,
        })
    }

    pub(super) fn new<T: Payload>(
        properties: &Properties,
        routing_key: Option<&'a str>,
        mandatory: Option<bool>,
        delay: Delay,
        shared: &'a Shared,
    ) -> Result<Letter<'a>> {
        shared.connection.check_user_id(properties)?;
        properties.validate()?;
        let key = match routing_key {
            Some(key) => Name::check(key).map(|()| key)?,
            None => &*shared.routing_key,
        };
        let headers = properties.headers.clone();
        let mut properties = typed::<T>(properties.clone(), shared.codec.as_deref());
        let bcc = match sender_selected::is_selected_by_sender(headers.as_ref()) {
            true => sender_selected::take_bcc(&mut properties),
            false => Vec::new(),
        };
        let meta = Meta {
            properties,
            codec: shared.codec.clone(),
            bcc,
            ..Meta::default()
        };
        Ok(Letter {
            key,
            meta: Some(Arc::new(meta)),
            headers,
            mandatory: mandatory.unwrap_or(shared.mandatory),
            due: shared.due(delay),
        })
    }
}

impl Shared {
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
pub(super) fn typed<T: Payload>(properties: Properties, codec: Option<&dyn Codec>) -> Properties {
    let codec: &dyn Codec = codec.unwrap_or(&Json);
    match (&properties.content_type, <T as Carry>::content_type(codec)) {
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
