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
    handles::consumer::{Consumer, ConsumerQueue, Taken},
    message::payload::Payload,
    model::error::CancelReason,
    runtime::{
        clock::Deadline,
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
/// several. The first turn is random, so that a new `Select` for each message is fair as well.
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
#[derive(Debug)]
struct Source<'a> {
    /// The index of its consumer.
    index: usize,
    /// The index of the queue in the consumer.
    place: usize,
    consumer: &'a Arc<[ConsumerQueue]>,
}

impl<'a> Source<'a> {
    fn queue(&self) -> &'a ConsumerQueue {
        &self.consumer[self.place]
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
        let consumer = consumer.queues();
        self.sources.extend((0..consumer.len()).map(|place| Source {
            index,
            place,
            consumer,
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
        let (token, taken) = waiter::wait_any(&self.sources, 0, deadline)?;
        Some(self.selected(token, taken))
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
            (consumer, random.hash_one((source.index, source.place)))
        });
    }

    /// The result for the source that was served. It goes behind the other queues of its consumer,
    /// and its consumer behind the other consumers.
    fn selected(&mut self, served: usize, taken: Taken) -> Selected<'a> {
        let Source {
            index,
            place,
            consumer,
        } = self.sources[served];
        let (before, behind) = self.sources.split_at(served);
        let same = |source: &&Source<'_>| source.index == index;
        let start = served - before.iter().rev().take_while(same).count();
        let end = served + behind.iter().take_while(same).count();
        self.sources[served..end].rotate_left(1);
        self.sources[start..].rotate_left(end - start);
        Selected {
            index,
            place,
            consumer,
            taken: Some(taken),
        }
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
        wait.poll(&select.sources, 0, context)
            .map(|(served, taken)| select.selected(served, taken))
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
    taken: Option<Taken>,
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
        match self.taken.take() {
            Some(taken) => consumer.open(self.place, taken),
            None => Err(RecvError::Cancelled(CancelReason::ConsumerCancelled)),
        }
    }
}

impl Drop for Selected<'_> {
    fn drop(&mut self) {
        if let (Some(Ok(envelope)), Some(queue)) =
            (self.taken.take(), self.consumer.get(self.place))
        {
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
