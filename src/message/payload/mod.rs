//! Payloads: what a message carries.
//!
//! [`Payload`] is the bound of producers and consumers, [`Local`] and [`LocalArc`] carry what cannot be encoded, and [`Body`] is the
//! type-erased form in which a value travels. A body knows its type, its size, how to be shared and how to be encoded; it knows nothing of
//! messages, queues or content-type properties.
//!
//! A body is six words: five for the value and one for its table of methods. A value that fits travels inside; a larger or over-aligned
//! one has a box, which costs 20 to 40 ns a message. To be moved out in safe code an inline value sits in an `Option`, so "fits" means that
//! `Option<T>` does: up to 40 bytes for a type with a niche (a `String`, `bool`, enum or reference somewhere inside), up to 32 for bare
//! numbers. A bare 40-byte value without the `Option` would fit too, but then nothing could ever give it back by value (`ack_into`, a
//! refused publish); a seventh word would hold it, and make every envelope longer.

mod body;
mod forms;
mod local;

pub use self::local::{Local, LocalArc};
pub(crate) use self::{
    body::{Body, NotShareable},
    sealed::SealedPayload,
};

use crate::{
    message::codec::{self, Codec, Codecs},
    model::{bytes::Bytes, error::CodecError},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{any::Any, str};

/// What a producer can send and a consumer can receive.
///
/// Every type that serializes, deserializes (without borrowing), may cross threads and may be shared between them is a payload: derive
/// serde's two traits and it is done. In memory the value itself travels, and a consumer of the same type gets that very value; it is
/// encoded only when something needs octets (a consumer of another type, a bridge, an inspection).
///
/// | type | content type | octets |
/// |---|---|---|
/// | `String` | `text/plain` | its UTF-8 |
/// | `Vec<u8>`, [`Bytes`] | `application/octet-stream` | itself |
/// | any other | that of the producer's [codec](crate::message::codec::Codec), by default `application/json` | as the codec writes it |
///
/// What serde cannot encode (a closure, a file, a channel's sender) travels in a [`Local`] or a [`LocalArc`]. The trait is sealed.
///
/// ```
/// use leveret::{Bytes, Local, Payload};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Task { id: u64 }
///
/// fn sendable<T: Payload>() {}
/// sendable::<Task>();
/// sendable::<String>();
/// sendable::<Bytes>();
/// sendable::<Local<Box<dyn FnOnce() + Send>>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message",
    label = "not a payload",
    note = "a payload is `Serialize + DeserializeOwned + Send + Sync + 'static`; what serde cannot encode travels as `Local<{Self}>`"
)]
pub trait Payload: sealed::SealedPayload {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Payload for T {}
impl<T: Send + 'static> Payload for Local<T> {}
impl<T: Send + Sync + ?Sized + 'static> Payload for LocalArc<T> {}

mod sealed {
    use super::{Body, Codec, CodecError, Codecs};

    /// The inside of [`Payload`](super::Payload): how its values enter and leave a body.
    pub trait SealedPayload: Sized + Send + 'static {
        /// Makes a body of this value. Runs no user code.
        fn into_body(self) -> Body;

        /// The length of bytes or text, else the size of the type.
        fn size(&self) -> usize;

        /// The content type of a body of this type whose producer has `codec`; none if it cannot be encoded. Asks the codec.
        fn content_type(codec: &dyn Codec) -> Option<&str>;

        /// Prepares `body` for a consumer of this type.
        ///
        /// `None` says that the body holds a value of this type: [`Body::downcast_ref`] lends it, [`Body::into_inner`] gives it away.
        /// `Some` is a value beside the body: decoded from its octets, or (a [`Local`](super::Local)) taken out of it, to be given back
        /// by [`restore`](SealedPayload::restore) if the message returns to its queue. `writer` is the codec of the message's producer. Runs user
        /// code.
        fn open(
            body: &Body,
            writer: &dyn Codec,
            content_type: Option<&str>,
            codecs: &Codecs,
        ) -> Result<Option<Box<Self>>, CodecError>;

        /// Decodes octets that came with `content_type`. Runs user code.
        fn decode(
            octets: &[u8],
            content_type: Option<&str>,
            codecs: &Codecs,
        ) -> Result<Self, CodecError>;

        /// Takes back what [`open`](SealedPayload::open) gave, since the message returns to its queue. May run user code (a drop).
        fn restore(body: &Body, value: Box<Self>) {
            let (_, _) = (body, value);
        }
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> SealedPayload for T {
    #[inline(always)]
    fn into_body(self) -> Body {
        let mut value = Some(self);
        if let Some(octets) = take_as::<T, Bytes>(&mut value) {
            // Octets are octets, whoever encoded them.
            return Body::encoded(octets);
        }
        match value {
            Some(value) => Body::native(value),
            None => Body::encoded(Bytes::default()),
        }
    }

    #[inline]
    fn size(&self) -> usize {
        let any: &dyn Any = self;
        match Encoding::of::<T>() {
            Encoding::Text => any.downcast_ref::<String>().map_or(0, String::len),
            Encoding::Octets => any.downcast_ref::<Vec<u8>>().map_or(0, Vec::len),
            Encoding::Bytes => any.downcast_ref::<Bytes>().map_or(0, |octets| octets.len()),
            Encoding::Codec => size_of::<T>(),
        }
    }

    fn content_type(codec: &dyn Codec) -> Option<&str> {
        Some(Encoding::of::<T>().content_type(codec))
    }

    fn open(
        body: &Body,
        writer: &dyn Codec,
        content_type: Option<&str>,
        codecs: &Codecs,
    ) -> Result<Option<Box<Self>>, CodecError> {
        if body.holds::<T>() {
            return codecs.check(content_type).map(|()| None);
        }
        let octets = body.encode(writer)?;
        Self::decode(&octets, content_type, codecs).map(|value| Some(Box::new(value)))
    }

    fn decode(
        octets: &[u8],
        content_type: Option<&str>,
        codecs: &Codecs,
    ) -> Result<Self, CodecError> {
        match Encoding::of::<T>() {
            Encoding::Bytes => {
                codecs.check(content_type)?;
                decoded(Bytes::from(octets))
            }
            Encoding::Octets => {
                codecs.check(content_type)?;
                decoded(octets.to_vec())
            }
            Encoding::Text if content_type.is_none_or(codec::is_text) => {
                // Any kind of text will do where plain text is accepted.
                codecs.check(content_type.map(|_| TEXT))?;
                let text = str::from_utf8(octets)
                    .map_err(|error| CodecError::new(content_type.unwrap_or(TEXT), error))?;
                decoded(text.to_owned())
            }
            Encoding::Text | Encoding::Codec => codecs.decode(octets, content_type),
        }
    }
}

const TEXT: &str = "text/plain";
const OCTETS: &str = "application/octet-stream";
/// What errors call the content type of a payload that has none.
const LOCAL: &str = "local";

/// How the values of a payload type become octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Text,
    Octets,
    Bytes,
    Codec,
}

impl Encoding {
    /// A comparison of type ids, which the compiler decides.
    fn of<T: 'static>() -> Self {
        use std::any::TypeId;
        let id = TypeId::of::<T>();
        if id == TypeId::of::<String>() {
            Self::Text
        } else if id == TypeId::of::<Vec<u8>>() {
            Self::Octets
        } else if id == TypeId::of::<Bytes>() {
            Self::Bytes
        } else {
            Self::Codec
        }
    }

    fn content_type(self, codec: &dyn Codec) -> &str {
        match self {
            Self::Text => TEXT,
            Self::Octets | Self::Bytes => OCTETS,
            Self::Codec => codec.content_type(),
        }
    }
}

/// Moves a value out as a `B` if it is one. Safe code has no shorter word for "these two types are the same"; the compiler decides it.
#[inline(always)]
fn take_as<A: 'static, B: 'static>(value: &mut Option<A>) -> Option<B> {
    (value as &mut dyn Any).downcast_mut::<Option<B>>()?.take()
}

fn decoded<A: 'static, B: 'static>(value: A) -> Result<B, CodecError> {
    take_as(&mut Some(value)).ok_or_else(|| CodecError::new(OCTETS, "two types were taken for one"))
}

#[cfg(test)]
mod tests;
