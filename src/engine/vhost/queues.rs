//! The operations on one queue, each with its effects carried out.
//!
//! The layers above call these. None of them locks a queue or sees its state. A method that returns
//! [`Effects`] is for a caller that holds another lock. The caller runs them with
//! [`run_effects`](VirtualHost::run_effects) after it has released that lock.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use super::VirtualHost;
use crate::{
    engine::queue::{
        Cause, Checkout, ConsumerId, Counts, Credit, DelayedKey, Effects, Group, PushedBy,
        QueueCore, ReadyKey, ReturnedDelivery, View,
    },
    message::envelope::{Envelope, NEVER},
    model::{error::Result, name::Name},
    runtime::waiter::Ticket,
};

/// The consumer that held a message, and its credit; `None` for a get.
type Holder<'a> = Option<(ConsumerId, &'a Credit)>;

impl VirtualHost {
    /// All queues, in no order.
    pub(crate) fn queues(&self) -> Vec<Arc<QueueCore>> {
        let topology = self.topology.read();
        let declared = topology.queues.values();
        declared
            .map(|declared| Arc::clone(&declared.queue))
            .collect()
    }

    /// The queues in which delayed exchanges keep messages.
    pub(crate) fn delay_queues(&self) -> Vec<Arc<QueueCore>> {
        let topology = self.topology.read();
        let exchanges = topology.exchanges.values();
        exchanges
            .filter_map(|exchange| exchange.delay_queue.clone())
            .collect()
    }

    /// A queue that no name leads to: it takes the messages of one remote consumer.
    pub(crate) fn detached_queue(&self, name: &Name) -> Arc<QueueCore> {
        let queue = Arc::new(QueueCore::new(
            name.clone(),
            self.next_number(),
            Arc::default(),
            None,
            Arc::clone(self.drain().in_flight()),
        ));
        let mut detached = self.detached.lock();
        if detached.len() == detached.capacity() {
            detached.retain(|known| known.strong_count() > 0);
            let spare = detached.len().max(8);
            detached.reserve(spare);
        }
        detached.push(Arc::downgrade(&queue));
        queue
    }

    /// The places of queues of an engine outside that are in use, in no order.
    pub(crate) fn detached_queues(&self) -> Vec<Arc<QueueCore>> {
        let detached = self.detached.lock();
        detached.iter().filter_map(Weak::upgrade).collect()
    }

    /// Puts a message of an engine outside into a detached queue. Its time to live is the business
    /// of that engine: nothing expires here.
    ///
    /// # Errors
    /// Gives it back if the queue is deleted.
    pub(crate) fn enqueue_detached(
        &self,
        queue: &QueueCore,
        mut envelope: Envelope,
    ) -> Result<Effects, Envelope> {
        envelope.set_deadline(NEVER);
        let mut effects = Effects::none();
        let mut message = Some(envelope);
        let enqueued = queue
            .lock()
            .enqueue(&mut message, PushedBy::Broker, 0, &mut effects);
        match (enqueued, message) {
            (Err(_), Some(envelope)) => Err(envelope),
            _ => Ok(effects),
        }
    }

    /// Removes the consumers of a channel that ends, and returns its deliveries, in one critical
    /// section.
    pub(crate) fn end_channel(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        consumers: &[ConsumerId],
        returned: Vec<ReturnedDelivery>,
    ) {
        self.with_queue(queue, |state, now, effects| {
            state.remove_consumers(consumers, &mut VecDeque::new(), returned, now, effects);
        });
    }

    /// Moves messages of a consumer's inbox into `run`, which must be empty. If the inbox is
    /// empty, registers the receiver with the ticket.
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

    /// Puts a message that a consumer has taken from its inbox back to the front of the inbox.
    /// Gives it back if the consumer was removed.
    pub(crate) fn put_back_in_inbox(
        &self,
        queue: &QueueCore,
        consumer: ConsumerId,
        envelope: Envelope,
        run: &mut VecDeque<Envelope>,
        now: u64,
    ) -> (Option<Envelope>, Effects) {
        let mut effects = Effects::none();
        let left = queue
            .lock()
            .put_back_in_inbox(consumer, envelope, run, now, &mut effects);
        (left, effects)
    }

    /// A receiver of a consumer that was woken has taken no message.
    pub(crate) fn receiver_left(self: &Arc<Self>, queue: &Arc<QueueCore>, consumer: ConsumerId) {
        self.with_queue(queue, |state, now, effects| {
            state.receiver_left(consumer, now, effects);
        });
    }

    /// Returns the messages that a consumer has in advance to their positions: those of its inbox,
    /// and those of `run`.
    pub(crate) fn return_unseen(
        &self,
        queue: &QueueCore,
        consumer: ConsumerId,
        run: &mut VecDeque<Envelope>,
        now: u64,
    ) -> (u64, Effects) {
        let mut effects = Effects::none();
        let returned = queue.lock().return_unseen(consumer, run, now, &mut effects);
        (returned, effects)
    }

    /// Returns what a typed consumer has in advance if it is late: its inbox, and `run`.
    pub(crate) fn return_if_late(
        &self,
        queue: &QueueCore,
        consumer: ConsumerId,
        run: &mut VecDeque<Envelope>,
        now: u64,
    ) -> Effects {
        let mut effects = Effects::none();
        queue
            .lock()
            .return_if_late(consumer, run, now, &mut effects);
        effects
    }

    /// Puts the run of a typed consumer back into its inbox if the time of one of its messages is
    /// over. Otherwise the timer comes again. The run stays if the consumer was removed.
    pub(crate) fn look_after_run(
        &self,
        queue: &QueueCore,
        consumer: ConsumerId,
        run: &mut VecDeque<Envelope>,
        now: u64,
    ) -> Effects {
        let mut effects = Effects::none();
        queue
            .lock()
            .look_after_run(consumer, run, now, &mut effects);
        effects
    }

    /// Pauses a consumer, or ends its pause. A paused consumer gets nothing, and returns what it
    /// has in advance: its inbox, and `run`.
    pub(crate) fn set_paused(
        &self,
        queue: &QueueCore,
        consumer: ConsumerId,
        paused: bool,
        run: &mut VecDeque<Envelope>,
        now: u64,
    ) -> Effects {
        let mut effects = Effects::none();
        let mut state = queue.lock();
        state.set_paused(consumer, paused, run, now, &mut effects);
        effects
    }

    /// Removes consumers in one critical section. The messages of their inboxes and of `run` are
    /// returned as if they were never delivered, those of `returned` as redelivered. `false` if the
    /// queue had none of the consumers.
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

    /// The position that the next new message of the queue gets.
    pub(crate) fn end_position(&self, queue: &QueueCore) -> u64 {
        queue.lock().end_position()
    }

    /// Calls `look` with up to `most` ready messages behind `key` and before the position `end`, in
    /// the order of delivery. `look` runs under the lock and must not run user code.
    pub(crate) fn map_ready<R>(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
        look: impl FnMut((ReadyKey, &Envelope)) -> R,
    ) -> Vec<R> {
        self.with_queue(queue, |state, now, effects| {
            state.map_ready(key, end, most, look, now, effects)
        })
    }

    /// Copies of up to `most` ready messages behind `key` and before the position `end`, in the
    /// order of delivery.
    pub(crate) fn view_ready(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
    ) -> Vec<(ReadyKey, View)> {
        self.with_queue(queue, |state, now, effects| {
            state.view_ready(key, end, most, now, effects)
        })
    }

    /// Copies of up to `most` delayed messages behind `key`, in the order in which they are due.
    pub(crate) fn view_delayed(
        &self,
        queue: &QueueCore,
        key: Option<DelayedKey>,
        most: usize,
    ) -> Vec<(DelayedKey, View)> {
        queue.lock().view_delayed(key, most)
    }

    /// Puts a consumer that had no credit back into the turn order after a settlement, and serves
    /// it.
    pub(crate) fn restore_credit(self: &Arc<Self>, queue: &Arc<QueueCore>, consumer: ConsumerId) {
        self.with_queue_as_it_is(queue, |state, now, effects| {
            state.restore_credit(consumer, now, effects);
        });
    }

    /// Records that a typed consumer has shown a message that is due at `due`.
    pub(crate) fn expect_overdue(self: &Arc<Self>, queue: &Arc<QueueCore>, due: u64) {
        self.with_queue(queue, |state, _, effects| {
            state.expect_overdue(due, effects);
        });
    }

    /// Records that a consumer has settled deliveries that the queue had taken back.
    pub(crate) fn settled_late(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        consumer: ConsumerId,
        deliveries: u64,
    ) {
        self.with_queue(queue, |state, now, effects| {
            state.settled_late(consumer, deliveries, now, effects);
        });
    }

    /// Serves a group of consumers again because its common limit has capacity again.
    pub(crate) fn resume(self: &Arc<Self>, queue: &Arc<QueueCore>, group: Group) {
        self.with_queue(queue, |state, now, effects| {
            state.resume(group, now, effects);
        });
    }

    /// Returns messages to their positions, as redelivered.
    pub(crate) fn requeue(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
        cause: Cause,
    ) {
        if self.drain.has_begun() {
            return self.requeue_in_drain(queue, holder, batch, cause);
        }
        self.with_queue(queue, |state, now, effects| {
            state.requeue(holder, batch, cause, now, effects);
        });
    }

    /// As [`requeue`](Self::requeue). Each redelivery waits longer than the one before: the handler
    /// may fail because the broker shuts down, and would fail at once again.
    fn requeue_in_drain(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
        cause: Cause,
    ) {
        queue.set_timed();
        let instant = self.time().now();
        self.with_queue(queue, |state, now, effects| {
            for envelope in batch {
                match (self.drain).redelivery_delay(envelope.acquired_count(), instant) {
                    Duration::ZERO => state.requeue(holder, [envelope], cause, now, effects),
                    delay => {
                        state.requeue_after(holder, [envelope], delay, cause, now, effects);
                    }
                }
            }
        });
    }

    /// Takes messages back and redelivers them after `delay`.
    pub(crate) fn requeue_after(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
        delay: Duration,
        cause: Cause,
    ) {
        queue.set_timed();
        self.with_queue(queue, |state, now, effects| {
            state.requeue_after(holder, batch, delay, cause, now, effects);
        });
    }

    /// Returns messages that no user code has seen to their positions, unchanged.
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

    /// Rejects messages: dead-letters them, or drops them if the queue has no dead-letter exchange.
    pub(crate) fn discard(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        holder: Holder<'_>,
        batch: Vec<Envelope>,
        cause: Cause,
    ) {
        self.with_queue(queue, |state, now, effects| {
            state.discard(holder, batch, cause, now, effects);
        });
    }

    /// Sets how many unsettled messages a consumer may hold. A lower limit takes no delivery back.
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

    /// Drops all ready messages and returns how many.
    pub(crate) fn purge(self: &Arc<Self>, queue: &Arc<QueueCore>) -> u64 {
        self.with_queue(queue, |state, now, effects| state.purge(now, effects))
    }

    /// The counts of a queue, after all settlements so far are applied.
    pub(crate) fn counts(self: &Arc<Self>, queue: &Arc<QueueCore>) -> Counts {
        self.with_queue(queue, |state, now, effects| state.counts(now, effects))
    }

    /// As [`counts`](Self::counts), with the message at the head.
    pub(crate) fn look_at(self: &Arc<Self>, queue: &Arc<QueueCore>) -> Counts {
        // The age of the head depends on time in every queue.
        let now = self.nanos();
        let mut effects = Effects::none();
        let counts = queue.lock().look(now, &mut effects);
        self.run_effects(queue, effects);
        counts
    }

    /// Cancels delayed messages and returns how many. Keys of messages that are not delayed any
    /// more have no effect.
    pub(crate) fn cancel_delayed(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        keys: Vec<DelayedKey>,
    ) -> u64 {
        self.with_queue(queue, |state, now, effects| {
            state.cancel_delayed(keys, now, effects)
        })
    }

    /// Cancels all delayed messages and returns how many.
    pub(crate) fn cancel_all_delayed(self: &Arc<Self>, queue: &Arc<QueueCore>) -> u64 {
        self.with_queue(queue, |state, _, effects| state.cancel_all_delayed(effects))
    }
}
