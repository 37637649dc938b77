//! A received message: the payload as its type, what is known of it, and the ways to settle it.
//!
//! Built on [`Unacked`]: dropped unsettled, it goes back. Knows nothing of how it was received.

use std::{fmt, ops::Deref, sync::Arc};

use super::{
    delivery_info::DeliveryInfo,
    unacked::{DeliveryOrigin, Requeue, Unacked},
    undecoded::Undecoded,
};
use crate::{
    message::{
        codec::{Codecs, Json},
        envelope::Envelope,
        payload::{Payload, SealedPayload},
    },
    model::error::{CodecError, Result},
};

/// A received message, owned: it derefs to its payload, and is settled by being consumed.
///
/// Everything beside the payload is on [`info`](Self::info), so that no field or method of the payload is hidden.
/// A delivery stays valid after its consumer, channel or connection is closed; if its queue is gone, settling it is
/// `Ok` and does nothing.
///
/// # If dropped
/// Unsettled (a panic unwinding, an early return, `?`), the message goes back to the same queue at its original place,
/// marked as redelivered. A delivery of an [auto-ack](crate::ConsumerBuilder::auto_ack) consumer is settled from the
/// start, and just goes.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue};
///
/// let broker = Broker::new();
/// let names = Queue::new("names");
/// broker.producer::<String>(&names)?.publish("Ada".to_owned())?;
/// let consumer = broker.consumer::<String>(&names)?;
///
/// let delivery = consumer.recv()?;
/// assert_eq!(delivery.len(), 3); // a method of `String`
/// drop(delivery); // not settled: it comes again
///
/// let delivery = consumer.recv()?;
/// assert!(delivery.info().redelivered());
/// delivery.ack()?;
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Delivery<T: Payload> {
    /// The payload, if it is not in the message itself: decoded, or a `Local` that was taken out of it.
    opened: Option<Box<T>>,
    info: DeliveryInfo,
}

impl<T: Payload> Delivery<T> {
    /// Opens a message for a consumer of `T`.
    pub(crate) fn open(
        source: Arc<DeliveryOrigin>,
        envelope: Envelope,
        codecs: &Codecs,
    ) -> Result<Delivery<T>, Undecoded> {
        match Delivery::<T>::is_open(&envelope, codecs) {
            true => Ok(Delivery::whole(source, envelope)),
            false => Delivery::decode(source, envelope, codecs),
        }
    }

    /// Whether the message has in it the very value that was sent, and any content type will do: the common case.
    #[inline(always)]
    pub(crate) fn is_open(envelope: &Envelope, codecs: &Codecs) -> bool {
        !codecs.is_restricted() && envelope.body().holds::<T>()
    }

    /// A message that [is open](Self::is_open) already.
    #[inline(always)]
    pub(crate) fn whole(source: Arc<DeliveryOrigin>, envelope: Envelope) -> Delivery<T> {
        Delivery {
            opened: None,
            info: DeliveryInfo {
                held: Unacked::new(source, envelope),
            },
        }
    }

    fn decode(
        source: Arc<DeliveryOrigin>,
        envelope: Envelope,
        codecs: &Codecs,
    ) -> Result<Delivery<T>, Undecoded> {
        // Held first: should decoding panic, the message goes back.
        let held = Unacked::new(source, envelope);
        let opened = match held.envelope() {
            Some(envelope) => open_body(envelope, codecs),
            None => Ok(None),
        };
        let info = DeliveryInfo { held };
        match opened {
            Ok(opened) => Ok(Delivery { opened, info }),
            Err(error) => Err(Undecoded::new(error, info)),
        }
    }

    /// The payload; the same as dereferencing.
    pub fn payload(&self) -> &T {
        self
    }

    /// What is known of the message besides its payload.
    pub fn info(&self) -> &DeliveryInfo {
        &self.info
    }

    /// Acknowledges the message: the queue forgets it.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone; the message is gone with it.
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// # broker.simple_queue::<String>("q")?.put("once".to_owned())?;
    /// # let queue = broker.simple_queue::<String>("q")?;
    /// let delivery = queue.get()?;
    /// delivery.ack()?;
    /// assert!(queue.is_empty());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    ///
    /// It is consumed by that: to settle it twice does not compile.
    ///
    /// ```compile_fail,E0382
    /// # let broker = leveret::Broker::new();
    /// # broker.simple_queue::<String>("q")?.put("once".to_owned())?;
    /// # let queue = broker.simple_queue::<String>("q")?;
    /// let delivery = queue.get()?;
    /// delivery.ack()?;
    /// delivery.ack()?; // use of moved value
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn ack(mut self) -> Result {
        self.info.held.ack()
    }

    /// Acknowledges the message and gives its payload out; shared, as an `Arc`, if other queues got the same value.
    ///
    /// # Errors
    /// The shared payload. Should the broker be gone, the payload is given out all the same.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let names = Queue::new("names");
    /// broker.producer::<String>(&names)?.publish("Ada".to_owned())?;
    /// let name: String = broker.consumer::<String>(&names)?.recv()?.ack_into().expect("one queue, so not shared");
    /// assert_eq!(name, "Ada");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn ack_into(mut self) -> Result<T, Arc<T>> {
        let opened = self.opened.take();
        let envelope = self.info.held.settle();
        if let Some(opened) = opened {
            return Ok(*opened);
        }
        match envelope.map(|envelope| envelope.into_body().into_inner::<T>()) {
            Some(Ok(payload)) => payload,
            _ => without_payload(),
        }
    }

    /// Gives the message up: back to its place, at once or later, or away.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone; the message is gone with it.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ManualClock, Requeue};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let queue = broker.simple_queue::<String>("q")?;
    /// queue.put("again".to_owned())?;
    /// queue.get()?.nack(Requeue::Yes)?; // at once
    /// queue.get()?.nack(Requeue::After(Duration::from_secs(5)))?;
    /// assert!(queue.is_empty());
    /// clock.advance(Duration::from_secs(5));
    /// queue.get()?.nack(Requeue::No)?; // dropped, without a dead letter exchange
    /// assert!(queue.is_empty());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn nack(mut self, requeue: Requeue) -> Result {
        self.restore();
        self.info.held.nack(requeue)
    }

    /// Gives the message up for good: it is dropped, or dead-lettered if the queue says so.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone; the message is gone with it.
    ///
    /// [`Queue::dead_letter_exchange`](crate::Queue::dead_letter_exchange) has an example.
    pub fn reject(self) -> Result {
        self.nack(Requeue::No)
    }

    /// Puts a payload that was taken out of the message back into it.
    fn restore(&mut self) {
        if let (Some(opened), Some(envelope)) = (self.opened.take(), self.info.held.envelope()) {
            SealedPayload::restore(envelope.body(), opened);
        }
    }
}

impl<T: Payload> Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let inside = || {
            self.info
                .held
                .envelope()
                .and_then(|envelope| envelope.body().downcast_ref::<T>())
        };
        match self.opened.as_deref().or_else(inside) {
            Some(payload) => payload,
            None => without_payload(),
        }
    }
}

/// The payload, if it is not to stay in the message.
fn open_body<T: Payload>(
    envelope: &Envelope,
    codecs: &Codecs,
) -> Result<Option<Box<T>>, CodecError> {
    let content_type = envelope.properties().content_type.as_deref();
    match envelope.meta().and_then(|meta| meta.codec.as_deref()) {
        Some(codec) => T::open(envelope.body(), codec, content_type, codecs),
        None => T::open(envelope.body(), &Json, content_type, codecs),
    }
}

/// Never called: [`Delivery::open`] makes a delivery only of a message with a `T` in it, or with one decoded beside it,
/// and only the methods that consume the delivery take either away.
fn without_payload() -> ! {
    unreachable!("a delivery without its payload")
}

impl<T: Payload> Drop for Delivery<T> {
    fn drop(&mut self) {
        self.restore();
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("payload", self.payload())
            .field("info", &self.info)
            .finish()
    }
}
