//! [`Body`]: a payload whose type has been erased.

use super::{
    LOCAL, Payload,
    departure::Departing,
    forms::{
        Boxed, Encoded, ErasedPayload, Guarded, Inline, Sharing, Taken, Unique, drops_user_code,
    },
    gone::Gone,
    lent::{Lender, Lent},
    sealed::SealedPayload,
};
use crate::{
    message::codec::Codec,
    model::{bytes::Bytes, error::CodecError},
    runtime::catch_panic::catch_panic,
};
use stack_dst::Value;
use std::{any::TypeId, fmt, mem::MaybeUninit, sync::Arc};

/// The number of words of a body. The last word is the table of methods.
const WORDS: usize = 7;

/// The number of bytes for a value.
const ROOM: usize = (WORDS - 1) * size_of::<usize>();

type Erased = Value<dyn ErasedPayload, [MaybeUninit<usize>; WORDS]>;

/// A payload of any type in one of its forms: the value itself, a value shared with other queues,
/// or octets.
///
/// Only four operations can run user code: `encode` (serde), `into_inner` of a shared value,
/// `take_out`, and the drop of a body. All others may be called under a lock. A panic of `encode`
/// or of the drop ends here.
pub struct Body(Erased);

impl Body {
    /// Wraps a payload. Runs no user code.
    #[inline(always)]
    pub(crate) fn new<T: Payload>(payload: T) -> Self {
        payload.into_body()
    }

    /// Wraps octets that are encoded already.
    pub(crate) fn encoded(octets: Bytes) -> Self {
        Self::stored(Encoded {
            octets,
            has_type: true,
        })
    }

    /// Wraps octets that have no content type of their own, since their publisher has given none.
    pub(crate) fn untyped(octets: Bytes) -> Self {
        Self::stored(Encoded {
            octets,
            has_type: false,
        })
    }

    /// Wraps a value that several threads may see: inside the body if it fits, and else in a box.
    #[inline(always)]
    pub(crate) fn native<T: SealedPayload + Sync>(value: T) -> Self {
        match (fits::<Unique<Inline<T>>>(), drops_user_code::<T>()) {
            (true, false) => Self::stored(Unique(Inline(Some(value)))),
            (true, true) => Self::stored(Unique(Guarded(Inline(Some(value))))),
            (false, false) => Self::stored(Unique(Boxed(Some(Box::new(value))))),
            (false, true) => Self::stored(Unique(Guarded(Boxed(Some(Box::new(value)))))),
        }
    }

    /// Wraps a form. A form that does not fit is put into a box; the box is a form too, and fits.
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

    /// The length of bytes or text, and for other types the size of the type. The heap of the value
    /// is not counted.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }

    /// The name of the payload's type, for display.
    pub(crate) fn type_name(&self) -> &'static str {
        self.0.type_name()
    }

    /// The content type that `encode` with the same codec gives; none if this payload cannot be
    /// encoded, or has none. It calls the codec, so never call it under a lock.
    pub(crate) fn content_type<'a>(&self, codec: &'a dyn Codec) -> Option<&'a str> {
        Some(self.0.encoding()?.content_type(codec))
    }

    /// Whether this body holds octets.
    #[cfg(test)]
    pub(crate) fn is_encoded(&self) -> bool {
        self.0.form().is::<Encoded>()
    }

    /// Whether [`downcast_ref`](Self::downcast_ref) returns a value.
    #[inline]
    pub(crate) fn holds<T: Payload>(&self) -> bool {
        self.0.holds(TypeId::of::<T>())
    }

    /// The value, if it is a `T` and not a [`Local`](super::Local). Only one thread may see a
    /// `Local`: [`SealedPayload::open`] takes it out.
    ///
    /// It is never inlined. Inlined code would compare the two type ids as one block, directly
    /// after they were written in two halves. That costs more than all the rest.
    #[inline(never)]
    pub(crate) fn downcast_ref<T: Payload>(&self) -> Option<&T> {
        self.0.value()?.downcast_ref()
    }

    /// Returns the value.
    ///
    /// The outer error means that the body holds another type, or a `Local` that is taken out. The
    /// inner error means that the value is shared with others. If the last holders of a shared
    /// value race for it, it is possible that none of them gets it.
    pub(crate) fn into_inner<T: Payload>(mut self) -> Result<Result<T, Arc<T>>, Self> {
        self.give().ok_or(self)
    }

    /// Moves the value out for good. Only the size and the type of the payload stay. If the value
    /// is shared with others, `copy` makes a second one. `opened` is the value if it is outside of
    /// the body. Runs user code.
    ///
    /// # Errors
    /// That of `copy`. The body is unchanged.
    pub(crate) fn take_out<T: Payload>(
        &mut self,
        opened: Option<Box<T>>,
        copy: impl FnOnce(&Body) -> Result<T, CodecError>,
    ) -> Result<T, CodecError> {
        let gone = Gone::of(&*self.0);
        let value = match opened {
            Some(opened) => *opened,
            None => match self.give() {
                Some(Ok(value)) => value,
                Some(Err(_)) | None => copy(self)?,
            },
        };
        *self = Self::stored(gone);
        Ok(value)
    }

    /// Whether the value was [taken out](Self::take_out).
    pub(crate) fn is_gone(&self) -> bool {
        self.0.form().is::<Gone>()
    }

    pub(super) fn give<T: Payload>(&mut self) -> Taken<T> {
        let mut given = None;
        self.0.give(&mut given);
        given
    }

    /// Turns this body into its shared form, in place, and returns a second handle to the value. It
    /// neither clones nor encodes the value.
    pub(crate) fn share(&mut self) -> Result<Self, NotShareable> {
        self.make_shareable()?;
        self.another().ok_or_else(|| self.not_shareable())
    }

    /// Turns this body into its shared form, in place, so that [`another`](Self::another) gives
    /// handles to the value.
    pub(crate) fn make_shareable(&mut self) -> Result<(), NotShareable> {
        match self.0.share() {
            Sharing::Unchanged => {}
            // This drops an empty slot.
            Sharing::Moved(shared) => *self = shared,
            Sharing::Impossible => return Err(self.not_shareable()),
        }
        Ok(())
    }

    #[cold]
    fn not_shareable(&self) -> NotShareable {
        NotShareable {
            type_name: self.type_name(),
        }
    }

    /// A second handle to the payload, if it is in its shared form already.
    #[inline]
    pub(crate) fn another(&self) -> Option<Self> {
        self.0.another()
    }

    /// A second handle to the payload that `lender` has at `index`. It shares the payload where
    /// that needs no change of it, and else borrows it from the lender. Runs no user code.
    pub(crate) fn lent(lender: &Arc<dyn Lender>, index: u32) -> Self {
        let lent = Lent::new(lender, index);
        let another = lent.body().and_then(|body| body.0.another());
        another.unwrap_or_else(|| Self::stored(lent))
    }

    /// Whether several queues can have the payload.
    pub(crate) fn is_shareable(&self) -> bool {
        !self.is_gone() && (self.0.encoding().is_some() || self.0.another().is_some())
    }

    /// The octets: text and bytes unchanged, an encoded payload unchanged, and other values encoded
    /// by `codec`. Runs user code; a panic of it is an error here.
    pub(crate) fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        let encoded = catch_panic(|| self.0.encode(codec));
        encoded.unwrap_or_else(|| {
            let content_type = self.content_type(codec).unwrap_or(LOCAL);
            let text = format!("encoding `{}` has panicked", self.type_name());
            Err(CodecError::new(content_type, text))
        })
    }

    /// The octets, if the payload is octets.
    #[cfg(feature = "amqp")]
    #[inline]
    pub(crate) fn octets(&self) -> Option<&Bytes> {
        let encoded = self.0.form().downcast_ref::<Encoded>();
        encoded.map(|encoded| &encoded.octets)
    }

    /// The payload, if it changes its message where that leaves the process.
    pub(crate) fn departing(&self) -> Option<&dyn Departing> {
        self.0.departing()
    }

    pub(super) fn erased(&self) -> &dyn ErasedPayload {
        &*self.0
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

/// The error for sharing a payload that may be in one place only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message that carries `{type_name}` can go to one queue only")]
pub(crate) struct NotShareable {
    /// The payload's type.
    pub(crate) type_name: &'static str,
}

/// Whether a form can be stored inside a body. An over-aligned type cannot, since the words of a
/// body have the alignment of words.
const fn fits<S>() -> bool {
    size_of::<S>() <= ROOM && align_of::<S>() <= align_of::<usize>()
}
