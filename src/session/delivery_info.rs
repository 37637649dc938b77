//! What is known of a received message besides its payload.

use std::fmt;

use super::unacked::Unacked;
use crate::{
    message::{envelope::Envelope, properties::Properties},
    model::{
        bytes::Bytes,
        error::{CodecError, Result},
        name::Name,
    },
};

/// What is known of a delivery besides its payload.
///
/// # Examples
/// ```
/// # let broker = leveret::Broker::new();
/// # let queue = broker.simple_queue::<u32>("q")?;
/// # queue.put(7)?;
/// let delivery = queue.get()?;
/// let info = delivery.info();
/// assert_eq!((&**info.queue(), &*info.exchange(), info.routing_key()), ("q", "", "q"));
/// assert_eq!(&**info.consumer_tag(), ""); // got, not consumed
/// assert_eq!((info.redelivered(), info.delivery_count()), (false, 0));
/// assert_eq!(info.properties().content_type.as_deref(), Some("application/json")); // if it is ever encoded
/// assert_eq!(&*info.body()?, b"7");
/// assert_eq!((info.type_name(), info.size()), ("u32", 4));
/// let position = info.position();
/// queue.put(8)?;
/// assert!(queue.get()?.info().position() > position);
/// assert_eq!(delivery.payload(), &7);
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct DeliveryInfo {
    pub(super) held: Unacked,
}

/// The names of a message that is settled: nobody can ask for them, since whatever settles it consumes the delivery.
static NOWHERE: Name = Name::empty();

impl DeliveryInfo {
    /// The queue it came from.
    pub fn queue(&self) -> &Name {
        self.held
            .origin()
            .map_or(&NOWHERE, |source| source.queue.name())
    }

    /// The tag of the consumer that received it; empty for a [`SimpleQueue`](crate::SimpleQueue).
    pub fn consumer_tag(&self) -> &Name {
        self.held
            .origin()
            .map_or(&NOWHERE, |source| &source.consumer_tag)
    }

    /// The exchange it was published to; empty for the default exchange.
    pub fn exchange(&self) -> Name {
        let held = self.held.origin().zip(self.held.envelope());
        held.map(|(source, envelope)| source.exchange(envelope.origin()))
            .unwrap_or_default()
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &str {
        self.held
            .envelope()
            .map(Envelope::routing_key)
            .unwrap_or_default()
    }

    /// Whether it was delivered before and came back.
    pub fn redelivered(&self) -> bool {
        self.delivery_count() > 0
    }

    /// How many earlier deliveries of it came back.
    pub fn delivery_count(&self) -> u32 {
        self.held
            .envelope()
            .map_or(0, |envelope| envelope.delivery_count())
    }

    /// Its place in its queue: what arrived first has the lowest.
    pub fn position(&self) -> u64 {
        self.held.envelope().map_or(0, |envelope| envelope.position)
    }

    /// Its properties, the content type among them.
    pub fn properties(&self) -> &Properties {
        static NONE: Properties = Properties::new();
        self.held.envelope().map_or(&NONE, Envelope::properties)
    }

    /// Its size in bytes, as limits count it: the length of bytes and text, else the size of the payload's type, or
    /// what the producer's [`sized_by`](crate::ProducerBuilder::sized_by) says.
    pub fn size(&self) -> u64 {
        self.held.envelope().map_or(0, Envelope::size)
    }

    /// Its payload as octets, encoded now if it travels as a value.
    ///
    /// # Errors
    /// [`CodecError`] if it cannot be encoded.
    pub fn body(&self) -> Result<Bytes, CodecError> {
        match self.held.envelope() {
            Some(envelope) => envelope.encode(),
            None => Ok(Bytes::default()),
        }
    }

    /// The Rust type that was published; `leveret::Bytes` if it came encoded.
    pub fn type_name(&self) -> &'static str {
        self.held
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
            .field("delivery_count", &self.delivery_count())
            .finish_non_exhaustive()
    }
}
