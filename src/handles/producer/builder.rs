//! [`ProducerBuilder`], and the [`Destination`] of a producer.

use std::{fmt, sync::Arc};

use super::{Producer, completed::complete};
use crate::{
    engine::vhost::WithBindings,
    message::{
        codec::{Codec, UserCodec},
        payload::Payload,
        properties::Properties,
    },
    model::{
        descriptions::{Exchange, Queue},
        error::Result,
        name::Name,
    },
    session::{gate::Gate, publisher::Caller},
};

/// The destination of a producer: an exchange, or a queue (by the default exchange).
///
/// A description converts into a destination. A plain name is the name of a queue, which the
/// producer [opens](Queue#impl-From%3C%26str%3E-for-Queue).
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
    /// A queue, to which the producer publishes by the default exchange.
    Queue(Queue),
    /// An exchange.
    Exchange(Exchange),
}

/// Conversions from the description and from the name of a queue. A plain name opens the queue.
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

/// Builds a producer with other settings. `producer_builder` returns it.
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
/// // This producer has its own codec and size function, and drops unroutable messages:
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
    /// Set with the feature `tracing` alone.
    pub(super) is_traced: bool,
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
            is_traced: false,
        }
    }

    /// Sets the routing key of messages that have none of their own, at most 255 bytes.
    ///
    /// The default is the name of the queue, or the empty key for an exchange.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Self {
        self.routing_key = Some(routing_key.into());
        self
    }

    /// Makes an unroutable message an error. This is the default of a producer for a queue.
    ///
    /// # RabbitMQ
    /// The `mandatory` flag of `basic.publish`. In RabbitMQ it is never set by default.
    pub fn mandatory(mut self) -> Self {
        self.mandatory = Some(true);
        self
    }

    /// Drops an unroutable message without an error. This is the default of a producer for an
    /// exchange.
    pub fn not_mandatory(mut self) -> Self {
        self.mandatory = Some(false);
        self
    }

    /// Sets the codec for payloads that must be encoded. The default is JSON.
    ///
    /// Text and bytes are never encoded.
    pub fn codec(mut self, codec: impl Codec + 'static) -> Self {
        self.codec = Some(Arc::new(UserCodec::new(codec)));
        self
    }

    /// Sets the properties of messages that have none of their own.
    ///
    /// A headers exchange routes by the headers in these properties, as by those of a message.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// Sets the function that computes the size of a message in bytes, for limits, budgets and
    /// counts.
    ///
    /// The producer calls the function once for each attempt to publish a message. The default is
    /// the length of text and bytes. For any other type it is the size of the type, without its
    /// data on the heap. A size over 2^48 bytes counts as 2^48.
    pub fn sized_by(mut self, size: fn(&T) -> u64) -> Self {
        self.sized_by = Some(size);
        self
    }

    /// Declares the queue or the exchange, and creates the producer.
    ///
    /// # Errors
    /// The errors of `declare`, and:
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the routing key is over 255 bytes.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if the properties are
    ///   invalid.
    ///
    /// # Examples
    /// ```
    /// use leveret::Properties;
    /// # let broker = leveret::Broker::new();
    /// let builder = broker.producer_builder::<u32>("q");
    /// let error = builder.properties(Properties::new().expiration("soon")).build().unwrap_err();
    /// assert_eq!(error.reply_code(), Some(406)); // not a number of milliseconds
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn build(self) -> Result<Producer<T>> {
        self.build_to(|gate, destination| match destination {
            Destination::Queue(queue) => {
                let declared = gate.declare_queue(queue, WithBindings::Yes)?;
                // The name of an alias stays, and each publish resolves it.
                let key = match queue.name() {
                    "" => declared.name,
                    name => Name::of_entity(name)?,
                };
                Ok((Name::empty(), key, true))
            }
            Destination::Exchange(exchange)
                if exchange.name().is_empty() && exchange.bindings().is_empty() =>
            {
                Ok((Name::empty(), Name::empty(), false))
            }
            Destination::Exchange(exchange) => {
                gate.declare_exchange(exchange, WithBindings::Yes)?;
                Ok((Name::of_entity(exchange.name())?, Name::empty(), false))
            }
        })
    }

    /// Creates a producer for a queue that is declared already.
    pub(crate) fn build_for(self, queue: Name) -> Result<Producer<T>> {
        self.build_to(|_, _| Ok((Name::empty(), queue, true)))
    }

    /// `declare` returns the exchange, the routing key, and whether the destination is a queue.
    fn build_to(
        self,
        declare: impl FnOnce(&Gate, &Destination) -> Result<(Name, Name, bool)>,
    ) -> Result<Producer<T>> {
        let connection = self.connection?;
        let gate = connection.gate();
        gate.check_open()?;
        gate.check_properties(&self.properties)?;
        gate.check_user_id(&self.properties)?;
        self.properties.validate()?;
        let routing_key = self.routing_key.map(Name::new).transpose()?;
        let (exchange, own_key, to_queue) = declare(gate, &self.destination)?;
        let routing_key = routing_key.unwrap_or(own_key);
        let always_encode = gate.always_encode();
        // A message with the default codec and no properties needs no stored properties.
        let has_meta =
            self.codec.is_some() || !self.properties.is_empty() || always_encode || self.is_traced;
        let (meta, headers) = match has_meta {
            true => {
                let (meta, given) = complete::<T>(self.properties, self.codec.clone());
                let headers = given.headers_given(&meta);
                (Some(meta), headers)
            }
            false => (None, None),
        };
        let mandatory = self.mandatory.unwrap_or(to_queue);
        Ok(Producer {
            publisher: gate.publisher(exchange, routing_key, mandatory, meta, headers),
            codec: self.codec,
            always_encode,
            sized_by: self.sized_by,
            #[cfg(feature = "tracing")]
            is_traced: self.is_traced,
            retry: None,
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
