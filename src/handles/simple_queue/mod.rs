//! [`SimpleQueue`]: one queue with `put` and `get`, as `SimpleQueue` of kombu.

mod puts;
mod source;

use std::{fmt, sync::Arc, time::Duration};

use self::source::{Got, Source};
use crate::{
    handles::{
        consumer::{Consumer, ConsumerBuilder},
        producer::{Producer, ProducerBuilder},
    },
    message::{codec::Codecs, payload::Payload},
    model::{descriptions, error::Result, name::Name},
    session::{
        connection::Connection,
        delivery::Delivery,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
    },
};

/// Puts messages into one queue, and gets messages from it.
///
/// A simple queue is not a consumer: each `get` takes one message, and none is taken in advance.
/// Cloning is cheap, and all clones use the same queue.
///
/// # If the queue is deleted
/// In this process a simple queue gets from the very queue that it was opened with. Once that is
/// deleted, each `get` says so, even if another queue has its name by then. So do
/// [`len`](Self::len) and [`purge`](Self::purge). A `put` goes to the queue of this name. Open
/// another simple queue to get from the new queue. At a RabbitMQ a simple queue means the name, and
/// goes on with the new queue.
///
/// # RabbitMQ
/// `SimpleQueue` of kombu. Each `get` takes one message, as `basic.get` does.
///
/// # If dropped
/// Nothing happens to the queue and its messages. A [buffer](crate::Connection::simple_buffer) ends
/// with its last handle.
///
/// # Examples
/// ```
/// use leveret::{Broker, TryRecvError};
///
/// let broker = Broker::new();
/// let hello = broker.simple_queue::<String>("hello")?;
/// hello.put("Hello World!".to_owned())?;
/// assert_eq!(hello.len()?, 1);
/// let delivery = hello.get()?;
/// assert_eq!(*delivery, "Hello World!");
/// delivery.ack()?;
/// assert!(matches!(hello.try_get(), Err(TryRecvError::Empty)));
/// # Ok::<(), leveret::Error>(())
/// ```
///
/// A queue that is deleted and declared again:
/// ```
/// use leveret::{Broker, Queue, TryRecvError};
///
/// let broker = Broker::new();
/// let old = broker.simple_queue::<u32>("q")?;
/// broker.delete(&Queue::new("q"))?;
/// let new = broker.simple_queue::<u32>("q")?;
/// old.put(7)?;
/// assert!(matches!(old.try_get(), Err(TryRecvError::Cancelled(_))));
/// assert_eq!(*new.try_get()?, 7);
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct SimpleQueue<T: Payload> {
    producer: Producer<T>,
    source: Source,
    codecs: Codecs,
    /// A paused consumer of the auto-delete queue of a buffer, which ends with it.
    keeper: Option<Arc<Consumer<T>>>,
}

impl<T: Payload> SimpleQueue<T> {
    pub(crate) fn open(
        connection: &Connection,
        queue: &descriptions::Queue,
    ) -> Result<SimpleQueue<T>> {
        let source = Source::open(connection, queue)?;
        SimpleQueue::of_source(connection, source, None)
    }

    /// Opens a buffer: a queue that ends with its last handle, without acknowledgement.
    pub(crate) fn open_buffer(connection: &Connection, name: String) -> Result<SimpleQueue<T>> {
        connection.gate().check_embedded("buffers")?;
        let queue = descriptions::Queue::new(name)
            .exclusive_flag()
            .auto_delete();
        let keeper = ConsumerBuilder::new(Ok(connection.clone()), queue);
        let keeper = keeper.paused().build()?;
        let getter = connection.gate().getter(keeper.queue())?.auto_ack();
        SimpleQueue::of_source(connection, Source::Here(getter), Some(Arc::new(keeper)))
    }

    fn of_source(
        connection: &Connection,
        source: Source,
        keeper: Option<Arc<Consumer<T>>>,
    ) -> Result<SimpleQueue<T>> {
        let queue = descriptions::Queue::existing(&**source.queue_name());
        let builder = ProducerBuilder::<T>::new(Ok(connection.clone()), queue.into());
        let producer = builder.build_for(source.queue_name().clone())?;
        Ok(SimpleQueue {
            producer,
            source,
            codecs: Codecs::default(),
            keeper,
        })
    }

    /// Gets the next message. Waits for a message if there is none.
    ///
    /// # RabbitMQ
    /// `SimpleQueue.get` of kombu.
    ///
    /// # Errors
    /// - [`RecvError::Decode`] if the message does not decode as `T`.
    /// - [`RecvError::Cancelled`] if the queue is deleted, the broker is shut down, or the user of
    ///   the connection may not read from the queue any more.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Queue, RecvError};
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.get()?.ack()?;
    /// broker.delete(&Queue::new("q"))?;
    /// assert!(matches!(queue.get(), Err(RecvError::Cancelled(_))));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn get(&self) -> Result<Delivery<T>, RecvError> {
        self.check_read()?;
        self.open_delivery(self.source.get())
    }

    /// Gets the next message if there is one.
    ///
    /// # RabbitMQ
    /// `SimpleQueue.get_nowait` of kombu, or `basic.get`.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is no message now, and the errors of [`get`](Self::get).
    ///
    /// # Examples
    /// ```
    /// use leveret::TryRecvError;
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// assert!(matches!(queue.try_get(), Err(TryRecvError::Empty)));
    /// queue.put(7)?;
    /// assert_eq!(*queue.try_get()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_get(&self) -> Result<Delivery<T>, TryRecvError> {
        self.check_read()?;
        match self.source.try_get() {
            Some(got) => Ok(self.open_delivery(got)?),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Gets the next message. Waits at most `timeout` for a message.
    ///
    /// # RabbitMQ
    /// `SimpleQueue.get` of kombu, with `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if no message came in time, and the errors of
    /// [`get`](Self::get).
    ///
    /// # Examples
    /// ```
    /// use leveret::RecvTimeoutError;
    /// # use std::time::Duration;
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// let nothing = queue.get_timeout(Duration::from_millis(1));
    /// assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<Delivery<T>, RecvTimeoutError> {
        self.check_read()?;
        match self.source.get_timeout(timeout) {
            Some(got) => Ok(self.open_delivery(got)?),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Same as [`get`](Self::get), for a task. It needs no particular runtime.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has taken no message. One that was polled and is
    /// kept without being polled again may hold back the wake for one message: poll it or drop it.
    /// The message is ready in the queue all the while.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match pin!(queue.get_async()).poll(&mut context) {
    ///     Poll::Ready(delivery) => assert_eq!(*delivery?, 7),
    ///     Poll::Pending => unreachable!("there is a message"),
    /// };
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn get_async(&self) -> Result<Delivery<T>, RecvError> {
        self.check_read()?;
        self.open_delivery(self.source.get_async().await)
    }

    /// Whether the user may still read from the queue.
    #[inline]
    fn check_read(&self) -> Result<(), RecvError> {
        let gate = self.producer.gate();
        match gate.is_unlimited() {
            true => Ok(()),
            false => gate.check_reader(self.name()).map_err(RecvError::Cancelled),
        }
    }

    fn open_delivery(&self, got: Got) -> Result<Delivery<T>, RecvError> {
        let (origin, envelope) = got.map_err(RecvError::Cancelled)?;
        Delivery::open(origin, envelope, &self.codecs).map_err(RecvError::Decode)
    }

    /// Returns the number of ready messages.
    ///
    /// # RabbitMQ
    /// `SimpleQueue.qsize` of kombu, or the `message-count` of `queue.declare-ok`.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the queue is deleted.
    /// - [`Error::ConnectionLost`](crate::Error::ConnectionLost) while a RabbitMQ cannot be
    ///   reached: it waits for an answer, and not for a connection.
    /// - The errors of a connection or a broker that has ended.
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// assert_eq!((queue.len()?, queue.is_empty()?), (1, false));
    /// broker.delete(&Queue::new("q"))?;
    /// assert!(queue.len().unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn len(&self) -> Result<usize> {
        let gate = self.producer.gate();
        match &self.source {
            Source::Here(getter) => gate.check_open().and_then(|()| getter.ready_len()),
            Source::There(_) => gate.ready_len(self.name()),
        }
    }

    /// Returns whether the queue has no ready message.
    ///
    /// # Errors
    /// Those of [`len`](Self::len), which has an example.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Drops all ready messages, without dead-lettering. Returns their number.
    ///
    /// Messages that were received and not settled stay unsettled.
    ///
    /// # RabbitMQ
    /// `SimpleQueue.clear` of kombu, or `queue.purge`.
    ///
    /// # Errors
    /// Those of [`len`](Self::len), and
    /// [`Error::PermissionDenied`](crate::Error::PermissionDenied) if the user of the connection
    /// may not read from the queue any more.
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// let held = queue.get()?;
    /// assert_eq!(queue.len()?, 1);
    /// assert_eq!(queue.purge()?, 1);
    /// assert!(queue.is_empty()?);
    /// assert_eq!((*held, &**queue.name()), (7, "q"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn purge(&self) -> Result<u64> {
        self.producer.gate().check_get(self.name())?;
        self.source.purge()
    }

    /// Returns the name of the queue.
    pub fn name(&self) -> &Name {
        self.source.queue_name()
    }
}

impl<T: Payload> Clone for SimpleQueue<T> {
    fn clone(&self) -> SimpleQueue<T> {
        SimpleQueue {
            producer: self.producer.clone(),
            source: self.source.clone(),
            codecs: self.codecs.clone(),
            keeper: self.keeper.clone(),
        }
    }
}

impl<T: Payload> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue")
            .field("name", self.name())
            .finish_non_exhaustive()
    }
}
