//! The iterators over the messages of a consumer.

use std::fmt;

use super::Consumer;
use crate::{
    message::payload::Payload,
    session::{
        delivery::Delivery,
        receive::{RecvError, TryRecvError},
        undecoded::Undecoded,
    },
};

impl<T: Payload> Consumer<T> {
    /// Returns an iterator that receives messages until the consumer ends. It waits for them. The
    /// loop `for received in &consumer` uses it.
    ///
    /// A message that does not decode is an `Err`. Look at it, or settle it: one that is dropped is
    /// rejected. An adaptor that skips errors, such as `flatten`, drops it without a word.
    ///
    /// When the iteration has ended, [`ended`](Self::ended) returns the reason.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, CancelReason, Queue};
    ///
    /// let broker = Broker::new();
    /// let _ = broker.producer::<u32>("q")?.publish_batch([1, 2, 3]);
    /// broker.producer::<String>("q")?.publish("four".to_owned())?;
    /// let consumer = broker.consumer::<u32>("q")?;
    /// let mut sum = 0;
    /// for received in consumer.iter() {
    ///     match received {
    ///         Ok(delivery) => {
    ///             sum += *delivery;
    ///             delivery.ack()?;
    ///         }
    ///         Err(undecoded) => {
    ///             eprintln!("{undecoded}");
    ///             undecoded.reject()?; // a drop does the same
    ///             broker.delete(&Queue::new("q"))?; // this ends the iteration
    ///         }
    ///     }
    /// }
    /// assert_eq!((sum, consumer.ended()), (6, Some(CancelReason::QueueDeleted)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { consumer: self }
    }

    /// Returns an iterator over the messages that the consumer can receive now. It does not wait.
    ///
    /// It counts the messages when it is first used: those that the consumer has in advance, and
    /// those that are ready in its queues. It yields no more than that many, so that it ends even
    /// if messages return or more arrive meanwhile. It ends earlier if there is no message, which
    /// includes a consumer that holds its whole prefetch. It also ends with the consumer.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    ///
    /// let broker = Broker::new();
    /// let _ = broker.producer::<u32>("q")?.publish_batch([1, 2, 3]);
    /// let consumer = broker.consumer::<u32>("q")?;
    /// assert_eq!(consumer.try_iter().count(), 3); // the dropped messages return to the queue
    /// let deliveries: Vec<_> = consumer.try_iter().collect::<Result<_, _>>()?;
    /// assert!(deliveries.iter().map(|delivery| **delivery).eq([1, 2, 3]));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_iter(&self) -> impl Iterator<Item = Result<Delivery<T>, Undecoded>> + '_ {
        let mut left = None;
        std::iter::from_fn(move || {
            let left = left.get_or_insert_with(|| self.within_reach());
            *left = left.checked_sub(1)?;
            match self.try_recv() {
                Ok(delivery) => Some(Ok(delivery)),
                Err(TryRecvError::Decode(undecoded)) => Some(Err(undecoded)),
                Err(TryRecvError::Empty | TryRecvError::Cancelled(_)) => None,
            }
        })
    }

    /// The number of messages that the consumer has in advance or that are ready in its queues.
    pub(super) fn within_reach(&self) -> usize {
        let queues = self.queues.iter();
        queues.map(|queue| queue.subscriber.within_reach()).sum()
    }
}

/// The iterator of [`Consumer::iter`]. A `for` loop over a borrowed consumer makes it as well.
///
/// # If dropped
/// Nothing happens to the consumer.
///
/// # Examples
/// ```
/// use leveret::Broker;
///
/// let broker = Broker::new();
/// let producer = broker.producer::<u32>("q")?;
/// let consumer = broker.consumer::<u32>("q")?;
/// producer.publish(7)?;
/// for delivery in &consumer {
///     let delivery = delivery?;
///     assert_eq!(*delivery, 7);
///     delivery.ack()?;
///     consumer.cancel(); // this ends the iteration
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "an iterator receives nothing unless it is used"]
pub struct Iter<'a, T: Payload> {
    consumer: &'a Consumer<T>,
}

impl<T: Payload> Iterator for Iter<'_, T> {
    type Item = Result<Delivery<T>, Undecoded>;

    fn next(&mut self) -> Option<Self::Item> {
        item(self.consumer.recv())
    }
}

impl<T: Payload> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("consumer", self.consumer)
            .finish()
    }
}

/// Receives messages until the consumer ends, as [`Consumer::iter`]. [`Iter`] has an example.
impl<'a, T: Payload> IntoIterator for &'a Consumer<T> {
    type Item = Result<Delivery<T>, Undecoded>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The next item of an iteration or of a stream. `None` if the consumer has ended.
pub(super) fn item<T: Payload>(
    received: Result<Delivery<T>, RecvError>,
) -> Option<Result<Delivery<T>, Undecoded>> {
    match received {
        Ok(delivery) => Some(Ok(delivery)),
        Err(RecvError::Decode(undecoded)) => Some(Err(undecoded)),
        Err(RecvError::Cancelled(_)) => None,
    }
}
