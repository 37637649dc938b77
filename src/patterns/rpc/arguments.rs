//! The arguments of a call on their way, and values that change their type.

use std::{any, sync::Arc};

use crate::{
    message::{
        codec::{Codecs, Json},
        payload::{Body, Payload},
    },
    model::{bytes::Bytes, error::CodecError},
    runtime::catch_panic::catch_panic,
};

/// The arguments of a call.
pub(super) enum Arguments<A> {
    /// The value itself.
    Value(A),
    /// Its encoding. Several servers can have it.
    Octets(Octets),
    /// A server has them, or the caller has gone.
    Taken,
}

/// A value in its encoding. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Octets(Arc<Encoded>);

struct Encoded {
    content_type: Option<String>,
    octets: Bytes,
}

impl Octets {
    pub(super) fn from_parts(content_type: Option<String>, octets: Bytes) -> Octets {
        Octets(Arc::new(Encoded {
            content_type,
            octets,
        }))
    }

    /// The content type, and the octets.
    pub(super) fn parts(&self) -> (Option<&str>, &Bytes) {
        (self.0.content_type.as_deref(), &self.0.octets)
    }

    /// Encodes a value. Runs user code.
    ///
    /// # Errors
    /// That of the encoding. A [`Local`](crate::Local) has none.
    pub(super) fn encode(body: &Body) -> Result<Octets, CodecError> {
        Ok(Octets(Arc::new(Encoded {
            content_type: body.content_type(&Json).map(str::to_owned),
            octets: body.encode(&Json)?,
        })))
    }

    /// Decodes a value. Runs user code, and a panic of that is an error.
    pub(super) fn decode<T: Payload>(&self) -> Result<T, CodecError> {
        let Encoded {
            content_type,
            octets,
        } = &*self.0;
        let content_type = content_type.as_deref();
        let decoded = catch_panic(|| T::decode(octets, content_type, &Codecs::default()));
        decoded.unwrap_or_else(|| {
            let text = format!("decoding `{}` has panicked", any::type_name::<T>());
            Err(CodecError::new(content_type.unwrap_or_default(), text))
        })
    }
}

/// Makes a `T` of a value: the value itself if it is one, and else its encoding decoded. Runs user
/// code.
pub(super) fn convert<T: Payload>(body: Body) -> Result<T, CodecError> {
    match body.into_inner::<T>() {
        Ok(Ok(value)) => Ok(value),
        // No one else has a handle to the value.
        Ok(Err(_)) => Err(CodecError::new("", "the value is shared")),
        Err(body) => Octets::encode(&body)?.decode(),
    }
}
