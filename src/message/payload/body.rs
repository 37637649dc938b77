//! [`Body`]: a payload whose type has been erased.

use super::{
    Payload,
    forms::{Boxed, Encoded, ErasedPayload, Inline, Sharing, Unique},
};
use crate::{
    message::codec::Codec,
    model::{bytes::Bytes, error::CodecError},
};
use serde::{Serialize, de::DeserializeOwned};
use stack_dst::Value;
use std::{any::TypeId, fmt, mem::MaybeUninit, sync::Arc};

/// The words of a body. The last one is the table of methods.
const WORDS: usize = 7;

/// The bytes for a value.
const ROOM: usize = (WORDS - 1) * size_of::<usize>();

type Erased = Value<dyn ErasedPayload, [MaybeUninit<usize>; WORDS]>;

/// A payload of any type, in one of its forms: its own value, a value shared with other queues, or octets.
///
/// Only `encode` (serde), `into_inner` of a shared value and a body's own drop can run user code; all else may be called under a lock.
pub struct Body(Erased);

impl Body {
    /// Wraps a payload. Runs no user code.
    #[inline(always)]
    pub(crate) fn new<T: Payload>(payload: T) -> Self {
        payload.into_body()
    }

    /// Wraps octets that are encoded already.
    pub(crate) fn encoded(octets: Bytes) -> Self {
        Self::stored(Encoded(octets))
    }

    /// Wraps a value that serializes, inside if it fits, else in a box.
    #[inline(always)]
    pub(super) fn native<T: Serialize + DeserializeOwned + Send + Sync + 'static>(
        value: T,
    ) -> Self {
        if fits::<Unique<Inline<T>>>() {
            Self::stored(Unique(Inline(Some(value))))
        } else {
            Self::stored(Unique(Boxed(Some(Box::new(value)))))
        }
    }

    /// Wraps a form. One that does not fit is boxed; the box is a form too, and fits.
    #[inline(always)]
    pub(super) fn stored<S: ErasedPayload>(form: S) -> Self {
        if !fits::<S>() {
            return Self::stored(Box::new(form) as Box<dyn ErasedPayload>);
        }
        match Value::in_buffer_stable([MaybeUninit::uninit(); WORDS], form, |form| {
            form as &dyn ErasedPayload
        }) {
            Ok(value) => Self(value),
            Err(form) => Self::stored(Box::new(form) as Box<dyn ErasedPayload>),
        }
    }

    /// The length of bytes or text, else the size of the payload's type. The value's own heap is not counted.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }

    /// The name of the payload's type, for people.
    pub(crate) fn type_name(&self) -> &'static str {
        self.0.type_name()
    }

    /// The content type that `encode` with the same codec would give; none if this payload cannot be encoded. Asks the codec, so not under
    /// a lock.
    pub(crate) fn content_type<'a>(&self, codec: &'a dyn Codec) -> Option<&'a str> {
        self.0.content_type(codec)
    }

    /// Whether this body is octets already.
    #[cfg(test)]
    pub(crate) fn is_encoded(&self) -> bool {
        self.0.form().is::<Encoded>()
    }

    /// Whether [`downcast_ref`](Self::downcast_ref) has something to lend.
    #[inline]
    pub(crate) fn holds<T: Payload>(&self) -> bool {
        self.0.holds(TypeId::of::<T>())
    }

    /// The value, if it is a `T` and not a [`Local`](super::Local), which only one thread may see ([`SealedPayload::open`](super::SealedPayload::open)
    /// takes it out).
    ///
    /// Never part of its caller: there the two types are compared as one block just after they were written in halves, which costs more than
    /// all the rest.
    #[inline(never)]
    pub(crate) fn downcast_ref<T: Payload>(&self) -> Option<&T> {
        self.0.value()?.downcast_ref()
    }

    /// Gives the value away.
    ///
    /// The outer error says that the body holds another type (or a `Local` that is out); the inner one that the value is shared with others.
    /// Of a shared value whose last holders race for it, none may get it.
    pub(crate) fn into_inner<T: Payload>(mut self) -> Result<Result<T, Arc<T>>, Self> {
        let mut given: Option<Result<T, Arc<T>>> = None;
        self.0.give(&mut given);
        given.ok_or(self)
    }

    /// Turns this body into its shared form, in place, and returns a second handle to the value. Neither clones nor encodes it.
    pub(crate) fn share(&mut self) -> Result<Self, NotShareable> {
        match self.0.share() {
            Some(Sharing::Another(body)) => Ok(body),
            Some(Sharing::Both(first, second)) => {
                // What is dropped here is an empty slot.
                *self = first;
                Ok(second)
            }
            None => Err(NotShareable {
                type_name: self.type_name(),
            }),
        }
    }

    /// The octets: text and bytes as they are, encoded ones again, the rest by `codec`. Runs user code.
    pub(crate) fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        self.0.encode(codec)
    }

    pub(super) fn form(&self) -> &dyn std::any::Any {
        self.0.form()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({}, {} bytes)", self.type_name(), self.size())
    }
}

/// A payload that may be in one place only was to be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message that carries `{type_name}` can go to one queue only")]
pub(crate) struct NotShareable {
    /// The payload's type.
    pub(crate) type_name: &'static str,
}

/// Whether a form can be stored inside a body. Over-aligned types cannot: the body's words are aligned as words.
const fn fits<S>() -> bool {
    size_of::<S>() <= ROOM && align_of::<S>() <= align_of::<usize>()
}
