//! A received message: the payload as its type, the information about it, and the ways to settle
//! it.
//!
//! It is built on [`Unacked`]: an unsettled delivery that is dropped returns to its queue. This
//! module does not know how the message was received.

use std::{any, fmt, ops::Deref, sync::Arc};

use super::{
    delivery_info::DeliveryInfo,
    holding::Claim,
    requeue::Requeue,
    unacked::{DeliveryOrigin, Unacked},
    undecoded::Undecoded,
};
use crate::{
    message::{
        codec::{Codecs, Json},
        envelope::Envelope,
        payload::Payload,
    },
    model::error::{CodecError, Result},
    runtime::catch_panic::catch_panic,
};

/// A received message, owned. It derefs to its payload, and settling consumes it.
///
/// Everything beside the payload is on [`info`](Self::info), so that no field or method of the
/// payload is hidden. A delivery stays valid after its consumer, channel or connection has closed.
/// If its queue is deleted, settling it returns `Ok` and has no effect.
///
/// # If dropped
/// An unsettled message returns to its queue as with [`Requeue::Failed`]: marked as redelivered,
/// and with one more failed delivery. This happens in a panic and at an early return or `?`, too. A
/// delivery of an [auto-ack](crate::ConsumerBuilder::auto_ack) consumer is settled from the start,
/// so that its drop has no effect.
///
/// # RabbitMQ
/// `basic.deliver` or `basic.get-ok` (AMQP 0-9-1). In RabbitMQ an unsettled delivery stays until
/// its channel closes, and cannot be settled afterwards.
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
/// drop(delivery); // it is not settled, so it is delivered again
///
/// let delivery = consumer.recv()?;
/// assert!(delivery.info().redelivered());
/// delivery.ack()?;
/// # Ok::<(), leveret::Error>(())
/// ```
///
/// The compiler warns of a delivery that is thrown away. To return it, write `drop`.
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # let broker = leveret::Broker::new();
/// # let consumer = broker.consumer::<String>("q")?;
/// consumer.recv()?; // received, and returned to the queue
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a delivery that is dropped unsettled returns to its queue: settle it, or `drop` it"]
pub struct Delivery<T: Payload> {
    /// The payload, if it is not in the message itself: a decoded one, or a `Local` taken out of
    /// it.
    opened: Option<Box<T>>,
    info: DeliveryInfo,
}

/// Deliveries that do not settle their messages, and the rights to settle these.
type Split<T> = (Vec<Delivery<T>>, Vec<DeliveryInfo>);

impl<T: Payload> Delivery<T> {
    /// Opens a message for a consumer of `T`.
    pub(crate) fn open(
        origin: Arc<DeliveryOrigin>,
        envelope: Envelope,
        codecs: &Codecs,
    ) -> Result<Delivery<T>, Undecoded> {
        match Delivery::<T>::is_open(&envelope, codecs) {
            true => Ok(Delivery::whole(origin, envelope)),
            false => Delivery::decode(origin, envelope, codecs),
        }
    }

    /// Whether the message holds the value that was sent, and any content type is accepted: the
    /// common case.
    #[inline(always)]
    pub(crate) fn is_open(envelope: &Envelope, codecs: &Codecs) -> bool {
        !codecs.is_restricted() && envelope.body().holds::<T>()
    }

    /// Makes a delivery of a message that [is open](Self::is_open).
    #[inline(always)]
    pub(crate) fn whole(origin: Arc<DeliveryOrigin>, envelope: Envelope) -> Delivery<T> {
        Delivery {
            opened: None,
            info: DeliveryInfo {
                unacked: Unacked::new(origin, envelope),
            },
        }
    }

    fn decode(
        origin: Arc<DeliveryOrigin>,
        envelope: Envelope,
        codecs: &Codecs,
    ) -> Result<Delivery<T>, Undecoded> {
        let unacked = Unacked::new(origin, envelope);
        Delivery::reopen(DeliveryInfo { unacked }, codecs)
    }

    /// Opens an unsettled message for a consumer of `T`, once more.
    pub(crate) fn reopen(info: DeliveryInfo, codecs: &Codecs) -> Result<Delivery<T>, Undecoded> {
        let opened = match info.unacked.envelope() {
            Some(envelope) if Delivery::<T>::is_open(envelope, codecs) => Ok(None),
            Some(envelope) => open_body(envelope, codecs),
            None => Ok(None),
        };
        match opened {
            Ok(opened) => Ok(Delivery { opened, info }),
            Err(error) => Err(Undecoded::new(error, info)),
        }
    }

    /// The receiver is shown the message now.
    #[inline]
    pub(crate) fn show(&mut self) {
        self.info.show();
    }

    /// The claim of this delivery, for a producer.
    pub(crate) fn claim(&self) -> Claim {
        self.info.unacked.claim()
    }

    /// The payload. Dereferencing gives the same.
    pub fn payload(&self) -> &T {
        self
    }

    /// The information about the message besides its payload.
    pub fn info(&self) -> &DeliveryInfo {
        &self.info
    }

    /// Acknowledges the message, and the queue forgets it.
    ///
    /// # RabbitMQ
    /// `basic.ack` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down. The message is lost
    /// with it.
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// # broker.simple_queue::<String>("q")?.put("once".to_owned())?;
    /// # let queue = broker.simple_queue::<String>("q")?;
    /// let delivery = queue.get()?;
    /// delivery.ack()?;
    /// assert!(queue.is_empty()?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    ///
    /// The call consumes the delivery. To settle it twice does not compile.
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
        self.info.unacked.ack()
    }

    /// Acknowledges the message and returns its payload. If other queues got the same value, the
    /// payload is shared and comes as an `Arc`.
    ///
    /// # RabbitMQ
    /// `basic.ack` (AMQP 0-9-1).
    ///
    /// # Errors
    /// The shared payload. If the broker is shut down, the payload is returned too.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let names = Queue::new("names");
    /// broker.producer::<String>(&names)?.publish("Ada".to_owned())?;
    /// let delivery = broker.consumer::<String>(&names)?.recv()?;
    /// let name: String = delivery.ack_into().expect("one queue, so not shared");
    /// assert_eq!(name, "Ada");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn ack_into(mut self) -> Result<T, Arc<T>> {
        let opened = self.opened.take();
        let envelope = self.info.unacked.settle();
        if let Some(opened) = opened {
            return Ok(*opened);
        }
        match envelope.map(|envelope| envelope.into_body().into_inner::<T>()) {
            Some(Ok(payload)) => payload,
            _ => without_payload(),
        }
    }

    /// Rejects the message. It is requeued, dead-lettered or dropped, as [`Requeue`] says.
    ///
    /// # RabbitMQ
    /// `basic.nack` (RabbitMQ's extension of AMQP 0-9-1). [`Requeue::After`] is an addition of
    /// leveret.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down. The message is lost
    /// with it.
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
    /// assert!(queue.is_empty()?);
    /// clock.advance(Duration::from_secs(5));
    /// queue.get()?.nack(Requeue::No)?; // dropped: the queue has no dead letter exchange
    /// assert!(queue.is_empty()?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn nack(mut self, requeue: Requeue) -> Result {
        self.restore();
        self.info.unacked.nack(requeue)
    }

    /// Rejects the message for good: it is dead-lettered if its queue has a dead letter exchange,
    /// and dropped if not.
    ///
    /// # RabbitMQ
    /// `basic.reject` without `requeue` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down. The message is lost
    /// with it.
    ///
    /// [`Queue::dead_letter_exchange`](crate::Queue::dead_letter_exchange) has an example.
    pub fn reject(mut self) -> Result {
        self.restore();
        self.info.unacked.reject()
    }

    /// Splits the delivery into one with the payload, which does not settle the message, and the
    /// right to settle it.
    ///
    /// # Errors
    /// Returns the delivery if its payload can be in one place only.
    pub(crate) fn split(mut self) -> Result<(Delivery<T>, DeliveryInfo), Delivery<T>> {
        let Some(shown) = self.info.shared() else {
            return Err(self);
        };
        let info = std::mem::replace(&mut self.info, shown);
        Ok((self, info))
    }

    /// Splits deliveries as [`split`](Self::split) does, all of them or none.
    ///
    /// # Errors
    /// Returns the deliveries if a payload can be in one place only.
    pub(crate) fn split_all(
        mut deliveries: Vec<Delivery<T>>,
    ) -> Result<Split<T>, Vec<Delivery<T>>> {
        let shown = deliveries.iter_mut().map(|delivery| delivery.info.shared());
        let Some(shown) = shown.collect::<Option<Vec<_>>>() else {
            return Err(deliveries);
        };
        let split = deliveries.iter_mut().zip(shown);
        let infos = split.map(|(delivery, shown)| std::mem::replace(&mut delivery.info, shown));
        let infos = infos.collect();
        Ok((deliveries, infos))
    }

    /// Acknowledges the message where it lies, as [`ack`](Self::ack) does, which would move it.
    #[inline]
    pub(crate) fn ack_in_place(&mut self) -> Result {
        self.info.unacked.ack()
    }

    /// Takes out the origin of a message that is only to be acknowledged, by the caller and
    /// together with others. Also returns its size. `None` if it needs more, or is settled.
    #[inline]
    pub(super) fn release_for_ack(&mut self) -> Option<(Arc<DeliveryOrigin>, u64)> {
        self.info.unacked.release_for_ack()
    }

    /// Takes the delivery apart: the payload, if it is not in the message itself, and the rest.
    pub(crate) fn into_parts(mut self) -> (Option<Box<T>>, DeliveryInfo) {
        let opened = self.opened.take();
        let info = std::mem::replace(&mut self.info, DeliveryInfo::settled());
        (opened, info)
    }

    /// The message without its type. It is unsettled.
    pub(crate) fn into_info(self) -> DeliveryInfo {
        let (opened, info) = self.into_parts();
        if let Some(opened) = opened {
            info.restore(opened);
        }
        info
    }

    /// Takes the message out unsettled. It is to be received again.
    pub(crate) fn unread(mut self) -> Option<Envelope> {
        self.restore();
        self.info.unacked.take_back().map(|(_, envelope)| envelope)
    }

    /// Puts a payload that was taken out of the message back into it, and drops a decoded one.
    #[inline]
    fn restore(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.put_back(opened);
        }
    }

    /// It is not inlined, since most messages hold their payload themselves.
    #[inline(never)]
    fn put_back(&self, opened: Box<T>) {
        self.info.restore(opened);
    }
}

impl<T: Payload> Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self.opened.as_deref().or_else(|| self.info.payload()) {
            Some(payload) => payload,
            None => without_payload(),
        }
    }
}

/// The payload, if it cannot stay in the message.
pub(crate) fn open_body<T: Payload>(
    envelope: &Envelope,
    codecs: &Codecs,
) -> Result<Option<Box<T>>, CodecError> {
    let properties = envelope.properties();
    let content_type = properties.content_type.as_deref();
    let encoding = properties.content_encoding.as_deref();
    let codec = envelope.meta().and_then(|meta| meta.codec.as_deref());
    let codec = codec.unwrap_or(&Json);
    decoding::<T, _>(content_type, || {
        let opened = T::open(envelope.body(), codec, content_type, encoding, codecs)?;
        Ok(opened.map(|mut opened| {
            opened.arrived(properties);
            opened
        }))
    })
}

/// Moves the payload out of a message for good. `opened` is the payload if it is not in the message
/// itself. A payload that others share is copied by its codec. Runs user code.
///
/// # Errors
/// That of the codec. The message is unchanged.
pub(crate) fn take_payload<T: Payload>(
    envelope: &mut Envelope,
    opened: Option<Box<T>>,
) -> Result<T, CodecError> {
    let codec = envelope.meta().and_then(|meta| meta.codec.clone());
    let codecs = codec.map_or_else(Codecs::default, Codecs::only);
    let writer = codecs.first();
    envelope.body_mut().take_out(opened, |body| {
        let octets = body.encode(writer)?;
        decoding::<T, _>(None, || T::decode(&octets, None, &codecs))
    })
}

/// Decodes a `T` by user code. A panic of it is an error.
pub(super) fn decoding<T, R>(
    content_type: Option<&str>,
    decode: impl FnOnce() -> Result<R, CodecError>,
) -> Result<R, CodecError> {
    catch_panic(decode).unwrap_or_else(|| {
        let text = format!("decoding `{}` has panicked", any::type_name::<T>());
        Err(CodecError::new(content_type.unwrap_or_default(), text))
    })
}

/// It is never called. [`Delivery::open`] makes a delivery only of a message that holds a `T`, or
/// together with a decoded `T`. Only methods that consume the delivery take either away. So it is
/// with an [`Entry`](crate::Entry), from which nothing takes the value away.
pub(crate) fn without_payload() -> ! {
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
