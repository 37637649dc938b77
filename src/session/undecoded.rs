//! A received message that does not decode as the type of the consumer.

use std::{error, fmt};

use super::{delivery_info::DeliveryInfo, holding::Claim, requeue::Requeue};
use crate::{
    message::envelope::Envelope,
    model::error::{CodecError, Result},
};

/// A received message whose payload does not decode as the type of the consumer, or whose content
/// type the consumer does not accept. A payload or codec that panics has not decoded either.
///
/// # If dropped
/// The message is rejected: it is dead-lettered if its queue has a dead letter exchange, and
/// dropped if not. It is not requeued, so that it causes no endless loop.
///
/// # RabbitMQ
/// RabbitMQ has no counterpart: it does not know whether a consumer can decode a message.
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
///     Err(RecvError::Decode(undecoded)) => {
///         assert_eq!(&*undecoded.info().body()?, b"not a number");
///     }
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(*numbers.recv()?, 7); // the next message
/// # Ok::<(), leveret::Error>(())
/// ```
///
/// To keep the message, settle it. [`nack`](Undecoded::nack) requeues it for a consumer that can
/// decode it.
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
#[must_use = "an undecoded message that is dropped is rejected: settle it, or drop it on purpose"]
pub struct Undecoded {
    error: CodecError,
    /// In a box, since errors are returned by value and should be small.
    info: Box<DeliveryInfo>,
}

impl Undecoded {
    pub(super) fn new(error: CodecError, info: DeliveryInfo) -> Undecoded {
        Undecoded {
            error,
            info: Box::new(info),
        }
    }

    /// The reason why the payload does not decode.
    pub fn error(&self) -> &CodecError {
        &self.error
    }

    /// The information about the message, with its [`body`](DeliveryInfo::body).
    pub fn info(&self) -> &DeliveryInfo {
        &self.info
    }

    /// The information about the message, without the reason.
    pub(crate) fn into_info(mut self) -> DeliveryInfo {
        std::mem::replace(&mut self.info, DeliveryInfo::settled())
    }

    /// The receiver is shown the message now.
    pub(crate) fn show(&mut self) {
        self.info.show();
    }

    /// The claim of this message, for a producer.
    pub(crate) fn claim(&self) -> Claim {
        self.info.unacked.claim()
    }

    /// Takes the message out unsettled. It is to be received again.
    pub(crate) fn unread(mut self) -> Option<Envelope> {
        self.info.unacked.take_back().map(|(_, envelope)| envelope)
    }

    /// Acknowledges the message, and the queue forgets it.
    ///
    /// # RabbitMQ
    /// `basic.ack` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down.
    pub fn ack(mut self) -> Result {
        self.info.unacked.ack()
    }

    /// Rejects the message. It is requeued, dead-lettered or dropped, as [`Requeue`] says.
    ///
    /// # RabbitMQ
    /// `basic.nack` (RabbitMQ's extension of AMQP 0-9-1). [`Requeue::After`] is an addition of
    /// leveret.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down.
    pub fn nack(mut self, requeue: Requeue) -> Result {
        self.info.unacked.nack(requeue)
    }

    /// Rejects the message for good, as a drop does.
    ///
    /// # RabbitMQ
    /// `basic.reject` without `requeue` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down.
    pub fn reject(mut self) -> Result {
        self.info.unacked.reject()
    }
}

impl Drop for Undecoded {
    fn drop(&mut self) {
        // If the broker is shut down, there is nothing to reject.
        let _ = self.info.unacked.reject();
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

impl error::Error for Undecoded {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
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
