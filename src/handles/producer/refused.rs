//! A message that is in no queue, given back.

use std::{fmt, sync::Arc};

use crate::{
    message::{
        envelope::Meta,
        payload::{Body, Payload},
    },
    model::error::Error,
};

/// Why a message is in no queue, and the message itself; the `?` operator turns it into the [`Error`].
///
/// # Examples
/// ```
/// # use leveret::{Broker, Queue};
/// # let broker = Broker::new();
/// let producer = broker.producer::<String>(&Queue::new("q"))?;
/// broker.delete(&Queue::new("q"))?;
/// let refused = producer.publish("hello".to_owned()).unwrap_err();
/// assert_eq!(refused.payload(), "hello");
/// assert_eq!(refused.to_string(), refused.error().to_string());
/// let (error, payload) = refused.into_parts();
/// assert_eq!((error.reply_code(), &*payload), (Some(312), "hello"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublishError<T> {
    pub(super) error: Error,
    pub(super) payload: T,
}

impl<T> PublishError<T> {
    pub(super) fn of_payload((error, payload, _): (Error, T, Option<Arc<Meta>>)) -> Self {
        PublishError { error, payload }
    }

    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What was to be published.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Gives back what was to be published.
    pub fn into_inner(self) -> T {
        self.payload
    }

    /// Gives both out.
    pub fn into_parts(self) -> (Error, T) {
        (self.error, self.payload)
    }
}

impl<T> fmt::Debug for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for PublishError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<T> From<PublishError<T>> for Error {
    fn from(error: PublishError<T>) -> Error {
        error.error
    }
}

pub(super) fn payload_of<T: Payload>(body: Option<Body>) -> T {
    match body.map(Body::into_inner::<T>) {
        Some(Ok(Ok(payload))) => payload,
        // It was made from a `T` a moment ago, and no queue has a share in it.
        _ => unreachable!("a refused message without its payload"),
    }
}
