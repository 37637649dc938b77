//! The streams of a reader: iterators for tasks.

use std::{
    borrow::Borrow,
    marker::PhantomData,
    pin::Pin,
    slice,
    task::{Context, Poll},
};

use futures_core::{FusedStream, Stream};

use super::{Entry, Reader, iter::item};
use crate::{message::payload::Payload, runtime::waiter::TaskWait, session::undecoded::Undecoded};

impl<T: Payload> Reader<T> {
    /// Returns a stream of the messages, for a task: [`iter`](Self::iter) without blocking. It
    /// needs the feature `stream`, which is on by default.
    ///
    /// The method `next` of a stream comes from `futures_util::StreamExt` or from
    /// `tokio_stream::StreamExt`.
    ///
    /// # Cancel safety
    /// A stream reads a message only in the poll that returns it.
    ///
    /// # If dropped
    /// Nothing happens to the reader.
    ///
    /// # Examples
    /// ```
    /// use futures_core::Stream;
    /// use leveret::{Broker, Offset, Queue};
    /// # use std::{pin::Pin, task::{Context, Poll, Waker}};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// broker.producer::<u32>(&log)?.publish(7)?;
    /// let reader = broker.reader::<u32>(&log).from(Offset::First).build()?;
    /// let mut stream = reader.stream();
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match Pin::new(&mut stream).poll_next(&mut context) {
    ///     Poll::Ready(Some(entry)) => assert_eq!(*entry?, 7),
    ///     _ => unreachable!("there is a message"),
    /// }
    /// assert!(Pin::new(&mut stream).poll_next(&mut context).is_pending());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn stream(
        &self,
    ) -> impl FusedStream<Item = Result<Entry<T>, Undecoded>> + Send + Unpin + '_ {
        EntryStream::of(self)
    }

    /// Turns the reader into a stream, as [`stream`](Self::stream). It needs the feature `stream`,
    /// which is on by default.
    ///
    /// # Cancel safety
    /// As for [`stream`](Self::stream).
    pub fn into_stream(
        self,
    ) -> impl FusedStream<Item = Result<Entry<T>, Undecoded>> + Send + Unpin + 'static {
        EntryStream::of(self)
    }
}

/// A stream of the messages of a reader, which it borrows or owns.
struct EntryStream<R: Borrow<Reader<T>>, T: Payload> {
    reader: R,
    wait: TaskWait,
    has_ended: bool,
    payload: PhantomData<fn() -> T>,
}

impl<R: Borrow<Reader<T>>, T: Payload> EntryStream<R, T> {
    fn of(reader: R) -> EntryStream<R, T> {
        EntryStream {
            reader,
            wait: TaskWait::default(),
            has_ended: false,
            payload: PhantomData,
        }
    }
}

impl<R: Borrow<Reader<T>> + Unpin, T: Payload> Stream for EntryStream<R, T> {
    type Item = Result<Entry<T>, Undecoded>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let EntryStream {
            reader,
            wait,
            has_ended,
            ..
        } = &mut *self;
        let reader: &Reader<T> = (*reader).borrow();
        let polled = match reader.check_read() {
            Err(error) => Poll::Ready(item(Err(error))),
            Ok(()) => {
                let polled = wait.poll(slice::from_ref(&reader.reader), 0, context);
                polled.map(|(_, found)| item(reader.entry(found)))
            }
        };
        *has_ended = matches!(polled, Poll::Ready(None));
        polled
    }
}

impl<R: Borrow<Reader<T>> + Unpin, T: Payload> FusedStream for EntryStream<R, T> {
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

impl<R: Borrow<Reader<T>>, T: Payload> Drop for EntryStream<R, T> {
    fn drop(&mut self) {
        let reader: &Reader<T> = self.reader.borrow();
        self.wait.leave(slice::from_ref(&reader.reader));
    }
}
