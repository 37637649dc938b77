//! One queue: messages ready for delivery, the consumers it hands them to, and the count of what is unsettled.
//!
//! Knows nothing of exchanges, channels or virtual hosts. Its verbs return [`Effects`]; the caller carries them out
//! after the lock is gone. Two queues' locks are never held at once.
//!
//! # Invariants (all hold whenever the lock is free)
//! 1. Every message is in exactly one place: ready, delayed, handed over and unsettled, or an effect about to be carried
//!    out.
//! 2. A message's position is given once, at first arrival; a returned message keeps it, so within one priority the
//!    order of first arrival is the order of delivery.
//! 3. If anything is ready, no consumer with credit is waiting.
//! 4. Limits count ready messages only and hold before the verb returns.
//! 5. Conservation, in messages and bytes: taken in = acked + dead-lettered + expired + dropped + purged + moved +
//!    deleted with the queue + ready + unsettled + delayed.
//! 6. When a settlement has returned, counts and credit show it.
//! 7. A hand-over (cancel, exclusive) is one critical section: remove, return the inbox, serve the next.

mod budget;
mod consumer_id;
mod consumer_state;
mod consumers;
mod credit;
mod delayed;
mod effects;
mod limits;
mod outcome;
mod permit;
mod ready;
mod returns;
mod segmented_queue;
mod state;
mod tally;
mod timing;

pub(crate) use self::{
    budget::{Account, BudgetCapacity, BudgetCore},
    consumer_id::ConsumerId,
    consumer_state::{ConsumerSink, DeliveryTarget, Group, Inbox, SubscribeRequest},
    credit::Credit,
    delayed::DelayedKey,
    effects::{DeadLetter, Effect, Effects},
    outcome::{
        Checkout, DeleteRefused, Deleted, PushError, PushedBy, ReturnedDelivery, SubscribeRefused,
    },
    state::{IDLE_CAPACITY, QueueState},
    tally::Counts,
    timing::after,
};

use std::{fmt, hash, sync::OnceLock, vec};

use crossbeam_utils::CachePadded;

use crate::{
    message::envelope::{Envelope, NEVER},
    model::{
        arguments::{QueueArguments, QueueType},
        message_totals::MessageTotals,
        name::Name,
    },
    runtime::{
        clock::TimerTarget,
        sync::{
            Mutex, MutexGuard,
            atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        },
        timers::{TimerKey, Timers},
        waiter::{Ticket, WaitList},
    },
};
use std::sync::Arc;

/// A queue: its name, and everything else behind one lock.
pub(crate) struct QueueCore {
    name: Name,
    /// Tells queues of the same name apart that lived one after the other.
    id: u64,
    shows_delivery_count: bool,
    hints: PublishHints,
    /// With the budgets that cover it.
    account: Option<Arc<Account>>,
    /// What the timers call.
    timer_target: OnceLock<Arc<dyn TimerTarget>>,
    /// When the timers are to call next, if at all. A leaf but for the timers' own lock.
    timer: Mutex<Option<(u64, TimerKey)>>,
    /// On lines of its own: those above are read without the lock, and would be taken away by whoever takes it.
    state: CachePadded<Mutex<QueueState>>,
}

/// What a publisher wants to know before it takes the lock. Written under the lock, seldom.
#[derive(Debug)]
struct PublishHints {
    /// The time to live that the queue gives to messages, in nanoseconds; [`NEVER`] is none.
    ttl: AtomicU64,
    /// Whether anything here has ever depended on time, so that the clock is worth a look.
    timed: AtomicBool,
    /// Whether publishers wait when the queue is full.
    blocking: AtomicBool,
    /// Whether they wait for anything: for that, or for a budget.
    waits: AtomicBool,
}

impl QueueCore {
    pub(crate) fn new(
        name: Name,
        id: u64,
        settings: QueueArguments,
        account: Option<Arc<Account>>,
    ) -> QueueCore {
        let hints = PublishHints {
            ttl: AtomicU64::new(NEVER),
            timed: AtomicBool::new(false),
            blocking: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        };
        hints.follow(&settings, account.as_deref());
        let shows_delivery_count = settings.queue_type == QueueType::Quorum;
        QueueCore {
            name,
            id,
            shows_delivery_count,
            hints,
            timer_target: OnceLock::new(),
            timer: Mutex::new(None),
            state: CachePadded::new(Mutex::new(QueueState::new(settings, account.clone()))),
            account,
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// What tells it from all other queues of its virtual host, before and after it.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(in crate::engine) fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }

    /// Whether deliveries carry their count in a header, as those of RabbitMQ's quorum queues do.
    pub(crate) fn shows_delivery_count(&self) -> bool {
        self.shows_delivery_count
    }

    /// Other arguments are in effect from now on.
    pub(crate) fn reconfigure(&self, settings: &QueueArguments, now: u64, effects: &mut Effects) {
        let mut state = self.lock();
        self.hints.follow(settings, self.account.as_deref());
        state.reconfigure(settings.clone(), now, effects);
    }

    /// The time to live that the queue gives to messages, in nanoseconds; [`NEVER`] is none.
    pub(crate) fn ttl(&self) -> u64 {
        self.hints.ttl.load(SeqCst)
    }

    /// Whether a message may take the first slot that is free: nothing here depends on time, and
    /// publishers do not wait.
    #[inline]
    fn is_plain(&self) -> bool {
        !self.is_timed() && !self.is_blocking()
    }

    /// Whether the clock is worth a look before a verb.
    pub(crate) fn is_timed(&self) -> bool {
        self.hints.timed.load(SeqCst)
    }

    /// A message that depends on time is about to come.
    pub(crate) fn set_timed(&self) {
        if !self.is_timed() {
            self.hints.timed.store(true, SeqCst);
        }
    }

    /// Whether publishers may have to wait, for room here or in a budget.
    pub(crate) fn is_blocking(&self) -> bool {
        self.hints.waits.load(SeqCst)
    }

    /// Whether publishers wait when the queue itself is full.
    pub(crate) fn blocks_by_itself(&self) -> bool {
        self.hints.blocking.load(SeqCst)
    }

    /// With the budgets that cover it, if any does.
    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// What the timers are to call for this queue, made once.
    pub(crate) fn timer_target(
        &self,
        make: impl FnOnce() -> Arc<dyn TimerTarget>,
    ) -> &Arc<dyn TimerTarget> {
        self.timer_target.get_or_init(make)
    }
}

/// The roads into the queue, and the verbs that leave nothing to be carried out.
impl QueueCore {
    /// Puts a message into the queue if a slot is free at once, in one critical section: reserve,
    /// write, count. Wakes a receiver afterwards. `make` makes the message of the payload and its
    /// position; it runs under the lock, and no user code may be in it.
    ///
    /// # Errors
    /// Gives the payload back if anything else has to be looked at.
    #[inline]
    pub(crate) fn try_push<P>(
        &self,
        size: u64,
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> Result<(), P> {
        if !self.is_plain() {
            return Err(payload);
        }
        let mut state = self.lock();
        let Some(permit) = state.reserve() else {
            return Err(payload);
        };
        let wake = permit.send(size, |position| make(payload, position));
        drop(state);
        if let Some(wake) = wake {
            wake.wake();
        }
        Ok(())
    }

    /// As [`try_push`](Self::try_push) for many payloads in one critical section. Returns a message
    /// that was made and then refused, if there is one; payloads behind it stay in `payloads`, and so
    /// do all if the queue takes none this way.
    pub(crate) fn try_push_run<P>(
        &self,
        payloads: &mut vec::IntoIter<P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, u64) -> Envelope,
    ) -> (Option<Envelope>, Effects) {
        let mut effects = Effects::none();
        if !self.is_plain() {
            return (None, effects);
        }
        let refused = self
            .lock()
            .enqueue_batch(payloads, size, make, &mut effects);
        (refused, effects)
    }

    /// The number of ready messages.
    pub(crate) fn ready_len(&self) -> usize {
        self.lock().ready_len()
    }

    /// The delayed messages, and their bytes.
    pub(crate) fn delayed(&self) -> MessageTotals {
        self.lock().delayed()
    }

    /// Looks at up to `most` delayed messages behind `key`, in the order in which they are due. `look`
    /// runs under the lock, and no user code may be in it.
    pub(crate) fn map_delayed<R>(
        &self,
        key: Option<DelayedKey>,
        most: usize,
        look: impl FnMut((DelayedKey, &Envelope)) -> R,
    ) -> Vec<R> {
        self.lock().map_delayed(key, most, look)
    }

    /// Whether nothing is under way: everything delivered is settled, and no consumer can take what
    /// is ready.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_idle()
    }

    /// As [`is_idle`](Self::is_idle). If it is not, the waiter with the ticket is registered.
    pub(crate) fn idle_or_wait(&self, ticket: Option<Ticket<'_>>) -> bool {
        let mut state = self.lock();
        // Asked first, and then looked: a settlement after the look is told.
        state.arm_idle_notify();
        let idle = state.is_idle();
        if let (false, Some(ticket)) = (idle, ticket) {
            state.idle_waiters().register(ticket);
        }
        idle
    }

    /// Lends out the waiters of [`idle_or_wait`](Self::idle_or_wait).
    pub(crate) fn with_idle_waiters(&self, f: impl FnOnce(&mut WaitList)) {
        f(self.lock().idle_waiters());
    }

    /// Lends out those who wait for a ready message without being consumers.
    pub(crate) fn with_get_waiters(&self, f: impl FnOnce(&mut WaitList)) {
        f(self.lock().get_waiters());
    }

    /// Lends out the receivers that wait for a consumer's inbox. An empty list if the consumer is gone,
    /// since its receivers were woken then.
    pub(crate) fn with_receivers(&self, consumer: ConsumerId, f: impl FnOnce(&mut WaitList)) {
        let mut state = self.lock();
        match state.receivers(consumer) {
            Some(receivers) => f(receivers),
            None => f(&mut WaitList::default()),
        }
    }

    /// Shrinks the buffers of an idle queue: the ready list, and the inbox of `consumer`.
    pub(crate) fn on_idle(&self, consumer: Option<ConsumerId>) {
        self.lock().on_idle(consumer);
    }

    /// The capacities of a consumer's inbox and of the ready list.
    #[cfg(test)]
    pub(crate) fn capacities(&self, consumer: ConsumerId) -> (usize, usize) {
        self.lock().capacities(consumer)
    }
}

impl QueueCore {
    /// Has the timers call at `at`, unless they are to call earlier, and then looks again.
    pub(crate) fn schedule_timer(&self, at: u64, timers: &Timers, make: impl FnOnce() -> TimerKey) {
        let mut appointment = self.timer.lock();
        match &*appointment {
            Some((earlier, _)) if *earlier <= at => return,
            Some((_, later)) => {
                timers.cancel(later);
            }
            None => {}
        }
        *appointment = Some((at, make()));
    }

    /// The timers call: whatever is due next needs another appointment.
    pub(crate) fn timer_fired(&self) {
        *self.timer.lock() = None;
    }

    /// The queue is deleted: nothing is due any more.
    pub(crate) fn cancel_timer(&self, timers: &Timers) {
        if let Some((_, appointment)) = self.timer.lock().take() {
            timers.cancel(&appointment);
        }
    }
}

impl PublishHints {
    fn follow(&self, settings: &QueueArguments, account: Option<&Account>) {
        let ttl = settings
            .message_ttl
            .map_or(NEVER, |ttl| after(0, ttl).min(NEVER - 1));
        self.ttl.store(ttl, SeqCst);
        if settings.message_ttl.is_some() || settings.expires.is_some() {
            self.timed.store(true, SeqCst);
        }
        let blocking = settings.overflow == Some(crate::model::descriptions::Overflow::Block);
        self.blocking.store(blocking, SeqCst);
        let waits = blocking || account.is_some_and(Account::blocks);
        self.waits.store(waits, SeqCst);
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
