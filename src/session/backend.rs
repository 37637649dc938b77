//! The seam for engines outside of this process.
//!
//! A [`Backend`] is a connection to such an engine. Its methods never block or call user code. Each
//! starts an operation and returns its [`Completion`]. Messages cross as properties and octets; the
//! producer has encoded them. A delivery from there enters a queue of its own in this process. So
//! receiving, selecting and batches work unchanged.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use super::{
    callers::Callers, events::EventStream, publisher::NotPublished, subscriber::Subscriber,
};
use crate::{
    engine::{
        queue::{ConsumerId, Move, QueueCore},
        vhost::{Published, QueueDeclared, VirtualHost},
    },
    message::{
        envelope::{Address, Deaths, Envelope, Meta},
        payload::Body,
        properties::Properties,
    },
    model::{
        access::Credentials,
        bytes::Bytes,
        descriptions::{Exchange, Queue, names::X_DEATH},
        error::{CancelReason, Result},
        name::Name,
    },
    runtime::{clock::Time, completion::Completion, sync::Mutex},
};

/// The outcome of a publish.
pub(crate) type Confirmation = std::result::Result<Published, NotPublished>;

/// An engine outside of this process, to which a broker connects.
pub(crate) trait Engine: Send + Sync {
    /// The name of the virtual host of the broker's implicit connection.
    fn vhost(&self) -> &Name;

    /// Connects to a virtual host, and waits until the engine has accepted the connection or
    /// refused it. Without credentials the user is that of the engine's settings.
    ///
    /// # Errors
    /// Those of a login, and [`Error::ConnectFailed`](crate::Error::ConnectFailed).
    fn connect(&self, vhost: &str, credentials: Option<&Credentials>) -> Result<Connected>;
}

/// An open connection to an engine.
pub(crate) struct Connected {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) user: Name,
}

/// A connection to an engine outside of this process. One that has ended completes what is under
/// way with [`Error::ConnectionClosed`](crate::Error::ConnectionClosed), or drops its completers.
pub(crate) trait Backend: Send + Sync {
    /// Tells the changes of the connection to a stream of events.
    fn tell(&self, events: &Arc<EventStream>);

    /// Gives direct replies to callers, and tells them when their replies are lost.
    fn serve(&self, callers: &Arc<Callers>);

    /// Whether it is connected to the engine now.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`](crate::Error::ConnectionLost) while it connects again;
    /// [`Error::ConnectionClosed`](crate::Error::ConnectionClosed).
    fn check_up(&self) -> Result;

    /// Whether the engine takes publishes now.
    ///
    /// # Errors
    /// [`Error::ResourceError`](crate::Error::ResourceError) while it has blocked the connection.
    fn check_unblocked(&self) -> Result;

    /// Declares an exchange with its bindings.
    fn declare_exchange(&self, exchange: &Exchange) -> Completion<Result<()>>;

    /// Declares a queue with its bindings.
    fn declare_queue(&self, queue: &Queue) -> Completion<Result<QueueDeclared>>;

    fn delete_exchange(&self, name: &str) -> Completion<Result<()>>;

    /// Returns how many messages were ready.
    fn delete_queue(&self, name: &str) -> Completion<Result<u64>>;

    /// The number of ready messages of a queue. It does not wait for the next connection when the
    /// connection is lost.
    fn ready_len(&self, queue: &Name) -> Completion<Result<usize>>;

    /// Returns how many messages were dropped. `waits` tells whether it waits for the next
    /// connection when the connection is lost.
    fn purge(&self, queue: &Name, waits: bool) -> Completion<Result<u64>>;

    /// Gets a message from a queue, if one is ready. It is to be settled as a delivery. `waits` is
    /// as for a purge.
    fn get(&self, queue: &Name, waits: bool) -> Completion<Result<Option<Got>>>;

    /// Publishes a message. The completion is the engine's confirm.
    fn publish(&self, message: Outbound) -> Completion<Confirmation>;

    /// Publishes messages that are there together, in their order.
    fn publish_all(&self, messages: Vec<Outbound>) -> Vec<Completion<Confirmation>> {
        messages.into_iter().map(|it| self.publish(it)).collect()
    }

    /// Starts a consumer, whose deliveries go into `inbox`. The completion gives its number.
    fn subscribe(
        &self,
        consumer: RemoteConsumer,
        inbox: Arc<RemoteInbox>,
    ) -> Completion<Result<u64>>;

    /// Ends a consumer.
    fn cancel(&self, consumer: u64);

    /// Settles a delivery.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`](crate::Error::ConnectionLost) if the connection of the delivery is
    /// lost: the engine has the message back.
    /// [`Error::ConnectionClosed`](crate::Error::ConnectionClosed) if it was closed.
    fn settle(&self, delivery: u64, settlement: RemoteSettlement) -> Result;

    /// The dead-letter exchange of a queue and its routing key, if this program has declared them.
    fn dead_letters_of(&self, queue: &Name) -> Option<(Name, Option<Name>)>;

    /// Publishes a message in place of a delivery, and acknowledges the delivery when the engine
    /// has confirmed the message. If it does not, the delivery is rejected. `under_way` is dropped
    /// then, for which a shutdown waits.
    ///
    /// # Errors
    /// Those of [`settle`](Self::settle), and the message is not published: the delivery comes
    /// again.
    fn replace(&self, delivery: u64, message: Outbound, under_way: Move) -> Result;

    /// Closes the connection. Everything under way ends.
    fn close(&self);
}

/// A message on its way to an engine.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    pub(crate) exchange: Name,
    pub(crate) routing_key: Name,
    pub(crate) mandatory: bool,
    /// Whether it waits for the next connection when the connection is lost, if the connection does
    /// so. Otherwise it fails.
    pub(crate) waits: bool,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
    /// When its expiration is over, if that counts from before it is sent.
    pub(crate) expires: Option<Expires>,
}

/// A point in time when a message expires.
#[derive(Clone, Debug)]
pub(crate) struct Expires {
    at: Instant,
    time: Time,
}

impl Expires {
    pub(crate) fn new(at: Instant, time: &Time) -> Expires {
        let time = time.clone();
        Expires { at, time }
    }

    /// The expiration of a message that is sent now, rounded up as that of a request.
    pub(crate) fn expiration(&self) -> String {
        let left = self.at.saturating_duration_since(self.time.now());
        let millis = left.as_nanos().div_ceil(1_000_000);
        millis.min(u32::MAX.into()).to_string()
    }
}

/// A message delivered by an engine.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    /// Names the delivery to [`Backend::settle`].
    pub(crate) delivery: u64,
    pub(crate) exchange: Name,
    pub(crate) routing_key: Name,
    pub(crate) redelivered: bool,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
}

/// A message that was got.
///
/// # If dropped
/// The engine has it back.
pub(crate) struct Got {
    inbound: Option<Inbound>,
    requeue: Box<dyn Fn(u64) + Send>,
}

impl Got {
    pub(crate) fn new(inbound: Inbound, requeue: impl Fn(u64) + Send + 'static) -> Got {
        Got {
            inbound: Some(inbound),
            requeue: Box::new(requeue),
        }
    }

    pub(super) fn into_inner(mut self) -> Option<Inbound> {
        self.inbound.take()
    }
}

impl Drop for Got {
    fn drop(&mut self) {
        if let Some(inbound) = &self.inbound {
            (self.requeue)(inbound.delivery);
        }
    }
}

impl Inbound {
    pub(super) fn into_envelope(self, vhost: &VirtualHost) -> Envelope {
        let exchange = vhost.exchange_names().of(&self.exchange);
        let is_dead = self.properties.header_value(X_DEATH).is_some();
        let expiration = self.properties.expiration.is_some();
        let expiration = expiration.then(|| self.properties.expiration_millis().ok()?);
        let expires_at = expiration.flatten().map_or(0, |millis| {
            let nanos = millis.saturating_mul(1_000_000);
            vhost.nanos().saturating_add(nanos)
        });
        let meta = Meta {
            deaths: Deaths {
                recorded: is_dead,
                ..Deaths::default()
            },
            properties: self.properties,
            delivery: Some(self.delivery),
            expires_at,
            ..Meta::default()
        };
        let address = Address::new(&exchange, &self.routing_key);
        let meta = address.complete(meta);
        let mut envelope = Envelope::new(Body::encoded(self.body), &address, Some(meta));
        if self.redelivered {
            envelope.count_return(true);
        }
        envelope
    }
}

/// A consumer to be started at an engine.
#[derive(Clone, Debug)]
pub(crate) struct RemoteConsumer {
    pub(crate) queue: Name,
    pub(crate) tag: Name,
    pub(crate) prefetch: u32,
    pub(crate) priority: i64,
    pub(crate) exclusive: bool,
    /// How long a delivery may stay unsettled. `None` leaves it to the engine.
    pub(crate) timeout: Option<Duration>,
}

/// How a delivery is settled at an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteSettlement {
    Ack,
    Requeue,
    Reject,
}

/// Takes the deliveries of one consumer.
pub(crate) struct RemoteInbox {
    vhost: Arc<VirtualHost>,
    queue: Arc<QueueCore>,
    subscriber: OnceLock<Weak<Subscriber>>,
    /// The consumer has ended. Taken before the queue's lock.
    closed: Mutex<bool>,
}

impl RemoteInbox {
    pub(super) fn new(vhost: &Arc<VirtualHost>, queue: &Arc<QueueCore>) -> RemoteInbox {
        RemoteInbox {
            vhost: Arc::clone(vhost),
            queue: Arc::clone(queue),
            subscriber: OnceLock::new(),
            closed: Mutex::new(false),
        }
    }

    pub(super) fn serve(&self, subscriber: &Arc<Subscriber>) {
        // Set once: an inbox has one consumer.
        let _ = self.subscriber.set(Arc::downgrade(subscriber));
    }

    /// Delivers a message to the consumer.
    ///
    /// # Errors
    /// The number of the delivery, if the consumer has ended: the engine is to requeue it.
    pub(crate) fn deliver(&self, inbound: Inbound) -> std::result::Result<(), u64> {
        let delivery = inbound.delivery;
        let envelope = inbound.into_envelope(&self.vhost);
        let effects = {
            let closed = self.closed.lock();
            match *closed {
                true => None,
                false => self.vhost.enqueue_detached(&self.queue, envelope).ok(),
            }
        };
        match effects {
            Some(effects) => {
                self.vhost.run_effects(&self.queue, effects);
                Ok(())
            }
            None => Err(delivery),
        }
    }

    /// The engine has lost the connection of the consumer, and has back what no receiver has seen.
    /// The consumer goes on, and gets it again.
    pub(crate) fn lost(&self) {
        if let Some(subscriber) = self.subscriber.get().and_then(Weak::upgrade) {
            while subscriber.return_unseen() > 0 {}
        }
    }

    /// A delivery of the consumer is settled. A shutdown waits for it.
    pub(super) fn settled(&self, consumer: ConsumerId) {
        self.vhost.restore_credit(&self.queue, consumer);
    }

    /// Whether the consumer has ended here.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.lock()
    }

    /// The engine has ended the consumer.
    pub(crate) fn cancelled(&self, reason: CancelReason) {
        if let Some(subscriber) = self.subscriber.get().and_then(Weak::upgrade) {
            subscriber.cancel(reason);
        }
    }

    /// Takes nothing any more, and returns what the consumer has not seen.
    pub(super) fn close(&self) -> Vec<Envelope> {
        *self.closed.lock() = true;
        self.vhost.get_all(&self.queue)
    }
}
