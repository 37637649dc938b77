//! Consumers: typed handles that receive.
//!
//! Sits on subscriptions: takes envelopes from them and opens them as the consumer's type.

mod batch;
mod builder;

pub use self::builder::ConsumerBuilder;

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    message::{codec::Codecs, envelope::Envelope, payload::Payload},
    model::{
        error::{CancelReason, Result},
        name::Name,
    },
    runtime::{
        sync::{
            MutexGuard,
            atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        },
        waiter::{self, TaskWait, Ticket, WaitList},
    },
    session::{
        delivery::Delivery,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        subscriber::Subscriber,
        unacked::DeliveryOrigin,
        undecoded::Undecoded,
    },
};

/// Receives payloads of one type from one queue, or from several.
///
/// The queue hands it up to [`prefetch`](ConsumerBuilder::prefetch) messages in advance; several threads may receive
/// from the same consumer. Messages of one queue come in the queue's order.
///
/// # If dropped
/// It is cancelled: what it was handed and nobody has received goes back to its place as if it had never been handed
/// over. Deliveries in somebody's hands stay valid.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, TryRecvError};
///
/// let broker = Broker::new();
/// let tasks = Queue::new("tasks");
/// let producer = broker.producer::<u32>(&tasks)?;
/// let consumer = broker.consumer::<u32>(&tasks)?;
/// producer.publish(7)?;
/// let task = consumer.recv()?;
/// assert_eq!(*task, 7);
/// task.ack()?;
/// assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Consumer<T: Payload> {
    queues: Arc<[ConsumerQueue]>,
    /// Which queue is looked at first next time, so that none of several is starved.
    turn: AtomicUsize,
    codecs: Codecs,
    payload: PhantomData<fn() -> T>,
}

/// One of the queues that a consumer receives from.
#[derive(Debug)]
pub(crate) struct ConsumerQueue {
    pub(crate) subscriber: Arc<Subscriber>,
    /// Which of the consumer's members have ended: this one's flag, and the others'.
    ended: Arc<[AtomicBool]>,
    place: usize,
}

/// The queue's end is the consumer's only when it was the last one.
impl waiter::Waitable for ConsumerQueue {
    type Output = Result<Envelope, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        match self.subscriber.attempt(ticket) {
            Poll::Ready(Err(reason)) => {
                // Every receiver that finds it ended says so itself before it looks at the others: of receivers that find the last
                // ones ended at the same time, none may leave it to another to be first.
                self.ended[self.place].store(true, SeqCst);
                match self.ended.iter().all(|ended| ended.load(SeqCst)) {
                    true => Poll::Ready(Err(reason)),
                    // Not registered anywhere: the members that are left wake whoever waits when the last one ends.
                    false => Poll::Pending,
                }
            }
            other => other,
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.subscriber.with_waiters(f);
    }

    fn on_idle(&self) {
        self.subscriber.on_idle();
    }
}

impl<T: Payload> Consumer<T> {
    /// Receives the next message; waits for one if there is none.
    ///
    /// # Errors
    /// [`RecvError::Decode`] with a message that does not decode as `T`; the next call goes on.
    /// [`RecvError::Cancelled`] once the consumer is cancelled, its queue is deleted, its connection closed or the
    /// broker shut down; that also wakes a receiver that waits.
    pub fn recv(&self) -> Result<Delivery<T>, RecvError> {
        if let Some((mut run, source)) = self.run() {
            if let Some(envelope) = run.pop_front() {
                return Ok(Delivery::whole(source, envelope));
            }
        }
        self.wait()
    }

    /// The run at hand, if its next message is as most are, and where it comes from: it is from the only queue, and has the very value in
    /// it that was sent. Looked at where it lies, so that whoever takes it moves it once.
    #[inline(always)]
    fn run(&self) -> Option<(MutexGuard<'_, VecDeque<Envelope>>, Arc<DeliveryOrigin>)> {
        let [member] = &*self.queues else {
            return None;
        };
        let source = member.subscriber.origin();
        if source.auto_ack {
            return None;
        }
        let run = member.subscriber.run()?;
        Delivery::<T>::is_open(run.front()?, &self.codecs).then(|| (run, source.handle()))
    }

    #[inline(never)]
    fn wait(&self) -> Result<Delivery<T>, RecvError> {
        if let [member] = &*self.queues {
            if let Some(envelope) = member.subscriber.next() {
                return self.open_from(member, envelope);
            }
            member.subscriber.spin_for_more();
        }
        match waiter::wait_any(&self.queues, self.turn(), None) {
            Some((member, envelope)) => self.open(member, envelope),
            // Without a deadline the wait does not end so.
            None => Err(RecvError::Cancelled(CancelReason::ConsumerCancelled)),
        }
    }

    /// Receives the next message if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now; otherwise as [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Delivery<T>, TryRecvError> {
        if let Some((mut run, source)) = self.run() {
            if let Some(envelope) = run.pop_front() {
                return Ok(Delivery::whole(source, envelope));
            }
        }
        let first = self.turn();
        for offset in 0..self.queues.len() {
            let member = (first + offset) % self.queues.len();
            if let Poll::Ready(envelope) = waiter::Waitable::attempt(&self.queues[member], None) {
                return Ok(self.open(member, envelope)?);
            }
        }
        Err(TryRecvError::Empty)
    }

    /// Receives the next message; waits at most `timeout` for one.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if none came in time; otherwise as [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use leveret::RecvTimeoutError;
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q"));
    /// # let (producer, consumer) = (broker.producer::<u32>(&queue)?, broker.consumer::<u32>(&queue)?);
    /// let nothing = consumer.recv_timeout(Duration::from_millis(1));
    /// assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
    /// producer.publish(7)?;
    /// assert_eq!(*consumer.recv_timeout(Duration::from_secs(1))?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Delivery<T>, RecvTimeoutError> {
        if let Some((mut run, source)) = self.run() {
            if let Some(envelope) = run.pop_front() {
                return Ok(Delivery::whole(source, envelope));
            }
        }
        let time = self.queues[0].subscriber.vhost().time().clone();
        match waiter::wait_any(&self.queues, self.turn(), time.deadline(timeout)) {
            Some((member, envelope)) => Ok(self.open(member, envelope)?),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// As [`recv`](Self::recv), for a task; needs no particular runtime. The same consumer serves threads and tasks at
    /// once.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has taken nothing.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # use leveret::{Broker, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q"));
    /// # let (producer, consumer) = (broker.producer::<u32>(&queue)?, broker.consumer::<u32>(&queue)?);
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
        Recv {
            consumer: self,
            wait: TaskWait::default(),
        }
    }

    /// An iterator that receives until the consumer is cancelled.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let queue = Queue::new("q");
    /// broker.producer::<u32>(&queue)?.publish_batch([1, 2, 3]);
    /// let consumer = broker.consumer::<u32>(&queue)?;
    /// let mut sum = 0;
    /// for delivery in consumer.iter().take(3) {
    ///     let delivery = delivery?;
    ///     sum += *delivery;
    ///     delivery.ack()?;
    /// }
    /// assert_eq!(sum, 6);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Result<Delivery<T>, RecvError>> + '_ {
        std::iter::from_fn(|| match self.recv() {
            Err(RecvError::Cancelled(_)) => None,
            received => Some(received),
        })
    }

    /// An iterator over the messages that are there now: it ends when there is none, or the consumer is cancelled.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let queue = Queue::new("q");
    /// broker.producer::<u32>(&queue)?.publish_batch([1, 2, 3]);
    /// let consumer = broker.consumer_builder::<u32>(&queue).auto_ack().build()?;
    /// let numbers: Vec<u32> = consumer.try_iter().map(|number| number.map(|number| *number)).collect::<Result<_, _>>()?;
    /// assert_eq!(numbers, [1, 2, 3]);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_iter(&self) -> impl Iterator<Item = Result<Delivery<T>, RecvError>> + '_ {
        std::iter::from_fn(|| match self.try_recv() {
            Ok(delivery) => Some(Ok(delivery)),
            Err(TryRecvError::Decode(undecoded)) => Some(Err(RecvError::Decode(undecoded))),
            Err(TryRecvError::Empty | TryRecvError::Cancelled(_)) => None,
        })
    }

    fn turn(&self) -> usize {
        match self.queues.len() {
            1 => 0,
            _ => self.turn.fetch_add(1, SeqCst),
        }
    }

    pub(crate) fn open(
        &self,
        member: usize,
        envelope: Result<Envelope, CancelReason>,
    ) -> Result<Delivery<T>, RecvError> {
        self.open_from(
            &self.queues[member],
            envelope.map_err(RecvError::Cancelled)?,
        )
    }

    /// Never part of its caller: there the message would be moved in pieces.
    #[inline(never)]
    fn open_from(
        &self,
        member: &ConsumerQueue,
        envelope: Envelope,
    ) -> Result<Delivery<T>, RecvError> {
        shown(member, || envelope.size());
        if Delivery::<T>::is_open(&envelope, &self.codecs) {
            let source = member.subscriber.origin();
            return Ok(Delivery::whole(source.handle(), envelope));
        }
        self.decode(member, envelope).map_err(RecvError::Decode)
    }

    #[inline]
    fn decode(&self, member: &ConsumerQueue, envelope: Envelope) -> Result<Delivery<T>, Undecoded> {
        let source = member.subscriber.origin();
        Delivery::open(source.handle(), envelope, &self.codecs)
    }

    pub(crate) fn queues(&self) -> &Arc<[ConsumerQueue]> {
        &self.queues
    }

    /// Cancels the consumer: what nobody has received goes back to its place, receivers that wait are woken.
    ///
    /// # Examples
    /// ```
    /// use leveret::{CancelReason, RecvError};
    /// # use leveret::{Broker, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q"));
    /// # let (producer, consumer) = (broker.producer::<u32>(&queue)?, broker.consumer::<u32>(&queue)?);
    /// producer.publish(7)?; // handed to the consumer at once, and not received
    /// consumer.cancel();
    /// assert!(matches!(consumer.recv(), Err(RecvError::Cancelled(CancelReason::ConsumerCancelled))));
    /// let delivery = broker.consumer::<u32>(&queue)?.recv()?;
    /// assert!(!delivery.info().redelivered()); // nobody has seen it
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn cancel(&self) {
        cancel(&self.queues);
    }

    /// A handle that cancels this consumer from elsewhere.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, RecvError};
    ///
    /// let broker = Broker::new();
    /// let consumer = broker.consumer::<String>(&Queue::new("q"))?;
    /// let cancel_handle = consumer.cancel_handle();
    /// let receiving = std::thread::spawn(move || consumer.recv().map(drop));
    /// cancel_handle.cancel();
    /// assert!(matches!(receiving.join().unwrap(), Err(RecvError::Cancelled(_))));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle {
            members: Arc::clone(&self.queues),
        }
    }

    /// The queue it receives from; the first, if there are several.
    pub fn queue(&self) -> &Name {
        self.queues[0].subscriber.origin().queue.name()
    }

    /// The consumer tag, under which the queue knows it.
    pub fn tag(&self) -> &Name {
        &self.queues[0].subscriber.origin().consumer_tag
    }

    /// Changes how many unsettled messages it may hold, of each of its queues; 0 is no limit. A lower count takes
    /// nothing back.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Queue};
    /// # let (broker, queue) = (Broker::new(), Queue::new("q"));
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// let consumer = broker.consumer_builder::<u32>(&queue).prefetch(1).build()?;
    /// producer.publish_batch([1, 2]);
    /// let first = consumer.recv()?;
    /// assert!(consumer.try_recv().is_err()); // it holds one
    /// consumer.set_prefetch(2);
    /// assert_eq!(*consumer.try_recv()?, 2);
    /// assert_eq!((&**consumer.queue(), consumer.tag()), ("q", first.info().consumer_tag()));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_prefetch(&self, prefetch: u32) {
        for member in self.queues.iter() {
            member.subscriber.set_prefetch(prefetch);
        }
    }
}

/// A message of so many bytes is shown to the receiver: with auto-ack it is acknowledged by that.
#[inline]
fn shown(member: &ConsumerQueue, bytes: impl FnOnce() -> u64) {
    let source = member.subscriber.origin();
    if source.auto_ack {
        // What is acknowledged on delivery is not settled again.
        let _ = source.ack(1, bytes(), None);
    }
}

fn cancel(members: &[ConsumerQueue]) {
    for member in members {
        member.subscriber.cancel(CancelReason::ConsumerCancelled);
    }
}

impl<T: Payload> Drop for Consumer<T> {
    fn drop(&mut self) {
        cancel(&self.queues);
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

/// The future of [`Consumer::recv_async`].
struct Recv<'a, T: Payload> {
    consumer: &'a Consumer<T>,
    wait: TaskWait,
}

impl<T: Payload> Future for Recv<'_, T> {
    type Output = Result<Delivery<T>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let consumer = self.consumer;
        let run = match self.wait.is_registered() {
            true => None,
            false => consumer.run(),
        };
        if let Some((mut run, source)) = run {
            if let Some(envelope) = run.pop_front() {
                return Poll::Ready(Ok(Delivery::whole(source, envelope)));
            }
        }
        let first = consumer.turn();
        self.wait
            .poll(&consumer.queues, first, context)
            .map(|(member, envelope)| consumer.open(member, envelope))
    }
}

impl<T: Payload> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.wait.leave(&self.consumer.queues);
    }
}

/// Cancels a consumer from elsewhere. Cloning is cheap.
///
/// # If dropped
/// Nothing happens: only [`cancel`](Self::cancel) cancels.
///
/// [`Consumer::cancel_handle`] has an example.
#[derive(Clone, Debug)]
pub struct CancelHandle {
    members: Arc<[ConsumerQueue]>,
}

impl CancelHandle {
    /// Cancels the consumer as [`Consumer::cancel`] does. Again does nothing.
    pub fn cancel(&self) {
        cancel(&self.members);
    }
}
