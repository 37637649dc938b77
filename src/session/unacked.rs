//! A message in somebody's hands, and the way back to its queue.
//!
//! [`Unacked`] is the one mechanism: the ledger of a channel and the typed [`Delivery`](crate::Delivery) are built on it.
//! It settles once, or returns the message when dropped.

use std::{cell::Cell, fmt, sync::Arc, time::Duration};

use super::backend::RemoteOrigin;
use crate::{
    engine::{
        queue::{Account, ConsumerId, Credit, QueueCore},
        vhost::VirtualHost,
    },
    message::envelope::{Envelope, ExchangeId},
    model::{error::Result, name::Name},
    runtime::{sync::thread_local, waiter::Wake},
};

/// What becomes of a message that is not acknowledged.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, Requeue};
///
/// let broker = Broker::new();
/// let queue = Queue::new("q");
/// let producer = broker.producer::<String>(&queue)?;
/// let consumer = broker.consumer::<String>(&queue)?;
/// producer.publish("again".to_owned())?;
/// consumer.recv()?.nack(Requeue::Yes)?;
/// let delivery = consumer.recv()?;
/// assert!(delivery.info().redelivered());
/// delivery.ack()?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// It goes back to its place in the queue and is delivered again, marked as redelivered.
    Yes,
    /// It is dropped, or dead-lettered if the queue says so.
    No,
    /// As [`Yes`](Requeue::Yes), after this time; until then nobody gets it. Zero is `Yes`.
    After(Duration),
}

/// Where deliveries come from and go back to: one consumer of one queue, or gets from a queue.
pub(crate) struct DeliveryOrigin {
    pub(crate) vhost: Arc<VirtualHost>,
    pub(crate) queue: Arc<QueueCore>,
    /// `None`: gets.
    pub(crate) consumer: Option<(ConsumerId, Arc<Credit>)>,
    pub(crate) consumer_tag: Name,
    /// The queue's, with the budgets that cover it: here so that an acknowledgement need not look at the queue.
    pub(crate) account: Option<Arc<Account>>,
    /// Deliveries are acknowledged when they are made.
    pub(crate) auto_ack: bool,
    /// Of a consumer at an engine outside of this process. `consumer` is `None` then.
    pub(crate) remote: Option<Box<RemoteOrigin>>,
}

thread_local! {
    /// A handle to the source of the delivery that this thread has settled last, for the next one from there: to count one down
    /// and another up costs as much as an acknowledgement.
    static SPARE_HANDLE: Cell<Option<Arc<DeliveryOrigin>>> = const { Cell::new(None) };
}

impl DeliveryOrigin {
    /// A handle of its own for one more delivery.
    #[inline]
    pub(crate) fn handle(self: &Arc<Self>) -> Arc<DeliveryOrigin> {
        match SPARE_HANDLE.try_with(Cell::take) {
            Ok(Some(spare)) if Arc::ptr_eq(&spare, self) => spare,
            _ => Arc::clone(self),
        }
    }

    /// A delivery gives its handle up.
    #[inline]
    fn spare(source: Arc<DeliveryOrigin>) {
        // A thread whose locals are gone already keeps nothing.
        let _ = SPARE_HANDLE.try_with(|spare| spare.set(Some(source)));
    }

    pub(crate) fn gets(vhost: &Arc<VirtualHost>, queue: &Arc<QueueCore>) -> Arc<DeliveryOrigin> {
        Arc::new(DeliveryOrigin {
            vhost: Arc::clone(vhost),
            queue: Arc::clone(queue),
            consumer: None,
            consumer_tag: Name::empty(),
            account: queue.account().cloned(),
            auto_ack: false,
            remote: None,
        })
    }

    fn consumer(&self) -> Option<(ConsumerId, &Credit)> {
        self.consumer.as_ref().map(|(id, credit)| (*id, &**credit))
    }

    /// Acknowledges so many messages of so many bytes. A remote engine is told of `envelope`.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`](crate::Error::ConnectionClosed) if a remote engine is not reached.
    #[inline(always)]
    pub(crate) fn ack(&self, messages: u64, bytes: u64, envelope: Option<&Envelope>) -> Result {
        match &self.consumer {
            Some((id, credit)) => {
                if credit.settle(messages, bytes) {
                    self.notify_queue(*id);
                }
                if let Some(account) = &self.account {
                    account.refund(bytes).into_iter().for_each(Wake::wake);
                }
                Ok(())
            }
            None => self.ack_otherwise(messages, bytes, envelope),
        }
    }

    /// The queue waits to be told what its consumer has settled.
    #[inline(never)]
    fn notify_queue(&self, id: ConsumerId) {
        self.vhost.restore_credit(&self.queue, id);
    }

    #[inline(never)]
    fn ack_otherwise(&self, messages: u64, bytes: u64, envelope: Option<&Envelope>) -> Result {
        match &self.remote {
            Some(remote) => remote.ack(envelope, messages, bytes),
            None => {
                self.vhost.settle_gets(&self.queue, messages, bytes);
                Ok(())
            }
        }
    }

    /// Gives messages up: back to their places, or away.
    pub(crate) fn nack_batch(&self, envelopes: Vec<Envelope>, requeue: Requeue) -> Result {
        if let Some(remote) = &self.remote {
            return remote.nack(&envelopes, requeue);
        }
        let (vhost, queue, holder) = (&self.vhost, &self.queue, self.consumer());
        match requeue {
            Requeue::Yes | Requeue::After(Duration::ZERO) => {
                vhost.requeue(queue, holder, envelopes);
            }
            Requeue::After(delay) => vhost.requeue_after(queue, holder, envelopes, delay),
            Requeue::No => vhost.discard(queue, holder, envelopes),
        }
        Ok(())
    }

    /// Gives back what was taken from the consumer's inbox and shown to nobody, after the consumer is gone.
    pub(crate) fn requeue_undelivered(&self, envelopes: Vec<Envelope>) {
        if let Some(remote) = &self.remote {
            // A lost connection has given them back by itself.
            let _ = remote.nack(&envelopes, Requeue::Yes);
            return;
        }
        self.vhost
            .requeue_undelivered(&self.queue, self.consumer(), envelopes);
    }

    /// Takes all ready messages out, in order, as by gets.
    pub(crate) fn get_all(&self) -> Vec<Envelope> {
        self.vhost.get_all(&self.queue)
    }

    /// Messages taken by gets are in another queue now.
    pub(crate) fn settle_moved(&self, messages: u64, bytes: u64) {
        self.vhost.settle_moved(&self.queue, messages, bytes);
    }

    /// The name of the exchange that a message was published to.
    pub(crate) fn exchange(&self, origin: ExchangeId) -> Name {
        self.vhost.exchange_names().name(origin)
    }
}

impl fmt::Debug for DeliveryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("queue", self.queue.name())
            .field("consumer_tag", &self.consumer_tag)
            .finish_non_exhaustive()
    }
}

/// A message that was handed over and is not settled.
///
/// # If dropped
/// It returns to its place in its queue, marked as redelivered (unless it was acknowledged on delivery).
pub(crate) struct Unacked {
    /// Where it came from; `None` once it is settled or taken out.
    origin: Option<Arc<DeliveryOrigin>>,
    /// An empty one then. Not an `Option`: a move of it is a move of one block, which the tag of an `Option` beside it would tear in
    /// pieces.
    envelope: Envelope,
}

impl Unacked {
    #[inline]
    pub(crate) fn new(source: Arc<DeliveryOrigin>, envelope: Envelope) -> Unacked {
        Unacked {
            origin: Some(source),
            envelope,
        }
    }

    /// `None` once settled.
    #[inline]
    pub(crate) fn origin(&self) -> Option<&Arc<DeliveryOrigin>> {
        self.origin.as_ref()
    }

    /// `None` once settled.
    #[inline]
    pub(crate) fn envelope(&self) -> Option<&Envelope> {
        self.origin.as_ref().map(|_| &self.envelope)
    }

    /// Acknowledges it, and hands the message out. Does nothing the second time.
    pub(crate) fn settle(&mut self) -> Option<Envelope> {
        let (source, envelope) = self.release()?;
        if !source.auto_ack {
            // The payload is given out even if the acknowledgement fails.
            let _ = source.ack(1, envelope.size(), Some(&envelope));
        }
        DeliveryOrigin::spare(source);
        Some(envelope)
    }

    /// Acknowledges it; its payload is dropped with this, after everything is done. Does nothing the second time.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone.
    #[inline]
    pub(crate) fn ack(&mut self) -> Result {
        let Some(source) = self.origin.take() else {
            return Ok(());
        };
        // Asked first: a shutdown may be waiting for this very settlement, and be over before it returns.
        let up = source.vhost.is_up();
        let acked = match source.auto_ack {
            true => Ok(()),
            false => source.ack(1, self.envelope.size(), Some(&self.envelope)),
        };
        if !up {
            return source.vhost.check_up();
        }
        DeliveryOrigin::spare(source);
        acked
    }

    /// Gives it up. Does nothing the second time.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is gone.
    pub(crate) fn nack(&mut self, requeue: Requeue) -> Result {
        let Some((source, envelope)) = self.release() else {
            return Ok(());
        };
        let up = source.vhost.check_up();
        match source.auto_ack {
            true => up,
            false => {
                let nacked = source.nack_batch(vec![envelope], requeue);
                up.and(nacked)
            }
        }
    }

    /// Takes the message out without settling it, with where it came from: the caller does.
    pub(crate) fn release(&mut self) -> Option<(Arc<DeliveryOrigin>, Envelope)> {
        let source = self.origin.take()?;
        let envelope = std::mem::replace(&mut self.envelope, Envelope::empty());
        Some((source, envelope))
    }
}

impl Drop for Unacked {
    #[inline]
    fn drop(&mut self) {
        if self.origin.is_some() {
            // With the broker gone there is nothing left to return to.
            let _ = self.nack(Requeue::Yes);
        }
    }
}

impl fmt::Debug for Unacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("source", &self.origin)
            .field("envelope", &self.envelope())
            .finish()
    }
}
