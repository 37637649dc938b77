//! Producers: typed handles that publish.
//!
//! Sits on connections and the virtual host's publishing; remembers routes so that a publish touches nothing that
//! other producers write but the queue itself.

use std::{collections::HashMap, fmt, marker::PhantomData, sync::Arc};

use crate::{
    codec::{Codec, Json},
    descriptions::{Exchange, Queue},
    envelope::{Envelope, Meta},
    error::{Error, Result},
    message::Message,
    name::Name,
    payload::{Body, Carry, Payload},
    properties::Properties,
    session::connection,
    sync::Mutex,
    vhost::{Published, PushFailure, Route},
};

/// How many routing keys a producer remembers the queues of.
const REMEMBERED: usize = 1_024;

/// Where a producer publishes to: a queue (by the default exchange) or an exchange. Made from references to their
/// descriptions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Destination {
    /// A queue, by the default exchange.
    Queue(Queue),
    /// An exchange.
    Exchange(Exchange),
}

impl From<&Queue> for Destination {
    fn from(queue: &Queue) -> Destination {
        Destination::Queue(queue.clone())
    }
}

impl From<&Exchange> for Destination {
    fn from(exchange: &Exchange) -> Destination {
        Destination::Exchange(exchange.clone())
    }
}

/// Publishes payloads of one type to one exchange, or to one queue.
///
/// A publish is done when the method returns: every queue on the message's way has it, or has refused it.
/// Cloning is cheap, and each clone remembers its own routes: give every thread one.
///
/// A producer made for a queue is mandatory (a message that finds no queue is an error), one made for an exchange is
/// not, unless told otherwise by its [builder](ProducerBuilder) or the message.
///
/// # If dropped
/// Nothing happens to what was published.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue};
///
/// let broker = Broker::new();
/// let logs = Exchange::topic("logs");
/// let errors = broker.declare(&Queue::exclusive().bind(&logs, "*.error"))?;
/// let publisher = broker.producer::<String>(&logs)?;
/// assert_eq!(publisher.publish_to("disk.error", "full".to_owned())?.routed, 1);
/// assert_eq!(publisher.publish_to("disk.info", "fine".to_owned())?.routed, 0);
/// assert_eq!(*broker.consumer::<String>(&errors)?.recv()?, "full");
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Producer<T: Payload> {
    shared: Arc<Shared>,
    remembered: Mutex<Remembered>,
    payload: PhantomData<fn(T)>,
}

/// What clones of a producer have in common; never written.
struct Shared {
    connection: Arc<connection::Core>,
    exchange: Name,
    routing_key: Name,
    mandatory: bool,
    codec: Option<Arc<dyn Codec>>,
    /// Of messages that bring no properties of their own; `None` if there is nothing to say.
    meta: Option<Arc<Meta>>,
    always_encode: bool,
}

/// The routes that a producer has used.
#[derive(Default)]
struct Remembered {
    /// Of the producer's own routing key.
    own: Option<Arc<Route>>,
    others: HashMap<Name, Arc<Route>>,
}

impl<T: Payload> Producer<T> {
    /// Publishes with the producer's own routing key.
    ///
    /// # Errors
    /// Each gives the payload back. [`Error::NoRoute`] if the message is mandatory and no queue is on its way,
    /// [`Error::Refused`] if no queue took it and one refused it, [`Error::NotShareable`] for a
    /// [`Local`](crate::Local) that would reach more than one queue, [`Error::NotFound`] if the exchange is gone,
    /// [`Error::Codec`] if it must be encoded and cannot, [`Error::ConnectionClosed`], [`Error::ShutDown`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let queue = Queue::new("q");
    /// let producer = broker.producer::<String>(&queue)?;
    /// broker.delete(&queue)?;
    /// let error = producer.publish("to nobody".to_owned()).unwrap_err();
    /// assert_eq!(error.error().reply_code(), Some(312));
    /// assert_eq!(error.into_inner(), "to nobody");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        let route = match self.own_route() {
            Ok(route) => route,
            Err(error) => return Err(PublishError { error, payload }),
        };
        self.send(
            payload,
            route,
            self.shared.meta.clone(),
            self.shared.mandatory,
            &self.shared.routing_key,
        )
    }

    /// Publishes with a routing key of at most 255 bytes.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`Error::InvalidName`] for a longer key.
    pub fn publish_to(&self, routing_key: &str, payload: T) -> Result<Published, PublishError<T>> {
        let found = Name::new(routing_key).and_then(|key| Ok((self.route_to(&key)?, key)));
        match found {
            Ok((route, key)) => self.send(
                payload,
                route,
                self.shared.meta.clone(),
                self.shared.mandatory,
                &key,
            ),
            Err(error) => Err(PublishError { error, payload }),
        }
    }

    /// Publishes a message with properties of its own.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), giving the message back; [`Error::InvalidName`] for a routing key over 255 bytes,
    /// [`Error::PreconditionFailed`] for an invalid `expiration` or `delivery_mode`, or another's `user_id`.
    pub fn publish_message(
        &self,
        message: impl Into<Message<T>>,
    ) -> Result<Published, PublishError<Message<T>>> {
        let Message {
            payload,
            properties,
            routing_key,
            mandatory,
        } = message.into();
        let prepared = self.prepare(&properties, routing_key.as_deref());
        let again = |payload| Message {
            payload,
            properties: properties.clone(),
            routing_key: routing_key.clone(),
            mandatory,
        };
        match prepared {
            Ok((route, key, meta)) => {
                let mandatory = mandatory.unwrap_or(self.shared.mandatory);
                self.send(payload, route, Some(meta), mandatory, &key)
                    .map_err(|PublishError { error, payload }| PublishError {
                        error,
                        payload: again(payload),
                    })
            }
            Err(error) => Err(PublishError {
                error,
                payload: again(payload),
            }),
        }
    }

    fn prepare(
        &self,
        properties: &Properties,
        routing_key: Option<&str>,
    ) -> Result<(Arc<Route>, Name, Arc<Meta>)> {
        self.shared.connection.check_user_id(properties)?;
        properties.validate()?;
        let key = match routing_key {
            Some(key) => Name::new(key)?,
            None => self.shared.routing_key.clone(),
        };
        let route = match properties.headers.as_ref() {
            // Whether they take part in routing only the exchange knows.
            Some(headers) => self.route_by(&key, headers)?,
            None => self.route_to(&key)?,
        };
        let meta = Meta {
            properties: typed::<T>(properties.clone(), self.shared.codec.as_deref()),
            codec: self.shared.codec.clone(),
            ..Meta::default()
        };
        Ok((route, key, Arc::new(meta)))
    }

    fn send(
        &self,
        payload: T,
        mut route: Arc<Route>,
        meta: Option<Arc<Meta>>,
        mandatory: bool,
        routing_key: &Name,
    ) -> Result<Published, PublishError<T>> {
        let mut body = Body::new(payload);
        let mut original = None;
        if self.shared.always_encode {
            let codec: &dyn Codec = self.shared.codec.as_deref().unwrap_or(&Json);
            match body.encode(codec) {
                Ok(octets) => original = Some(std::mem::replace(&mut body, Body::encoded(octets))),
                Err(error) => return Err(give_back(Error::Codec(error), body)),
            }
        }
        let mut envelope = Envelope::new(body, &route.address, meta);
        loop {
            let failed = match self.shared.connection.vhost().push(&route, envelope) {
                Ok(published) if published.routed == 0 && published.refused > 0 => {
                    return Ok(published);
                }
                Ok(published) => return Ok(published),
                Err(failed) => failed,
            };
            let error = match failed.reason {
                PushFailure::NoRoute if !mandatory => return Ok(Published::default()),
                PushFailure::NoRoute => Error::no_route(&self.shared.exchange, routing_key),
                PushFailure::NotShareable => Error::NotShareable {
                    type_name: failed.envelope.body().type_name(),
                    queues: route.len(),
                },
                PushFailure::QueueDeleted => match self.resolve(routing_key, &failed.envelope) {
                    Ok(renewed) => {
                        route = renewed;
                        envelope = failed.envelope;
                        continue;
                    }
                    Err(error) => error,
                },
            };
            return Err(give_back(
                error,
                original.unwrap_or_else(|| failed.envelope.into_body()),
            ));
        }
    }

    /// The route of the producer's own key: remembered, if it is still right.
    fn own_route(&self) -> Result<Arc<Route>> {
        let mut remembered = self.remembered.lock();
        match &remembered.own {
            Some(route) if route.is_current() => Ok(Arc::clone(route)),
            _ => {
                let route = Arc::new(self.find(&self.shared.routing_key)?);
                remembered.own = (!route.by_headers).then(|| Arc::clone(&route));
                Ok(route)
            }
        }
    }

    fn route_to(&self, key: &Name) -> Result<Arc<Route>> {
        if *key == self.shared.routing_key {
            return self.own_route();
        }
        let mut remembered = self.remembered.lock();
        match remembered.others.get(key) {
            Some(route) if route.is_current() => return Ok(Arc::clone(route)),
            _ => {}
        }
        let route = Arc::new(self.find(key)?);
        if !route.by_headers {
            if remembered.others.len() >= REMEMBERED {
                remembered.others.clear();
            }
            remembered.others.insert(key.clone(), Arc::clone(&route));
        }
        Ok(route)
    }

    fn route_by(&self, key: &Name, headers: &crate::FieldTable) -> Result<Arc<Route>> {
        let route = self.route_to(key)?;
        match route.by_headers {
            false => Ok(route),
            true => {
                self.shared.connection.check_open()?;
                self.shared
                    .connection
                    .vhost()
                    .resolve(&self.shared.exchange, key, Some(headers))
                    .map(Arc::new)
            }
        }
    }

    fn find(&self, key: &Name) -> Result<Route> {
        self.shared.connection.check_open()?;
        self.shared
            .connection
            .vhost()
            .resolve(&self.shared.exchange, key, None)
    }

    fn resolve(&self, key: &Name, envelope: &Envelope) -> Result<Arc<Route>> {
        self.shared.connection.check_open()?;
        let headers = envelope.properties().headers.as_ref();
        self.shared
            .connection
            .vhost()
            .resolve(&self.shared.exchange, key, headers)
            .map(Arc::new)
    }

    /// The exchange it publishes to; empty for the default exchange.
    pub fn exchange(&self) -> &Name {
        &self.shared.exchange
    }

    /// The routing key it publishes with unless told another: the queue's name, for a producer made for a queue.
    pub fn routing_key(&self) -> &Name {
        &self.shared.routing_key
    }
}

/// Says what the payload is, if the message does not.
fn typed<T: Payload>(properties: Properties, codec: Option<&dyn Codec>) -> Properties {
    let codec: &dyn Codec = codec.unwrap_or(&Json);
    match (&properties.content_type, <T as Carry>::content_type(codec)) {
        (None, Some(content_type)) => {
            let content_type = content_type.to_owned();
            let properties = properties.content_type(content_type);
            match codec.content_encoding() {
                Some(encoding) if properties.content_encoding.is_none() => {
                    let encoding = encoding.to_owned();
                    properties.content_encoding(encoding)
                }
                _ => properties,
            }
        }
        _ => properties,
    }
}

fn give_back<T: Payload>(error: Error, body: Body) -> PublishError<T> {
    match body.into_inner::<T>() {
        Ok(Ok(payload)) => PublishError { error, payload },
        // It was made from a `T` a moment ago, and no queue has a share in it.
        _ => unreachable!("a refused message without its payload"),
    }
}

impl<T: Payload> Clone for Producer<T> {
    fn clone(&self) -> Producer<T> {
        Producer {
            shared: Arc::clone(&self.shared),
            remembered: Mutex::default(),
            payload: PhantomData,
        }
    }
}

impl<T: Payload> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("exchange", &self.shared.exchange)
            .field("routing_key", &self.shared.routing_key)
            .field("mandatory", &self.shared.mandatory)
            .finish_non_exhaustive()
    }
}

/// Why a message is in no queue, and the message itself; the `?` operator turns it into the [`Error`].
#[derive(Clone, PartialEq, Eq)]
pub struct PublishError<T> {
    error: Error,
    payload: T,
}

impl<T> PublishError<T> {
    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What was to be published.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Gives back what was to be published.
    pub fn into_inner(self) -> T {
        self.payload
    }

    /// Gives both out.
    pub fn into_parts(self) -> (Error, T) {
        (self.error, self.payload)
    }
}

impl<T> fmt::Debug for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for PublishError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<T> From<PublishError<T>> for Error {
    fn from(error: PublishError<T>) -> Error {
        error.error
    }
}

/// How a producer is to be; made by `producer_builder`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Properties};
///
/// let broker = Broker::new();
/// let audit = broker
///     .producer_builder::<Vec<u8>>(&Exchange::direct("audit"))
///     .routing_key("login")
///     .properties(Properties::new().persistent().app_id("gate"))
///     .mandatory()
///     .build()?;
/// assert_eq!(audit.publish(vec![1]).unwrap_err().error().reply_code(), Some(312));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct ProducerBuilder<T: Payload> {
    connection: Result<crate::Connection>,
    destination: Destination,
    routing_key: Option<String>,
    mandatory: Option<bool>,
    codec: Option<Arc<dyn Codec>>,
    properties: Properties,
    payload: PhantomData<fn(T)>,
}

impl<T: Payload> ProducerBuilder<T> {
    pub(crate) fn new(
        connection: Result<crate::Connection>,
        destination: Destination,
    ) -> ProducerBuilder<T> {
        ProducerBuilder {
            connection,
            destination,
            routing_key: None,
            mandatory: None,
            codec: None,
            properties: Properties::new(),
            payload: PhantomData,
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

    /// The properties of messages that bring none of their own.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// Declares the queue or the exchange, unless it is there, and makes the producer.
    ///
    /// # Errors
    /// Those of `declare`; [`Error::InvalidName`] for a routing key over 255 bytes, [`Error::PreconditionFailed`] for
    /// invalid properties.
    pub fn build(self) -> Result<Producer<T>> {
        let connection = self.connection?;
        connection.core().check_user_id(&self.properties)?;
        self.properties.validate()?;
        let (exchange, own_key, to_queue) = match &self.destination {
            Destination::Queue(queue) => (
                Name::empty(),
                Name::new(connection.declare(queue)?.name())?,
                true,
            ),
            Destination::Exchange(exchange) if exchange.name().is_empty() => {
                (Name::empty(), Name::empty(), false)
            }
            Destination::Exchange(exchange) => (
                Name::new(connection.declare(exchange)?.name())?,
                Name::empty(),
                false,
            ),
        };
        let routing_key = self.routing_key.map_or(Ok(own_key), Name::new)?;
        // Messages of the default codec say what they are without a word.
        let meta = (self.codec.is_some()
            || !self.properties.is_empty()
            || connection.core().vhost().always_encode())
        .then(|| {
            Arc::new(Meta {
                properties: typed::<T>(self.properties, self.codec.as_deref()),
                codec: self.codec.clone(),
                ..Meta::default()
            })
        });
        let shared = Shared {
            exchange,
            routing_key,
            mandatory: self.mandatory.unwrap_or(to_queue),
            codec: self.codec,
            meta,
            always_encode: connection.core().vhost().always_encode(),
            connection: Arc::clone(connection.core()),
        };
        Ok(Producer {
            shared: Arc::new(shared),
            remembered: Mutex::default(),
            payload: PhantomData,
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
