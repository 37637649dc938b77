//! The copy of a message that passes a tap.

use std::fmt;

use super::Passing;
use crate::{
    message::{envelope::Envelope, properties::Properties},
    model::{bytes::Bytes, error::CodecError, name::Name},
};

/// The way of a message that passes a tap.
///
/// [`TappedMessage`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TapDirection {
    /// It is published to an exchange.
    Publish,
    /// It is delivered from a queue.
    Deliver,
}

impl fmt::Display for TapDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TapDirection::Publish => "publish",
            TapDirection::Deliver => "deliver",
        })
    }
}

/// A copy of a message that is published or delivered. [`Broker::tap`](crate::Broker::tap) gives
/// them.
///
/// The copy is made before queues have the message, or before its receiver has it. Its payload is
/// encoded by the codec of its producer.
///
/// # RabbitMQ
/// A message from the exchange `amq.rabbitmq.trace` (the firehose tracer).
///
/// # Examples
/// ```
/// use leveret::{Broker, Message, Queue, TapDirection, TapFilter};
///
/// let broker = Broker::new();
/// let tap = broker.tap(TapFilter::all().queue("orders"));
/// let orders = broker.simple_queue::<Vec<u32>>("orders")?;
/// orders.put_message(Message::new(vec![7, 8]).message_id("m-1"))?;
/// orders.get()?.ack()?;
///
/// let published = tap.recv()?;
/// assert_eq!(published.direction, TapDirection::Publish);
/// assert_eq!(published.properties.message_id.as_deref(), Some("m-1"));
/// assert_eq!(&**published.body.as_ref().expect("JSON"), b"[7,8]");
/// let delivered = tap.recv()?;
/// assert_eq!(
///     delivered.to_string(),
///     r#"deliver "orders": exchange "", routing key "orders", 24 bytes"#,
/// );
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TappedMessage {
    /// Whether it is published or delivered.
    pub direction: TapDirection,
    /// Its virtual host.
    pub vhost: Name,
    /// The user who publishes it. `None` for one that is delivered.
    pub user: Option<Name>,
    /// The exchange that it is or was published to.
    pub exchange: Name,
    /// Its routing key.
    pub routing_key: String,
    /// The queues and delayed exchanges that it is published to, or the queue that it is delivered
    /// from.
    pub queues: Vec<Name>,
    /// The tag of the consumer that it is delivered to. `None` for one that is published or got.
    pub consumer_tag: Option<Name>,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// Its properties, with the headers.
    pub properties: Properties,
    /// Its body, encoded. The error of a payload that cannot be encoded names its type, such as
    /// that of a [`Local`](crate::Local).
    pub body: Result<Bytes, CodecError>,
    /// The type of its payload.
    pub type_name: &'static str,
    /// Its size in bytes, as limits count it.
    pub size: u64,
}

impl TappedMessage {
    /// Copies a message. Runs user code.
    pub(super) fn new(passing: &Passing<'_>, envelope: &Envelope) -> TappedMessage {
        TappedMessage {
            direction: passing.direction,
            vhost: passing.vhost.clone(),
            user: passing.user.cloned(),
            exchange: passing.exchange.clone(),
            routing_key: passing.routing_key.to_owned(),
            queues: passing.queues.iter().copied().cloned().collect(),
            consumer_tag: passing.consumer_tag.cloned(),
            redelivered: envelope.redelivered(),
            properties: envelope.properties().clone(),
            body: envelope.encode(),
            type_name: envelope.body().type_name(),
            size: envelope.size(),
        }
    }
}

impl fmt::Display for TappedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.direction)?;
        for (at, queue) in self.queues.iter().enumerate() {
            let word = if at == 0 { " " } else { ", " };
            write!(f, "{word}{:?}", queue.as_str())?;
        }
        let (exchange, key) = (self.exchange.as_str(), &self.routing_key);
        let size = self.size;
        write!(
            f,
            ": exchange {exchange:?}, routing key {key:?}, {size} bytes"
        )
    }
}
