//! The forms in which a payload is stored, behind one trait.
//!
//! Every form can be emptied through `&mut`, since a value cannot be moved out of a trait object.
//! Its slot is therefore an `Option`. It is empty only between `give` or `share` and the drop of
//! the form, or while a [`Local`] is out with its consumer. [`Gone`](super::gone::Gone) takes the
//! place of a payload that does not come back.
//!
//! The drop of a form contains the drop of its payload, which is user code. So every list of
//! messages can be dropped as it is, and no way of a message can forget it.

use super::{
    Encoding, LOCAL,
    body::Body,
    departure::Departing,
    local::{Local, LocalArc},
    sealed::SealedPayload,
};
use crate::{
    message::codec::Codec,
    model::{bytes::Bytes, error::CodecError},
    runtime::{sync::Mutex, user_drop::drop_user_value},
};
use std::{
    any::{self, Any, TypeId},
    mem::needs_drop,
    sync::Arc,
};

/// The methods of a form that a body calls. Only `encode` runs user code.
pub(super) trait ErasedPayload: Send + Sync + 'static {
    /// The form itself.
    fn form(&self) -> &dyn Any;

    /// The payload, unless it is taken out or only one thread may see it.
    fn value(&self) -> Option<&dyn Any> {
        None
    }

    /// Whether `value` has a payload of this type. It is one call, since it is made for every
    /// message.
    fn holds(&self, _payload: TypeId) -> bool {
        false
    }

    /// Moves the payload into `out` if that is an `Option<Result<T, Arc<T>>>` of the payload's
    /// type. A payload that is shared with others stays as well.
    fn give(&mut self, _out: &mut dyn Any) {}

    /// A second handle to the payload, if there can be one without a change of this form.
    fn another(&self) -> Option<Body> {
        None
    }

    /// Prepares the payload for several handles to it. Unless that is impossible,
    /// [`another`](Self::another) gives them afterwards.
    fn share(&mut self) -> Sharing;

    fn size(&self) -> usize;

    fn type_name(&self) -> &'static str;

    /// `None` if it cannot be encoded, and for octets without a content type.
    fn encoding(&self) -> Option<Encoding>;

    fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError>;

    /// The payload, if it changes its message where that leaves the process.
    fn departing(&self) -> Option<&dyn Departing> {
        None
    }
}

/// How a payload can have several handles.
pub(super) enum Sharing {
    /// In this body, which takes the place of the form. The form is empty now.
    Moved(Body),
    /// In its form, which is unchanged.
    Unchanged,
    /// Its payload is in one place only, or taken out.
    Impossible,
}

impl Sharing {
    /// That of a form that can be shared as it is, as long as it has its payload.
    fn unchanged_if(has_payload: bool) -> Sharing {
        match has_payload {
            true => Sharing::Unchanged,
            false => Sharing::Impossible,
        }
    }
}

/// The place of a form's own value.
pub(super) trait Slot: Send + Sync + 'static {
    type Value: SealedPayload + Sync;
    fn get(&self) -> Option<&Self::Value>;
    fn take(&mut self) -> Option<Self::Value>;
    /// Drops the value as user code.
    fn drop_value(&mut self);
}

/// Whether the drop of a `T` may run user code. The compiler decides it.
#[inline(always)]
pub(super) fn drops_user_code<T: 'static>() -> bool {
    needs_drop::<T>() && Encoding::of::<T>() == Encoding::Codec
}

/// A slot whose value may run user code when it is dropped.
///
/// Other slots are used as they are. Even an empty drop would be called through the table of
/// methods, for every message.
pub(super) struct Guarded<S: Slot>(pub(super) S);

impl<S: Slot> Slot for Guarded<S> {
    type Value = S::Value;

    fn get(&self) -> Option<&S::Value> {
        self.0.get()
    }

    fn take(&mut self) -> Option<S::Value> {
        self.0.take()
    }

    fn drop_value(&mut self) {
        self.0.drop_value();
    }
}

impl<S: Slot> Drop for Guarded<S> {
    fn drop(&mut self) {
        self.drop_value();
    }
}

/// A slot inside the body.
pub(super) struct Inline<T>(pub(super) Option<T>);

impl<T: SealedPayload + Sync> Slot for Inline<T> {
    type Value = T;

    fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    fn take(&mut self) -> Option<T> {
        self.0.take()
    }

    fn drop_value(&mut self) {
        if let Some(value) = self.0.take() {
            drop_user_value(value);
        }
    }
}

/// A slot on the heap.
pub(super) struct Boxed<T>(pub(super) Option<Box<T>>);

impl<T: SealedPayload + Sync> Slot for Boxed<T> {
    type Value = T;

    fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    fn take(&mut self) -> Option<T> {
        self.0.take().map(|value| *value)
    }

    fn drop_value(&mut self) {
        if let Some(value) = self.0.take() {
            drop_user_value(value);
        }
    }
}

/// A value in one place.
pub(super) struct Unique<S>(pub(super) S);

impl<S: Slot> ErasedPayload for Unique<S> {
    fn form(&self) -> &dyn Any {
        self
    }

    fn value(&self) -> Option<&dyn Any> {
        self.0.get().map(|value| value as &dyn Any)
    }

    fn holds(&self, payload: TypeId) -> bool {
        payload == TypeId::of::<S::Value>() && self.0.get().is_some()
    }

    fn give(&mut self, out: &mut dyn Any) {
        if let Some(out) = out.downcast_mut::<Taken<S::Value>>() {
            *out = self.0.take().map(Ok);
        }
    }

    fn share(&mut self) -> Sharing {
        match self.0.take() {
            Some(value) => Sharing::Moved(Body::stored(Shared(Some(Arc::new(value))))),
            None => Sharing::Impossible,
        }
    }

    fn size(&self) -> usize {
        self.0.get().map_or(0, SealedPayload::size)
    }

    fn type_name(&self) -> &'static str {
        any::type_name::<S::Value>()
    }

    fn encoding(&self) -> Option<Encoding> {
        Some(Encoding::of::<S::Value>())
    }

    fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        encode_payload(self.0.get(), codec)
    }

    fn departing(&self) -> Option<&dyn Departing> {
        self.0.get()?.departing()
    }
}

/// A value that several queues share.
struct Shared<T: SealedPayload + Sync>(Option<Arc<T>>);

impl<T: SealedPayload + Sync> Drop for Shared<T> {
    fn drop(&mut self) {
        // Only the value may have to wait for an outer drop. The other holders see at once that
        // this one is gone.
        let last = self.0.take().filter(|_| drops_user_code::<T>());
        if let Some(value) = last.and_then(Arc::into_inner) {
            drop_user_value(value);
        }
    }
}

impl<T: SealedPayload + Sync> ErasedPayload for Shared<T> {
    fn form(&self) -> &dyn Any {
        self
    }

    fn value(&self) -> Option<&dyn Any> {
        self.0.as_deref().map(|value| value as &dyn Any)
    }

    fn holds(&self, payload: TypeId) -> bool {
        payload == TypeId::of::<T>() && self.0.is_some()
    }

    fn give(&mut self, out: &mut dyn Any) {
        if let Some(out) = out.downcast_mut::<Taken<T>>() {
            *out = self.0.take().map(Arc::try_unwrap);
            if let Some(Err(shared)) = out {
                self.0 = Some(Arc::clone(shared));
            }
        }
    }

    fn another(&self) -> Option<Body> {
        let value = Arc::clone(self.0.as_ref()?);
        Some(Body::stored(Self(Some(value))))
    }

    fn share(&mut self) -> Sharing {
        Sharing::unchanged_if(self.0.is_some())
    }

    fn size(&self) -> usize {
        self.0.as_deref().map_or(0, SealedPayload::size)
    }

    fn type_name(&self) -> &'static str {
        any::type_name::<T>()
    }

    fn encoding(&self) -> Option<Encoding> {
        Some(Encoding::of::<T>())
    }

    fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        encode_payload(self.0.as_deref(), codec)
    }

    fn departing(&self) -> Option<&dyn Departing> {
        self.0.as_deref()?.departing()
    }
}

/// Octets: an encoded payload, or a payload of type [`Bytes`].
pub(super) struct Encoded {
    pub(super) octets: Bytes,
    /// They have a content type of their own.
    pub(super) has_type: bool,
}

impl ErasedPayload for Encoded {
    fn form(&self) -> &dyn Any {
        self
    }

    fn value(&self) -> Option<&dyn Any> {
        Some(&self.octets)
    }

    fn holds(&self, payload: TypeId) -> bool {
        payload == TypeId::of::<Bytes>()
    }

    fn give(&mut self, out: &mut dyn Any) {
        if let Some(out) = out.downcast_mut::<Taken<Bytes>>() {
            *out = Some(Ok(self.octets.clone()));
        }
    }

    fn another(&self) -> Option<Body> {
        Some(Body::stored(Self {
            octets: self.octets.clone(),
            has_type: self.has_type,
        }))
    }

    fn share(&mut self) -> Sharing {
        Sharing::Unchanged
    }

    fn size(&self) -> usize {
        self.octets.len()
    }

    fn type_name(&self) -> &'static str {
        "leveret::Bytes"
    }

    fn encoding(&self) -> Option<Encoding> {
        self.has_type.then_some(Encoding::Bytes)
    }

    fn encode(&self, _codec: &dyn Codec) -> Result<Bytes, CodecError> {
        Ok(self.octets.clone())
    }
}

/// A [`Local`]. It may be sent to another thread, but two threads must not see it. A consumer
/// therefore takes it out of the lock.
pub(super) struct LocalCell<T: Send + 'static>(Mutex<Option<Box<Local<T>>>>);

impl<T: Send + 'static> Drop for LocalCell<T> {
    fn drop(&mut self) {
        if let Some(value) = self.take() {
            drop_user_value(value);
        }
    }
}

impl<T: Send + 'static> LocalCell<T> {
    pub(super) fn new(value: Local<T>) -> Self {
        Self(Mutex::new(Some(Box::new(value))))
    }

    pub(super) fn take(&self) -> Option<Box<Local<T>>> {
        self.0.lock().take()
    }

    pub(super) fn put(&self, value: Box<Local<T>>) {
        let previous = self.0.lock().replace(value);
        if let Some(previous) = previous {
            drop_user_value(previous);
        }
    }
}

impl<T: Send + 'static> ErasedPayload for LocalCell<T> {
    fn form(&self) -> &dyn Any {
        self
    }

    fn value(&self) -> Option<&dyn Any> {
        None
    }

    fn holds(&self, _payload: TypeId) -> bool {
        false
    }

    fn give(&mut self, out: &mut dyn Any) {
        if let Some(out) = out.downcast_mut::<Taken<Local<T>>>() {
            *out = self.take().map(|value| Ok(*value));
        }
    }

    fn share(&mut self) -> Sharing {
        Sharing::Impossible
    }

    fn size(&self) -> usize {
        size_of::<T>()
    }

    fn type_name(&self) -> &'static str {
        any::type_name::<Local<T>>()
    }

    fn encoding(&self) -> Option<Encoding> {
        None
    }

    fn encode(&self, _codec: &dyn Codec) -> Result<Bytes, CodecError> {
        Err(not_encodable(self.type_name()))
    }
}

/// A [`LocalArc`].
pub(super) struct LocalShared<T: Send + Sync + ?Sized + 'static>(pub(super) Option<LocalArc<T>>);

impl<T: Send + Sync + ?Sized + 'static> Drop for LocalShared<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_user_value(value);
        }
    }
}

impl<T: Send + Sync + ?Sized + 'static> ErasedPayload for LocalShared<T> {
    fn form(&self) -> &dyn Any {
        self
    }

    fn value(&self) -> Option<&dyn Any> {
        self.0.as_ref().map(|value| value as &dyn Any)
    }

    fn holds(&self, payload: TypeId) -> bool {
        payload == TypeId::of::<LocalArc<T>>() && self.0.is_some()
    }

    fn give(&mut self, out: &mut dyn Any) {
        if let Some(out) = out.downcast_mut::<Taken<LocalArc<T>>>() {
            *out = self.0.take().map(Ok);
        }
    }

    fn another(&self) -> Option<Body> {
        Some(Body::stored(Self(Some(self.0.clone()?))))
    }

    fn share(&mut self) -> Sharing {
        Sharing::unchanged_if(self.0.is_some())
    }

    fn size(&self) -> usize {
        self.0.as_ref().map_or(0, SealedPayload::size)
    }

    fn type_name(&self) -> &'static str {
        any::type_name::<LocalArc<T>>()
    }

    fn encoding(&self) -> Option<Encoding> {
        None
    }

    fn encode(&self, _codec: &dyn Codec) -> Result<Bytes, CodecError> {
        Err(not_encodable(self.type_name()))
    }
}

/// The type that `give` fills: the value, or the handle that others share.
pub(super) type Taken<T> = Option<Result<T, Arc<T>>>;

fn encode_payload<T: SealedPayload>(
    value: Option<&T>,
    codec: &dyn Codec,
) -> Result<Bytes, CodecError> {
    match value {
        Some(value) => value.encode(codec),
        None => Err(not_encodable(any::type_name::<T>())),
    }
}

/// The error of a payload that has no encoding.
pub(crate) fn not_encodable(type_name: &str) -> CodecError {
    CodecError::new(
        LOCAL,
        format!("`{type_name}` cannot be encoded: it never leaves the process"),
    )
}
