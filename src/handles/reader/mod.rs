//! Readers of streams.
//!
//! - `builder`: [`ReaderBuilder`].
//! - `entry`: [`Entry`] and [`EntryInfo`].
//! - `iter`: the iterators.
//! - `stream`: the streams.

mod builder;
mod entry;
mod iter;
#[cfg(feature = "stream")]
mod stream;

pub use self::{
    builder::ReaderBuilder,
    entry::{Entry, EntryInfo},
    iter::Entries,
};

use std::{fmt, marker::PhantomData, sync::Arc, task::Poll, time::Duration};

use crate::{
    message::{codec::Codecs, payload::Payload},
    model::{
        descriptions::Offset,
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::waiter::{self, Waitable, Waiting},
    session::{
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        stream_reader::{ReadBlock, StreamReader},
    },
};

/// Reads the messages of one stream, from its own position on.
///
/// A reader takes nothing from the stream, and there is nothing to settle. All readers share each
/// value: none is copied or encoded for a reader of the type that was published. A reader of
/// another type decodes for itself.
///
/// Several threads may read from the same reader. Each message comes to one of them. A reader goes
/// on after its connection is closed.
///
/// A slow reader holds no publisher. If [retention](crate::Queue::max_age) overtakes it, it goes on
/// at the first message that is kept, and [`lagged`](Self::lagged) counts what it has missed.
///
/// In a durable broker old messages are on disk only. The call that comes to one reads some 64 KiB
/// from the disk, also in a task. The page `guide::durability` tells more.
///
/// # RabbitMQ
/// A consumer of a stream (RabbitMQ 3.9 and later). There a consumer needs a prefetch and settles
/// each message for credit. [`Connection::consumer`](crate::Connection::consumer) makes such a
/// consumer.
///
/// # If dropped
/// Nothing happens to the stream. An offset that was [stored](Self::store_offset) stays.
///
/// # Examples
/// ```
/// use leveret::{Broker, Offset, Queue};
///
/// let broker = Broker::new();
/// let log = Queue::stream("log");
/// let producer = broker.producer::<String>(&log)?;
/// producer.publish("started".to_owned())?;
///
/// let first = broker.reader::<String>(&log).from(Offset::First).build()?;
/// let second = broker.reader::<String>(&log).from(Offset::First).build()?;
/// producer.publish("stopped".to_owned())?;
/// for reader in [first, second] {
///     assert_eq!(*reader.recv()?, "started");
///     assert_eq!(*reader.recv()?, "stopped");
///     assert!(reader.try_recv().is_err()); // it has read everything
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Reader<T: Payload> {
    reader: StreamReader,
    codecs: Codecs,
    payload: PhantomData<fn() -> T>,
}

/// What a reader gets at its position.
type Found = Result<(Arc<ReadBlock>, u64), CancelReason>;

impl<T: Payload> Reader<T> {
    fn new(reader: StreamReader, codecs: Codecs) -> Reader<T> {
        Reader {
            reader,
            codecs,
            payload: PhantomData,
        }
    }

    /// Reads the next message. Waits for a message if there is none.
    ///
    /// # RabbitMQ
    /// `basic.deliver` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`RecvError::Decode`] if the message does not decode as `T`. The next call reads the next
    ///   message.
    /// - [`RecvError::Cancelled`] if the stream is deleted, the broker is shut down, or the user of
    ///   the connection may not read from the stream any more; and if the message is on disk only
    ///   and [cannot be read](CancelReason::Unreadable), which the next call tries again.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue, RecvError};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// broker.producer::<u32>(&log)?.publish(7)?;
    /// let reader = broker.reader::<u32>(&log).from(Offset::First).build()?;
    /// assert_eq!(*reader.recv()?, 7);
    /// broker.delete(&log)?;
    /// assert!(matches!(reader.recv(), Err(RecvError::Cancelled(_))));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv(&self) -> Result<Entry<T>, RecvError> {
        self.check_read()?;
        let found = waiter::wait(&self.reader, None);
        self.entry(found.unwrap_or(Err(CancelReason::QueueDeleted)))
    }

    /// Reads the next message if it has come.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no counterpart: a stream has no `basic.get`.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if the reader has read everything, and the errors of
    /// [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, TryRecvError};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// let reader = broker.reader::<u32>(&log).build()?; // from the next message on
    /// assert!(matches!(reader.try_recv(), Err(TryRecvError::Empty)));
    /// broker.producer::<u32>(&log)?.publish(7)?;
    /// assert_eq!(*reader.try_recv()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_recv(&self) -> Result<Entry<T>, TryRecvError> {
        self.check_read()?;
        match self.reader.attempt(None) {
            Poll::Ready(found) => Ok(self.entry(found)?),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Reads the next message. Waits at most `timeout` for it.
    ///
    /// # RabbitMQ
    /// `basic.deliver` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if no message came in time, and the errors of
    /// [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, RecvTimeoutError};
    /// use std::time::Duration;
    /// let broker = Broker::new();
    /// let reader = broker.reader::<u32>(&Queue::stream("log")).build()?;
    /// let nothing = reader.recv_timeout(Duration::from_millis(1));
    /// assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Entry<T>, RecvTimeoutError> {
        self.check_read()?;
        let time = self.reader.vhost().time().clone();
        match waiter::wait(&self.reader, time.deadline(timeout)) {
            Some(found) => Ok(self.entry(found)?),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Same as [`recv`](Self::recv), for a task. It needs no particular runtime.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has read no message.
    ///
    /// # Errors
    /// The errors of [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// broker.producer::<u32>(&log)?.publish(7)?;
    /// let reader = broker.reader::<u32>(&log).from(Offset::First).build()?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match pin!(reader.recv_async()).poll(&mut context) {
    ///     Poll::Ready(entry) => assert_eq!(*entry?, 7),
    ///     Poll::Pending => unreachable!("there is a message"),
    /// };
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn recv_async(&self) -> Result<Entry<T>, RecvError> {
        self.check_read()?;
        let found = Waiting::new(&self.reader).await;
        self.entry(found)
    }

    /// Goes on at another offset. The next message that is read is the one there.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no counterpart: there a program starts another consumer.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// let _ = broker.producer::<u32>(&log)?.publish_batch(0..10);
    /// let reader = broker.reader::<u32>(&log).from(Offset::First).build()?;
    /// reader.seek(Offset::At(7));
    /// assert_eq!(*reader.recv()?, 7);
    /// reader.seek(Offset::First);
    /// assert_eq!((*reader.recv()?, reader.next_offset()), (0, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn seek(&self, to: Offset) {
        self.reader.seek(to);
    }

    /// Returns why no more messages come, if the stream or the broker has ended, the user may not
    /// read any more, or the next message [cannot be read](CancelReason::Unreadable). It tells why
    /// an iteration has ended.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, CancelReason, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// let reader = broker.reader::<u32>(&log).build()?;
    /// assert_eq!((reader.try_iter().count(), reader.ended()), (0, None));
    /// broker.delete(&log)?;
    /// assert_eq!((reader.iter().count(), reader.ended()), (0, Some(CancelReason::QueueDeleted)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn ended(&self) -> Option<CancelReason> {
        self.reader.ended()
    }

    /// Returns the offset that the reader reads next.
    pub fn next_offset(&self) -> u64 {
        self.reader.next_offset()
    }

    /// Returns how many messages the reader has missed so far: they were gone before it came to
    /// them.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no counterpart: a consumer sees a gap in the offsets.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log").max_segment_bytes(1_000).max_length_bytes(2_000);
    /// let producer = broker.producer::<Vec<u8>>(&log)?;
    /// let reader = broker.reader::<Vec<u8>>(&log).from(Offset::First).build()?;
    /// for _ in 0..20 {
    ///     producer.publish(vec![0; 400])?;
    /// }
    /// assert_eq!((reader.recv()?.offset(), reader.lagged()), (16, 16));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn lagged(&self) -> u64 {
        self.reader.lagged()
    }

    /// Stores the offset of the last message that the program is done with, under the
    /// [name](ReaderBuilder::name) of the reader. A later reader of that name begins behind it.
    ///
    /// In a durable broker the stored offset survives a restart. It is on disk with the next sync.
    ///
    /// # RabbitMQ
    /// The command `StoreOffset` of the stream protocol.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`] if the reader has no name.
    /// - [`Error::ShutDown`]
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// let _ = broker.producer::<u32>(&log)?.publish_batch(0..10);
    /// let reader = || broker.reader::<u32>(&log).name("billing").from(Offset::First).build();
    ///
    /// let first = reader()?;
    /// for entry in first.iter().take(3) {
    ///     first.store_offset(entry?.offset())?;
    /// }
    /// let next = reader()?;
    /// assert_eq!((next.stored_offset(), *next.recv()?), (Some(2), 3));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn store_offset(&self, offset: u64) -> Result {
        match self.reader.name().is_empty() {
            true => Err(Error::reader_without_name()),
            false => self.reader.store_offset(offset),
        }
    }

    /// Returns the offset that is stored under the name of the reader.
    ///
    /// # RabbitMQ
    /// The command `QueryOffset` of the stream protocol.
    pub fn stored_offset(&self) -> Option<u64> {
        self.reader.stored_offset()
    }

    /// Returns the name of the stream.
    pub fn stream_name(&self) -> &Name {
        self.reader.stream()
    }

    #[inline]
    fn check_read(&self) -> Result<(), RecvError> {
        self.reader.check_read().map_err(RecvError::Cancelled)
    }

    #[inline]
    fn entry(&self, found: Found) -> Result<Entry<T>, RecvError> {
        let (block, offset) = found.map_err(RecvError::Cancelled)?;
        Ok(Entry::open(block, offset, &self.codecs)?)
    }
}

impl<T: Payload> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("stream", self.stream_name())
            .field("next_offset", &self.next_offset())
            .finish_non_exhaustive()
    }
}
