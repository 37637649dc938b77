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
    callers::Callers, events::EventStream, publisher::NotPublished, requeue::Requeue,
    subscriber::Subscriber,
};
use crate::{
    engine::{
        queue::{ConsumerId, Credit, QueueCore},
        vhost::{Published, QueueDeclared, VirtualHost},
    },
    message::{
        envelope::{Address, Deaths, Envelope, Meta, SettledMessage},
        headers::x_death::{Death, DeathReason, X_DEATH},
        payload::Body,
        properties::Properties,
    },
    model::{
        access::Credentials,
        bytes::Bytes,
        descriptions::{Exchange, Queue},
        error::{CancelReason, Error, Result},
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
    /// Those of a login, and [`Error::ConnectFailed`].
    fn connect(&self, vhost: &str, credentials: Option<&Credentials>) -> Result<Connected>;
}

/// An open connection to an engine.
pub(crate) struct Connected {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) user: Name,
}

/// A connection to an engine outside of this process. One that has ended completes what is under
/// way with [`Error::ConnectionClosed`], or drops its completers.
pub(crate) trait Backend: Send + Sync {
    /// Tells the changes of the connection to a stream of events.
    fn tell(&self, events: &Arc<EventStream>);

    /// Gives direct replies to callers, and tells them when their replies are lost.
    fn serve(&self, callers: &Arc<Callers>);

    /// Whether it is connected to the engine now.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] while it connects again; [`Error::ConnectionClosed`].
    fn check_up(&self) -> Result;

    /// Whether the engine takes publishes now.
    ///
    /// # Errors
    /// [`Error::ResourceError`] while it has blocked the connection.
    fn check_unblocked(&self) -> Result;

    /// Declares an exchange with its bindings.
    fn declare_exchange(&self, exchange: &Exchange) -> Completion<Result<()>>;

    /// Declares a queue with its bindings.
    fn declare_queue(&self, queue: &Queue) -> Completion<Result<QueueDeclared>>;

    fn delete_exchange(&self, name: &str) -> Completion<Result<()>>;

    /// Returns how many messages were ready.
    fn delete_queue(&self, name: &str) -> Completion<Result<u64>>;

    /// Returns how many messages were dropped.
    fn purge(&self, queue: &Name) -> Completion<Result<u64>>;

    /// Gets a message from a queue, if one is ready. It is to be settled as a delivery. `waits`
    /// tells whether it waits for the next connection when the connection is lost.
    fn get(&self, queue: &Name, waits: bool) -> Completion<Result<Option<Got>>>;

    /// Publishes a message. The completion is the engine's confirm.
    fn publish(&self, message: Outbound) -> Completion<Confirmation>;

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
    /// [`Error::ConnectionLost`] if the connection of the delivery is lost: the engine has the
    /// message back. [`Error::ConnectionClosed`] if it was closed.
    fn settle(&self, delivery: u64, settlement: RemoteSettlement) -> Result;

    /// The dead-letter exchange of a queue and its routing key, if this program has declared them.
    fn dead_letters_of(&self, queue: &Name) -> Option<(Name, Option<Name>)>;

    /// Publishes a message in place of a delivery, and acknowledges the delivery when the engine
    /// has confirmed the message. If it does not, the delivery is rejected.
    fn replace(&self, delivery: u64, message: Outbound);

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

    /// The expiration of a message that is sent now.
    pub(crate) fn expiration(&self) -> String {
        let left = self.at.saturating_duration_since(self.time.now());
        left.as_millis().min(u32::MAX.into()).to_string()
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
        let mut envelope = Envelope::new(
            Body::encoded(self.body),
            &Address::new(&exchange, &self.routing_key),
            Some(Arc::new(meta)),
        );
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
    fn close(&self) -> Vec<Envelope> {
        *self.closed.lock() = true;
        self.vhost.get_all(&self.queue)
    }
}

/// Where the deliveries of a remote consumer go back to.
pub(crate) struct RemoteOrigin {
    backend: Arc<dyn Backend>,
    /// `None` for gets.
    consumer: Option<LocalConsumer>,
}

/// The part of a remote consumer in this process.
struct LocalConsumer {
    inbox: Arc<RemoteInbox>,
    /// The number of the consumer at the engine, once it is known.
    number: OnceLock<u64>,
    /// The consumer in the queue of this process, whose counts are kept.
    local: (ConsumerId, Arc<Credit>),
}

impl RemoteOrigin {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        inbox: Arc<RemoteInbox>,
        local: (ConsumerId, Arc<Credit>),
    ) -> RemoteOrigin {
        RemoteOrigin {
            backend,
            consumer: Some(LocalConsumer {
                inbox,
                number: OnceLock::new(),
                local,
            }),
        }
    }

    pub(super) fn of_gets(backend: Arc<dyn Backend>) -> RemoteOrigin {
        RemoteOrigin {
            backend,
            consumer: None,
        }
    }

    pub(super) fn started(&self, number: u64) {
        if let Some(consumer) = &self.consumer {
            let _ = consumer.number.set(number);
        }
    }

    /// Acknowledges a delivery, or counts deliveries that are acknowledged already.
    ///
    /// # Errors
    /// Those of [`Backend::settle`].
    pub(super) fn ack(&self, envelope: Option<&Envelope>, messages: u64, bytes: u64) -> Result {
        let settled = match envelope {
            Some(envelope) => self.settle(envelope, RemoteSettlement::Ack),
            None => Ok(()),
        };
        // Counted afterwards: a shutdown that waits for it closes the connection then.
        self.count(messages, bytes);
        settled
    }

    /// Acknowledges a message that an auto-ack receiver gets. If the connection is lost, it comes
    /// again.
    pub(super) fn ack_shown(&self, message: &SettledMessage) {
        if let Some(delivery) = message.delivery {
            let _ = self.backend.settle(delivery, RemoteSettlement::Ack);
        }
    }

    /// Gives deliveries up.
    ///
    /// # Errors
    /// Those of [`Backend::settle`]; [`Error::NotImplemented`] for [`Requeue::After`], and the
    /// messages are requeued at once.
    pub(super) fn nack(
        &self,
        envelopes: &[Envelope],
        requeue: Requeue,
        (vhost, queue): (&VirtualHost, &Name),
    ) -> Result {
        let (settlement, answer) = match requeue {
            Requeue::Yes | Requeue::Failed => (RemoteSettlement::Requeue, Ok(())),
            Requeue::No => (RemoteSettlement::Reject, Ok(())),
            Requeue::After(delay) if delay.is_zero() => (RemoteSettlement::Requeue, Ok(())),
            Requeue::After(_) => {
                let refused = Error::NotImplemented("requeue after a time".into());
                (RemoteSettlement::Requeue, Err(refused))
            }
        };
        let mut settled = Ok(());
        for envelope in envelopes {
            let is_rejected = settlement == RemoteSettlement::Reject;
            if !is_rejected || !self.dead_letter(envelope, vhost, queue) {
                settled = settled.and(self.settle(envelope, settlement));
            }
            self.count(1, envelope.size());
        }
        settled.and(answer)
    }

    /// Publishes the dead letter of a rejected message itself, if the message has headers that it
    /// came without: a rejection carries none. `false` if the engine is to do it.
    fn dead_letter(&self, envelope: &Envelope, vhost: &VirtualHost, queue: &Name) -> bool {
        let Some(meta) = envelope.meta().filter(|meta| meta.is_annotated) else {
            return false;
        };
        let (Some(delivery), Some((exchange, own_key)), Ok(body)) = (
            meta.delivery,
            self.backend.dead_letters_of(queue),
            envelope.encode(),
        ) else {
            return false;
        };
        let published_to = vhost.exchange_names().name(envelope.origin());
        let death = Death {
            reason: DeathReason::Rejected,
            queue,
            exchange: &published_to,
            routing_key: envelope.routing_key(),
            dead_letter_routing_key: own_key.as_deref(),
            time: vhost.time().system_now(),
        };
        let buried = death.bury(meta);
        let key = own_key.clone();
        let key = key.or_else(|| Name::new(envelope.routing_key()).ok());
        let letter = Outbound {
            exchange,
            routing_key: key.unwrap_or_default(),
            mandatory: false,
            waits: true,
            properties: buried.properties,
            body,
            expires: None,
        };
        self.backend.replace(delivery, letter);
        true
    }

    /// The consumer has ended: the engine gets back what the consumer has not seen.
    pub(super) fn cancel(&self) {
        let Some(consumer) = &self.consumer else {
            return;
        };
        if let Some(number) = consumer.number.get() {
            self.backend.cancel(*number);
        }
        for envelope in consumer.inbox.close() {
            // A lost connection has given it back by itself.
            let _ = self.settle(&envelope, RemoteSettlement::Requeue);
        }
    }

    fn settle(&self, envelope: &Envelope, settlement: RemoteSettlement) -> Result {
        match envelope.meta().and_then(|meta| meta.delivery) {
            Some(delivery) => self.backend.settle(delivery, settlement),
            None => Ok(()),
        }
    }

    fn count(&self, messages: u64, bytes: u64) {
        if let Some(consumer) = &self.consumer {
            let (id, credit) = &consumer.local;
            if credit.settle(messages, bytes) {
                // A shutdown waits for it.
                let RemoteInbox { vhost, queue, .. } = &*consumer.inbox;
                vhost.restore_credit(queue, *id);
            }
        }
    }
}
