//! [`RemoteOrigin`], where the deliveries of an engine outside of this process go back to.

use std::sync::{Arc, OnceLock};

use super::{
    backend::{Backend, Outbound, RemoteInbox, RemoteSettlement},
    requeue::Requeue,
};
use crate::{
    engine::{
        queue::{ConsumerId, Credit},
        vhost::VirtualHost,
    },
    message::{
        envelope::{Envelope, SettledMessage},
        headers::x_death::{Death, DeathReason},
    },
    model::{
        error::{Error, Result},
        name::Name,
    },
};

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
            let buried = match settlement {
                RemoteSettlement::Reject => self.dead_letter(envelope, vhost, queue),
                RemoteSettlement::Ack | RemoteSettlement::Requeue => None,
            };
            settled = settled.and(buried.unwrap_or_else(|| self.settle(envelope, settlement)));
            self.count(1, envelope.size());
        }
        settled.and(answer)
    }

    /// Publishes the dead letter of a rejected message itself, if the message has headers that it
    /// came without: a rejection carries none. `None` if the engine is to do it.
    ///
    /// # Errors
    /// Those of [`Backend::replace`].
    fn dead_letter(
        &self,
        envelope: &Envelope,
        vhost: &VirtualHost,
        queue: &Name,
    ) -> Option<Result> {
        let meta = envelope.meta().filter(|meta| meta.is_annotated)?;
        let delivery = meta.delivery?;
        let (exchange, own_key) = self.backend.dead_letters_of(queue)?;
        let body = envelope.encode().ok()?;
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
            // The next connection delivers the message again.
            waits: false,
            properties: buried.properties,
            body,
            expires: None,
        };
        let under_way = vhost.drain().begin_move();
        Some(self.backend.replace(delivery, letter, under_way))
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
                consumer.inbox.settled(*id);
            }
        }
    }
}
