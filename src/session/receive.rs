//! The errors of a receive, in the style of crossbeam.

use thiserror::Error as ThisError;

use super::undecoded::Undecoded;
use crate::model::{
    error::{CancelReason, Error},
    name::Name,
};

/// The reason why a receive that waits returned no message.
///
/// `?` turns it into [`Error`]. [`Undecoded`] has an example.
#[derive(Debug, ThisError)]
pub enum RecvError {
    /// The consumer has ended, and no more messages come.
    #[error("the consumer was cancelled: {0}")]
    Cancelled(CancelReason),
    /// A message does not decode. The next receive returns the next message.
    #[error("{0}")]
    Decode(Undecoded),
}

/// The reason why a receive that does not wait returned no message.
///
/// `?` turns it into [`Error`]. [`Empty`](Self::Empty) becomes [`Error::Timeout`].
///
/// # Examples
/// ```
/// use leveret::{Broker, Error, TryRecvError};
///
/// let broker = Broker::new();
/// let queue = broker.simple_queue::<u32>("q")?;
/// let empty = queue.try_get().unwrap_err();
/// assert!(matches!(empty, TryRecvError::Empty));
/// assert_eq!(Error::from(empty), Error::Timeout);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug, ThisError)]
pub enum TryRecvError {
    /// There is no message now. A consumer also gets none while it holds its whole
    /// [`prefetch`](crate::ConsumerBuilder::prefetch).
    #[error("there is no message now")]
    Empty,
    /// The consumer has ended, and no more messages come.
    #[error("the consumer was cancelled: {0}")]
    Cancelled(CancelReason),
    /// A message does not decode. The next receive returns the next message.
    #[error("{0}")]
    Decode(Undecoded),
}

/// The reason why a receive with a time limit returned no message.
///
/// `?` turns it into [`Error`]. [`Consumer::recv_timeout`](crate::Consumer::recv_timeout) has an
/// example.
#[derive(Debug, ThisError)]
pub enum RecvTimeoutError {
    /// No message came in time.
    #[error("timed out waiting for a message")]
    Timeout,
    /// No message came in time, and none could come: the consumer holds its whole prefetch. Settle
    /// a delivery, or set a larger [`prefetch`](crate::ConsumerBuilder::prefetch).
    #[error(
        "timed out waiting for a message: the consumer holds its whole prefetch of {prefetch} unsettled messages from queue '{queue}'"
    )]
    PrefetchReached {
        /// The queue of the messages. It is the first one if there are several.
        queue: Name,
        /// The prefetch of the consumer.
        prefetch: u32,
    },
    /// The consumer has ended, and no more messages come.
    #[error("the consumer was cancelled: {0}")]
    Cancelled(CancelReason),
    /// A message does not decode. The next receive returns the next message.
    #[error("{0}")]
    Decode(Undecoded),
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> TryRecvError {
        match error {
            RecvError::Cancelled(reason) => TryRecvError::Cancelled(reason),
            RecvError::Decode(undecoded) => TryRecvError::Decode(undecoded),
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> RecvTimeoutError {
        match error {
            RecvError::Cancelled(reason) => RecvTimeoutError::Cancelled(reason),
            RecvError::Decode(undecoded) => RecvTimeoutError::Decode(undecoded),
        }
    }
}

impl From<Undecoded> for RecvError {
    fn from(undecoded: Undecoded) -> RecvError {
        RecvError::Decode(undecoded)
    }
}

/// An undecoded message is dropped, and thereby rejected.
impl From<Undecoded> for Error {
    fn from(undecoded: Undecoded) -> Error {
        Error::Codec(undecoded.error().clone())
    }
}

/// An undecoded message is dropped, and thereby rejected.
impl From<RecvError> for Error {
    fn from(error: RecvError) -> Error {
        match error {
            RecvError::Cancelled(reason) => Error::Cancelled(reason),
            RecvError::Decode(undecoded) => undecoded.into(),
        }
    }
}

/// [`TryRecvError::Empty`] becomes [`Error::Timeout`]. An undecoded message is dropped, and thereby
/// rejected.
impl From<TryRecvError> for Error {
    fn from(error: TryRecvError) -> Error {
        match error {
            TryRecvError::Empty => Error::Timeout,
            TryRecvError::Cancelled(reason) => Error::Cancelled(reason),
            TryRecvError::Decode(undecoded) => undecoded.into(),
        }
    }
}

/// An undecoded message is dropped, and thereby rejected.
impl From<RecvTimeoutError> for Error {
    fn from(error: RecvTimeoutError) -> Error {
        match error {
            RecvTimeoutError::Timeout => Error::Timeout,
            RecvTimeoutError::PrefetchReached { queue, prefetch } => {
                Error::PrefetchReached { queue, prefetch }
            }
            RecvTimeoutError::Cancelled(reason) => Error::Cancelled(reason),
            RecvTimeoutError::Decode(undecoded) => undecoded.into(),
        }
    }
}
