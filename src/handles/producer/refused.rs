//! [`PublishError`], which returns a message that is in no queue.

use std::{fmt, sync::Arc};

use crate::{
    message::{
        envelope::Meta,
        payload::{Body, Payload},
    },
    model::error::Error,
};

/// The error of a publish: the reason why the message is in no queue, and the message itself.
///
/// The `?` operator converts it into the [`Error`].
///
/// # RabbitMQ
/// `basic.return` and a negative confirm report a failure later. Here the call returns it.
///
/// # Examples
/// ```
/// # use leveret::{Broker, Queue};
/// # let broker = Broker::new();
/// let producer = broker.producer::<String>("q")?;
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

    /// Returns the reason.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns a reference to the payload or message that was not published.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Returns the payload or message that was not published.
    pub fn into_inner(self) -> T {
        self.payload
    }

    /// Returns the reason, and the payload or message that was not published.
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
        // The body was created from a `T`, and no queue shares it.
        _ => unreachable!("a refused message without its payload"),
    }
}
