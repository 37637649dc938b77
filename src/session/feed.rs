//! The public side of a feed: the one receiver of events, of alarms and of tapped messages.

use std::{fmt, future::Future, sync::Arc, task::Poll, time::Duration};

use crate::{
    model::error::CancelReason,
    runtime::{
        clock::Time,
        feed::FeedLine,
        waiter::{self, Waitable, Waiting},
    },
    session::receive::{RecvError, RecvTimeoutError, TryRecvError},
};

/// A feed of what happens in a broker: its [events](crate::Broker::events), its [disk
/// alarms](crate::Broker::disk_alarms), or the messages that pass a [tap](crate::Broker::tap).
///
/// A feed has room for a number of items. An item that comes while it is full is
/// [missed](Self::missed) and counted. So a reader that is slow, or stops, slows no one down.
///
/// Each call of the method that made it makes a feed of its own. A clone reads from the same feed:
/// each item comes to one of them.
///
/// # If dropped
/// With its last clone the feed ends, and its items are dropped.
///
/// # RabbitMQ
/// A queue that is bound to `amq.rabbitmq.event` or `amq.rabbitmq.trace`.
///
/// # Examples
/// ```
/// use leveret::{Broker, EventKind, Queue, TryRecvError};
///
/// let broker = Broker::new();
/// let events = broker.events_with_capacity(2);
/// for name in ["a", "b", "c"] {
///     broker.declare(&Queue::new(name))?;
/// }
/// assert_eq!(events.recv()?.kind(), EventKind::QueueCreated);
/// assert_eq!(events.try_recv()?.text("name"), Some("b"));
/// assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
/// assert_eq!(events.missed(), 1); // there was no room for it
///
/// drop(broker);
/// assert_eq!(events.iter().count(), 0); // the broker has ended
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Feed<T> {
    line: Arc<FeedLine<T>>,
    time: Time,
}

impl<T: Send + 'static> Feed<T> {
    pub(crate) fn new(line: Arc<FeedLine<T>>, time: &Time) -> Feed<T> {
        Feed {
            line,
            time: time.clone(),
        }
    }

    /// Takes the next item. It waits if there is none.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] if the broker has ended and all items have been read.
    pub fn recv(&self) -> Result<T, RecvError> {
        // Without a deadline the wait ends with an item or with the broker.
        let item = waiter::wait(&*self.line, None).unwrap_or(Err(CancelReason::BrokerDropped));
        item.map_err(RecvError::Cancelled)
    }

    /// Takes the next item if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now; [`TryRecvError::Cancelled`] as for
    /// [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.line.attempt(None) {
            Poll::Ready(item) => item.map_err(TryRecvError::Cancelled),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Takes the next item. It waits at most `timeout`, by the broker's clock.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if none came in time; [`RecvTimeoutError::Cancelled`] as for
    /// [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match waiter::wait(&*self.line, self.time.deadline(timeout)) {
            Some(item) => item.map_err(RecvTimeoutError::Cancelled),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// The same as [`recv`](Self::recv), as a future for any runtime.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has taken no item.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] as for [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Queue};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let broker = Broker::new();
    /// let events = broker.events();
    /// let mut event = pin!(events.recv_async());
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(event.as_mut().poll(&mut context).is_pending());
    /// broker.declare(&Queue::new("q"))?;
    /// assert!(matches!(event.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_async(&self) -> impl Future<Output = Result<T, RecvError>> + Send + use<T> {
        let item = Waiting::new(Arc::clone(&self.line));
        async move { item.await.map_err(RecvError::Cancelled) }
    }

    /// An iterator over the items, which waits for each. It ends with the broker.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// A stream of the items, for a task. It ends with the broker. It needs the feature `stream`,
    /// which is on by default.
    ///
    /// # Examples
    /// ```
    /// use futures_core::Stream;
    /// # use leveret::{Broker, EventKind, Queue};
    /// # use std::{pin::Pin, task::{Context, Poll, Waker}};
    /// # let broker = Broker::new();
    /// let mut events = broker.events().stream();
    /// broker.declare(&Queue::new("q"))?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match Pin::new(&mut events).poll_next(&mut context) {
    ///     Poll::Ready(Some(event)) => assert_eq!(event.kind(), EventKind::QueueCreated),
    ///     _ => unreachable!("there is an event"),
    /// }
    /// drop(broker);
    /// assert!(matches!(Pin::new(&mut events).poll_next(&mut context), Poll::Ready(None)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[cfg(feature = "stream")]
    pub fn stream(&self) -> impl futures_core::FusedStream<Item = T> + Send + Unpin + use<T> {
        stream::FeedStream::of(&self.line)
    }

    /// The number of items that came while there was no room for them.
    pub fn missed(&self) -> u64 {
        self.line.missed()
    }

    /// The number of items that can be taken now.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether no item can be taken now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(feature = "stream")]
mod stream {
    use std::{
        pin::Pin,
        slice,
        sync::Arc,
        task::{Context, Poll},
    };

    use futures_core::{FusedStream, Stream};

    use crate::runtime::{feed::FeedLine, waiter::TaskWait};

    /// The items of a feed, for a task.
    pub(super) struct FeedStream<T: Send + 'static> {
        line: Arc<FeedLine<T>>,
        wait: TaskWait,
        has_ended: bool,
    }

    impl<T: Send + 'static> FeedStream<T> {
        pub(super) fn of(line: &Arc<FeedLine<T>>) -> FeedStream<T> {
            FeedStream {
                line: Arc::clone(line),
                wait: TaskWait::default(),
                has_ended: false,
            }
        }
    }

    impl<T: Send + 'static> Stream for FeedStream<T> {
        type Item = T;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
            let FeedStream {
                line,
                wait,
                has_ended,
            } = &mut *self;
            let polled = wait.poll(slice::from_ref(line), 0, context);
            let polled = polled.map(|(_, item)| item.ok());
            *has_ended = matches!(polled, Poll::Ready(None));
            polled
        }
    }

    impl<T: Send + 'static> FusedStream for FeedStream<T> {
        fn is_terminated(&self) -> bool {
            self.has_ended
        }
    }

    impl<T: Send + 'static> Drop for FeedStream<T> {
        fn drop(&mut self) {
            self.wait.leave(slice::from_ref(&self.line));
        }
    }
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Feed<T> {
        Feed {
            line: Arc::clone(&self.line),
            time: self.time.clone(),
        }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("len", &self.line.len())
            .field("missed", &self.line.missed())
            .finish_non_exhaustive()
    }
}
