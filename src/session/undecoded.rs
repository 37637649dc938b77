//! A received message that does not decode as the type that the consumer takes.

use std::fmt;

use super::{delivery_info::DeliveryInfo, unacked::Requeue};
use crate::{
    message::envelope::Envelope,
    model::error::{CodecError, Result},
};

/// A received message whose payload is not what the consumer takes: another type that does not decode, or a content
/// type that it does not accept.
///
/// # If dropped
/// It is rejected (dead-lettered if the queue says so), never returned: no loop can spin on it.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, RecvError};
///
/// let broker = Broker::new();
/// let queue = Queue::new("numbers");
/// broker.producer::<String>(&queue)?.publish("not a number".to_owned())?;
/// broker.producer::<u64>(&queue)?.publish(7)?;
///
/// let numbers = broker.consumer::<u64>(&queue)?;
/// match numbers.recv() {
///     Err(RecvError::Decode(undecoded)) => assert_eq!(&*undecoded.info().body()?, b"not a number"),
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(*numbers.recv()?, 7); // the loop goes on
/// # Ok::<(), leveret::Error>(())
/// ```
///
/// To keep it, settle it: [`nack`](Undecoded::nack) gives it back for a consumer that can read it.
///
/// ```
/// # use leveret::{RecvError, Requeue};
/// # let broker = leveret::Broker::new();
/// # let texts = broker.simple_queue::<String>("q")?;
/// # let numbers = broker.simple_queue::<u64>("q")?;
/// texts.put("not a number".to_owned())?;
/// match numbers.get() {
///     Err(RecvError::Decode(undecoded)) => {
///         assert_eq!(undecoded.error().content_type(), "text/plain");
///         undecoded.nack(Requeue::Yes)?;
///     }
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(*texts.get()?, "not a number");
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Undecoded {
    error: CodecError,
    /// Boxed, since errors are returned by value.
    info: Box<DeliveryInfo>,
}

impl Undecoded {
    pub(super) fn new(error: CodecError, info: DeliveryInfo) -> Undecoded {
        Undecoded {
            error,
            info: Box::new(info),
        }
    }

    /// Why it does not decode.
    pub fn error(&self) -> &CodecError {
        &self.error
    }

    /// What is known of the message; its [`body`](DeliveryInfo::body) among it.
    pub fn info(&self) -> &DeliveryInfo {
        &self.info
    }

    /// Takes the message out unsettled: it is to be received again.
    pub(crate) fn unread(mut self) -> Option<Envelope> {
        self.info.held.release().map(|(_, envelope)| envelope)
    }

    /// Acknowledges the message: the queue forgets it.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone.
    pub fn ack(mut self) -> Result {
        self.info.held.ack()
    }

    /// Gives the message up: back to its place, at once or later, or away.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone.
    pub fn nack(mut self, requeue: Requeue) -> Result {
        self.info.held.nack(requeue)
    }

    /// Gives the message up for good; the same as dropping this.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone.
    pub fn reject(self) -> Result {
        self.nack(Requeue::No)
    }
}

impl Drop for Undecoded {
    fn drop(&mut self) {
        // With the broker gone there is nothing left to reject.
        let _ = self.info.held.nack(Requeue::No);
    }
}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a message from queue '{}' does not decode: {}",
            self.info().queue(),
            self.error
        )
    }
}

impl fmt::Debug for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undecoded")
            .field("error", &self.error)
            .field("info", &self.info)
            .finish()
    }
}
