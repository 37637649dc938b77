//! The streams of a consumer: iterators for tasks.

use std::{
    borrow::Borrow,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{FusedStream, Stream};

use super::{Consumer, iter::item};
use crate::{
    message::payload::Payload,
    runtime::waiter::TaskWait,
    session::{delivery::Delivery, undecoded::Undecoded},
};

impl<T: Payload> Consumer<T> {
    /// Returns a stream of the messages, for a task: [`iter`](Self::iter) without blocking. It
    /// needs the feature `stream`, which is on by default.
    ///
    /// The items are those of `iter`. The method `next` of a stream comes from
    /// `futures_util::StreamExt` or from `tokio_stream::StreamExt`. The stream ends with the
    /// consumer, and then [`ended`](Self::ended) returns the reason.
    ///
    /// # Cancel safety
    /// A stream takes a message only in the poll that returns it. So a `next` that is dropped has
    /// taken none. A stream that was polled and is kept without being polled again holds its place
    /// among the receivers: see [`recv_async`](Self::recv_async).
    ///
    /// # If dropped
    /// Nothing happens to the consumer.
    ///
    /// # Examples
    /// ```
    /// use futures_core::Stream;
    /// # use std::{pin::Pin, task::{Context, Poll, Waker}};
    /// # use leveret::Broker;
    /// # let broker = Broker::new();
    /// let _ = broker.producer::<u32>("q")?.publish_batch([1, 2]);
    /// let consumer = broker.consumer::<u32>("q")?;
    /// let mut stream = consumer.stream();
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match Pin::new(&mut stream).poll_next(&mut context) {
    ///     Poll::Ready(Some(delivery)) => assert_eq!(*delivery?, 1),
    ///     _ => unreachable!("there is a message"),
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn stream(
        &self,
    ) -> impl FusedStream<Item = Result<Delivery<T>, Undecoded>> + Send + Unpin + '_ {
        Deliveries::of(self)
    }

    /// Turns the consumer into a stream, as [`stream`](Self::stream). It needs the feature
    /// `stream`, which is on by default. `next` comes from `futures_util::StreamExt` or from
    /// `tokio_stream::StreamExt`.
    ///
    /// A [`cancel_handle`](Self::cancel_handle) that was made before ends the stream, and has the
    /// reason of the end.
    ///
    /// # Cancel safety
    /// As for [`stream`](Self::stream).
    ///
    /// # If dropped
    /// The consumer is cancelled.
    ///
    /// # Examples
    /// ```
    /// use futures_core::Stream;
    /// # use std::{pin::Pin, task::{Context, Poll, Waker}};
    /// # use leveret::Broker;
    /// # let broker = Broker::new();
    /// let consumer = broker.consumer::<u32>("q")?;
    /// let cancel_handle = consumer.cancel_handle();
    /// let mut stream = consumer.into_stream();
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(Pin::new(&mut stream).poll_next(&mut context).is_pending());
    /// cancel_handle.cancel();
    /// assert!(matches!(Pin::new(&mut stream).poll_next(&mut context), Poll::Ready(None)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use = "the consumer is cancelled when the stream is dropped"]
    pub fn into_stream(
        self,
    ) -> impl FusedStream<Item = Result<Delivery<T>, Undecoded>> + Send + Unpin + 'static {
        Deliveries::of(self)
    }
}

/// A stream of the messages of a consumer, which it borrows or owns.
struct Deliveries<C: Borrow<Consumer<T>>, T: Payload> {
    consumer: C,
    wait: TaskWait,
    has_ended: bool,
    payload: PhantomData<fn() -> T>,
}

impl<C: Borrow<Consumer<T>>, T: Payload> Deliveries<C, T> {
    fn of(consumer: C) -> Deliveries<C, T> {
        Deliveries {
            consumer,
            wait: TaskWait::default(),
            has_ended: false,
            payload: PhantomData,
        }
    }
}

impl<C: Borrow<Consumer<T>> + Unpin, T: Payload> Stream for Deliveries<C, T> {
    type Item = Result<Delivery<T>, Undecoded>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Deliveries {
            consumer,
            wait,
            has_ended,
            ..
        } = &mut *self;
        let consumer: &Consumer<T> = (*consumer).borrow();
        let polled = consumer.poll_recv(wait, context).map(item);
        *has_ended = matches!(polled, Poll::Ready(None));
        polled
    }
}

impl<C: Borrow<Consumer<T>> + Unpin, T: Payload> FusedStream for Deliveries<C, T> {
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

impl<C: Borrow<Consumer<T>>, T: Payload> Drop for Deliveries<C, T> {
    fn drop(&mut self) {
        let consumer: &Consumer<T> = self.consumer.borrow();
        self.wait.leave(&consumer.queues);
    }
}
