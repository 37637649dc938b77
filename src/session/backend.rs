//! The seam for engines outside of this process.
//!
//! A [`Backend`] is a connection to such an engine. Its methods never block or call user code. Each
//! starts an operation and returns its [`Completion`]. Messages cross as properties and octets; the
//! producer has encoded them. A delivery from there enters a queue of its own in this process. So
//! receiving, selecting and batches work unchanged.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use super::{publisher::NotPublished, requeue::Requeue, subscriber::Subscriber};
use crate::{
    engine::{
        queue::{ConsumerId, Credit, QueueCore},
        vhost::{Published, QueueDeclared, VirtualHost},
    },
    message::{
        envelope::{Address, Envelope, Meta},
        payload::Body,
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        descriptions::{Exchange, Queue},
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{completion::Completion, sync::Mutex},
};

/// The outcome of a publish.
pub(crate) type Confirmation = std::result::Result<Published, NotPublished>;

/// A connection to an engine outside of this process. One that is lost completes what is under way
/// with [`Error::ConnectionClosed`], or drops its completers.
pub(crate) trait Backend: Send + Sync {
    /// Declares an exchange with its bindings.
    fn declare_exchange(&self, exchange: &Exchange) -> Completion<Result<()>>;

    /// Declares a queue with its bindings.
    fn declare_queue(&self, queue: &Queue) -> Completion<Result<QueueDeclared>>;

    fn delete_exchange(&self, name: &str) -> Completion<Result<()>>;

    /// Returns how many messages were ready.
    fn delete_queue(&self, name: &str) -> Completion<Result<u64>>;

    /// Returns how many messages were dropped.
    fn purge(&self, queue: &Name) -> Completion<Result<u64>>;

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
    /// [`Error::ConnectionClosed`] if the connection is lost: the engine has the message back.
    fn settle(&self, delivery: u64, settlement: RemoteSettlement) -> Result;

    /// Closes the connection. Everything under way ends.
    fn close(&self);
}

/// A message on its way to an engine.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    pub(crate) exchange: Name,
    pub(crate) routing_key: Name,
    pub(crate) mandatory: bool,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
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

/// A consumer to be started at an engine.
#[derive(Clone, Debug)]
pub(crate) struct RemoteConsumer {
    pub(crate) queue: Name,
    pub(crate) tag: Name,
    pub(crate) prefetch: u32,
    pub(crate) priority: i64,
    pub(crate) exclusive: bool,
    pub(crate) auto_ack: bool,
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
    /// Gives the message back if the consumer has ended: the engine is to requeue it.
    pub(crate) fn deliver(&self, inbound: Inbound) -> std::result::Result<(), Box<Inbound>> {
        let Inbound {
            delivery,
            exchange,
            routing_key,
            redelivered,
            properties,
            body,
        } = inbound.clone();
        let exchange = self.vhost.exchange_names().of(&exchange);
        let meta = Meta {
            properties,
            delivery: Some(delivery),
            ..Meta::default()
        };
        let mut envelope = Envelope::new(
            Body::encoded(body),
            &Address::new(&exchange, &routing_key),
            Some(Arc::new(meta)),
        );
        if redelivered {
            envelope.count_return(true);
        }
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
            None => Err(Box::new(inbound)),
        }
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
    inbox: Arc<RemoteInbox>,
    /// The number of the consumer at the engine, once it is known.
    consumer: OnceLock<u64>,
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
            inbox,
            consumer: OnceLock::new(),
            local,
        }
    }

    pub(super) fn started(&self, consumer: u64) {
        let _ = self.consumer.set(consumer);
    }

    /// Acknowledges a delivery.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] if the connection is lost.
    pub(super) fn ack(&self, envelope: Option<&Envelope>, messages: u64, bytes: u64) -> Result {
        self.count(messages, bytes);
        match envelope {
            Some(envelope) => self.settle(envelope, RemoteSettlement::Ack),
            // Acknowledged by the engine when it was delivered.
            None => Ok(()),
        }
    }

    /// Gives deliveries up.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] if the connection is lost; [`Error::NotImplemented`] for
    /// [`Requeue::After`], and the messages are requeued at once.
    pub(super) fn nack(&self, envelopes: &[Envelope], requeue: Requeue) -> Result {
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
            self.count(1, envelope.size());
            settled = settled.and(self.settle(envelope, settlement));
        }
        settled.and(answer)
    }

    /// The consumer has ended: the engine gets back what the consumer has not seen.
    pub(super) fn cancel(&self) {
        if let Some(consumer) = self.consumer.get() {
            self.backend.cancel(*consumer);
        }
        for envelope in self.inbox.close() {
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
        // The queue of this process has no limit of credit, and waits for nothing.
        let _ = self.local.1.settle(messages, bytes);
    }
}
