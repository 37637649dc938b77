//! The iterators over the messages of a reader.

use std::fmt;

use super::{Entry, Reader};
use crate::{
    message::payload::Payload,
    session::{
        receive::{RecvError, TryRecvError},
        undecoded::Undecoded,
    },
};

impl<T: Payload> Reader<T> {
    /// Returns an iterator that reads messages until the stream ends. It waits for them. The loop
    /// `for entry in &reader` uses it.
    ///
    /// A message that does not decode is an `Err`, and the iteration goes on. One that cannot be
    /// read from the disk ends it. [`ended`](Self::ended) tells the reason of the end.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// let _ = broker.producer::<u32>(&log)?.publish_batch(0..3);
    /// let reader = broker.reader::<u32>(&log).from(Offset::First).build()?;
    /// for entry in &reader {
    ///     if *entry? == 2 {
    ///         broker.delete(&log)?; // this ends the iteration
    ///     }
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn iter(&self) -> Entries<'_, T> {
        Entries { reader: self }
    }

    /// Returns an iterator over the messages that have come. It does not wait, and ends when the
    /// reader has read everything. [`ended`](Self::ended) tells whether it has ended before that.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// let _ = broker.producer::<u32>(&log)?.publish_batch(0..3);
    /// let reader = broker.reader::<u32>(&log).from(Offset::At(1)).build()?;
    /// assert!(reader.try_iter().map(|entry| *entry.unwrap()).eq([1, 2]));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_iter(&self) -> impl Iterator<Item = Result<Entry<T>, Undecoded>> + '_ {
        std::iter::from_fn(|| match self.try_recv() {
            Ok(entry) => Some(Ok(entry)),
            Err(TryRecvError::Decode(undecoded)) => Some(Err(undecoded)),
            Err(TryRecvError::Empty | TryRecvError::Cancelled(_)) => None,
        })
    }
}

/// The iterator of [`Reader::iter`]. A `for` loop over a borrowed reader makes it as well.
///
/// # If dropped
/// Nothing happens to the reader.
#[must_use = "an iterator reads nothing unless it is used"]
pub struct Entries<'a, T: Payload> {
    reader: &'a Reader<T>,
}

impl<T: Payload> Iterator for Entries<'_, T> {
    type Item = Result<Entry<T>, Undecoded>;

    fn next(&mut self) -> Option<Self::Item> {
        item(self.reader.recv())
    }
}

impl<T: Payload> fmt::Debug for Entries<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries")
            .field("reader", self.reader)
            .finish()
    }
}

/// Reads messages until the stream ends, as [`Reader::iter`], which has an example.
impl<'a, T: Payload> IntoIterator for &'a Reader<T> {
    type Item = Result<Entry<T>, Undecoded>;
    type IntoIter = Entries<'a, T>;

    fn into_iter(self) -> Entries<'a, T> {
        self.iter()
    }
}

/// The next item of an iteration or of a stream. `None` if the stream has ended.
pub(super) fn item<T: Payload>(
    read: Result<Entry<T>, RecvError>,
) -> Option<Result<Entry<T>, Undecoded>> {
    match read {
        Ok(entry) => Some(Ok(entry)),
        Err(RecvError::Decode(undecoded)) => Some(Err(undecoded)),
        Err(RecvError::Cancelled(_)) => None,
    }
}
