//! A typed consumer without its type: takes runs of messages from its inbox in the queue.
//!
//! A run that was taken lies behind a lock of its own, so that whoever cancels can return it. That lock is taken before
//! the queue's, never after.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, OnceLock, Weak},
    task::Poll,
};

use super::{held::Source, pace::Pace};
use crate::{
    engine::{
        queue::{
            ConsumerId, Credit, Effects, IDLE_ROOM, Inbox, Queue, Run, Sink, Subscribe,
            SubscribeRefused,
        },
        vhost::VirtualHost,
    },
    message::envelope::Envelope,
    model::{
        error::{CancelReason, Entity, Error, Result},
        name::Name,
    },
    runtime::{
        sync::{Mutex, MutexGuard},
        waiter::{self, Ticket, WaitList},
    },
};

/// What a typed consumer asks for.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionAsk {
    pub(crate) tag: Name,
    pub(crate) prefetch: u32,
    pub(crate) priority: i64,
    pub(crate) exclusive: bool,
    pub(crate) auto_ack: bool,
    /// The size in bytes that most of its messages have.
    pub(crate) usual_size: u64,
}

/// What closes a subscription when it closes itself: a connection.
pub(crate) trait Owner: Send + Sync {
    /// The subscription has ended by itself.
    fn forget_subscription(&self, number: u64);
}

/// One consumer of one queue.
pub(crate) struct Subscription {
    number: u64,
    id: ConsumerId,
    source: Arc<Source>,
    owner: Weak<dyn Owner>,
    /// Messages taken from the inbox and shown to nobody yet.
    run: Mutex<VecDeque<Envelope>>,
    pace: Pace,
    /// Why it ended, if it was not the queue's end.
    ended: OnceLock<CancelReason>,
}

impl Subscription {
    /// # Errors
    /// [`Error::AccessRefused`] beside an exclusive consumer, [`Error::NotFound`] if the queue is deleted,
    /// [`Error::InvalidName`].
    pub(crate) fn start(
        vhost: &Arc<VirtualHost>,
        queue: Arc<Queue>,
        owner: Weak<dyn Owner>,
        ask: SubscriptionAsk,
    ) -> Result<Arc<Subscription>> {
        let number = vhost.next_number();
        let tag = match ask.tag.is_empty() {
            true => Name::new(format!("amq.ctag-{number:x}"))?,
            false => ask.tag,
        };
        let credit = Arc::new(Credit::new(ask.usual_size));
        let subscribe = Subscribe {
            tag: tag.clone(),
            group: vhost.new_group(),
            priority: ask.priority,
            prefetch: ask.prefetch,
            // What lies in the inbox is nobody's yet: such a consumer acknowledges when it receives.
            auto_ack: false,
            exclusive: ask.exclusive,
            credit: Arc::clone(&credit),
        };
        let subscribed = vhost.with_queue(&queue, |state, now, effects| {
            state.subscribe(subscribe, |_| Sink::Inbox(Inbox::default()), now, effects)
        });
        let id = subscribed.map_err(|refused| match refused {
            SubscribeRefused::InUse => Error::exclusive_use(queue.name(), vhost.name()),
            SubscribeRefused::Deleted => {
                Error::not_found(Entity::Queue, queue.name(), vhost.name())
            }
        })?;
        let source = Arc::new(Source {
            vhost: Arc::clone(vhost),
            account: queue.account().cloned(),
            queue,
            consumer: Some((id, credit)),
            consumer_tag: tag,
            auto_ack: ask.auto_ack,
        });
        Ok(Arc::new(Subscription {
            number,
            id,
            source,
            owner,
            run: Mutex::default(),
            pace: Pace::new(),
            ended: OnceLock::new(),
        }))
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    pub(crate) fn vhost(&self) -> &Arc<VirtualHost> {
        &self.source.vhost
    }

    fn queue(&self) -> &Arc<Queue> {
        &self.source.queue
    }

    /// Ends the consumer. Its inbox and its run go back as if they had never been handed over; whoever waits is woken.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        if self.ended.set(reason).is_err() {
            return;
        }
        let now = self.vhost().now_for(self.queue());
        let mut effects = Effects::none();
        let mut run = self.run.lock();
        let removed =
            self.queue()
                .lock()
                .leave(&[self.id], &mut run, Vec::new(), now, &mut effects);
        // The queue was deleted, and this run with it.
        let dropped = match removed {
            true => VecDeque::new(),
            false => std::mem::take(&mut *run),
        };
        drop(run);
        self.vhost().carry_out(self.queue(), effects);
        if let Some(owner) = self.owner.upgrade() {
            owner.forget_subscription(self.number);
        }
        drop(dropped);
    }

    pub(crate) fn set_prefetch(&self, prefetch: u32) {
        self.vhost()
            .with_queue(self.queue(), |state, now, effects| {
                state.set_prefetch(self.id, prefetch, now, effects);
            });
    }

    /// Takes the next message of the run at hand, if there is one.
    pub(crate) fn next(&self) -> Option<Envelope> {
        self.run()?.pop_front()
    }

    /// The run at hand, as long as the consumer has not ended: the short way that most receives go.
    #[inline(always)]
    pub(crate) fn run(&self) -> Option<MutexGuard<'_, VecDeque<Envelope>>> {
        let run = self.run.lock();
        (!self.has_ended()).then_some(run)
    }

    /// Waits a moment for the inbox to be filled, without asking for the queue's lock, which its publishers need.
    pub(crate) fn expect_more(&self) {
        if let Some((_, credit)) = &self.source.consumer {
            self.pace.wait(|| credit.is_filled() || credit.has_ended());
        }
    }

    /// Puts a message that was taken and not shown back to where it was taken from, before all others. Another receiver may have found
    /// nothing meanwhile: one is woken.
    pub(crate) fn untake(&self, envelope: Envelope) {
        let mut run = self.run.lock();
        // Cancelled meanwhile: the rest of the run went back without this one.
        if self.ended.get().is_some() || self.has_ended() {
            drop(run);
            return self.source.give_back_unseen(vec![envelope]);
        }
        run.push_front(envelope);
        drop(run);
        waiter::Source::pass_on(self);
    }

    #[inline]
    fn has_ended(&self) -> bool {
        self.source
            .consumer
            .as_ref()
            .is_some_and(|(_, credit)| credit.has_ended())
    }

    /// Why nothing more comes.
    fn reason(&self) -> CancelReason {
        if let Some(reason) = self.vhost().why_down() {
            return reason;
        }
        match self.ended.get() {
            Some(reason) => *reason,
            None => CancelReason::QueueDeleted,
        }
    }
}

impl waiter::Source for Subscription {
    type Output = Result<Envelope, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let now = self.vhost().now_for(self.queue());
        let mut run = self.run.lock();
        if self.has_ended() {
            // The queue is deleted, and this run with it. Dropped without the lock: payloads are user code.
            let deleted = std::mem::take(&mut *run);
            drop(run);
            drop(deleted);
            return Poll::Ready(Err(self.reason()));
        }
        if let Some(envelope) = run.pop_front() {
            return Poll::Ready(Ok(envelope));
        }
        let mut effects = Effects::none();
        let found = self
            .queue()
            .lock()
            .take_run(self.id, &mut run, ticket, now, &mut effects);
        if matches!(found, Run::Taken) {
            self.pace.took(run.len());
        }
        let first = run.pop_front();
        drop(run);
        self.vhost().carry_out(self.queue(), effects);
        match (first, found) {
            (Some(envelope), _) => Poll::Ready(Ok(envelope)),
            (None, Run::Gone) => Poll::Ready(Err(self.reason())),
            (None, Run::Taken | Run::Empty) => Poll::Pending,
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        let mut state = self.queue().lock();
        match state.receivers(self.id) {
            Some(receivers) => f(receivers),
            // Whoever waited was woken when the consumer went.
            None => f(&mut WaitList::default()),
        }
    }

    /// The room that a burst has taken, here and in the queue, is not kept for the next.
    fn rest(&self) {
        let mut run = self.run.lock();
        run.shrink_to(IDLE_ROOM);
        self.queue().lock().rest(Some(self.id));
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;
    use crate::{handles::broker::Broker, model::descriptions::Queue};

    #[test]
    fn what_comes_from_a_backlog_shows_at_once() {
        let broker = Broker::new();
        let queue = Queue::new("q");
        let consumer = broker.consumer_builder::<u64>(&queue).prefetch(2);
        let consumer = consumer.build().unwrap();
        broker.producer(&queue).unwrap().publish_batch(0..6);
        let (_, credit) = consumer.members()[0]
            .subscription
            .source
            .consumer
            .as_ref()
            .unwrap();
        let deliveries = [consumer.recv().unwrap(), consumer.recv().unwrap()];
        assert!(!credit.is_filled());
        for delivery in deliveries {
            delivery.ack().unwrap();
        }
        assert!(credit.is_filled());
        assert_eq!(*consumer.recv().unwrap(), 2);
    }

    #[test]
    fn a_consumer_that_waits_keeps_no_room_of_a_burst() {
        let broker = Broker::new();
        let queue = Queue::new("q");
        let consumer = broker.consumer::<u64>(&queue).unwrap();
        let subscription = &consumer.members()[0].subscription;
        let room = || {
            let inbox = subscription.queue().lock().room(subscription.id);
            (subscription.run.lock().capacity(), inbox)
        };
        for burst in [1_000, 3] {
            broker.producer(&queue).unwrap().publish_batch(0..burst);
            for number in 0..burst {
                let delivery = consumer.recv().unwrap();
                assert_eq!(*delivery, number);
                delivery.ack().unwrap();
            }
            let (run, (inbox, ready)) = room();
            assert!(burst < 100 || run.max(inbox) >= 100 && ready >= 100);
            let mut next = pin!(consumer.recv_async());
            let pending = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(pending.is_pending());
            let (run, (inbox, ready)) = room();
            assert!(run <= 2 * IDLE_ROOM && inbox <= 2 * IDLE_ROOM);
            assert_eq!(ready, 0);
        }
    }
}
