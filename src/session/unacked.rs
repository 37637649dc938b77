//! An unsettled message, and its way back to its queue.
//!
//! [`Unacked`] is the only mechanism: the ledger of a channel and the typed
//! [`Delivery`](crate::Delivery) are built on it. It is settled once, or it returns the message
//! when it is dropped.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use super::{
    events::DeliveryReader,
    holding::{Claim, Holders, Source},
    remote_origin::RemoteOrigin,
    requeue::Requeue,
    subscriber::Subscriber,
};
use crate::{
    engine::{
        queue::{Account, Cause, ConsumerId, Credit, QueueCore},
        vhost::{Drain, VirtualHost},
    },
    message::envelope::Envelope,
    model::{error::Result, field_value::FieldValue, name::Name},
    runtime::waiter::Wake,
};

/// The origin of deliveries, which they return to: one consumer of one queue, or the gets from a
/// queue.
pub(crate) struct DeliveryOrigin {
    pub(crate) vhost: Arc<VirtualHost>,
    pub(crate) queue: Arc<QueueCore>,
    /// `None` for gets.
    pub(crate) consumer: Option<(ConsumerId, Arc<Credit>)>,
    pub(crate) consumer_tag: Name,
    /// The account of the queue, with the budgets that cover it. It is here so that an
    /// acknowledgement need not look at the queue.
    pub(crate) account: Option<Arc<Account>>,
    /// Whether deliveries count as acknowledged when they are made.
    pub(crate) auto_ack: bool,
    /// Of a consumer at an engine outside of this process. `consumer` is `None` then.
    pub(crate) remote: Option<Box<RemoteOrigin>>,
    /// Of deliveries that the queue has taken back, because this consumer has not settled them in
    /// time. `consumer` is `None` then.
    pub(crate) overdue: Option<ConsumerId>,
    /// The typed consumer, if it is one.
    pub(super) subscriber: Weak<Subscriber>,
    /// The channel of the consumer, if it is one of a channel.
    pub(super) channel: Option<Arc<dyn DeliveryReader>>,
    /// Who holds its unsettled deliveries.
    pub(super) holders: Holders,
    /// The exchange of the first delivery that was asked for it, by its number. Most consumers have
    /// one exchange, and need not ask the table of all.
    pub(super) first_exchange: OnceLock<Box<(u16, Name)>>,
}

impl DeliveryOrigin {
    /// Notes that the current thread receives deliveries from here. `not_shown` tells how many
    /// messages no receiver was shown before, though the queue has handed them out.
    #[inline]
    pub(crate) fn note_receiver(self: &Arc<Self>, not_shown: impl FnOnce() -> u64) {
        if !self.holders.is_last_receiver() {
            self.note_other_receiver(not_shown());
        }
    }

    #[cold]
    #[inline(never)]
    fn note_other_receiver(self: &Arc<Self>, not_shown: u64) {
        let is_first = self.unsettled() <= not_shown;
        self.holders.note_receiver(self, is_first);
    }

    /// The number of unsettled messages that the queue has handed out, without those in the inbox,
    /// and with those that it has taken back.
    fn unsettled(&self) -> u64 {
        match &self.consumer {
            Some((_, credit)) => self.queue.unsettled_of(credit) + self.late(),
            None => self.holders.gets(),
        }
    }

    /// The same origin for copies of its deliveries, which count as settled.
    fn detached(&self) -> Arc<DeliveryOrigin> {
        self.without_credit(true, None)
    }

    /// The origin that the deliveries of this consumer get when the queue takes them back.
    pub(super) fn after_time_out(&self) -> Arc<DeliveryOrigin> {
        let consumer = self.consumer.as_ref();
        self.without_credit(false, consumer.map(|(id, _)| *id))
    }

    /// The same queue and tag, for messages that this consumer does not hold any more.
    fn without_credit(&self, auto_ack: bool, overdue: Option<ConsumerId>) -> Arc<DeliveryOrigin> {
        Arc::new(DeliveryOrigin {
            vhost: Arc::clone(&self.vhost),
            queue: Arc::clone(&self.queue),
            consumer: None,
            consumer_tag: self.consumer_tag.clone(),
            account: None,
            auto_ack,
            remote: None,
            overdue,
            subscriber: Weak::new(),
            channel: None,
            first_exchange: OnceLock::new(),
            holders: Holders::new(true),
        })
    }

    /// Tells the queue that a consumer has settled deliveries that were taken back.
    fn settle_late(&self, id: ConsumerId, deliveries: u64) {
        self.vhost.settled_late(&self.queue, id, deliveries);
    }

    /// A claim of one of its deliveries, for a producer.
    pub(super) fn claim(&self, envelope: &Envelope) -> Claim {
        match self.auto_ack {
            true => Claim::default(),
            false => self.holders.claim(envelope.position(), self.vhost.drain()),
        }
    }

    fn consumer(&self) -> Option<(ConsumerId, &Credit)> {
        self.consumer.as_ref().map(|(id, credit)| (*id, &**credit))
    }

    /// Acknowledges `messages` messages with `bytes` bytes in total. A remote engine is told of
    /// `envelope`.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`](crate::Error::ConnectionClosed) if a remote engine is lost.
    #[inline(always)]
    pub(crate) fn ack(&self, messages: u64, bytes: u64, envelope: Option<&Envelope>) -> Result {
        match &self.consumer {
            Some((id, credit)) => {
                if credit.settle(messages, bytes) {
                    self.notify_queue(*id);
                }
                if let Some(account) = &self.account {
                    refund(account, bytes);
                }
                Ok(())
            }
            None => self.ack_otherwise(messages, bytes, envelope),
        }
    }

    /// Acknowledges a delivery of this size that may have made producers or may be late, unless it
    /// is acknowledged already.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    #[inline(never)]
    pub(super) fn ack_with_claims(&self, envelope: &Envelope, bytes: u64) -> Result {
        match self.end(envelope.position()) || self.auto_ack {
            true => Ok(()),
            false => {
                self.forget(envelope);
                self.ack(1, bytes, Some(envelope))
            }
        }
    }

    /// Counts an acknowledgement of `bytes` bytes by a consumer, and does nothing else. `true` if
    /// the queue waits for it, and has to be told by [`notify`](Self::notify).
    #[inline]
    pub(super) fn count_ack(&self, bytes: u64) -> bool {
        let credit = self.consumer.as_ref();
        credit.is_some_and(|(_, credit)| credit.settle(1, bytes))
    }

    /// Tells the queue that its consumer has settled deliveries.
    pub(super) fn notify(&self) {
        if let Some((id, _)) = &self.consumer {
            self.notify_queue(*id);
        }
    }

    /// Tells the queue that its consumer has settled deliveries. The queue waits for that.
    #[inline(never)]
    fn notify_queue(&self, id: ConsumerId) {
        self.vhost.restore_credit(&self.queue, id);
    }

    #[inline(never)]
    fn ack_otherwise(&self, messages: u64, bytes: u64, envelope: Option<&Envelope>) -> Result {
        if let Some(id) = self.overdue {
            self.settle_late(id, messages);
            return Ok(());
        }
        match &self.remote {
            Some(remote) => remote.ack(envelope, messages, bytes),
            None => {
                self.holders.gets_settled(messages);
                self.vhost.settle_gets(&self.queue, messages, bytes);
                Ok(())
            }
        }
    }

    /// Rejects messages: they are requeued, dead-lettered or dropped, as `requeue` says. Each
    /// counts a failed delivery if that is the cause.
    ///
    /// # Errors
    /// Those of a remote engine.
    pub(crate) fn nack_batch(
        &self,
        envelopes: Vec<Envelope>,
        requeue: Requeue,
        cause: Cause,
    ) -> Result {
        if let Some(remote) = &self.remote {
            return remote.nack(&envelopes, requeue, (&self.vhost, self.queue.name()));
        }
        if let Some(id) = self.overdue {
            // As in RabbitMQ, to give a message back that was taken back already does not count.
            if requeue == Requeue::No {
                self.settle_late(id, envelopes.len() as u64);
            }
            return Ok(());
        }
        let (vhost, queue, holder) = (&self.vhost, &self.queue, self.consumer());
        if holder.is_none() {
            self.holders.gets_settled(envelopes.len() as u64);
        }
        match requeue {
            Requeue::Failed => vhost.requeue(queue, holder, envelopes, Cause::Failed),
            Requeue::Yes | Requeue::After(Duration::ZERO) => {
                vhost.requeue(queue, holder, envelopes, cause);
            }
            Requeue::After(delay) => vhost.requeue_after(queue, holder, envelopes, delay, cause),
            Requeue::No => vhost.discard(queue, holder, envelopes, cause),
        }
        Ok(())
    }

    /// Returns messages that were taken from the inbox of the consumer and not delivered, after the
    /// consumer has ended.
    pub(crate) fn requeue_undelivered(&self, envelopes: Vec<Envelope>) {
        if let Some(remote) = &self.remote {
            // A lost connection has given them back by itself.
            let place = (&*self.vhost, self.queue.name());
            let _ = remote.nack(&envelopes, Requeue::Yes, place);
            return;
        }
        self.vhost
            .requeue_undelivered(&self.queue, self.consumer(), envelopes);
    }
}

/// Refunds the bytes of a message that is acknowledged, and wakes the publishers that have room
/// now. It is not inlined, since few queues have a budget.
#[inline(never)]
fn refund(account: &Account, bytes: u64) {
    let wakes = account.refund(bytes);
    if !wakes.is_empty() {
        wakes.into_iter().for_each(Wake::wake);
    }
}

impl Source for DeliveryOrigin {
    fn has_unsettled(&self, drain: &Arc<Drain>) -> bool {
        if !Arc::ptr_eq(self.vhost.drain(), drain) || !self.holders.includes_this_thread() {
            return false;
        }
        // The messages of the run were shown to no receiver. Locked in the order of a receive.
        let subscriber = self.subscriber.upgrade();
        let run = subscriber.as_ref().map(|subscriber| subscriber.lock_run());
        let not_shown = run.as_ref().map_or(0, |run| run.len() as u64);
        self.unsettled() > not_shown
    }
}

impl fmt::Debug for DeliveryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryOrigin")
            .field("queue", self.queue.name())
            .field("consumer_tag", &self.consumer_tag)
            .finish_non_exhaustive()
    }
}

/// A delivered message that is not settled.
///
/// # If dropped
/// The message returns to its queue as with [`Requeue::Failed`], unless it was acknowledged on
/// delivery.
pub(crate) struct Unacked {
    /// The origin of the message; `None` when it is settled or taken out.
    origin: Option<Arc<DeliveryOrigin>>,
    /// An empty envelope when it is settled or taken out. It is no `Option`: an envelope is moved
    /// as one block, and the tag of an `Option` beside it would split that move.
    envelope: Envelope,
}

impl Unacked {
    #[inline]
    pub(crate) fn new(origin: Arc<DeliveryOrigin>, envelope: Envelope) -> Unacked {
        Unacked {
            origin: Some(origin),
            envelope,
        }
    }

    /// A second handle to the message, which does not settle it. `None` if the payload can be in
    /// one place only.
    pub(super) fn share(&mut self) -> Option<Unacked> {
        let origin = self.origin.as_ref()?.detached();
        let envelope = self.envelope.share().ok()?;
        Some(Unacked::new(origin, envelope))
    }

    /// One that is settled.
    pub(super) fn settled() -> Unacked {
        Unacked {
            origin: None,
            envelope: Envelope::empty(),
        }
    }

    /// Counts a delivery that has returned, though not to the queue.
    pub(super) fn count_return(&mut self) {
        self.envelope.count_return(true);
    }

    /// Adds a header to the message, unless it is settled.
    pub(super) fn add_header(&mut self, name: &str, value: impl Into<FieldValue>) {
        if self.origin.is_some() {
            self.envelope.add_header(name, value);
        }
    }

    /// The message to be changed, or an empty one when it is settled.
    pub(super) fn envelope_mut(&mut self) -> &mut Envelope {
        &mut self.envelope
    }

    /// `None` when it is settled.
    #[inline]
    pub(crate) fn origin(&self) -> Option<&Arc<DeliveryOrigin>> {
        self.origin.as_ref()
    }

    /// `None` when it is settled.
    #[inline]
    pub(crate) fn envelope(&self) -> Option<&Envelope> {
        self.origin.as_ref().map(|_| &self.envelope)
    }

    /// The claim of this delivery, for a producer.
    pub(super) fn claim(&self) -> Claim {
        match &self.origin {
            Some(origin) => origin.claim(&self.envelope),
            None => Claim::default(),
        }
    }

    /// Acknowledges the message and returns it. A second call does nothing.
    pub(crate) fn settle(&mut self) -> Option<Envelope> {
        let (origin, envelope) = self.release()?;
        if !origin.end(envelope.position()) && !origin.auto_ack {
            origin.forget(&envelope);
            // The payload is given out even if the acknowledgement fails.
            let _ = origin.ack(1, envelope.size(), Some(&envelope));
        }
        DeliveryOrigin::spare(origin);
        Some(envelope)
    }

    /// Acknowledges the message. Its payload is dropped with this value, after everything else is
    /// done. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down.
    #[inline(always)]
    pub(crate) fn ack(&mut self) -> Result {
        let Some(origin) = self.origin.take() else {
            return Ok(());
        };
        // Read before the settlement: a shutdown may wait for this settlement, and end before it
        // returns.
        let up = origin.vhost.is_up();
        let acked = match origin.holders.is_plain() {
            true => origin.ack(1, self.envelope.size(), Some(&self.envelope)),
            false => origin.ack_with_claims(&self.envelope, self.envelope.size()),
        };
        if !up {
            return origin.vhost.check_up();
        }
        DeliveryOrigin::spare(origin);
        acked
    }

    /// Acknowledges the message, for a channel that has checked the rest. Its payload is dropped
    /// with this value.
    #[inline]
    pub(super) fn ack_by_tag(&mut self) {
        if let Some(origin) = self.origin.take() {
            origin.forget(&self.envelope);
            // Only a remote engine fails, and a channel has none.
            let _ = origin.ack(1, self.envelope.size(), None);
        }
    }

    /// Takes out the origin, for an acknowledgement together with other messages, with the size of
    /// the message. `None` if the message needs more than that, or is settled.
    #[inline]
    pub(super) fn release_for_ack(&mut self) -> Option<(Arc<DeliveryOrigin>, u64)> {
        let is_plain = |origin: &mut Arc<DeliveryOrigin>| {
            origin.consumer.is_some() && origin.holders.is_plain()
        };
        let origin = self.origin.take_if(is_plain)?;
        Some((origin, self.envelope.size()))
    }

    /// As [`release_for_ack`](Self::release_for_ack), if to count the acknowledgement is all that
    /// is needed.
    #[inline]
    pub(super) fn release_to_count(&mut self) -> Option<(Arc<DeliveryOrigin>, u64)> {
        let origin = self.origin.as_ref()?;
        match origin.account {
            None => self.release_for_ack(),
            Some(_) => None,
        }
    }

    /// Rejects the message. A second call does nothing. A message without its payload cannot
    /// return, and is acknowledged.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down.
    pub(crate) fn nack(&mut self, requeue: Requeue) -> Result {
        self.end(requeue, Cause::Returned)
    }

    /// As [`nack`](Self::nack), and counts a failed delivery.
    ///
    /// # Errors
    /// Those of [`nack`](Self::nack).
    pub(crate) fn fail(&mut self, requeue: Requeue) -> Result {
        self.end(requeue, Cause::Failed)
    }

    /// Dead-letters or drops the message, and counts a failed delivery.
    ///
    /// # Errors
    /// Those of [`nack`](Self::nack).
    pub(crate) fn reject(&mut self) -> Result {
        self.fail(Requeue::No)
    }

    fn end(&mut self, requeue: Requeue, cause: Cause) -> Result {
        if self.envelope.body().is_gone() {
            return self.ack();
        }
        let Some((origin, envelope)) = self.release() else {
            return Ok(());
        };
        let up = origin.vhost.check_up();
        match origin.end(envelope.position()) || origin.auto_ack {
            true => up,
            false => {
                let nacked = origin.nack_batch(vec![envelope], requeue, cause);
                up.and(nacked)
            }
        }
    }

    /// Takes out the message with its origin, and does not settle it. The caller must settle it.
    pub(crate) fn release(&mut self) -> Option<(Arc<DeliveryOrigin>, Envelope)> {
        let origin = self.origin.take()?;
        let envelope = std::mem::replace(&mut self.envelope, Envelope::empty());
        Some((origin, envelope))
    }
}

impl Drop for Unacked {
    #[inline]
    fn drop(&mut self) {
        if self.origin.is_some() {
            // If the broker is shut down, there is no queue to return to.
            let _ = self.nack(Requeue::Failed);
        }
    }
}

impl fmt::Debug for Unacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unacked")
            .field("origin", &self.origin)
            .field("envelope", &self.envelope())
            .finish()
    }
}
