//! [`Select`], which receives from the first of several consumers that has a message.

use std::{
    collections::hash_map::RandomState,
    fmt,
    future::Future,
    hash::BuildHasher,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    handles::consumer::{Consumer, ConsumerQueue, MOST_SKIPS, OpenEarly, Opened, Skips, Taken},
    message::payload::Payload,
    model::error::CancelReason,
    runtime::{
        clock::Deadline,
        sync::Mutex,
        waiter::{self, TaskWait, Ticket, WaitList, Waitable},
    },
    session::{delivery::Delivery, receive::RecvError},
};

/// Waits for the first of several consumers that has a message. Their payload types may differ.
///
/// It works like `Select` of crossbeam. [`recv`](Self::recv) adds a consumer and returns its index.
/// [`select`](Self::select) waits, and returns the index of the consumer that has a message.
/// [`Selected::recv`] with that consumer returns the message.
///
/// # Fairness
/// The consumers that have a message are served in turn. So are the queues of a consumer that has
/// several, unless it has a [strict order](crate::ConsumerBuilder::strict_order). The first turn is
/// random, so that a new `Select` for each message is fair as well.
///
/// # If dropped
/// Nothing happens to the consumers.
///
/// # Examples
/// ```
/// use leveret::{Broker, Select};
///
/// let broker = Broker::new();
/// let number_consumer = broker.consumer::<u32>("numbers")?;
/// let word_consumer = broker.consumer::<String>("words")?;
/// broker.producer::<String>("words")?.publish("hello".to_owned())?;
///
/// let mut select = Select::new();
/// let a = select.recv(&number_consumer);
/// let b = select.recv(&word_consumer);
/// let selected = select.select();
/// match selected.index() {
///     i if i == a => assert_eq!(*selected.recv(&number_consumer)?, 7),
///     i if i == b => assert_eq!(*selected.recv(&word_consumer)?, "hello"),
///     _ => unreachable!(),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Select<'a> {
    /// The queues of the consumers. Those of one consumer are side by side. The consumer that was
    /// served last is the last one, and of its queues the one that was served last.
    sources: Vec<Source<'a>>,
    consumers: usize,
    /// Whether the order was made random.
    shuffled: bool,
}

/// One queue of one of the consumers.
struct Source<'a> {
    /// The index of its consumer.
    index: usize,
    /// The index of the queue in the consumer.
    place: usize,
    consumer: &'a Arc<[ConsumerQueue]>,
    /// The consumer, if it skips messages that do not decode. They are not selected.
    skipping: Option<&'a dyn OpenEarly>,
}

impl<'a> Source<'a> {
    fn queue(&self) -> &'a ConsumerQueue {
        &self.consumer[self.place]
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("index", &self.index)
            .field("queue", self.queue())
            .finish_non_exhaustive()
    }
}

impl Waitable for Source<'_> {
    type Output = Taken;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Taken> {
        self.queue().attempt(ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.queue().with_waiters(f);
    }

    fn rank(&self) -> usize {
        self.queue().rank()
    }

    fn on_idle(&self) {
        self.queue().on_idle();
    }

    fn pass_on(&self) {
        self.queue().pass_on();
    }
}

impl<'a> Select<'a> {
    /// Creates a `Select` without consumers.
    pub fn new() -> Select<'a> {
        Select::default()
    }

    /// Adds a consumer, and returns its index. The first consumer has the index 0.
    pub fn recv<T: Payload>(&mut self, consumer: &'a Consumer<T>) -> usize {
        let index = self.consumers;
        let skipping = consumer.skips().then_some(consumer as &dyn OpenEarly);
        let consumer = consumer.queues();
        self.sources.extend((0..consumer.len()).map(|place| Source {
            index,
            place,
            consumer,
            skipping,
        }));
        self.consumers += 1;
        index
    }

    /// Takes the first message of any of the consumers. Waits for a message if there is none.
    ///
    /// A cancelled consumer is selected as well. Then [`Selected::recv`] returns the error.
    ///
    /// # Panics
    /// Panics if no consumer was added, as `Select` of crossbeam does: the call would wait forever.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Queue, Select};
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("b")?;
    /// # let (first, second) = (broker.consumer::<u32>("a")?, broker.consumer::<u32>("b")?);
    /// let mut select = Select::new();
    /// select.recv(&first);
    /// broker.delete(&Queue::new("a"))?; // this cancels the consumer, which is selected
    /// assert!(select.select().recv(&first).is_err());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn select(&mut self) -> Selected<'a> {
        self.check();
        loop {
            if let Some(selected) = self.wait(None) {
                return selected;
            }
        }
    }

    /// Takes the first message that any of the consumers has now.
    ///
    /// # Errors
    /// [`SelectError`] if there is no message.
    ///
    /// # Examples
    /// ```
    /// use leveret::SelectError;
    /// # use leveret::{Broker, Queue, Select};
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("b")?;
    /// # let (first, second) = (broker.consumer::<u32>("a")?, broker.consumer::<u32>("b")?);
    /// let mut select = Select::new();
    /// select.recv(&first);
    /// let of_second = select.recv(&second);
    /// assert!(matches!(select.try_select(), Err(SelectError)));
    /// producer.publish(7)?;
    /// let selected = select.try_select().expect("there is a message");
    /// assert_eq!(selected.index(), of_second);
    /// assert_eq!(*selected.recv(&second)?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_select(&mut self) -> Result<Selected<'a>, SelectError> {
        self.select_timeout(Duration::ZERO)
    }

    /// Takes the first message of any of the consumers. Waits at most `timeout` for a message.
    ///
    /// # Errors
    /// [`SelectError`] if no message came in time.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Queue, Select};
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("b")?;
    /// # let (first, second) = (broker.consumer::<u32>("a")?, broker.consumer::<u32>("b")?);
    /// let mut select = Select::new();
    /// select.recv(&first);
    /// assert!(select.select_timeout(Duration::from_millis(1)).is_err());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn select_timeout(&mut self, timeout: Duration) -> Result<Selected<'a>, SelectError> {
        let Some(source) = self.sources.first() else {
            return Err(SelectError);
        };
        let time = source.queue().subscriber.time().clone();
        self.wait(time.deadline(timeout)).ok_or(SelectError)
    }

    /// Same as [`select`](Self::select), for a task. It needs no particular runtime.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has taken no message. For a future that is kept
    /// without being polled again, see [`Consumer::recv_async`].
    ///
    /// # Panics
    /// Panics if no consumer was added, as [`select`](Self::select) does.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # use leveret::{Broker, Select};
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("b")?;
    /// # let (first, second) = (broker.consumer::<u32>("a")?, broker.consumer::<u32>("b")?);
    /// producer.publish(7)?;
    /// let mut select = Select::new();
    /// select.recv(&first);
    /// let of_second = select.recv(&second);
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match pin!(select.select_async()).poll(&mut context) {
    ///     Poll::Ready(selected) => assert_eq!(selected.index(), of_second),
    ///     Poll::Pending => unreachable!("there is a message"),
    /// };
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn select_async(&mut self) -> impl Future<Output = Selected<'a>> + Send + use<'_, 'a> {
        self.check();
        self.shuffle();
        Selecting {
            select: self,
            wait: TaskWait::default(),
        }
    }

    fn check(&self) {
        assert!(
            !self.sources.is_empty(),
            "no consumers have been added to `Select`"
        );
    }

    fn wait(&mut self, deadline: Option<Deadline<'_>>) -> Option<Selected<'a>> {
        self.shuffle();
        let mut skips = Skips::default();
        loop {
            let (token, taken) = waiter::wait_any(&self.sources, 0, deadline)?;
            if let Some(selected) = self.selected(token, taken) {
                return Some(selected);
            }
            let is_over = deadline.is_some_and(|deadline| deadline.has_passed());
            if is_over && !skips.go_on(|| self.within_reach()) {
                return None;
            }
        }
    }

    /// The number of messages that the consumers have in advance or that are ready in their queues.
    fn within_reach(&self) -> usize {
        let queues = self.sources.iter().map(Source::queue);
        queues.map(|queue| queue.subscriber.within_reach()).sum()
    }

    /// Begins with a random order, so that a `Select` that is made for each turn is fair as well.
    fn shuffle(&mut self) {
        if self.shuffled {
            return;
        }
        self.shuffled = true;
        // Shuttle repeats a test step by step.
        if cfg!(shuttle) || self.sources.len() < 2 {
            return;
        }
        let random = RandomState::new();
        self.sources.sort_by_cached_key(|source| {
            let consumer = random.hash_one(source.index);
            let place = match source.queue().is_ranked() {
                true => source.place as u64,
                false => random.hash_one((source.index, source.place)),
            };
            (consumer, place)
        });
    }

    /// The result for the source that was served. It goes behind the other queues of its consumer,
    /// and its consumer behind the other consumers. `None` if the message was skipped.
    fn selected(&mut self, served: usize, taken: Taken) -> Option<Selected<'a>> {
        let Source {
            index,
            place,
            consumer,
            skipping,
        } = self.sources[served];
        let (before, behind) = self.sources.split_at(served);
        let same = |source: &&Source<'_>| source.index == index;
        let start = served - before.iter().rev().take_while(same).count();
        let end = served + behind.iter().take_while(same).count();
        if !consumer[place].is_ranked() {
            self.sources[served..end].rotate_left(1);
        }
        self.sources[start..].rotate_left(end - start);
        let held = match (skipping, taken) {
            (Some(skipping), Ok(envelope)) => {
                Held::Opened(Mutex::new(skipping.open_early(place, envelope)?))
            }
            (_, taken) => Held::Taken(taken),
        };
        Some(Selected {
            index,
            place,
            consumer,
            held: Some(held),
        })
    }
}

/// The future of [`Select::select_async`].
struct Selecting<'s, 'a> {
    select: &'s mut Select<'a>,
    wait: TaskWait,
}

impl<'a> Future for Selecting<'_, 'a> {
    type Output = Selected<'a>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Selected<'a>> {
        let Selecting { select, wait } = &mut *self;
        for _ in 0..MOST_SKIPS {
            let Poll::Ready((served, taken)) = wait.poll(&select.sources, 0, context) else {
                return Poll::Pending;
            };
            if let Some(selected) = select.selected(served, taken) {
                return Poll::Ready(selected);
            }
        }
        // Polled again soon, after others have run.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Selecting<'_, '_> {
    fn drop(&mut self) {
        self.wait.leave(&self.select.sources);
    }
}

/// A message that was taken for one of the consumers. [`recv`](Self::recv) returns it.
///
/// # If dropped
/// The message returns to its consumer, which receives it next.
///
/// # Examples
/// ```
/// # use leveret::{Broker, Queue, Select};
/// # let broker = Broker::new();
/// # let producer = broker.producer::<u32>("b")?;
/// # let (first, second) = (broker.consumer::<u32>("a")?, broker.consumer::<u32>("b")?);
/// producer.publish(7)?;
/// let mut select = Select::new();
/// select.recv(&second);
/// drop(select.select()); // the message returns to the consumer
/// assert_eq!(*select.select().recv(&second)?, 7);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a message that is selected and not received returns to its consumer"]
pub struct Selected<'a> {
    index: usize,
    place: usize,
    consumer: &'a Arc<[ConsumerQueue]>,
    /// `None` after `recv`.
    held: Option<Held>,
}

/// A message that was taken for a consumer, or the end of the consumer.
enum Held {
    Taken(Taken),
    /// The consumer skips messages that do not decode. This one has decoded. It is never locked:
    /// the mutex lets threads share a payload that they cannot see here.
    Opened(Mutex<Box<dyn Opened>>),
}

impl Selected<'_> {
    /// Returns the index of the consumer, as [`Select::recv`] returned it.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes the operation and returns the message.
    ///
    /// # Errors
    /// The errors of [`Consumer::recv`].
    ///
    /// # Panics
    /// Panics if `consumer` is not the selected consumer, as `SelectedOperation` of crossbeam does.
    pub fn recv<T: Payload>(mut self, consumer: &Consumer<T>) -> Result<Delivery<T>, RecvError> {
        assert!(
            Arc::ptr_eq(self.consumer, consumer.queues()),
            "passed a consumer that was not selected"
        );
        let received = match self.held.take() {
            Some(Held::Taken(taken)) => consumer.open(self.place, taken),
            Some(Held::Opened(opened)) => consumer.show(self.place, opened.into_inner()).map(Ok),
            None => None,
        };
        // It is never `None`: `recv` consumes this, and the consumer is the selected one.
        let cancelled = || Err(RecvError::Cancelled(CancelReason::ConsumerCancelled));
        received.unwrap_or_else(cancelled)
    }
}

impl Drop for Selected<'_> {
    fn drop(&mut self) {
        let envelope = match self.held.take() {
            Some(Held::Taken(taken)) => taken.ok(),
            Some(Held::Opened(opened)) => opened.into_inner().unread(),
            None => None,
        };
        if let (Some(envelope), Some(queue)) = (envelope, self.consumer.get(self.place)) {
            queue.subscriber.put_back(envelope);
        }
    }
}

impl fmt::Debug for Selected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// The error of a [`Select`] if no consumer had a message in time. A consumer gets none while it
/// holds its whole [`prefetch`](crate::ConsumerBuilder::prefetch).
///
/// [`Select::try_select`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no consumer has a message (one that holds its whole prefetch gets none)")]
pub struct SelectError;
