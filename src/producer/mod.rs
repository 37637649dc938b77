//! Producers: typed handles that publish.
//!
//! Sits on connections and the virtual host's publishing. Files: `batch` many at once, `builder` how one is made, `routes` what it remembers,
//! `letter` what a message adds, `room` waiting for full queues, `refused` what comes back.

mod batch;
mod builder;
mod letter;
mod refused;
mod room;
mod routes;

use std::{fmt, sync::Arc, time::Duration};

pub use self::{
    builder::{Destination, ProducerBuilder},
    refused::PublishError,
};

use self::{
    letter::{Letter, sized},
    refused::give_back,
    room::Room,
    routes::{Known, Routes},
};
use crate::{
    codec::{Codec, Json},
    envelope::{Envelope, Meta},
    error::{Error, Result},
    field_value::FieldTable,
    message::Message,
    name::Name,
    payload::{Body, Payload},
    session::connection::{self, Closing},
    vhost::{Published, PushFailure},
    waiter::Source as _,
};

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
/// assert_eq!((&**publisher.exchange(), &**publisher.routing_key()), ("logs", ""));
/// assert_eq!(publisher.publish_to("disk.error", "full".to_owned())?.routed, 1);
/// assert_eq!(publisher.publish_to("disk.info", "fine".to_owned())?.routed, 0);
/// assert_eq!(*broker.consumer::<String>(&errors)?.recv()?, "full");
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Producer<T: Payload> {
    shared: Arc<Shared>,
    routes: Routes,
    /// The producer's own measure of a payload's size.
    sized_by: Option<fn(&T) -> u64>,
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
    /// The headers of such messages, which route as well.
    headers: Option<FieldTable>,
    always_encode: bool,
}

impl<T: Payload> Producer<T> {
    /// Publishes with the producer's own routing key.
    ///
    /// # Blocking
    /// Waits for room if a queue on the message's way is full and has [`Overflow::Block`](crate::Overflow::Block), or is covered by a
    /// spent budget with [`BudgetPolicy::Block`](crate::BudgetPolicy::Block).
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
        self.send(payload, None, Room::Wait)
    }

    /// Publishes with a routing key of at most 255 bytes.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`Error::InvalidName`] for a longer key.
    pub fn publish_to(&self, routing_key: &str, payload: T) -> Result<Published, PublishError<T>> {
        match Letter::to(routing_key, &self.shared) {
            Ok(mut letter) => self.send(payload, Some(&mut letter), Room::Wait),
            Err(error) => Err(PublishError { error, payload }),
        }
    }

    /// Publishes a message with properties of its own.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), giving the message back; [`Error::InvalidName`] for a routing key over 255 bytes,
    /// [`Error::PreconditionFailed`] for an invalid `expiration` or `delivery_mode`, a `CC` or `BCC` header that is not
    /// an array, or another's `user_id`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Message, Properties};
    /// # use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// let producer = broker.producer::<u32>(&Queue::new("q"))?;
    /// producer.publish_message(Message::new(7).header("origin", "cellar"))?;
    /// // One that is nobody's `user_id` but the publisher's comes back, properties and all.
    /// let message = Message::new(8).properties(Properties::new().user_id("somebody"));
    /// let error = producer.publish_message(message.clone()).unwrap_err();
    /// assert_eq!(error.error().reply_code(), Some(406));
    /// assert_eq!(error.into_inner(), message);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, Room::Wait)
    }

    /// As [`publish`](Self::publish), but never waits for room in a queue with
    /// [`Overflow::Block`](crate::Overflow::Block), or in a budget.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`Error::Refused`] if a blocking queue on the message's way is full, or its budget spent.
    ///
    /// [`publish_timeout`](Self::publish_timeout) has an example of both.
    pub fn try_publish(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.send(payload, None, Room::Try)
    }

    /// As [`publish`](Self::publish), but waits at most `timeout` for room in a queue with
    /// [`Overflow::Block`](crate::Overflow::Block).
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`Error::Timeout`] if there was no room in time.
    ///
    /// # Examples
    /// ```
    /// use leveret::Error;
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q").max_length(1).overflow(Overflow::Block));
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// producer.publish_timeout(1, Duration::from_secs(1))?;
    /// assert!(matches!(producer.try_publish(2).unwrap_err().error(), Error::Refused { .. }));
    /// let error = producer.publish_timeout(2, Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.error(), &Error::Timeout);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_timeout(
        &self,
        payload: T,
        timeout: Duration,
    ) -> Result<Published, PublishError<T>> {
        self.send(payload, None, Room::Within(timeout))
    }

    /// As [`publish`](Self::publish), for a task: waits for room without blocking the thread.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has published nothing.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q").max_length(1).overflow(Overflow::Block));
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(pin!(producer.publish_async(1)).poll(&mut context).is_ready());
    /// assert!(pin!(producer.publish_async(2)).poll(&mut context).is_pending()); // and dropped
    /// assert_eq!(broker.purge(&queue)?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn publish_async(&self, payload: T) -> Result<Published, PublishError<T>> {
        loop {
            let lacking = match self.route(None) {
                Ok(route) => self.shared.connection.vhost().lacks_room(&route),
                Err(error) => return Err(PublishError { error, payload }),
            };
            match lacking {
                Some(room) => room.or(Closing(Arc::clone(&self.shared.connection))).await,
                None => return self.send(payload, None, Room::Ignore),
            }
        }
    }

    /// As [`publish_message`](Self::publish_message), but never waits.
    ///
    /// # Errors
    /// As [`try_publish`](Self::try_publish), giving the message back.
    ///
    /// [`publish_message_timeout`](Self::publish_message_timeout) has an example of both.
    pub fn try_publish_message(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, Room::Try)
    }

    /// As [`publish_message`](Self::publish_message), but waits at most `timeout` for room.
    ///
    /// # Errors
    /// As [`publish_timeout`](Self::publish_timeout), giving the message back.
    ///
    /// # Examples
    /// ```
    /// use leveret::Message;
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q").max_length(1).overflow(Overflow::Block));
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(1)` and `Overflow::Block`.
    /// producer.try_publish_message(Message::new(1))?;
    /// let error = producer.try_publish_message(Message::new(2)).unwrap_err();
    /// let error = producer.publish_message_timeout(error.into_inner(), Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.payload().payload(), &2);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_message_timeout(
        &self,
        message: Message<T>,
        timeout: Duration,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.send_message(message, Room::Within(timeout))
    }

    fn send_message(
        &self,
        message: Message<T>,
        room: Room,
    ) -> Result<Published, PublishError<Message<T>>> {
        let Message {
            payload,
            properties,
            routing_key,
            mandatory,
            delay,
        } = message;
        let key = routing_key.as_deref();
        let letter = Letter::new::<T>(properties, key, mandatory, delay, &self.shared);
        let (error, payload, properties) = match letter {
            Ok(mut letter) => match self.send(payload, Some(&mut letter), room) {
                Ok(published) => return Ok(published),
                Err(PublishError { error, payload }) => (error, payload, letter.into_properties()),
            },
            Err((error, properties)) => (error, payload, properties),
        };
        Err(PublishError {
            error,
            payload: Message {
                payload,
                properties,
                routing_key,
                mandatory,
                delay,
            },
        })
    }

    /// Publishes a payload: as the producer does by itself, or as `letter` says.
    fn send(
        &self,
        payload: T,
        mut letter: Option<&mut Letter<'_>>,
        room: Room,
    ) -> Result<Published, PublishError<T>> {
        let mut route = match self.route_with_room(letter.as_deref(), room) {
            Ok(route) => route,
            Err(error) => return Err(PublishError { error, payload }),
        };
        // Lent, not shared: a count of references that both ends write would cost as much as the hop.
        let (meta, mandatory, due) = match &mut letter {
            Some(letter) => (letter.meta.take(), letter.mandatory, letter.due),
            None => (self.shared.meta.clone(), self.shared.mandatory, None),
        };
        let meta = self.measured(&payload, meta);
        let envelope = Envelope::new(Body::new(payload), &route.address, meta);
        let mut message = Some(envelope);
        let original = match &mut message {
            Some(envelope) if self.shared.always_encode => match self.encode(envelope) {
                Ok(payload) => Some(payload),
                Err(error) => {
                    Letter::take_back(&mut letter, &message);
                    return Err(give_back(error, message.map(Envelope::into_body)));
                }
            },
            _ => None,
        };
        let vhost = self.shared.connection.vhost();
        loop {
            let keep = |route| {
                if (letter.as_ref()).is_none_or(|letter| self.shared.routing_key == *letter.key) {
                    Routes::keep(route);
                }
            };
            // By itself, though `push` would do the same: so the usual outcome is no more than a constant.
            let failure = match route.only_queue() {
                Some(queue) => match vhost.push_to_one(queue, &mut message, due) {
                    Ok(()) => {
                        keep(route);
                        return Ok(Published::to_one());
                    }
                    Err(failure) => failure,
                },
                None => match vhost.push(&route, &mut message, due) {
                    Ok(published) => {
                        keep(route);
                        return Ok(published);
                    }
                    Err(failure) => failure,
                },
            };
            Letter::take_back(&mut letter, &message);
            let error = match failure {
                PushFailure::NoRoute if !mandatory => {
                    message
                        .into_iter()
                        .for_each(|envelope| vhost.drop_unroutable(envelope));
                    return Ok(Published::default());
                }
                PushFailure::QueueDeleted => {
                    self.routes.forget(&route);
                    match self.route(letter.as_deref()) {
                        Ok(renewed) => {
                            route = renewed;
                            continue;
                        }
                        Err(error) => error,
                    }
                }
                PushFailure::NoRoute => {
                    let key = letter.map_or(&*self.shared.routing_key, |letter| letter.key);
                    Error::no_route(&self.shared.exchange, key)
                }
                PushFailure::Refused { queue, .. } => Error::Refused { queue },
                PushFailure::NotShareable => Error::NotShareable {
                    type_name: std::any::type_name::<T>(),
                    queues: route.len(),
                },
            };
            let body = original.or_else(|| message.map(Envelope::into_body));
            return Err(give_back(error, body));
        }
    }

    /// Has the message carry octets. Returns its payload.
    #[cold]
    fn encode(&self, message: &mut Envelope) -> Result<Body> {
        let codec: &dyn Codec = self.shared.codec.as_deref().unwrap_or(&Json);
        let octets = Body::encoded(message.body().encode(codec).map_err(Error::Codec)?);
        Ok(std::mem::replace(message.body_mut(), octets))
    }

    /// What a payload's message says besides it: with its size, if the producer has a measure of its own.
    #[inline]
    fn measured(&self, payload: &T, meta: Option<Arc<Meta>>) -> Option<Arc<Meta>> {
        match self.sized_by {
            Some(size) => Some(Arc::new(sized::<T>(meta, size(payload)))),
            None => meta,
        }
    }

    /// The route, once every blocking queue on it has room, and every blocking budget.
    fn route_with_room(&self, letter: Option<&Letter<'_>>, room: Room) -> Result<Arc<Known>> {
        let mut route = self.route(letter)?;
        if room == Room::Ignore {
            return Ok(route);
        }
        let vhost = self.shared.connection.vhost();
        let mut deadline = None;
        while let Some(room_in) = vhost.lacks_room(&route) {
            match room {
                // It may be full of what consumers could have by now.
                Room::Try if room_in.attempt(None).is_ready() => {
                    route = self.route(letter)?;
                    continue;
                }
                Room::Try => {
                    return Err(Error::Refused {
                        queue: room_in.queue().clone(),
                    });
                }
                Room::Within(timeout) if deadline.is_none() => {
                    deadline = vhost.time().deadline(timeout)
                }
                Room::Wait | Room::Within(_) | Room::Ignore => {}
            }
            let closing = Closing(Arc::clone(&self.shared.connection));
            room_in.wait_or(closing, deadline).ok_or(Error::Timeout)?;
            // It may lead elsewhere by now.
            route = self.route(letter)?;
        }
        Ok(route)
    }

    fn route(&self, letter: Option<&Letter<'_>>) -> Result<Arc<Known>> {
        // A remembered route may outlive the connection.
        self.shared.connection.check_open()?;
        let shared = &self.shared;
        let (key, headers) = match letter {
            None => (&*shared.routing_key, shared.headers.as_ref()),
            Some(letter) => (letter.key, letter.headers(shared)),
        };
        match headers {
            Some(headers) => self.routes.by_headers(shared, key, headers),
            None if letter.is_none() => self.routes.own(shared),
            None => self.routes.to(shared, key),
        }
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

impl<T: Payload> Clone for Producer<T> {
    fn clone(&self) -> Producer<T> {
        Producer {
            shared: Arc::clone(&self.shared),
            routes: Routes::default(),
            sized_by: self.sized_by,
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
