//! Wrappers for values that serde cannot encode.

use super::{
    LOCAL,
    body::Body,
    forms::{LocalCell, LocalShared},
    sealed::SealedPayload,
};
use crate::{
    message::codec::{Codec, Codecs},
    model::error::CodecError,
};
use std::{
    any,
    fmt::{self, Debug},
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// Carries a value that cannot be encoded: a closure, a file handle, a channel's sender.
///
/// The value goes to exactly one queue. A publish that would reach more queues is refused and
/// returns the message; a [`LocalArc`] may reach any number. Only a consumer of the same `Local<T>`
/// can receive the value. Inspections show its type name. It does not survive a restart.
///
/// ```
/// use leveret::Local;
///
/// let job = Local::new(|| 6 * 7);
/// assert_eq!(job(), 42); // it derefs to its value
/// let Local(call) = job;
/// assert_eq!(call(), 42);
/// assert_eq!(Local::new(7).into_inner(), 7);
/// ```
///
/// The value may go to another thread, so it must be `Send`. An `Arc` is `Send`:
/// ```
/// use leveret::{Broker, Local};
/// use std::sync::Arc;
///
/// let broker = Broker::new();
/// let queue = broker.simple_queue::<Local<Arc<u8>>>("q")?;
/// queue.put(Local(Arc::new(7)))?;
/// assert_eq!(***queue.get()?, 7);
/// # Ok::<(), leveret::Error>(())
/// ```
///
/// An `Rc` is not `Send`:
/// ```compile_fail,E0277
/// use leveret::{Broker, Local};
/// use std::rc::Rc;
///
/// let broker = Broker::new();
/// // error: `Rc<u8>` cannot be sent between threads
/// let queue = broker.simple_queue::<Local<Rc<u8>>>("q")?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local<T>(pub T);

impl<T> Local<T> {
    /// Wraps `value`.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Local<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Local<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Local<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// Shows only the type, since the value of a `Local` seldom has a `Debug`.
impl<T> Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Local<{}>", any::type_name::<T>())
    }
}

/// Carries a shared value that cannot be encoded, to any number of queues. Every queue gets the
/// same `Arc`.
///
/// It is not the same type as [`Local`]: only the type can tell the broker that its value may be in
/// several places.
/// ```
/// use leveret::LocalArc;
/// use std::sync::Arc;
///
/// let greet: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(|| "hello".to_owned());
/// let greet = LocalArc::new(greet);
/// assert_eq!(greet(), "hello");
/// assert_eq!(greet.into_inner()(), "hello");
/// ```
pub struct LocalArc<T: ?Sized>(pub Arc<T>);

impl<T: ?Sized> LocalArc<T> {
    /// Wraps `value`.
    pub fn new(value: Arc<T>) -> Self {
        Self(value)
    }

    /// Returns the shared value.
    pub fn into_inner(self) -> Arc<T> {
        self.0
    }
}

impl<T: ?Sized> Clone for LocalArc<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for LocalArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> From<Arc<T>> for LocalArc<T> {
    fn from(value: Arc<T>) -> Self {
        Self(value)
    }
}

/// Shows only the type, as for [`Local`].
impl<T: ?Sized> Debug for LocalArc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalArc<{}>", any::type_name::<T>())
    }
}

impl<T: Send + 'static> SealedPayload for Local<T> {
    fn is_shareable() -> bool {
        false
    }

    fn into_body(self) -> Body {
        Body::stored(LocalCell::new(self))
    }

    fn size(&self) -> usize {
        size_of::<T>()
    }

    fn content_type(_codec: &dyn Codec) -> Option<&str> {
        None
    }

    fn open(
        body: &Body,
        _writer: &dyn Codec,
        content_type: Option<&str>,
        _content_encoding: Option<&str>,
        _codecs: &Codecs,
    ) -> Result<Option<Box<Self>>, CodecError> {
        match body
            .form()
            .downcast_ref::<LocalCell<T>>()
            .and_then(LocalCell::take)
        {
            Some(value) => Ok(Some(value)),
            None => Err(mismatch::<Self>(body, content_type)),
        }
    }

    fn decode(
        _octets: &[u8],
        content_type: Option<&str>,
        _codecs: &Codecs,
    ) -> Result<Self, CodecError> {
        Err(undecodable::<Self>(content_type))
    }

    fn restore(body: &Body, value: Box<Self>) {
        if let Some(kept) = body.form().downcast_ref::<LocalCell<T>>() {
            kept.put(value);
        }
    }
}

impl<T: Send + Sync + ?Sized + 'static> SealedPayload for LocalArc<T> {
    fn into_body(self) -> Body {
        Body::stored(LocalShared(Some(self)))
    }

    fn size(&self) -> usize {
        size_of_val(&**self)
    }

    fn content_type(_codec: &dyn Codec) -> Option<&str> {
        None
    }

    fn open(
        body: &Body,
        _writer: &dyn Codec,
        content_type: Option<&str>,
        _content_encoding: Option<&str>,
        _codecs: &Codecs,
    ) -> Result<Option<Box<Self>>, CodecError> {
        match body.downcast_ref::<Self>() {
            Some(_) => Ok(None),
            None => Err(mismatch::<Self>(body, content_type)),
        }
    }

    fn decode(
        _octets: &[u8],
        content_type: Option<&str>,
        _codecs: &Codecs,
    ) -> Result<Self, CodecError> {
        Err(undecodable::<Self>(content_type))
    }
}

fn mismatch<T>(body: &Body, content_type: Option<&str>) -> CodecError {
    let text = format!(
        "the message carries `{}`, not `{}`",
        body.type_name(),
        any::type_name::<T>()
    );
    CodecError::new(content_type.unwrap_or(LOCAL), text)
}

fn undecodable<T>(content_type: Option<&str>) -> CodecError {
    let text = format!(
        "`{}` cannot be decoded: it never leaves the process",
        any::type_name::<T>()
    );
    CodecError::new(content_type.unwrap_or(LOCAL), text)
}
