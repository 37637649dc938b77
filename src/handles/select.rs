//! Receiving from whichever of several consumers, of any types, has a message first.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    handles::consumer::{Consumer, ConsumerQueue},
    message::{envelope::Envelope, payload::Payload},
    model::error::CancelReason,
    runtime::waiter,
    session::{delivery::Delivery, receive::RecvError},
};

/// Waits for the first of several consumers, of any payload types, to have something.
///
/// As crossbeam's `Select`: add consumers, each gets an index; [`select`](Self::select) says whose turn it is, and
/// completing the operation with that consumer gives its message.
///
/// # If dropped
/// Nothing happens to the consumers.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, Select};
///
/// let broker = Broker::new();
/// let (numbers, words) = (Queue::new("numbers"), Queue::new("words"));
/// let number_consumer = broker.consumer::<u32>(&numbers)?;
/// let word_consumer = broker.consumer::<String>(&words)?;
/// broker.producer::<String>(&words)?.publish("hello".to_owned())?;
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
    members: Vec<&'a ConsumerQueue>,
    /// For each member: the index of its consumer, and its place there.
    places: Vec<(usize, usize)>,
    consumers: Vec<&'a Arc<[ConsumerQueue]>>,
    /// Which is looked at first next time, so that none is starved.
    turn: usize,
}

impl<'a> Select<'a> {
    /// Selects among nothing yet.
    pub fn new() -> Select<'a> {
        Select::default()
    }

    /// Adds a consumer, and returns its index: 0 for the first, and so on.
    pub fn recv<T: Payload>(&mut self, consumer: &'a Consumer<T>) -> usize {
        let index = self.consumers.len();
        for (place, member) in consumer.queues().iter().enumerate() {
            self.members.push(member);
            self.places.push((index, place));
        }
        self.consumers.push(consumer.queues());
        index
    }

    /// Takes the first message that there is, or waits for one. A consumer that was cancelled is selected as well: its
    /// [`recv`](Selected::recv) says so.
    ///
    /// # Panics
    /// If no consumer was added, as crossbeam's does: nothing could ever be selected.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Queue, Select};
    /// # let broker = Broker::new();
    /// # let (a, b) = (Queue::new("a"), Queue::new("b"));
    /// # let producer = broker.producer::<u32>(&b)?;
    /// # let (first, second) = (broker.consumer::<u32>(&a)?, broker.consumer::<u32>(&b)?);
    /// let mut select = Select::new();
    /// select.recv(&first);
    /// broker.delete(&a)?; // its consumer has something to say: that it is cancelled
    /// assert!(select.select().recv(&first).is_err());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn select(&mut self) -> Selected<'a> {
        assert!(
            !self.members.is_empty(),
            "no consumers have been added to `Select`"
        );
        loop {
            if let Some(selected) = self.wait(None) {
                return selected;
            }
        }
    }

    /// Takes the first message that there is now.
    ///
    /// # Errors
    /// [`SelectError`] if there is none.
    ///
    /// # Examples
    /// ```
    /// use leveret::SelectError;
    /// # use leveret::{Broker, Queue, Select};
    /// # let broker = Broker::new();
    /// # let (a, b) = (Queue::new("a"), Queue::new("b"));
    /// # let producer = broker.producer::<u32>(&b)?;
    /// # let (first, second) = (broker.consumer::<u32>(&a)?, broker.consumer::<u32>(&b)?);
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

    /// Takes the first message that there is, or waits for one, at most for `timeout`.
    ///
    /// # Errors
    /// [`SelectError`] if none came in time.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Queue, Select};
    /// # let broker = Broker::new();
    /// # let (a, b) = (Queue::new("a"), Queue::new("b"));
    /// # let producer = broker.producer::<u32>(&b)?;
    /// # let (first, second) = (broker.consumer::<u32>(&a)?, broker.consumer::<u32>(&b)?);
    /// let mut select = Select::new();
    /// select.recv(&first);
    /// assert!(select.select_timeout(Duration::from_millis(1)).is_err());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn select_timeout(&mut self, timeout: Duration) -> Result<Selected<'a>, SelectError> {
        let Some(member) = self.members.first() else {
            return Err(SelectError);
        };
        let time = member.subscriber.vhost().time().clone();
        self.wait(time.deadline(timeout)).ok_or(SelectError)
    }

    fn wait(
        &mut self,
        deadline: Option<crate::runtime::clock::Deadline<'_>>,
    ) -> Option<Selected<'a>> {
        self.turn = self.turn.wrapping_add(1);
        let (token, outcome) = waiter::wait_any(&self.members, self.turn, deadline)?;
        let (index, place) = *self.places.get(token)?;
        let consumer = *self.consumers.get(index)?;
        Some(Selected {
            index,
            place,
            consumer,
            outcome: Some(outcome),
        })
    }
}

/// A message was taken for one of the consumers; [`recv`](Self::recv) gives it.
///
/// # If dropped
/// The message goes back, and is the next that its consumer receives.
///
/// # Examples
/// ```
/// # use leveret::{Broker, Queue, Select};
/// # let broker = Broker::new();
/// # let (a, b) = (Queue::new("a"), Queue::new("b"));
/// # let producer = broker.producer::<u32>(&b)?;
/// # let (first, second) = (broker.consumer::<u32>(&a)?, broker.consumer::<u32>(&b)?);
/// producer.publish(7)?;
/// let mut select = Select::new();
/// select.recv(&second);
/// drop(select.select()); // changed its mind
/// assert_eq!(*select.select().recv(&second)?, 7);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct Selected<'a> {
    index: usize,
    place: usize,
    consumer: &'a Arc<[ConsumerQueue]>,
    /// Present until received.
    outcome: Option<Result<Envelope, CancelReason>>,
}

impl Selected<'_> {
    /// The index of the consumer, as [`Select::recv`] returned it.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes the operation.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    ///
    /// # Panics
    /// If `consumer` is not the one selected, as crossbeam's does.
    pub fn recv<T: Payload>(mut self, consumer: &Consumer<T>) -> Result<Delivery<T>, RecvError> {
        assert!(
            Arc::ptr_eq(self.consumer, consumer.queues()),
            "passed a consumer that was not selected"
        );
        match self.outcome.take() {
            Some(outcome) => consumer.open(self.place, outcome),
            None => Err(RecvError::Cancelled(CancelReason::ConsumerCancelled)),
        }
    }
}

impl Drop for Selected<'_> {
    fn drop(&mut self) {
        if let (Some(Ok(envelope)), Some(member)) =
            (self.outcome.take(), self.consumer.get(self.place))
        {
            member.subscriber.put_back(envelope);
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

/// No consumer of a [`Select`] had a message in time.
///
/// [`Select::try_select`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no consumer has a message")]
pub struct SelectError;
