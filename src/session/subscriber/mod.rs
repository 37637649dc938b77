//! A typed consumer without its type. It takes runs of messages from its inbox in the queue.
//!
//! A run is behind a lock of its own, so that a cancellation can return it. That lock is taken
//! before the lock of the queue, never after it.
//!
//! `start` has the options of a subscriber and its start.

mod start;

pub(crate) use self::start::{NewSubscriber, SubscriberOptions};

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, OnceLock, Weak},
    task::Poll,
    time::{Duration, Instant},
};

use super::{recv_backoff::RecvBackoff, unacked::DeliveryOrigin};
use crate::{
    engine::{
        queue::{Checkout, ConsumerId, Effects, InboxOwner, QueueCore},
        vhost::VirtualHost,
    },
    message::envelope::{Envelope, NEVER},
    model::{error::CancelReason, name::Name},
    runtime::{
        clock::Time,
        sync::{
            Mutex, MutexGuard,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        time_out::Until,
        waiter::{self, Ticket, WaitList},
    },
};

/// The owner of a subscriber, which cancels it when it closes itself: a connection.
pub(crate) trait SubscriberOwner: Send + Sync {
    /// The subscriber has ended by itself.
    fn forget_subscriber(&self, number: u64);
}

/// One consumer of one queue.
pub(crate) struct Subscriber {
    number: u64,
    id: ConsumerId,
    origin: Arc<DeliveryOrigin>,
    owner: Weak<dyn SubscriberOwner>,
    /// Messages that were taken from the inbox and are not delivered yet.
    run: Mutex<VecDeque<Envelope>>,
    backoff: RecvBackoff,
    /// Whether the consumer is paused. The subscribers of all its queues share it.
    paused: Arc<AtomicBool>,
    /// The reason of the end, unless the end of the queue is the reason.
    ended: OnceLock<CancelReason>,
}

impl Subscriber {
    /// The engine outside has started the consumer, and gave it this number.
    pub(super) fn started_remotely(&self, number: u64) {
        if let Some(remote) = &self.origin.remote {
            remote.started(number);
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn origin(&self) -> &Arc<DeliveryOrigin> {
        &self.origin
    }

    /// A future that is ready after `time`. `None` if no instant can represent the end.
    pub(crate) fn after(&self, time: Duration) -> Option<Until<'_>> {
        let end = self.time().deadline(time)?.at();
        Some(Until::new(self.vhost().timers(), end))
    }

    /// The time of the broker.
    pub(crate) fn time(&self) -> &Time {
        self.origin.vhost.time()
    }

    fn vhost(&self) -> &Arc<VirtualHost> {
        &self.origin.vhost
    }

    fn queue(&self) -> &Arc<QueueCore> {
        &self.origin.queue
    }

    /// Ends the consumer. Its inbox and its run return as if they had never been delivered, and all
    /// waiters are woken. A second call at the same time returns when the queue has removed the
    /// consumer.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        let now = self.now();
        let mut run = self.run.lock();
        if self.ended.set(reason).is_err() {
            return;
        }
        let (removed, effects) =
            self.vhost()
                .remove_consumers(self.queue(), &[self.id], &mut run, Vec::new(), now);
        // The queue is deleted, and counts the messages of this run as deleted with it.
        let dropped = match removed {
            true => VecDeque::new(),
            false => std::mem::take(&mut *run),
        };
        drop(run);
        self.vhost().run_effects(self.queue(), effects);
        if let Some(remote) = &self.origin.remote {
            remote.cancel();
        }
        if let Some(owner) = self.owner.upgrade() {
            owner.forget_subscriber(self.number);
        }
        if !dropped.is_empty() {
            self.origin.requeue_undelivered(dropped.into());
        }
    }

    /// The number of messages that it has missed, since it was too slow.
    pub(crate) fn missed(&self) -> u64 {
        let consumer = self.origin.consumer.as_ref();
        consumer.map_or(0, |(_, credit)| credit.missed())
    }

    pub(crate) fn set_prefetch(&self, prefetch: u32) {
        self.vhost().set_prefetch(self.queue(), self.id, prefetch);
    }

    /// Takes the next message of the current run, if there is one whose time is not over.
    pub(crate) fn next(&self) -> Option<Envelope> {
        let now = self.now();
        pop_unexpired(&mut *self.run()?, now)
    }

    /// The time, if anything in the queue depends on it, else 0. It may run the code of a clock, so
    /// it is read before any lock.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.vhost().now_for(self.queue())
    }

    /// The current run, unless the consumer has ended. Most receives end here, without the lock of
    /// the queue.
    #[inline(always)]
    pub(crate) fn run(&self) -> Option<MutexGuard<'_, VecDeque<Envelope>>> {
        let run = self.run.lock();
        (!self.has_ended()).then_some(run)
    }

    /// A handle to the origin, for a message that the current thread has taken and shows now.
    ///
    /// The run stays locked until the thread is noted as a receiver. Else another receiver could
    /// take a message from it in between, and be forgotten.
    pub(crate) fn handle_of_taken(&self) -> Arc<DeliveryOrigin> {
        let mut run = None;
        self.origin.handle(|| {
            let run = run.insert(self.run.lock());
            run.len() as u64 + 1
        })
    }

    /// The current run, ended or not.
    #[inline(always)]
    pub(crate) fn lock_run(&self) -> MutexGuard<'_, VecDeque<Envelope>> {
        self.run.lock()
    }

    /// Waits a moment for a message in the inbox. It does not take the lock of the queue, which
    /// publishers need.
    pub(crate) fn spin_for_more(&self) {
        if let Some((_, credit)) = &self.origin.consumer {
            self.backoff
                .wait(|| credit.is_filled() || credit.has_ended());
        }
    }

    /// As [`spin_for_more`](Self::spin_for_more), for a message in any of the inboxes.
    pub(crate) fn spin_for_any<'a>(subscribers: impl Iterator<Item = &'a Subscriber> + Clone) {
        let is_due = |subscriber: &Subscriber| {
            let consumer = subscriber.origin.consumer.as_ref();
            consumer.is_some_and(|(_, credit)| credit.is_filled() || credit.has_ended())
        };
        RecvBackoff::watch(|| subscribers.clone().any(is_due));
    }

    /// Puts a message that was taken and not delivered back, to be received next. Another receiver
    /// may have found no message in the meantime, so one waiter is woken.
    ///
    /// It returns to the front of the run. If it expires, it returns to the inbox and the run
    /// follows it, so that all of them expire as before. If the consumer is paused, it returns to
    /// the queue.
    pub(crate) fn put_back(&self, envelope: Envelope) {
        let now = self.now();
        let mut run = self.run.lock();
        // The consumer was cancelled or paused in the meantime. The rest of the run returned
        // without this message.
        if self.ended.get().is_some() || self.has_ended() || self.is_paused() {
            drop(run);
            return self.origin.requeue_undelivered(vec![envelope]);
        }
        if self.queue().is_timed() && (run.is_empty() || envelope.deadline() != NEVER) {
            let vhost = self.vhost();
            let (left, effects) =
                vhost.put_back_in_inbox(self.queue(), self.id, envelope, &mut run, now);
            drop(run);
            self.vhost().run_effects(self.queue(), effects);
            self.origin.requeue_undelivered(left.into_iter().collect());
            return;
        }
        run.push_front(envelope);
        drop(run);
        waiter::Waitable::pass_on(self);
    }

    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.origin
            .consumer
            .as_ref()
            .is_some_and(|(_, credit)| credit.has_ended())
    }

    /// Returns what the consumer has in advance and has not seen to the queue, and gets nothing
    /// until its next receive. Returns the number of messages.
    pub(crate) fn return_unseen(&self) -> u64 {
        let now = self.now();
        let mut run = self.run.lock();
        if self.has_ended() {
            return 0;
        }
        if self.origin.remote.is_some() {
            let mut unseen = std::mem::take(&mut *run);
            let (_, effects) = self
                .vhost()
                .checkout(self.queue(), self.id, &mut run, None, now);
            unseen.append(&mut run);
            drop(run);
            self.vhost().run_effects(self.queue(), effects);
            let returned = unseen.len() as u64;
            self.origin.requeue_undelivered(unseen.into());
            return returned;
        }
        let (returned, effects) = self
            .vhost()
            .return_unseen(self.queue(), self.id, &mut run, now);
        drop(run);
        self.vhost().run_effects(self.queue(), effects);
        returned
    }

    /// Pauses the consumer, or ends its pause. [`follow_pause`](Self::follow_pause) of the
    /// subscribers of all its queues puts that into effect.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, SeqCst);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(SeqCst)
    }

    /// Puts the pause of the consumer into effect, or its end.
    ///
    /// Two threads may pause and resume at once, and each calls this after it has set the flag. The
    /// last of the calls sees the last value, at every queue.
    pub(crate) fn follow_pause(&self) {
        self.change_run(|run, now| {
            let paused = self.is_paused();
            (self.vhost()).set_paused(self.queue(), self.id, paused, run, now)
        });
    }

    /// Changes the run together with the queue, unless the consumer has ended. The lock of the run
    /// is released before the effects are carried out.
    fn change_run(&self, change: impl FnOnce(&mut VecDeque<Envelope>, u64) -> Effects) {
        let now = self.now();
        let mut run = self.run.lock();
        if self.has_ended() {
            return;
        }
        let effects = change(&mut run, now);
        drop(run);
        self.vhost().run_effects(self.queue(), effects);
    }

    /// The name of the queue and the prefetch, if the consumer holds as many unsettled messages.
    pub(crate) fn reached_prefetch(&self) -> Option<(&Name, u32)> {
        let prefetch = self.queue().reached_prefetch(self.id)?;
        Some((self.queue().name(), prefetch))
    }

    /// Whether nothing more comes unless a delivery is settled: the consumer holds its whole
    /// prefetch, or has ended.
    pub(crate) fn is_at_prefetch(&self) -> bool {
        self.has_ended() || self.reached_prefetch().is_some()
    }

    /// The reason why no more messages come, if the consumer has ended.
    pub(crate) fn ended(&self) -> Option<CancelReason> {
        let ended = self.ended.get().is_some() || !self.queue().has_consumer(self.id);
        ended.then(|| self.reason())
    }

    /// When the first delayed message of the queue is due. It counts until it is ready.
    pub(crate) fn first_due(&self) -> Option<Instant> {
        match self.origin.remote {
            Some(_) => None,
            None => self.vhost().first_due(self.queue()),
        }
    }

    /// The number of messages in the run, in the inbox and ready in the queue.
    pub(crate) fn within_reach(&self) -> usize {
        let run = self.run.lock();
        run.len() + self.queue().within_reach(self.id)
    }

    /// The reason why no more messages come.
    fn reason(&self) -> CancelReason {
        if let Some(reason) = self.vhost().why_down() {
            return reason;
        }
        match self.ended.get() {
            Some(reason) => *reason,
            // A queue that is there ends a consumer by itself only if it is such a stream.
            None if self.queue().is_stream() && !self.queue().is_deleted() => {
                CancelReason::Unreadable
            }
            None => CancelReason::QueueDeleted,
        }
    }
}

/// Takes the first message if its time is not over.
#[inline]
fn pop_unexpired(run: &mut VecDeque<Envelope>, now: u64) -> Option<Envelope> {
    match run.front()?.deadline() > now {
        true => run.pop_front(),
        false => None,
    }
}

/// The end of a consumer, to be waited for.
pub(crate) struct EndOf<'a>(pub(crate) &'a Subscriber);

impl waiter::Waitable for EndOf<'_> {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let Subscriber { id, .. } = self.0;
        match self.0.queue().has_consumer_or_wait(*id, ticket) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.0.queue().with_end_waiters(self.0.id, f);
    }
}

impl InboxOwner for Subscriber {
    fn return_unseen(&self) -> u64 {
        Subscriber::return_unseen(self)
    }

    fn cancel_slow(&self) {
        self.cancel(CancelReason::SlowConsumer);
    }

    fn look_after_run(&self) {
        self.change_run(|run, now| (self.vhost()).look_after_run(self.queue(), self.id, run, now));
    }

    fn return_if_late(&self) {
        self.change_run(|run, now| (self.vhost()).return_if_late(self.queue(), self.id, run, now));
    }
}

impl waiter::Waitable for Subscriber {
    type Output = Result<Envelope, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let now = self.now();
        let mut run = self.run.lock();
        let mut expired = Effects::none();
        if !self.has_ended() {
            if let Some(envelope) = pop_unexpired(&mut run, now) {
                return Poll::Ready(Ok(envelope));
            }
            if !run.is_empty() {
                expired = (self.vhost()).look_after_run(self.queue(), self.id, &mut run, now);
            }
        }
        if self.has_ended() {
            // The queue is deleted, and counts the messages of this run as deleted with it.
            let deleted = std::mem::take(&mut *run);
            drop(run);
            self.vhost().run_effects(self.queue(), expired);
            self.origin.requeue_undelivered(deleted.into());
            return Poll::Ready(Err(self.reason()));
        }
        let (found, effects) = self
            .vhost()
            .checkout(self.queue(), self.id, &mut run, ticket, now);
        if matches!(found, Checkout::Taken) {
            self.backoff.took(run.len());
        }
        let first = run.pop_front();
        drop(run);
        self.vhost().run_effects(self.queue(), expired);
        self.vhost().run_effects(self.queue(), effects);
        match (first, found) {
            (Some(envelope), _) => Poll::Ready(Ok(envelope)),
            (None, Checkout::Gone) => Poll::Ready(Err(self.reason())),
            (None, Checkout::Taken | Checkout::Empty) => Poll::Pending,
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.queue().with_receivers(self.id, f);
    }

    /// A message for which no receiver is left may expire again.
    fn pass_on(&self) {
        self.vhost().receiver_left(self.queue(), self.id);
    }

    /// Frees the capacity of a burst, here and in the queue. The next burst allocates its own.
    fn on_idle(&self) {
        let mut run = self.run.lock();
        if run.is_empty() {
            *run = VecDeque::new();
        }
        self.queue().on_idle(Some(self.id));
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
