//! How a producer is made.

use std::{fmt, sync::Arc};

use super::{Producer, completed::complete};
use crate::{
    engine::vhost::WithBindings,
    message::{codec::Codec, payload::Payload, properties::Properties},
    model::{
        descriptions::{Exchange, Queue},
        error::Result,
        name::Name,
    },
};

/// Where a producer publishes to: a queue (by the default exchange) or an exchange.
///
/// It is made from a description. A plain name means a queue, which it [opens](Queue#impl-From%3C%26str%3E-for-Queue).
///
/// # Examples
/// ```
/// use leveret::{Broker, Destination, Exchange, Queue};
/// let broker = Broker::new();
/// broker.producer::<u32>("q")?;
/// broker.producer::<u32>(&Queue::new("q"))?;
/// broker.producer::<u32>(Exchange::topic("logs"))?;
/// broker.producer::<u32>(Destination::Exchange(Exchange::existing("amq.topic")))?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Destination {
    /// A queue, by the default exchange.
    Queue(Queue),
    /// An exchange.
    Exchange(Exchange),
}

/// A queue, described or named; a plain name opens it.
macro_rules! queues {
    ($($queue:ty),*) => {$(
        impl From<$queue> for Destination {
            fn from(queue: $queue) -> Destination {
                Destination::Queue(queue.into())
            }
        }
    )*};
}

queues!(Queue, &Queue, &str, String, &String, Name, &Name);

impl From<Exchange> for Destination {
    fn from(exchange: Exchange) -> Destination {
        Destination::Exchange(exchange)
    }
}

impl From<&Exchange> for Destination {
    fn from(exchange: &Exchange) -> Destination {
        Destination::Exchange(exchange.clone())
    }
}

/// How a producer is to be; made by `producer_builder`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Properties, Queue, codec::Text};
///
/// let broker = Broker::new();
/// let audit = broker
///     .producer_builder::<Vec<u8>>(&Exchange::direct("audit"))
///     .routing_key("login")
///     .properties(Properties::new().persistent().app_id("gate"))
///     .mandatory()
///     .build()?;
/// assert_eq!(audit.publish(vec![1]).unwrap_err().error().reply_code(), Some(312));
///
/// // Encoded as text, measured by its own rule, and dropped if the queue is gone:
/// let names = broker.simple_queue::<String>("names")?;
/// let builder = broker.producer_builder::<String>(&Queue::new("names")).codec(Text);
/// let producer = builder.sized_by(|name| name.len() as u64 + 100).not_mandatory().build()?;
/// producer.publish("Ada".to_owned())?;
/// assert_eq!(names.get()?.info().size(), 103);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct ProducerBuilder<T: Payload> {
    connection: Result<crate::session::connection::Connection>,
    destination: Destination,
    routing_key: Option<String>,
    mandatory: Option<bool>,
    codec: Option<Arc<dyn Codec>>,
    properties: Properties,
    sized_by: Option<fn(&T) -> u64>,
}

impl<T: Payload> ProducerBuilder<T> {
    pub(crate) fn new(
        connection: Result<crate::session::connection::Connection>,
        destination: Destination,
    ) -> ProducerBuilder<T> {
        ProducerBuilder {
            connection,
            destination,
            routing_key: None,
            mandatory: None,
            codec: None,
            properties: Properties::new(),
            sized_by: None,
        }
    }

    /// The routing key of messages that name none; at most 255 bytes. Unless set it is empty, or the queue's name.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Self {
        self.routing_key = Some(routing_key.into());
        self
    }

    /// A message that finds no queue is an error. The default for a producer made for a queue.
    pub fn mandatory(mut self) -> Self {
        self.mandatory = Some(true);
        self
    }

    /// A message that finds no queue is dropped. The default for a producer made for an exchange.
    pub fn not_mandatory(mut self) -> Self {
        self.mandatory = Some(false);
        self
    }

    /// How payloads are encoded when they must be; JSON unless set. Text and bytes are never encoded.
    pub fn codec(mut self, codec: impl Codec + 'static) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// The properties of messages that bring none of their own; headers among them route as those of a message do.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// Measures payloads: what limits, budgets and counts take for a message's size, in bytes. Called once for each
    /// message, when it is published. Unless set it is the length of bytes and text, else the size of the type, without
    /// what it owns on the heap. More than 2^48 bytes count as 2^48.
    pub fn sized_by(mut self, size: fn(&T) -> u64) -> Self {
        self.sized_by = Some(size);
        self
    }

    /// Declares the queue or the exchange, unless it is there, and makes the producer.
    ///
    /// # Errors
    /// Those of `declare`; [`Error::InvalidName`](crate::Error::InvalidName) for a routing key over 255 bytes, [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for
    /// invalid properties.
    ///
    /// # Examples
    /// ```
    /// use leveret::Properties;
    /// # use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// let builder = broker.producer_builder::<u32>(&Queue::new("q"));
    /// let error = builder.properties(Properties::new().expiration("soon")).build().unwrap_err();
    /// assert_eq!(error.reply_code(), Some(406)); // not a number of milliseconds
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn build(self) -> Result<Producer<T>> {
        let connection = self.connection?;
        let gate = connection.gate();
        gate.check_open()?;
        gate.check_user_id(&self.properties)?;
        self.properties.validate()?;
        let routing_key = self.routing_key.map(Name::new).transpose()?;
        let (exchange, own_key, to_queue) = match &self.destination {
            Destination::Queue(queue) => {
                let declared = gate.declare_queue(queue, WithBindings::Yes)?;
                (Name::empty(), declared.name, true)
            }
            Destination::Exchange(exchange)
                if exchange.name().is_empty() && exchange.bindings().is_empty() =>
            {
                (Name::empty(), Name::empty(), false)
            }
            Destination::Exchange(exchange) => {
                gate.declare_exchange(exchange, WithBindings::Yes)?;
                (Name::new(exchange.name())?, Name::empty(), false)
            }
        };
        let routing_key = routing_key.unwrap_or(own_key);
        let always_encode = gate.always_encode();
        // Messages of the default codec say what they are without a word.
        let says_more = self.codec.is_some() || !self.properties.is_empty() || always_encode;
        let (meta, headers) = match says_more {
            true => {
                let (meta, given) = complete::<T>(self.properties, self.codec.clone());
                let headers = given.headers_given(&meta);
                (Some(Arc::new(meta)), headers)
            }
            false => (None, None),
        };
        let mandatory = self.mandatory.unwrap_or(to_queue);
        Ok(Producer {
            publisher: gate.publisher(exchange, routing_key, mandatory, meta, headers),
            codec: self.codec,
            always_encode,
            sized_by: self.sized_by,
        })
    }
}

impl<T: Payload> fmt::Debug for ProducerBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}
