//! Payloads: the content of messages.
//!
//! [`Payload`] is the bound of producers and consumers. [`Local`] and [`LocalArc`] carry values
//! that cannot be encoded. [`Body`] is the type-erased form in which a value travels. A body knows
//! its type, its size, and how to be shared and encoded. It does not know messages or queues.
//! [`Departing`] has what a value adds to its message where that leaves the process.
//!
//! A body is seven words: six for the value and one for its table of methods. A value that fits is
//! stored inside. A larger or over-aligned value has a box, which costs 20 to 40 ns for each
//! message.
//!
//! A value inside is in an `Option`, so that safe code can move it out. A value therefore fits if
//! its `Option` does. The limit is 48 bytes for a type with a niche (a `String`, `bool`, enum or
//! reference somewhere inside), and 40 bytes for bare numbers. A bare value of 48 bytes would fit
//! without the `Option`, but could then never be returned by value (`ack_into`, a refused publish).
//! An eighth word would hold it, and would make every envelope longer.

mod body;
mod boxed;
mod departure;
mod forms;
mod gone;
mod lent;
mod local;
mod serializable;

pub(crate) use self::{
    body::{Body, NotShareable},
    departure::{Departed, Departing, Exit, ReplyAddress, ReplyTaker},
    forms::not_encodable,
    lent::Lender,
    sealed::SealedPayload,
};
pub use self::{
    local::{Local, LocalArc},
    serializable::Serializable,
};

use crate::{
    message::codec::{self, Codec, Codecs, Value},
    model::{bytes::Bytes, error::CodecError},
};
use std::{any::Any, borrow::Cow, str};

/// A value that a producer can send and a consumer can receive.
///
/// A payload is any type that serde can serialize and deserialize (without borrowing), and that is
/// `Send`, `Sync` and `'static`. To derive serde's two traits is enough.
///
/// The value itself travels in memory, and a consumer of the same type gets that value. It is
/// encoded only where bytes are needed: by a consumer of another type, a bridge or an inspection.
///
/// | type | content type | octets |
/// |---|---|---|
/// | `String` | `text/plain` | its UTF-8 |
/// | `Vec<u8>`, [`Bytes`] | `application/octet-stream` | itself |
/// | any other | that of the producer's [codec](crate::message::codec::Codec), by default `application/json` | as the codec writes it |
///
/// A value that serde cannot encode (a closure, a file, a channel's sender) travels in a [`Local`]
/// or a [`LocalArc`]. The trait is sealed.
///
/// # Panics in a payload's code
/// - A `Drop` that panics ends in the broker, wherever the broker drops the payload. No call
///   unwinds, that of [`ack`](crate::Delivery::ack) included, and every other payload is dropped as
///   well. The panic hook reports the panic.
/// - A `Serialize` or `Deserialize` that panics is one that fails. A receiver gets a
///   [`RecvError::Decode`](crate::RecvError::Decode), and the message is rejected when that is
///   dropped.
///
/// # Payloads that hold handles
/// A payload may hold a consumer, a delivery, a channel or a broker. Its drop may then end a queue,
/// and drop further payloads. These are dropped after it, on the same thread. So a chain of any
/// length needs no stack.
///
/// # Examples
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
// No `Local<{Self}>` in a note: for an `Arc<T>` that would be the wrong advice.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message",
    label = "not a payload",
    note = "a payload is `Serialize + DeserializeOwned + Send + Sync + 'static`; what serde cannot encode travels as `Local<T>` to one queue, with `T: Send`, or as `LocalArc<T>` to several, with `T: Send + Sync`",
    note = "instead of an `Arc<T>`, send the plain `T`: the queues share one value"
)]
pub trait Payload: sealed::SealedPayload {}

impl<T: Serializable> Payload for T {}
impl<T: Send + 'static> Payload for Local<T> {}
impl<T: Send + Sync + ?Sized + 'static> Payload for LocalArc<T> {}

mod sealed {
    use super::{Body, Bytes, Codec, CodecError, Codecs, Departing, not_encodable};
    use crate::{message::properties::Properties, runtime::user_drop::drop_user_value};

    /// The inner part of [`Payload`](super::Payload): how its values enter and leave a body.
    pub trait SealedPayload: Sized + Send + 'static {
        /// Makes a body of this value. Runs no user code.
        fn into_body(self) -> Body;

        /// The length of bytes or text, and for other types the size of the type.
        fn size(&self) -> usize;

        /// The content type of a body of this type whose producer has `codec`; none if it cannot be
        /// encoded. Calls the codec.
        fn content_type(codec: &dyn Codec) -> Option<&str>;

        /// The content encoding of a body of this type whose producer has `codec`. Calls the codec.
        fn content_encoding(codec: &dyn Codec) -> Option<&str> {
            let _ = codec;
            None
        }

        /// Whether the readers of a stream can share a value of this type.
        fn is_shareable() -> bool {
            true
        }

        /// Prepares `body` for a consumer of this type. Runs user code.
        ///
        /// `None` means that the body holds a value of this type: [`Body::downcast_ref`] lends it,
        /// and [`Body::into_inner`] returns it. `Some` is a value beside the body. It is decoded
        /// from the octets of the body, or it is a [`Local`](super::Local) that was taken out. If
        /// the message returns to its queue, [`restore`](SealedPayload::restore) gets the value
        /// back.
        ///
        /// `writer` is the codec of the producer of the message. A compression is undone, except
        /// for consumers of bytes.
        fn open(
            body: &Body,
            writer: &dyn Codec,
            content_type: Option<&str>,
            content_encoding: Option<&str>,
            codecs: &Codecs,
        ) -> Result<Option<Box<Self>>, CodecError>;

        /// Decodes octets that came with `content_type` and are not compressed. Runs user code.
        fn decode(
            octets: &[u8],
            content_type: Option<&str>,
            codecs: &Codecs,
        ) -> Result<Self, CodecError>;

        /// Tells a value that [`open`](SealedPayload::open) has decoded the properties of its
        /// message.
        fn arrived(&mut self, properties: &Properties) {
            let _ = properties;
        }

        /// The octets of this value. Runs user code.
        fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
            let _ = codec;
            Err(not_encodable(std::any::type_name::<Self>()))
        }

        /// This value, if it changes its message where that leaves the process.
        fn departing(&self) -> Option<&dyn Departing> {
            None
        }

        /// Takes back the value of [`open`](SealedPayload::open), since the message returns to its
        /// queue. It may run user code (a drop).
        fn restore(body: &Body, value: Box<Self>) {
            let _ = body;
            drop_user_value(value);
        }
    }
}

impl<T: Serializable> SealedPayload for T {
    #[inline(always)]
    fn into_body(self) -> Body {
        let mut value = Some(self);
        if let Some(octets) = take_as::<T, Bytes>(&mut value) {
            // Bytes are stored in the same form as an encoded payload.
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

    fn content_encoding(codec: &dyn Codec) -> Option<&str> {
        match Encoding::of::<T>() {
            Encoding::Text => Some("utf-8"),
            Encoding::Octets | Encoding::Bytes => Some("binary"),
            Encoding::Codec => codec.content_encoding(),
        }
    }

    fn open(
        body: &Body,
        writer: &dyn Codec,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        codecs: &Codecs,
    ) -> Result<Option<Box<Self>>, CodecError> {
        if body.holds::<T>() {
            return codecs.check(content_type).map(|()| None);
        }
        let octets = body.encode(writer)?;
        let octets = match Encoding::of::<T>() {
            Encoding::Octets | Encoding::Bytes => Cow::Borrowed(&*octets),
            Encoding::Text | Encoding::Codec => {
                codecs.undo_compression(&octets, content_type, content_encoding)?
            }
        };
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
                // A consumer that accepts plain text accepts any kind of text.
                codecs.check(content_type.map(|_| TEXT))?;
                let text = str::from_utf8(octets)
                    .map_err(|error| CodecError::new(content_type.unwrap_or(TEXT), error))?;
                decoded(text.to_owned())
            }
            Encoding::Text | Encoding::Codec => codecs.decode(octets, content_type),
        }
    }

    fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        let any: &dyn Any = self;
        if let Some(text) = any.downcast_ref::<String>() {
            Ok(Bytes::from(text))
        } else if let Some(octets) = any.downcast_ref::<Vec<u8>>() {
            Ok(Bytes::from(octets.as_slice()))
        } else if let Some(octets) = any.downcast_ref::<Bytes>() {
            Ok(octets.clone())
        } else {
            codec.encode(Value::new(self)).map(Bytes::from)
        }
    }
}

const TEXT: &str = "text/plain";
const OCTETS: &str = "application/octet-stream";
/// The content type in errors about a payload that has none.
const LOCAL: &str = "local";

/// The way in which values of a payload type become octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Text,
    Octets,
    Bytes,
    Codec,
}

impl Encoding {
    /// Compares type ids. The compiler does it at compile time.
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

/// Moves a value out as a `B` if `A` is that type. This is how safe code compares two types; the
/// compiler does it at compile time.
#[inline(always)]
fn take_as<A: 'static, B: 'static>(value: &mut Option<A>) -> Option<B> {
    (value as &mut dyn Any).downcast_mut::<Option<B>>()?.take()
}

fn decoded<A: 'static, B: 'static>(value: A) -> Result<B, CodecError> {
    take_as(&mut Some(value)).ok_or_else(|| CodecError::new(OCTETS, "two types were taken for one"))
}

#[cfg(test)]
mod tests;
