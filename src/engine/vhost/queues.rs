//! The verbs of one queue, each with its effects carried out.
//!
//! These are what the layers above call: none of them locks a queue or sees its state. A method
//! that returns [`Effects`] is for a caller that holds a lock of its own; it runs them by
//! [`run_effects`](VirtualHost::run_effects) once that lock is released.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::VirtualHost;
use crate::{
    engine::queue::{
        Checkout, ConsumerId, Counts, Credit, DelayedKey, DeliveryTarget, Effects, Group, PushedBy,
        QueueCore, ReturnedDelivery, SubscribeRefused, SubscribeRequest,
    },
    message::envelope::Envelope,
    model::{arguments::QueueArguments, name::Name},
    runtime::waiter::Ticket,
};

/// The consumer that held a message, and its credit; `None` for a get.
type Holder<'a> = Option<(ConsumerId, &'a Credit)>;

/// Whether a message is acknowledged by being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnGet {
    Acknowledge,
    KeepUnacked,
}

impl VirtualHost {
    /// A queue that no name leads to: it takes the messages of one remote consumer.
    pub(crate) fn detached_queue(&self, name: &Name) -> Arc<QueueCore> {
        let settings = QueueArguments::default();
        Arc::new(QueueCore::new(
            name.clone(),
            self.next_number(),
            settings,
            None,
        ))
    }

    /// Puts a message into a queue.
    ///
    /// # Errors
    /// Gives it back if the queue is deleted or refuses it.
    pub(crate) fn enqueue(
        &self,
        queue: &QueueCore,
        mut envelope: Envelope,
    ) -> Result<Effects, Envelope> {
        let now = self.stamp(queue, &mut envelope);
        let mut effects = Effects::none();
        let mut message = Some(envelope);
        let enqueued = queue
            .lock()
            .enqueue(&mut message, PushedBy::Broker, now, &mut effects);
        match (enqueued, message) {
            (Err(_), Some(envelope)) => Err(envelope),
            _ => Ok(effects),
        }
    }

    /// Adds a consumer. `target` learns its id before the first message comes; it runs under the
    /// queue's lock.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        request: SubscribeRequest,
        target: impl FnOnce(ConsumerId) -> DeliveryTarget,
    ) -> Result<ConsumerId, SubscribeRefused> {
        self.with_queue(queue, |state, now, effects| {
            state.subscribe(request, target, now, effects)
        })
    }

    /// Moves what lies in a consumer's inbox into `run`, which must be empty. If the inbox is empty,
    /// the receiver with the ticket is registered.
    pub(crate) fn checkout(
        &self,
        queue: &QueueCore,
        consumer: ConsumerId,
        run: &mut VecDeque<Envelope>,
        ticket: Option<Ticket<'_>>,
        now: u64,
    ) -> (Checkout, Effects) {
        let mut effects = Effects::none();
        let found = queue
            .lock()
            .checkout(consumer, run, ticket, now, &mut effects);
        (found, effects)
    }

    /// Removes consumers in one critical section. Their inboxes and `run` go back as if they had
    /// never been handed over, `returned` goes back as redelivered. `false` if no consumer was there.
    pub(crate) fn remove_consumers(
        &self,
        queue: &QueueCore,
        consumers: &[ConsumerId],
        run: &mut VecDeque<Envelope>,
        returned: Vec<ReturnedDelivery>,
        now: u64,
    ) -> (bool, Effects) {
        let mut effects = Effects::none();
        let removed = queue
            .lock()
            .remove_consumers(consumers, run, returned, now, &mut effects);
        (removed, effects)
    }

    /// Takes the next ready message out (`basic.get`), which renews the queue's lease. `take` gets
    /// it with the number of messages still ready, under the queue's lock: it may take a leaf lock,
    /// and runs no user code.
    pub(crate) fn get<R>(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        take: impl FnOnce(Envelope, usize) -> (R, OnGet),
    ) -> Option<R> {
        self.with_queue(queue, |state, now, effects| {
            state.renew_lease(now, effects);
            let (envelope, left) = state.get(now, effects)?;
            let size = envelope.size();
            let (taken, on_get) = take(envelope, left);
            if on_get == OnGet::Acknowledge {
                state.settle_gets(1, size, effects);
            }
            Some(taken)
        })
    }

    /// Takes the next ready message out. If there is none and the queue is there, the waiter with
    /// the ticket is registered. `Err` if the queue is deleted.
    pub(crate) fn get_or_wait(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        ticket: Option<Ticket<'_>>,
    ) -> Result<Option<Envelope>, QueueDeleted> {
        self.with_queue(queue, |state, now, effects| {
            state.renew_lease(now, effects);
            match state.get(now, effects) {
                Some((envelope, _)) => Ok(Some(envelope)),
                None if state.is_deleted() => Err(QueueDeleted),
                None => {
                    if let Some(ticket) = ticket {
                        state.get_waiters().register(ticket);
                    }
                    Ok(None)
                }
            }
        })
    }

    /// Takes all ready messages out, in order, as by gets.
    pub(crate) fn get_all(self: &Arc<Self>, queue: &Arc<QueueCore>) -> Vec<Envelope> {
        self.with_queue(queue, |state, now, effects| {
            std::iter::from_fn(|| state.get(now, effects))
                .map(|(envelope, _)| envelope)
                .collect()
        })
    }

    /// Messages taken by gets are acknowledged.
    pub(crate) fn settle_gets(self: &Arc<Self>, queue: &Arc<QueueCore>, messages: u64, bytes: u64) {
        self.with_queue(queue, |state, _, effects| {
            state.settle_gets(messages, bytes, effects);
        });
    }

    /// Messages taken by gets are in another queue now.
    pub(crate) fn settle_moved(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        messages: u64,
        bytes: u64,
    ) {
        self.with_queue(queue, |state, _, effects| {
            state.settle_moved(messages, bytes, effects);
        });
    }

    /// A consumer without credit has settled something: it takes turns again, and is served.
    pub(crate) fn restore_credit(self: &Arc<Self>, queue: &Arc<QueueCore>, consumer: ConsumerId) {
        self.with_queue(queue, |state, now, effects| {
            state.restore_credit(consumer, now, effects);
        });
    }

    /// The common limit of a group of consumers has room again.
    pub(crate) fn resume(self: &Arc<Self>, queue: &Arc<QueueCore>, group: Group) {
        self.with_queue(queue, |state, now, effects| {
            state.resume(group, now, effects);
        });
    }

    /// Messages come back to their places, as redelivered.
    pub(crate) fn requeue(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
    ) {
        self.with_queue(queue, |state, now, effects| {
            state.requeue(holder, batch, now, effects);
        });
    }

    /// Messages come back to be delivered again after `delay`.
    pub(crate) fn requeue_after(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
        delay: Duration,
    ) {
        queue.set_timed();
        self.with_queue(queue, |state, now, effects| {
            state.requeue_after(holder, batch, delay, now, effects);
        });
    }

    /// Messages that no user code has seen come back to their places, as they were.
    pub(crate) fn requeue_undelivered(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
    ) {
        self.with_queue(queue, |state, now, effects| {
            state.requeue_undelivered(holder, batch, now, effects);
        });
    }

    /// Messages are rejected: dead-lettered if the queue says so, else dropped.
    pub(crate) fn discard(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
    ) {
        self.with_queue(queue, |state, now, effects| {
            state.discard(holder, batch, now, effects);
        });
    }

    /// Sets how many unsettled messages a consumer may hold. A lower limit takes nothing back.
    pub(crate) fn set_prefetch(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        consumer: ConsumerId,
        prefetch: u32,
    ) {
        self.with_queue(queue, |state, now, effects| {
            state.set_prefetch(consumer, prefetch, now, effects);
        });
    }

    /// Drops all ready messages; returns how many.
    pub(crate) fn purge(self: &Arc<Self>, queue: &Arc<QueueCore>) -> u64 {
        self.with_queue(queue, |state, now, effects| state.purge(now, effects))
    }

    /// The counts of a queue, after everything settled so far has had its effect.
    pub(crate) fn counts(self: &Arc<Self>, queue: &Arc<QueueCore>) -> Counts {
        self.with_queue(queue, |state, now, effects| state.counts(now, effects))
    }

    /// Cancels delayed messages, and leaves out those that are not delayed any more. Returns how
    /// many it cancelled.
    pub(crate) fn cancel_delayed(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        keys: Vec<DelayedKey>,
    ) -> u64 {
        self.with_queue(queue, |state, _, effects| {
            state.cancel_delayed(keys, effects)
        })
    }

    /// Cancels all delayed messages; returns how many.
    pub(crate) fn cancel_all_delayed(self: &Arc<Self>, queue: &Arc<QueueCore>) -> u64 {
        self.with_queue(queue, |state, _, effects| state.cancel_all_delayed(effects))
    }
}

/// A queue was deleted, so that nothing comes from it any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueDeleted;
