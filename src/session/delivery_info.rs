//! The information about a received message besides its payload.

use std::{fmt, time::Instant};

use super::{delivery::take_payload, holding::Claim, requeue::Requeue, unacked::Unacked};
use crate::{
    message::{
        envelope::{Envelope, SettledMessage},
        payload::{Payload, SealedPayload},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{CodecError, Result},
        field_value::FieldValue,
        name::Name,
    },
    runtime::user_drop::drop_user_value,
};

/// The information about a delivery besides its payload.
///
/// # Examples
/// ```
/// # let broker = leveret::Broker::new();
/// # let queue = broker.simple_queue::<u32>("q")?;
/// # queue.put(7)?;
/// let delivery = queue.get()?;
/// let info = delivery.info();
/// assert_eq!((&**info.queue(), &*info.exchange(), info.routing_key()), ("q", "", "q"));
/// assert_eq!(&**info.consumer_tag(), ""); // it comes from a get
/// assert_eq!((info.redelivered(), info.delivery_count()), (false, 0));
/// // The content type that it would have if it were encoded.
/// assert_eq!(info.properties().content_type.as_deref(), Some("application/json"));
/// assert_eq!(&*info.body()?, b"7");
/// assert_eq!((info.type_name(), info.size()), ("u32", 4));
/// let position = info.position();
/// queue.put(8)?;
/// assert!(queue.get()?.info().position() > position);
/// assert_eq!(delivery.payload(), &7);
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct DeliveryInfo {
    pub(super) unacked: Unacked,
}

/// The name of everything about a settled message. It is never seen, since settling consumes the
/// delivery.
static NOWHERE: Name = Name::empty();

/// For the layers above, which have a delivery in parts.
impl DeliveryInfo {
    /// The information about a message that is settled.
    pub(super) fn settled() -> DeliveryInfo {
        DeliveryInfo {
            unacked: Unacked::settled(),
        }
    }

    /// The payload, if the message has it itself.
    #[inline(always)]
    pub(crate) fn payload<T: Payload>(&self) -> Option<&T> {
        self.unacked.envelope()?.body().downcast_ref()
    }

    /// Puts a payload that was taken out of the message back into it, and drops a decoded one.
    pub(crate) fn restore<T: Payload>(&self, opened: Box<T>) {
        match self.unacked.envelope() {
            Some(envelope) => SealedPayload::restore(envelope.body(), opened),
            None => drop_user_value(opened),
        }
    }

    /// Moves the payload out of the message for good. From now on every settlement acknowledges the
    /// message. `opened` is the payload if it is not in the message itself. A payload that other
    /// queues share is copied by its codec.
    ///
    /// # Errors
    /// That of the codec. The message is unchanged.
    pub(crate) fn take_payload<T: Payload>(
        &mut self,
        opened: Option<Box<T>>,
    ) -> Result<T, CodecError> {
        take_payload(self.unacked.envelope_mut(), opened)
    }

    /// Whether the payload was [taken](Self::take_payload).
    pub(crate) fn is_consumed(&self) -> bool {
        let envelope = self.unacked.envelope();
        envelope.is_some_and(|envelope| envelope.body().is_gone())
    }

    /// The same information for a second place, which does not settle the message. `None` if the
    /// payload can be in one place only.
    pub(crate) fn shared(&mut self) -> Option<DeliveryInfo> {
        let unacked = self.unacked.share()?;
        Some(DeliveryInfo { unacked })
    }

    /// The claim of this delivery, for a producer.
    pub(crate) fn claim(&self) -> Claim {
        self.unacked.claim()
    }

    /// Takes the unsettled message out.
    pub(crate) fn take(&mut self) -> DeliveryInfo {
        std::mem::replace(self, DeliveryInfo::settled())
    }

    /// Notes that the current thread receives the message, which another one has received before.
    pub(crate) fn note_receiver(&self) {
        if let Some(origin) = self.unacked.origin() {
            origin.note_receiver(|| 0);
        }
    }

    /// The receiver is shown the message now.
    #[inline]
    pub(crate) fn show(&mut self) {
        self.unacked.show();
    }

    /// Counts a delivery that has returned, though not to the queue.
    pub(crate) fn count_return(&mut self) {
        self.unacked.count_return();
    }

    /// Returns the message to its place in the queue. It is unchanged, since no user code has
    /// handled it.
    pub(crate) fn return_unseen(&mut self) {
        if let Some((origin, envelope)) = self.unacked.take_back() {
            origin.requeue_undelivered(vec![envelope]);
        }
    }

    /// Adds a header to the message. It stays when the message is requeued or dead-lettered.
    pub(crate) fn add_header(&mut self, name: &str, value: impl Into<FieldValue>) {
        self.unacked.add_header(name, value);
    }

    /// Acknowledges the message, as [`Delivery::ack`](super::delivery::Delivery::ack) does.
    pub(crate) fn ack(&mut self) -> Result {
        self.unacked.ack()
    }

    /// Rejects the message, as [`Delivery::nack`](super::delivery::Delivery::nack) does.
    pub(crate) fn nack(&mut self, requeue: Requeue) -> Result {
        self.unacked.nack(requeue)
    }

    /// As [`nack`](Self::nack), and counts a failed delivery.
    pub(crate) fn fail(&mut self, requeue: Requeue) -> Result {
        self.unacked.fail(requeue)
    }
}

impl DeliveryInfo {
    /// The queue of the message.
    pub fn queue(&self) -> &Name {
        self.unacked
            .origin()
            .map_or(&NOWHERE, |origin| origin.queue.name())
    }

    /// The tag of the consumer; empty for a [`SimpleQueue`](crate::SimpleQueue).
    ///
    /// # RabbitMQ
    /// The `consumer-tag` of `basic.deliver`.
    pub fn consumer_tag(&self) -> &Name {
        self.unacked
            .origin()
            .map_or(&NOWHERE, |origin| &origin.consumer_tag)
    }

    /// The exchange that the message was published to; empty for the default exchange.
    ///
    /// # RabbitMQ
    /// The `exchange` of `basic.deliver`.
    pub fn exchange(&self) -> Name {
        let unacked = self.unacked.origin().zip(self.unacked.envelope());
        unacked
            .map(|(origin, envelope)| origin.exchange(envelope.origin()))
            .unwrap_or_default()
    }

    /// The routing key of the message.
    ///
    /// # RabbitMQ
    /// The `routing-key` of `basic.deliver`.
    pub fn routing_key(&self) -> &str {
        self.unacked
            .envelope()
            .map(Envelope::routing_key)
            .unwrap_or_default()
    }

    /// Whether the message was delivered before and returned to its queue.
    ///
    /// # RabbitMQ
    /// The `redelivered` of `basic.deliver`.
    pub fn redelivered(&self) -> bool {
        self.unacked.envelope().is_some_and(Envelope::redelivered)
    }

    /// The number of earlier deliveries of the message that returned to the queue, for whatever
    /// reason. At most 16,777,215.
    ///
    /// # RabbitMQ
    /// The header `x-acquired-count` of quorum queues, since version 4.3. Here it is counted for
    /// every queue.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, Requeue};
    /// let broker = Broker::new();
    /// let queue = broker.simple_queue::<u32>(&Queue::quorum("q"))?;
    /// queue.put(7)?;
    /// queue.get()?.nack(Requeue::Yes)?; // returned
    /// drop(queue.get()?); // returned, and failed
    /// let delivery = queue.get()?;
    /// let info = delivery.info();
    /// assert_eq!((info.acquired_count(), info.delivery_count()), (2, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn acquired_count(&self) -> u32 {
        self.unacked
            .envelope()
            .map_or(0, |envelope| envelope.acquired_count())
    }

    /// The number of earlier deliveries of the message that failed: it was rejected, or the
    /// delivery was dropped, or its channel ended. A dead letter keeps the count of the queues that
    /// it was in before. At most 2,097,151.
    ///
    /// # RabbitMQ
    /// The header `x-delivery-count` of quorum queues, as of version 4.3. Here it is counted for
    /// every queue.
    pub fn delivery_count(&self) -> u32 {
        self.unacked
            .envelope()
            .map_or(0, |envelope| envelope.delivery_count())
    }

    /// The position of the message in its queue. The first message to arrive has the lowest
    /// position.
    pub fn position(&self) -> u64 {
        self.unacked
            .envelope()
            .map_or(0, |envelope| envelope.position())
    }

    /// The properties of the message, with its content type.
    ///
    /// # RabbitMQ
    /// The basic properties of the message.
    pub fn properties(&self) -> &Properties {
        static NONE: Properties = Properties::new();
        self.unacked.envelope().map_or(&NONE, Envelope::properties)
    }

    /// The size of the message in bytes, as limits count it: the length of bytes and text, and for
    /// other payloads the size of the type. If the producer has a
    /// [`sized_by`](crate::ProducerBuilder::sized_by), its result is the size.
    ///
    /// # RabbitMQ
    /// The length of the body, which RabbitMQ's limits count.
    pub fn size(&self) -> u64 {
        self.unacked.envelope().map_or(0, Envelope::size)
    }

    /// When the time is over that its publisher has given the message. A queue keeps no such
    /// message, but a consumer may hold one for a while.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        let (origin, envelope) = self.unacked.origin().zip(self.unacked.envelope())?;
        envelope.properties().expiration.as_ref()?;
        let elsewhere = envelope.meta().map_or(0, |meta| meta.expires_at);
        let nanos = match elsewhere {
            0 => envelope.deadline(),
            nanos => nanos,
        };
        origin.vhost.instant(nanos)
    }

    /// What its queue needs to know when it is settled.
    pub(crate) fn as_settled(&self) -> SettledMessage {
        let envelope = self.unacked.envelope();
        envelope.map(SettledMessage::of).unwrap_or_default()
    }

    /// The payload as bytes. A payload that is still a value is encoded by this call.
    ///
    /// # RabbitMQ
    /// The body of the message.
    ///
    /// # Errors
    /// [`CodecError`] if it cannot be encoded.
    pub fn body(&self) -> Result<Bytes, CodecError> {
        match self.unacked.envelope() {
            Some(envelope) => envelope.encode(),
            None => Ok(Bytes::default()),
        }
    }

    /// The name of the Rust type that was published; `leveret::Bytes` for an encoded message.
    pub fn type_name(&self) -> &'static str {
        self.unacked
            .envelope()
            .map_or("()", |envelope| envelope.body().type_name())
    }
}

impl fmt::Debug for DeliveryInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryInfo")
            .field("queue", self.queue())
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .field("acquired_count", &self.acquired_count())
            .field("delivery_count", &self.delivery_count())
            .finish_non_exhaustive()
    }
}
