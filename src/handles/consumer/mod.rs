//! [`Consumer`], the typed handle that receives.
//!
//! A consumer takes envelopes from a [`Subscriber`] for each queue, and opens them as its payload
//! type.
//!
//! - `batch`: receiving of many messages at once.
//! - `builder`: [`ConsumerBuilder`].
//! - `cancel`: the end of a consumer, and [`CancelHandle`].
//! - `crossbeam`: [`Consumer::into_crossbeam`].
//! - `decode_error`: [`DecodeErrorPolicy`].
//! - `iter`: the iterators.
//! - `open`: what becomes of a message that was taken, and [`Opened`] for a `Select`.
//! - `pause`: [`Consumer::pause`] and its end.
//! - `stream`: the streams.
//! - `task`: the future of [`Consumer::recv_async`].
//! - `unseen`: [`Consumer::return_unseen`].

mod batch;
mod builder;
mod cancel;
mod crossbeam;
mod decode_error;
mod iter;
mod open;
mod pause;
#[cfg(feature = "stream")]
mod stream;
mod task;
mod unseen;

pub use self::{
    builder::ConsumerBuilder, cancel::CancelHandle, decode_error::DecodeErrorPolicy, iter::Iter,
};
pub(crate) use self::{
    decode_error::{MOST_SKIPS, Skips},
    open::{OpenEarly, Opened},
};

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    marker::PhantomData,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use self::open::shown;
use crate::{
    message::{codec::Codecs, envelope::Envelope, payload::Payload},
    model::{
        error::{CancelReason, Result},
        name::Name,
    },
    runtime::{
        clock::Deadline,
        sync::{
            MutexGuard,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::{self, Ticket, Turn, WaitList},
    },
    session::{
        delivery::Delivery,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        subscriber::Subscriber,
        unacked::DeliveryOrigin,
    },
};

/// Receives payloads of one type from one queue, or from several.
///
/// A queue delivers up to [`prefetch`](ConsumerBuilder::prefetch) messages to the consumer in
/// advance. Several threads may receive from the same consumer. Messages of one queue come in the
/// order of the queue.
///
/// # Fairness
/// Of several queues, those that have messages are served in turn, one message each. The first turn
/// is random. With [`strict_order`](ConsumerBuilder::strict_order) the first queue that has
/// messages is served instead. Receivers that wait are served in the order in which they came,
/// threads and tasks alike.
///
/// # RabbitMQ
/// A consumer of `basic.consume`. The default prefetch is 256 here, and unlimited in RabbitMQ.
///
/// # If dropped
/// The consumer is cancelled. The messages that were not received yet return to their places in the
/// queue, and are not marked as redelivered. Deliveries that were received stay valid.
///
/// # Examples
/// ```
/// use leveret::{Broker, TryRecvError};
///
/// let broker = Broker::new();
/// let producer = broker.producer::<u32>("tasks")?;
/// let consumer = broker.consumer::<u32>("tasks")?;
/// producer.publish(7)?;
/// let task = consumer.recv()?;
/// assert_eq!(*task, 7);
/// task.ack()?;
/// assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a consumer that is dropped is cancelled"]
pub struct Consumer<T: Payload> {
    queues: Arc<[ConsumerQueue]>,
    /// The queue that the next receive checks first. `None` if that is always the first one.
    turn: Option<Turn>,
    codecs: Codecs,
    on_decode_error: decode_error::OnDecodeError,
    payload: PhantomData<fn() -> T>,
}

/// A message that was taken, or the reason why no more come.
pub(crate) type Taken = Result<Envelope, CancelReason>;

/// One of the queues that a consumer receives from.
#[derive(Debug)]
pub(crate) struct ConsumerQueue {
    pub(crate) subscriber: Arc<Subscriber>,
    /// A flag for each queue of the consumer: whether the queue has ended. `None` if it is the only
    /// queue.
    ended: Option<Arc<[AtomicBool]>>,
    /// The index of this queue in the consumer.
    place: u32,
    /// Whether the queues before this one are served before it.
    is_ranked: bool,
}

impl ConsumerQueue {
    /// Whether the queues of the consumer are served in a strict order.
    pub(crate) fn is_ranked(&self) -> bool {
        self.is_ranked
    }
}

/// The end of a queue ends the consumer only if it is the last queue.
impl waiter::Waitable for ConsumerQueue {
    type Output = Taken;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        match self.subscriber.attempt(ticket) {
            Poll::Ready(Err(reason)) => {
                // Every receiver sets the flag itself before it reads the others. Receivers can
                // find the last queues ended at the same time, and at least one must see all flags.
                let ended = self.ended.as_deref().unwrap_or_default();
                if let Some(ended) = ended.get(self.place as usize) {
                    ended.store(true, SeqCst);
                }
                match ended.iter().all(|ended| ended.load(SeqCst)) {
                    true => Poll::Ready(Err(reason)),
                    // The receiver is not registered at this queue. The other queues wake it when
                    // the last of them ends.
                    false => Poll::Pending,
                }
            }
            other => other,
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.subscriber.with_waiters(f);
    }

    fn rank(&self) -> usize {
        match self.is_ranked {
            true => self.place as usize,
            false => 0,
        }
    }

    fn on_idle(&self) {
        self.subscriber.on_idle();
    }

    fn pass_on(&self) {
        self.subscriber.pass_on();
    }
}

impl<T: Payload> Consumer<T> {
    /// Receives the next message. Waits for a message if there is none.
    ///
    /// # RabbitMQ
    /// `basic.deliver`.
    ///
    /// # Errors
    /// - [`RecvError::Decode`] if the message does not decode as `T`. The error has the message,
    ///   and the next call receives the next message. With another
    ///   [policy](ConsumerBuilder::on_decode_error) the call goes on instead.
    /// - [`RecvError::Cancelled`] if the consumer is cancelled, all its queues are deleted, its
    ///   connection is closed, or the broker is shut down. Each of these also wakes a receiver that
    ///   waits.
    pub fn recv(&self) -> Result<Delivery<T>, RecvError> {
        if let Some((mut run, origin)) = self.run()
            && let Some(envelope) = run.pop_front()
        {
            return Ok(Delivery::whole(origin, envelope));
        }
        self.wait()
    }

    /// Returns the current run and its origin, if the next message needs no decoding.
    ///
    /// There is a result only if the consumer has one queue, no auto-ack and no time for
    /// deliveries, if it had no messages that expire, and if the message has the value that was
    /// sent. The message stays in the run, so that the caller moves it only once.
    #[inline(always)]
    fn run(&self) -> Option<(MutexGuard<'_, VecDeque<Envelope>>, Arc<DeliveryOrigin>)> {
        let [queue] = &*self.queues else {
            return None;
        };
        let origin = queue.subscriber.origin();
        let run = queue.subscriber.lock_run();
        if !origin.takes_plainly() || !Delivery::<T>::is_open(run.front()?, &self.codecs) {
            return None;
        }
        let origin = origin.handle(|| run.len() as u64);
        Some((run, origin))
    }

    #[inline(never)]
    fn wait(&self) -> Result<Delivery<T>, RecvError> {
        loop {
            let (place, taken) = self.wait_for_one()?;
            if let Some(received) = self.open(place, taken) {
                return received;
            }
        }
    }

    fn wait_for_one(&self) -> Result<(usize, Taken), RecvError> {
        if let [queue] = &*self.queues {
            if let Some(envelope) = queue.subscriber.next() {
                return Ok((0, Ok(envelope)));
            }
            queue.subscriber.spin_for_more();
        }
        // A wait without a deadline does not time out.
        let cancelled = RecvError::Cancelled(CancelReason::ConsumerCancelled);
        self.wait_until(None).ok_or(cancelled)
    }

    /// Receives the next message if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is no message now, and the errors of [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Delivery<T>, TryRecvError> {
        if let Some((mut run, origin)) = self.run()
            && let Some(envelope) = run.pop_front()
        {
            return Ok(Delivery::whole(origin, envelope));
        }
        let mut skips = Skips::default();
        while let Some((place, taken)) = waiter::try_any(&self.queues, self.turn()) {
            self.served(place);
            match self.open(place, taken) {
                Some(received) => return Ok(received?),
                None if skips.go_on(|| self.within_reach()) => {}
                None => break,
            }
        }
        Err(TryRecvError::Empty)
    }

    /// Receives the next message. Waits at most `timeout` for a message.
    ///
    /// # Errors
    /// - [`RecvTimeoutError::Timeout`] if no message came in time.
    /// - [`RecvTimeoutError::PrefetchReached`] if none came because the consumer holds its whole
    ///   prefetch from one of its queues.
    /// - The errors of [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use leveret::RecvTimeoutError;
    /// # use std::time::Duration;
    /// # use leveret::Broker;
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("q")?;
    /// # let consumer = broker.consumer::<u32>("q")?;
    /// let nothing = consumer.recv_timeout(Duration::from_millis(1));
    /// assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
    /// producer.publish(7)?;
    /// assert_eq!(*consumer.recv_timeout(Duration::from_secs(1))?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Delivery<T>, RecvTimeoutError> {
        if let Some((mut run, origin)) = self.run()
            && let Some(envelope) = run.pop_front()
        {
            return Ok(Delivery::whole(origin, envelope));
        }
        let time = self.queues[0].subscriber.time().clone();
        let deadline = time.deadline(timeout);
        let mut skips = Skips::default();
        while let Some((place, taken)) = self.wait_until(deadline) {
            match self.open(place, taken) {
                Some(received) => return Ok(received?),
                None if self.may_skip(deadline, &mut skips) => {}
                None => break,
            }
        }
        Err(self.timed_out())
    }

    /// Whether a receive that has skipped a message may take the next one.
    fn may_skip(&self, deadline: Option<Deadline<'_>>, skips: &mut Skips) -> bool {
        let is_over = deadline.is_some_and(|deadline| deadline.has_passed());
        !is_over || skips.go_on(|| self.within_reach())
    }

    /// Same as [`recv`](Self::recv), for a task. It needs no particular runtime.
    ///
    /// Threads and tasks may receive from the same consumer at the same time.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has taken no message. If it was woken already,
    /// the next receiver is woken in its place.
    ///
    /// A future that was polled and is kept without being polled again, as in a `select!` in a loop
    /// that leaves it out, holds its place among the receivers. The wake for one message goes to
    /// it, and then that message waits, although others wait for one. Poll such a future or drop
    /// it. [`return_unseen`](Self::return_unseen) takes the message back for other consumers.
    ///
    /// # Errors
    /// The errors of [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # use leveret::Broker;
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("q")?;
    /// # let consumer = broker.consumer::<u32>("q")?;
    /// producer.publish(7)?;
    /// let mut receiving = pin!(consumer.recv_async());
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match receiving.as_mut().poll(&mut context) {
    ///     Poll::Ready(delivery) => assert_eq!(*delivery?, 7),
    ///     Poll::Pending => unreachable!("there is a message"),
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_async(&self) -> impl Future<Output = Result<Delivery<T>, RecvError>> + Send + '_ {
        task::Recv::new(self)
    }

    fn timed_out(&self) -> RecvTimeoutError {
        let mut queues = self.queues.iter();
        match queues.find_map(|queue| queue.subscriber.reached_prefetch()) {
            Some((queue, prefetch)) => RecvTimeoutError::PrefetchReached {
                queue: queue.clone(),
                prefetch,
            },
            None => RecvTimeoutError::Timeout,
        }
    }

    /// Whether the consumer holds its whole prefetch from each of its queues.
    pub(crate) fn is_at_prefetch(&self) -> bool {
        let mut queues = self.queues.iter();
        queues.all(|queue| queue.subscriber.is_at_prefetch())
    }

    /// Waits for a message of any queue. `None` at the deadline.
    fn wait_until(&self, deadline: Option<Deadline<'_>>) -> Option<(usize, Taken)> {
        let taken = waiter::wait_any(&self.queues, self.turn(), deadline)?;
        self.served(taken.0);
        Some(taken)
    }

    fn turn(&self) -> usize {
        match &self.turn {
            Some(turn) if self.queues.len() > 1 => turn.first(),
            _ => 0,
        }
    }

    /// Records the queue that was served, for the next turn.
    fn served(&self, place: usize) {
        if let (Some(turn), 2..) = (&self.turn, self.queues.len()) {
            turn.served(place);
        }
    }

    pub(crate) fn queues(&self) -> &Arc<[ConsumerQueue]> {
        &self.queues
    }

    /// Returns the name of the queue. It is the first queue if there are several.
    pub fn queue(&self) -> &Name {
        self.queues[0].subscriber.origin().queue.name()
    }

    /// The names of all queues.
    pub(crate) fn queue_names(&self) -> Vec<Name> {
        let names = self.queues.iter();
        names
            .map(|queue| queue.subscriber.origin().queue.name().clone())
            .collect()
    }

    /// When the first delayed message of its queues is due. It counts until it is ready.
    pub(crate) fn first_due(&self) -> Option<Instant> {
        let queues = self.queues.iter();
        queues
            .filter_map(|queue| queue.subscriber.first_due())
            .min()
    }

    /// Waits a moment for a message. A thread does it before it sleeps.
    pub(crate) fn spin_for_more(&self) {
        match &*self.queues {
            [queue] => queue.subscriber.spin_for_more(),
            queues => Subscriber::spin_for_any(queues.iter().map(|queue| &*queue.subscriber)),
        }
    }

    /// Returns the consumer tag, which identifies the consumer at its queues.
    pub fn tag(&self) -> &Name {
        &self.queues[0].subscriber.origin().consumer_tag
    }

    /// The number of messages that were dropped because the consumer was too slow, with
    /// [`SlowConsumerPolicy::DropOldest`](crate::SlowConsumerPolicy::DropOldest), which has an
    /// example.
    pub fn missed(&self) -> u64 {
        let queues = self.queues.iter();
        queues.map(|queue| queue.subscriber.missed()).sum()
    }

    /// Changes the number of unsettled messages that the consumer may hold from each queue.
    ///
    /// 0 means no limit. A smaller number does not return messages that the consumer has already.
    ///
    /// # RabbitMQ
    /// The `prefetch-count` of `basic.qos`.
    ///
    /// # Examples
    /// ```
    /// # use leveret::Broker;
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("q")?;
    /// let consumer = broker.consumer_builder::<u32>("q").prefetch(1).build()?;
    /// let _ = producer.publish_batch([1, 2]);
    /// let first = consumer.recv()?;
    /// assert!(consumer.try_recv().is_err()); // it holds one message already
    /// consumer.set_prefetch(2);
    /// assert_eq!(*consumer.try_recv()?, 2);
    /// assert_eq!((&**consumer.queue(), consumer.tag()), ("q", first.info().consumer_tag()));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_prefetch(&self, prefetch: u32) {
        for queue in self.queues.iter() {
            queue.subscriber.set_prefetch(prefetch);
        }
    }
}

impl<T: Payload> Drop for Consumer<T> {
    fn drop(&mut self) {
        cancel::cancel(&self.queues);
    }
}

impl<T: Payload> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", self.queue())
            .field("tag", self.tag())
            .finish_non_exhaustive()
    }
}
