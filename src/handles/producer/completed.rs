//! The properties that the payload type and the codec add to a message.

use std::sync::Arc;

use crate::{
    message::{
        codec::{Codec, Json, is_compression},
        envelope::Meta,
        headers::cc_bcc,
        payload::{Payload, SealedPayload},
        properties::Properties,
    },
    model::field_value::FieldTable,
};

/// The additions to the properties of a message. They are kept so that an error can undo them.
#[derive(Default)]
pub(super) struct Completed {
    content_type: bool,
    content_encoding: bool,
    /// The headers as given, if the message has other headers because `BCC` was removed.
    headers: Option<FieldTable>,
    /// The expiration as given, if the message has it in another form.
    expiration: Option<String>,
}

impl Completed {
    /// Returns the headers as they were given.
    pub(super) fn headers_given(self, meta: &Meta) -> Option<FieldTable> {
        self.headers.or_else(|| meta.properties.headers.clone())
    }

    /// Returns the properties as they were given.
    pub(super) fn undo(self, meta: Option<Arc<Meta>>) -> Properties {
        let Some(meta) = meta else {
            return Properties::new();
        };
        let mut properties = Arc::unwrap_or_clone(meta).properties;
        if self.content_type {
            properties.content_type = None;
        }
        if self.content_encoding {
            properties.content_encoding = None;
        }
        if self.headers.is_some() {
            properties.headers = self.headers;
        }
        if self.expiration.is_some() {
            properties.expiration = self.expiration;
        }
        properties
    }
}

/// Creates the [`Meta`] of a message with these properties.
///
/// The properties are moved and not copied. A copy would be allocated by the publisher and freed by
/// the receiver, which costs more than the rest of the message.
pub(super) fn complete<T: Payload>(
    properties: Properties,
    codec: Option<Arc<dyn Codec>>,
) -> (Meta, Completed) {
    let mut completed = Completed {
        content_type: properties.content_type.is_none(),
        content_encoding: properties.content_encoding.is_none(),
        headers: None,
        expiration: None,
    };
    let mut properties = typed::<T>(properties, codec.as_deref());
    completed.expiration = properties.rewrite_expiration();
    let mut bcc = Vec::new();
    if properties.header_value(cc_bcc::BCC).is_some() {
        completed.headers = properties.headers.clone();
        bcc = cc_bcc::take_bcc(&mut properties);
    }
    let meta = Meta {
        properties,
        codec,
        bcc,
        ..Meta::default()
    };
    (meta, completed)
}

/// Sets the content type and the content encoding, if the message has none.
fn typed<T: Payload>(properties: Properties, codec: Option<&dyn Codec>) -> Properties {
    let codec: &dyn Codec = codec.unwrap_or(&Json);
    let Some(content_type) = <T as SealedPayload>::content_type(codec) else {
        return properties;
    };
    let mut properties = properties;
    let is_typed = properties.content_type.is_some();
    properties
        .content_type
        .get_or_insert_with(|| content_type.to_owned());
    match <T as SealedPayload>::content_encoding(codec) {
        // A message with a content type of its own has its own encoding of letters, too. A
        // compression must be named all the same, or nothing would undo it.
        Some(encoding) if !is_typed || is_compression(encoding) => {
            properties
                .content_encoding
                .get_or_insert_with(|| encoding.to_owned());
        }
        _ => {}
    }
    properties
}

/// The maximum size of a message, in bytes. A larger size counts as this one, so that sums of sizes
/// do not overflow.
const LARGEST: u64 = 1 << 48;

/// Adds the size that the producer's own size function computed.
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
