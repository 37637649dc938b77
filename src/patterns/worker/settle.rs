//! [`Settle`], what becomes of a message, and the errors of handlers.

use std::{any, fmt, time::Duration};

use super::{core::Shared, forward::Forward};
use crate::{
    model::error::{CodecError, Result},
    session::{delivery_info::DeliveryInfo, requeue::Requeue},
};

/// What becomes of a message after its handler.
///
/// # Examples
/// ```
/// use leveret::{Broker, worker::Settle};
/// use std::time::Duration;
/// # let broker = Broker::new();
/// let worker = broker.worker::<u32>("numbers").handler(|number, _| match number {
///     0 => Settle::Reject,
///     1..=9 => Settle::Requeue(Duration::from_secs(1)),
///     _ => Settle::Ack,
/// });
/// # drop(worker);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// The message is done, and the queue forgets it.
    Ack,
    /// The message returns to its queue, and is delivered again after this time. Zero means at
    /// once. Its delivery has failed if the handler has returned an error or panicked. A quorum
    /// queue counts that.
    Requeue(Duration),
    /// The message is dead-lettered if its queue has a dead letter exchange, and dropped if not.
    Reject,
    /// As [`Reject`](Self::Reject), with this reason in the header `x-exception-reason`.
    DeadLetter(String),
    /// The message is published again elsewhere, and then acknowledged.
    Forward(Forward),
}

/// A handler that returns nothing has done its message.
impl From<()> for Settle {
    fn from((): ()) -> Settle {
        Settle::Ack
    }
}

/// The result of a handler: `()`, a [`Settle`], or a `Result` of one of them.
///
/// The error of a `Result` can be of any type that implements `Display`. Its text and the name of
/// its type travel with the message, if that is dead-lettered.
///
/// [`WorkerBuilder::handler`](super::WorkerBuilder::handler) has an example.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "it returns `()`, a `Settle`, or a `Result` of one of them; `.map(drop)` makes `()` of another value"
)]
pub trait HandlerResult {
    /// The type of a success.
    type Settle: Into<Settle>;

    /// Returns the success, or the facts about the failure.
    ///
    /// # Errors
    /// The error of the handler.
    fn into_result(self) -> Result<Self::Settle, HandlerError>;
}

impl HandlerResult for () {
    type Settle = ();

    fn into_result(self) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl HandlerResult for Settle {
    type Settle = Settle;

    fn into_result(self) -> Result<Settle, HandlerError> {
        Ok(self)
    }
}

impl<S: Into<Settle>, E: fmt::Display> HandlerResult for Result<S, E> {
    type Settle = S;

    fn into_result(self) -> Result<S, HandlerError> {
        self.map_err(|error| HandlerError::new(&error))
    }
}

/// The failure of a handler.
///
/// # Examples
/// ```
/// use leveret::worker::{Failure, HandlerError};
///
/// let error = HandlerError::new(&"no such file");
/// assert_eq!((error.failure(), error.type_name()), (Failure::Error, "&str"));
/// assert_eq!(error.to_string(), "no such file");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError(Box<Facts>);

/// In a box, since the results of handlers are returned by value and should be small.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    failure: Failure,
    type_name: &'static str,
    message: String,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The handler took longer than its time-out.
    TimedOut,
    /// The message does not decode as the type of the worker.
    Decode,
}

impl HandlerError {
    /// Makes one of an error. Its message is the text that `{:#}` gives, which is the whole chain
    /// for some error types.
    pub fn new<E: fmt::Display>(error: &E) -> HandlerError {
        HandlerError::of(Failure::Error, any::type_name::<E>(), format!("{error:#}"))
    }

    pub(super) fn of(failure: Failure, type_name: &'static str, message: String) -> HandlerError {
        HandlerError(Box::new(Facts {
            failure,
            type_name,
            message,
        }))
    }

    pub(super) fn panicked(message: String) -> HandlerError {
        HandlerError::of(Failure::Panic, "panic", message)
    }

    pub(super) fn undecoded(error: &CodecError) -> HandlerError {
        HandlerError::of(Failure::Decode, "leveret::CodecError", error.to_string())
    }

    /// The kind of the failure.
    pub fn failure(&self) -> Failure {
        self.0.failure
    }

    /// The name of the error's type; `panic` for a panic.
    pub fn type_name(&self) -> &str {
        self.0.type_name
    }

    /// The text of the error or of the panic. It is empty for a panic without a text.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.failure {
            Failure::Panic => write!(f, "the handler panicked: {}", self.message()),
            _ => f.write_str(self.message()),
        }
    }
}

impl std::error::Error for HandlerError {}

/// What a handler has decided, or the reason why it has decided nothing.
pub(super) type Verdict = Result<Settle, HandlerError>;

/// The outcome of a message: its settlement, and the error that has led to it.
///
/// A [`Middleware`](super::Middleware) may change the settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What becomes of the message.
    pub settle: Settle,
    /// The failure of the handler, if it has failed.
    pub error: Option<HandlerError>,
}

/// The headers of a message that is dead-lettered by a worker.
const EXCEPTION_TYPE: &str = "x-exception-type";
const EXCEPTION_MESSAGE: &str = "x-exception-message";
pub(in crate::patterns) const EXCEPTION_REASON: &str = "x-exception-reason";
const EXCEPTION_WORKER: &str = "x-exception-worker";

impl Outcome {
    /// Settles a message by this outcome.
    ///
    /// # Errors
    /// Those of the settlement: the broker is shut down.
    pub(super) fn apply(self, info: &mut DeliveryInfo, worker: &Shared) -> Result {
        let Outcome { settle, error } = self;
        let reason = match settle {
            Settle::Ack => return info.ack(),
            Settle::Requeue(delay) if error.is_some() => {
                return info.fail(Requeue::After(delay));
            }
            Settle::Requeue(delay) => return info.nack(Requeue::After(delay)),
            Settle::Forward(to) => return to.apply(info, &worker.connection),
            Settle::Reject => None,
            Settle::DeadLetter(reason) => Some(reason),
        };
        if reason.is_some() || error.is_some() {
            info.add_header(EXCEPTION_WORKER, &*worker.name);
        }
        if let Some(error) = error {
            info.add_header(EXCEPTION_TYPE, error.type_name().to_owned());
            info.add_header(EXCEPTION_MESSAGE, error.0.message);
        }
        if let Some(reason) = reason {
            info.add_header(EXCEPTION_REASON, reason);
        }
        info.fail(Requeue::No)
    }
}
