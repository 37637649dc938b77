//! The arguments of a call on their way, and values that change their type.

use std::{
    any,
    sync::{Arc, LazyLock},
};

use crate::{
    message::{
        codec::{Codec, Codecs, Json},
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
    content_encoding: Option<String>,
    octets: Bytes,
}

/// Every codec of this crate: a program outside may have used any of them.
static CODECS: LazyLock<Codecs> = LazyLock::new(|| {
    let codecs = Codecs::default();
    #[cfg(feature = "msgpack")]
    let codecs = codecs.with(crate::message::codec::MsgPack);
    #[cfg(feature = "cbor")]
    let codecs = codecs.with(crate::message::codec::Cbor);
    codecs
});

impl Octets {
    /// The octets of a message.
    pub(super) fn new(
        octets: Bytes,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Octets {
        Octets(Arc::new(Encoded {
            content_type: content_type.map(str::to_owned),
            content_encoding: content_encoding.map(str::to_owned),
            octets,
        }))
    }

    pub(super) fn octets(&self) -> &Bytes {
        &self.0.octets
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.0.content_type.as_deref()
    }

    pub(super) fn content_encoding(&self) -> Option<&str> {
        self.0.content_encoding.as_deref()
    }

    /// The codec of the octets, for an answer in the same format. JSON if they have none, and if
    /// they are text or plain octets, which few answers are.
    pub(super) fn codec(&self) -> &'static dyn Codec {
        let codec = self.content_type().and_then(|it| CODECS.get(it));
        match codec {
            Some(codec) if !matches!(codec.name(), "text" | "raw") => &**codec,
            _ => &Json,
        }
    }

    /// Encodes a value. Runs user code.
    ///
    /// # Errors
    /// That of the encoding. A [`Local`](crate::Local) has none.
    pub(super) fn encode(body: &Body) -> Result<Octets, CodecError> {
        let octets = body.encode(&Json)?;
        Ok(Octets::new(octets, body.content_type(&Json), None))
    }

    /// Decodes a value. Runs user code, and a panic of that is an error.
    pub(super) fn decode<T: Payload>(&self) -> Result<T, CodecError> {
        let Encoded {
            content_type,
            content_encoding,
            octets,
        } = &*self.0;
        let (content_type, encoding) = (content_type.as_deref(), content_encoding.as_deref());
        let decoded = catch_panic(|| {
            let octets = CODECS.undo_compression(octets, content_type, encoding)?;
            T::decode(&octets, content_type, &CODECS)
        });
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
