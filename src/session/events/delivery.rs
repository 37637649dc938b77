//! A message as a channel shows it: with its tags, beside the entry in the ledger.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    engine::vhost::VirtualHost,
    message::{
        envelope::{Envelope, ExchangeId},
        payload::{Departed, Exit},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{CodecError, Error},
        name::Name,
    },
    session::unacked::DeliveryOrigin,
};

/// A message on a channel, from a consumer or from a get. It is settled by its tag.
///
/// # If dropped
/// Nothing happens. The message is unsettled until it is settled by its tag or the channel closes.
///
/// # RabbitMQ
/// The content of `basic.deliver` or `basic.get-ok` (AMQP 0-9-1).
///
/// # Examples
/// ```
/// use leveret::{channel::{AckMode, PublishOptions}, Properties};
/// # use leveret::{Broker, Credentials};
/// # let broker = Broker::new();
/// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// # use leveret::Queue;
/// # channel.queue_declare(&Queue::new("q"))?;
/// let properties = Properties::new().message_id("m-1");
/// channel.basic_publish("", "q", "hello", properties, PublishOptions::new())?;
/// let got = channel.basic_get("q", AckMode::Manual)?.expect("one is ready");
/// assert_eq!((got.delivery_tag(), got.message_count()), (1, 0));
/// assert_eq!((&**got.consumer_tag(), &*got.exchange(), got.routing_key()), ("", "", "q"));
/// assert_eq!(got.queue().map(|queue| &**queue), Some("q"));
/// assert_eq!((got.redelivered(), got.delivery_count()), (false, 0));
/// assert_eq!(got.properties().message_id.as_deref(), Some("m-1"));
/// assert_eq!(&*got.body()?, b"hello");
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct ChannelDelivery {
    pub(in crate::session) from: DeliveredFrom,
    pub(in crate::session) delivery_tag: u64,
    /// A copy that shares the payload with the unsettled delivery. `None` if the payload is a
    /// `Local`, which cannot be shared.
    pub(in crate::session) envelope: Option<Envelope>,
}

/// Where a message on a channel comes from.
pub(crate) enum DeliveredFrom {
    /// A queue, to one of its consumers, or to a get that has left this many ready messages.
    Queue {
        left: u32,
        origin: Arc<DeliveryOrigin>,
    },
    /// The publisher of a direct reply, which is in no queue.
    Reply(Box<ReplyOrigin>),
}

/// The origin of direct replies.
pub(crate) struct ReplyOrigin {
    pub(in crate::session) vhost: Arc<VirtualHost>,
    pub(in crate::session) consumer_tag: Name,
}

// Larger values are moved by calls.
const _: () = assert!(size_of::<ChannelDelivery>() <= 128);

impl ChannelDelivery {
    /// Notes that this thread has read the delivery, and shows it to the taps. Runs user code
    /// (wakers).
    pub(crate) fn note_read(&self) {
        if let Some(origin) = self.origin() {
            origin.note_read(1);
            self.show_taps();
        }
    }

    /// Shows the delivery to the taps, before its reader has it.
    #[inline]
    pub(crate) fn show_taps(&self) {
        if let (Some(origin), Some(envelope)) = (self.origin(), &self.envelope) {
            origin.show_taps(envelope);
        }
    }
}

/// A channel, which has the deliveries to its consumers until they are read.
pub(crate) trait DeliveryReader: Send + Sync {
    /// Notes that this thread has read deliveries. Runs user code (wakers).
    fn note_read(&self, deliveries: u64);

    /// Makes the next deliveries that are in the stream of events and that no reader has taken
    /// over. Takes the lock of the channel, and calls `each` under it.
    fn open_deliveries(&self, count: usize, each: &mut dyn FnMut(ChannelDelivery));
}

impl DeliveryOrigin {
    /// The name of the exchange that a message was published to.
    pub(crate) fn exchange(&self, origin: ExchangeId) -> Name {
        self.exchange_name(origin).into_owned()
    }

    /// As [`exchange`](Self::exchange), without a handle of its own for the exchange of the first
    /// delivery.
    fn exchange_name(&self, origin: ExchangeId) -> Cow<'_, Name> {
        let ExchangeId::Interned(number) = origin else {
            return Cow::Owned(self.vhost.exchange_names().name(origin));
        };
        let name = || {
            self.vhost
                .exchange_names()
                .name(ExchangeId::Interned(number))
        };
        let known = self
            .first_exchange
            .get_or_init(|| Box::new((number, name())));
        let (known, first) = &**known;
        match *known == number {
            true => Cow::Borrowed(first),
            false => Cow::Owned(name()),
        }
    }

    /// Has the channel make the next deliveries that no reader has taken over.
    pub(super) fn open_deliveries(&self, count: usize, mut each: impl FnMut(ChannelDelivery)) {
        if let Some(channel) = &self.channel {
            channel.open_deliveries(count, &mut each);
        }
    }

    /// From now on the queue does not serve the consumer late. With several readers one may wait
    /// though another, who is to read first, does not.
    pub(in crate::session) fn serve_at_once(&self) {
        if let Some((_, credit)) = &self.consumer {
            credit.serve_at_once();
        }
    }

    /// Has the queue hand over what it has for the consumer, though not everything is read. Runs
    /// user code (wakers).
    pub(super) fn serve(&self) {
        if let Some((_, credit)) = &self.consumer
            && credit.is_waiting_for_readers()
        {
            self.vhost.serve_late_channel(&self.queue);
        }
    }

    /// Notes that this thread has read deliveries to a consumer of a channel. Runs user code
    /// (wakers).
    pub(super) fn note_read(&self, deliveries: u64) {
        if let Some(channel) = &self.channel {
            channel.note_read(deliveries);
        }
        if let Some((_, credit)) = &self.consumer
            && credit.read(deliveries)
        {
            self.notify();
        }
    }
}

impl ChannelDelivery {
    pub(super) fn origin(&self) -> Option<&Arc<DeliveryOrigin>> {
        match &self.from {
            DeliveredFrom::Queue { origin, .. } => Some(origin),
            DeliveredFrom::Reply(_) => None,
        }
    }

    /// The tag of the consumer; empty for a get.
    ///
    /// # RabbitMQ
    /// The `consumer-tag` of `basic.deliver`.
    pub fn consumer_tag(&self) -> &Name {
        match &self.from {
            DeliveredFrom::Queue { origin, .. } => &origin.consumer_tag,
            DeliveredFrom::Reply(origin) => &origin.consumer_tag,
        }
    }

    /// The queue that the message comes from. `None` for a [direct
    /// reply](crate::Channel::basic_consume), which is in no queue.
    pub fn queue(&self) -> Option<&Name> {
        self.origin().map(|origin| origin.queue.name())
    }

    /// The tag to settle the message by: 1, 2, 3, ... on each channel, for deliveries and gets
    /// together.
    ///
    /// # RabbitMQ
    /// The `delivery-tag` of `basic.deliver` and `basic.get-ok`.
    pub fn delivery_tag(&self) -> u64 {
        self.delivery_tag
    }

    /// Whether the message was delivered before and returned to its queue.
    ///
    /// # RabbitMQ
    /// The `redelivered` of `basic.deliver` and `basic.get-ok`.
    pub fn redelivered(&self) -> bool {
        self.envelope.as_ref().is_some_and(Envelope::redelivered)
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
    /// use leveret::channel::{AckMode, Multiple, PublishOptions};
    /// use leveret::{Broker, Credentials, Properties, Queue, Requeue};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::quorum("q"))?;
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// let get = || channel.basic_get("q", AckMode::Manual);
    /// let first = get()?.expect("one is ready");
    /// channel.basic_nack(first.delivery_tag(), Multiple::No, Requeue::Yes)?; // returned
    /// let second = get()?.expect("it is back");
    /// channel.basic_reject(second.delivery_tag(), Requeue::Yes)?; // returned, and failed
    /// let third = get()?.expect("it is back");
    /// assert_eq!((third.acquired_count(), third.delivery_count()), (2, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn acquired_count(&self) -> u32 {
        self.envelope
            .as_ref()
            .map_or(0, |envelope| envelope.acquired_count())
    }

    /// The number of earlier deliveries of the message that failed: it was rejected, or its channel
    /// ended. A dead letter keeps the count of the queues that it was in before. At most 2,097,151.
    ///
    /// # RabbitMQ
    /// The header `x-delivery-count` of quorum queues, as of version 4.3. Here it is counted for
    /// every queue.
    pub fn delivery_count(&self) -> u32 {
        self.envelope
            .as_ref()
            .map_or(0, |envelope| envelope.delivery_count())
    }

    /// The exchange that the message was published to.
    ///
    /// # RabbitMQ
    /// The `exchange` of `basic.deliver` and `basic.get-ok`.
    pub fn exchange(&self) -> Name {
        self.exchange_name().into_owned()
    }

    /// As [`exchange`](Self::exchange), without a handle of its own for the usual exchange of a
    /// consumer.
    pub(crate) fn exchange_name(&self) -> Cow<'_, Name> {
        let Some(exchange) = self.envelope.as_ref().map(Envelope::origin) else {
            return Cow::Owned(Name::empty());
        };
        match &self.from {
            DeliveredFrom::Queue { origin, .. } => origin.exchange_name(exchange),
            DeliveredFrom::Reply(origin) => {
                Cow::Owned(origin.vhost.exchange_names().name(exchange))
            }
        }
    }

    /// The routing key of the message.
    ///
    /// # RabbitMQ
    /// The `routing-key` of `basic.deliver` and `basic.get-ok`.
    pub fn routing_key(&self) -> &str {
        self.envelope
            .as_ref()
            .map(Envelope::routing_key)
            .unwrap_or_default()
    }

    /// The properties of the message.
    ///
    /// # RabbitMQ
    /// The basic properties of the message.
    pub fn properties(&self) -> &Properties {
        static NONE: Properties = Properties::new();
        match (self.departed(), &self.envelope) {
            (Some(Ok(departed)), _) => &departed.properties,
            (_, Some(envelope)) => envelope.properties(),
            (_, None) => &NONE,
        }
    }

    /// The message as a program outside sees it, if it changes where it leaves the process. Runs
    /// user code.
    #[inline]
    fn departed(&self) -> Option<Result<&Departed, CodecError>> {
        let envelope = self.envelope.as_ref()?;
        let departing = envelope.body().departing()?;
        let vhost: &dyn Exit = match &self.from {
            DeliveredFrom::Queue { origin, .. } => &origin.vhost,
            DeliveredFrom::Reply(origin) => &origin.vhost,
        };
        let departed = departing.depart(envelope.properties(), vhost);
        Some(departed.map_err(|error| match error {
            Error::Codec(error) => error,
            other => CodecError::new("", other),
        }))
    }

    /// The body of the message. A message that was published as a Rust value is encoded by this
    /// call.
    ///
    /// A program that needs bytes rejects a delivery without a body, by
    /// [`basic_reject`](crate::Channel::basic_reject) with
    /// [`Requeue::No`](crate::Requeue::No). So the queue dead-letters or drops it, and counts it.
    ///
    /// # Errors
    /// [`CodecError`] if the value cannot be encoded. A [`Local`](crate::Local) never can.
    pub fn body(&self) -> Result<Bytes, CodecError> {
        if let Some(departed) = self.departed() {
            return departed.map(|departed| departed.body.clone());
        }
        match &self.envelope {
            Some(envelope) => envelope.encode(),
            None => Err(CodecError::new("", "a local payload cannot be encoded")),
        }
    }

    /// The properties and the body as they leave the process, without a handle of their own for
    /// octets. Runs user code.
    ///
    /// # Errors
    /// Those of [`body`](Self::body).
    #[cfg(feature = "amqp")]
    #[inline]
    pub(crate) fn content(&self) -> Result<(&Properties, Cow<'_, Bytes>), CodecError> {
        let envelope = self.envelope.as_ref();
        let octets = envelope.and_then(|it| Some((it.properties(), it.body().octets()?)));
        match octets {
            Some((properties, octets)) => Ok((properties, Cow::Borrowed(octets))),
            None => {
                let body = self.body()?;
                Ok((self.properties(), Cow::Owned(body)))
            }
        }
    }

    /// Returns the properties and the body. They are moved out if no one else has them, and the
    /// properties are copied if the delivery is unsettled.
    ///
    /// # Errors
    /// Those of [`body`](Self::body).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{AckMode, PublishOptions};
    /// use leveret::{Broker, Credentials, Properties, Queue};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// let properties = Properties::new().message_id("m-1");
    /// channel.basic_publish("", "q", "hello", properties, PublishOptions::new())?;
    /// let got = channel.basic_get("q", AckMode::Auto)?.expect("one is ready");
    /// let (properties, body) = got.into_parts()?;
    /// assert_eq!((properties.message_id.as_deref(), &*body), (Some("m-1"), &b"hello"[..]));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn into_parts(self) -> Result<(Properties, Bytes), CodecError> {
        let body = self.body()?;
        if let Some(Ok(departed)) = self.departed() {
            return Ok((departed.properties.clone(), body));
        }
        let properties = self.envelope.map(Envelope::into_properties);
        Ok((properties.unwrap_or_default(), body))
    }

    /// The number of messages that were still ready after a get; 0 for a delivery to a consumer.
    ///
    /// # RabbitMQ
    /// The `message-count` of `basic.get-ok`.
    pub fn message_count(&self) -> u64 {
        match &self.from {
            DeliveredFrom::Queue { left, .. } => u64::from(*left),
            DeliveredFrom::Reply(_) => 0,
        }
    }
}

impl fmt::Debug for ChannelDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelDelivery")
            .field("consumer_tag", self.consumer_tag())
            .field("delivery_tag", &self.delivery_tag)
            .field("envelope", &self.envelope)
            .finish_non_exhaustive()
    }
}
