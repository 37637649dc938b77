//! One queue: the ready messages, the consumers it delivers them to, and the count of unsettled
//! messages.
//!
//! Knows nothing of exchanges, channels or virtual hosts. Its operations return [`Effects`]. The
//! caller carries them out after it has released the lock. No thread holds the locks of two queues
//! at once.
//!
//! # Invariants
//! They hold whenever the lock is free.
//! 1. Every message is in exactly one place: ready, delayed, delivered and unsettled, in transit,
//!    or in an effect that is about to be carried out.
//! 2. A message gets its position once, when it first arrives. A returned message keeps its
//!    position. Within one priority the queue delivers in the order of first arrival.
//! 3. If a message is ready, no consumer with credit is waiting, unless it is paused.
//! 4. Limits count ready messages only, and in a quorum queue those that are delayed or in transit
//!    too. They hold before an operation returns.
//! 5. Conservation, in messages and in bytes: taken in = acked + dead-lettered + expired +
//!    dropped + purged + moved + deleted with the queue + ready + unsettled + delayed + in transit.
//! 6. After a settlement has returned, the counts and the credit include it.
//! 7. The switch from one consumer to the next (cancel, exclusive) is one critical section: remove
//!    the consumer, return its inbox, serve the next one.

mod account;
mod announced;
mod assignment;
mod blocked;
mod browse;
mod budget;
mod consumer_id;
mod consumer_sink;
mod consumer_state;
mod consumers;
mod credit;
mod deadlines;
mod delayed;
mod effective;
mod effects;
mod head;
mod hints;
mod idle;
mod in_flight;
mod in_transit;
mod inbox;
mod kind;
mod late;
mod lent_run;
mod limits;
mod line;
mod outcome;
mod outlook;
mod overdue;
mod paused;
mod permit;
mod push;
mod ready;
mod retired;
mod returns;
mod segmented_queue;
mod singles;
mod slow;
mod state;
mod storage;
mod stream;
mod subscriptions;
mod tally;
mod timeout;
mod timing;
mod trigger;

pub(crate) use self::{
    account::Account,
    blocked::Place,
    browse::View,
    budget::BudgetCore,
    consumer_id::ConsumerId,
    consumer_sink::ConsumerSink,
    consumer_state::{DeliveryTarget, Group, SubscribeRequest, SubscribedBy},
    consumers::ListedConsumer,
    credit::Credit,
    deadlines::Deadlines,
    delayed::DelayedKey,
    effects::{DeadLetter, Effect, Effects},
    idle::AwaitedDelays,
    in_flight::{InFlight, Move},
    inbox::{Inbox, InboxOwner},
    outcome::{
        Cause, Checkout, DeleteRefused, Deleted, PushError, PushedBy, ReturnedDelivery,
        SubscribeRefused,
    },
    ready::ReadyKey,
    stream::{Arrivals, NextBlock, StreamProgress},
    tally::Counts,
    timing::after,
    trigger::TriggerEvent,
};
pub(in crate::engine) use self::{state::QueueState, storage::RestoredPlace, stream::view};

use std::{fmt, hash, sync::OnceLock};

use self::{hints::PublishHints, storage::Storage};
use crate::{
    engine::store::StoredQueue,
    message::envelope::Envelope,
    model::{
        arguments::{QueueArguments, QueueType},
        message_totals::MessageTotals,
        name::Name,
    },
    runtime::{
        clock::TimerTarget,
        sync::{Mutex, MutexGuard},
        waiter::{Ticket, WaitList},
    },
};
use std::sync::{Arc, Weak};

/// A queue: its name, and its state behind one lock.
///
/// The order of the fields is that in memory. The first ones are read without the lock for each
/// message. A thread that takes the lock would take their cache line away, so the others lie in
/// between.
#[repr(C)]
pub(crate) struct QueueCore {
    hints: PublishHints,
    /// The queue's account with the budgets that cover it.
    account: Option<Arc<Account>>,
    queue_type: QueueType,
    is_single_active_quorum: bool,
    is_delay_queue: bool,
    /// Tells queues apart that had the same name one after the other.
    id: u64,
    name: Name,
    /// The store of the queue, if it is durable. Its state has it too.
    stored: Option<Box<StoredQueue>>,
    /// When the messages of a stream come.
    arrivals: Option<Box<Arrivals>>,
    /// The object that the timers call.
    timer_target: OnceLock<Arc<dyn TimerTarget>>,
    state: Mutex<QueueState>,
}

impl QueueCore {
    pub(crate) fn new(
        name: Name,
        id: u64,
        settings: Arc<QueueArguments>,
        account: Option<Arc<Account>>,
        in_flight: Arc<InFlight>,
    ) -> QueueCore {
        let hints = PublishHints::of(&settings);
        let queue_type = settings.queue_type;
        let is_single_active_quorum =
            queue_type == QueueType::Quorum && settings.single_active_consumer;
        QueueCore {
            name,
            id,
            queue_type,
            is_single_active_quorum,
            hints,
            stored: None,
            is_delay_queue: false,
            arrivals: None,
            timer_target: OnceLock::new(),
            state: Mutex::new(QueueState::new(settings, account.clone(), in_flight)),
            account,
        }
    }

    /// The same queue, which has no messages yet, with a store for them.
    pub(crate) fn stored_in(mut self, stored: StoredQueue) -> QueueCore {
        let state = self.state.get_mut();
        state.storage = Some(Storage::new(stored.clone()));
        state.note_selective();
        self.stored = Some(Box::new(stored));
        self
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Identifies the queue among all queues that its virtual host ever has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(in crate::engine) fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }

    pub(crate) fn queue_type(&self) -> QueueType {
        self.queue_type
    }

    /// Whether this is a quorum queue. Its deliveries carry their counts in headers.
    pub(crate) fn is_quorum(&self) -> bool {
        self.queue_type == QueueType::Quorum
    }

    /// Whether this is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.queue_type == QueueType::Stream
    }

    /// Whether this is a classic queue. The common limit of a channel counts only the deliveries of
    /// classic queues, as in RabbitMQ.
    pub(crate) fn is_classic(&self) -> bool {
        self.queue_type == QueueType::Classic
    }

    /// Whether this is a quorum queue with a single active consumer. RabbitMQ refuses gets from
    /// such a queue.
    pub(crate) fn is_single_active_quorum(&self) -> bool {
        self.is_single_active_quorum
    }

    /// The account with the budgets that cover the queue, if any budget does.
    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// The object that the timers call for this queue. Made once.
    pub(crate) fn timer_target(
        &self,
        make: impl FnOnce() -> Arc<dyn TimerTarget>,
    ) -> &Arc<dyn TimerTarget> {
        self.timer_target.get_or_init(make)
    }
}

/// The operations without effects.
impl QueueCore {
    /// The number of unsettled deliveries of the consumer with this credit, without those in its
    /// inbox. The consumer may be removed.
    pub(crate) fn unsettled_of(&self, credit: &Arc<Credit>) -> u64 {
        self.lock().unsettled_of(credit)
    }

    /// Whether the queue is deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.lock().is_deleted()
    }

    /// The number of ready messages.
    pub(crate) fn ready_len(&self) -> usize {
        self.lock().ready_len()
    }

    /// Whether the queue still has this consumer.
    pub(crate) fn has_consumer(&self, consumer: ConsumerId) -> bool {
        self.has_consumer_or_wait(consumer, None)
    }

    /// As [`has_consumer`](Self::has_consumer). If it has, registers a waiter for the end of the
    /// consumer with the ticket.
    pub(crate) fn has_consumer_or_wait(
        &self,
        consumer: ConsumerId,
        ticket: Option<Ticket<'_>>,
    ) -> bool {
        let mut state = self.lock();
        match ticket {
            None => state.consumers.inbox(consumer).is_some(),
            Some(ticket) => {
                let waiters = state.end_waiters(consumer);
                waiters.map(|waiters| waiters.register(ticket)).is_some()
            }
        }
    }

    /// Calls `f` with the waiters for the end of a consumer. The list is empty if the consumer was
    /// removed, because its waiters were woken then.
    pub(crate) fn with_end_waiters(&self, consumer: ConsumerId, f: impl FnOnce(&mut WaitList)) {
        match self.lock().end_waiters(consumer) {
            Some(waiters) => f(waiters),
            None => f(&mut WaitList::default()),
        }
    }

    /// The number of messages that a consumer may receive: those of its inbox, and the ready ones.
    pub(crate) fn within_reach(&self, consumer: ConsumerId) -> usize {
        self.lock().within_reach(consumer)
    }

    /// The prefetch of a consumer, if it holds as many unsettled messages.
    pub(crate) fn reached_prefetch(&self, consumer: ConsumerId) -> Option<u32> {
        self.lock().reached_prefetch(consumer)
    }

    /// Sets the consumer of an inbox.
    pub(crate) fn set_inbox_owner(&self, consumer: ConsumerId, owner: Weak<dyn InboxOwner>) {
        self.lock().set_inbox_owner(consumer, owner);
    }

    /// Takes back what the typed consumers have in advance. Returns the number of messages.
    ///
    /// A consumer that does not wait for a message gets nothing until its next receive.
    pub(crate) fn return_unseen(&self) -> u64 {
        // All are paused before the first one returns messages, so that none gets those of another.
        let owners = self.lock().pause_inboxes();
        owners.iter().map(|owner| owner.return_unseen()).sum()
    }

    /// The number of delayed messages, and their bytes.
    pub(crate) fn delayed(&self) -> MessageTotals {
        self.lock().delayed()
    }

    /// Calls `look` with up to `most` delayed messages behind `key`, in the order in which they are
    /// due. `look` runs under the lock and must not run user code.
    pub(crate) fn map_delayed<R>(
        &self,
        key: Option<DelayedKey>,
        most: usize,
        look: impl FnMut((DelayedKey, &Envelope)) -> R,
    ) -> Vec<R> {
        self.lock().map_delayed(key, most, look)
    }

    /// The number of [changes](QueueState::changes), if the queue is idle: every delivery is
    /// settled, no consumer can take a ready message, and no awaited message is delayed. If it is
    /// not idle, registers the waiter with the ticket.
    pub(crate) fn idle_or_wait(
        &self,
        awaited: AwaitedDelays,
        ticket: Option<Ticket<'_>>,
    ) -> Option<u64> {
        let mut state = self.lock();
        // Request the notification first, then look. So a settlement after the look notifies the
        // queue.
        state.request_settlements();
        let idle = state.is_idle(awaited);
        if let (false, Some(ticket)) = (idle, ticket) {
            state.await_idle(awaited, ticket);
        }
        idle.then(|| state.changes())
    }

    /// When the first delayed message is due, in nanoseconds of the virtual host. It stays here
    /// until it is ready.
    pub(in crate::engine) fn first_due(&self) -> u64 {
        self.lock().first_due()
    }

    /// Calls `f` with the waiters of [`idle_or_wait`](Self::idle_or_wait).
    pub(crate) fn with_idle_waiters(&self, f: impl FnOnce(&mut WaitList)) {
        f(self.lock().idle_waiters());
    }

    /// Calls `f` with the waiters that want a ready message and are not consumers.
    pub(crate) fn with_get_waiters(&self, f: impl FnOnce(&mut WaitList)) {
        f(self.lock().get_waiters());
    }

    /// Calls `f` with the receivers that wait for a consumer's inbox. The list is empty if the
    /// consumer was removed, because its receivers were woken then.
    pub(crate) fn with_receivers(&self, consumer: ConsumerId, f: impl FnOnce(&mut WaitList)) {
        let mut state = self.lock();
        match state.receivers(consumer) {
            Some(receivers) => f(receivers),
            None => f(&mut WaitList::default()),
        }
    }

    /// Frees the buffers of an idle queue: the ready list, and the inbox of `consumer`.
    pub(crate) fn on_idle(&self, consumer: Option<ConsumerId>) {
        self.lock().on_idle(consumer);
    }

    /// The capacities of a consumer's inbox and of the ready list.
    #[cfg(test)]
    pub(crate) fn capacities(&self, consumer: ConsumerId) -> (usize, usize) {
        self.lock().capacities(consumer)
    }
}

impl fmt::Debug for QueueCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl PartialEq for QueueCore {
    fn eq(&self, other: &QueueCore) -> bool {
        self.id == other.id
    }
}

impl Eq for QueueCore {}

impl hash::Hash for QueueCore {
    fn hash<H: hash::Hasher>(&self, hasher: &mut H) {
        self.id.hash(hasher);
    }
}
