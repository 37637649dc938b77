//! [`PublishError`], which returns a message that was not published.

use std::{fmt, sync::Arc};

use crate::{
    message::{
        envelope::Meta,
        payload::{Body, Payload},
    },
    model::error::Error,
};

/// The error of a publish: the reason why the message was not published, and the message itself.
///
/// The message is in no queue, and comes back as it was given. There is one exception. If the disk
/// of a durable broker fails, a message that is in its queue already stays there in memory. Then
/// the payload that comes back is a copy, which the codec of the producer has read from the bytes
/// that were to be written. If the codec cannot read them, nothing comes back: the payload is
/// `None`. Such a payload writes other bytes than it reads, and no consumer could read it after a
/// restart. In the same way a payload comes back as a copy if the exchange has kept it for later
/// bindings ([`Exchange::recent_history`](crate::Exchange::recent_history)).
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
/// assert_eq!(refused.payload(), Some(&"hello".to_owned()));
/// assert_eq!(refused.to_string(), refused.error().to_string());
/// let (error, payload) = refused.into_parts();
/// assert_eq!((error.reply_code(), payload.as_deref()), (Some(312), Some("hello")));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublishError<T> {
    pub(super) error: Error,
    /// `None` if it cannot be given back.
    pub(super) payload: Option<T>,
}

impl<T> PublishError<T> {
    pub(super) fn of_payload((error, payload, _): (Error, Option<T>, Option<Arc<Meta>>)) -> Self {
        PublishError { error, payload }
    }

    /// The message, to be published again.
    ///
    /// # Errors
    /// The same error if there is none.
    pub(super) fn given_back(self) -> Result<T, PublishError<T>> {
        match self.payload {
            Some(payload) => Ok(payload),
            None => Err(self),
        }
    }

    /// Returns the reason.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns a reference to the payload or message that was not published. `None` only if a
    /// copy has to come back, and its codec cannot read what it has written.
    pub fn payload(&self) -> Option<&T> {
        self.payload.as_ref()
    }

    /// Returns the payload or message that was not published. `None` as for
    /// [`payload`](Self::payload).
    pub fn into_inner(self) -> Option<T> {
        self.payload
    }

    /// Returns the reason, and the payload or message that was not published. `None` as for
    /// [`payload`](Self::payload).
    pub fn into_parts(self) -> (Error, Option<T>) {
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
