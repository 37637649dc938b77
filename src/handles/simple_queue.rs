//! A queue to put into and get from, one message at a time, nothing taken in advance (kombu's `SimpleQueue`).

use std::{fmt, sync::Arc, task::Poll, time::Duration};

use crate::{
    engine::{
        queue::QueueCore,
        vhost::{Published, QueueDeleted},
    },
    handles::producer::{Producer, PublishError},
    message::{codec::Codecs, envelope::Envelope, outgoing::Message, payload::Payload},
    model::{
        descriptions,
        error::{CancelReason, Result},
        name::Name,
    },
    runtime::waiter::{self, Ticket, WaitList, Waiting},
    session::{
        delivery::Delivery,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        unacked::DeliveryOrigin,
    },
};

/// Puts into and gets from one queue.
///
/// It is no consumer: it takes one message at a time, and only when asked. Cloning is cheap; clones use the same queue.
///
/// # If dropped
/// Nothing happens: the queue and its messages stay.
///
/// # Examples
/// ```
/// use leveret::{Broker, TryRecvError};
///
/// let broker = Broker::new();
/// let hello = broker.simple_queue::<String>("hello")?;
/// hello.put("Hello World!".to_owned())?;
/// assert_eq!(hello.len(), 1);
/// let delivery = hello.get()?;
/// assert_eq!(*delivery, "Hello World!");
/// delivery.ack()?;
/// assert!(matches!(hello.try_get(), Err(TryRecvError::Empty)));
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct SimpleQueue<T: Payload> {
    producer: Producer<T>,
    getter: Getter,
    codecs: Codecs,
}

/// The getting side, without its type.
#[derive(Clone)]
struct Getter {
    source: Arc<DeliveryOrigin>,
}

impl waiter::Waitable for Getter {
    type Output = Result<Envelope, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let vhost = &self.source.vhost;
        match vhost.get_or_wait(self.queue(), ticket) {
            Ok(Some(envelope)) => Poll::Ready(Ok(envelope)),
            Ok(None) => Poll::Pending,
            Err(QueueDeleted) => {
                let reason = vhost.why_down().unwrap_or(CancelReason::QueueDeleted);
                Poll::Ready(Err(reason))
            }
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.queue().with_get_waiters(f);
    }

    fn on_idle(&self) {
        self.queue().on_idle(None);
    }
}

impl Getter {
    fn queue(&self) -> &Arc<QueueCore> {
        &self.source.queue
    }
}

impl<T: Payload> SimpleQueue<T> {
    pub(crate) fn open(
        connection: &crate::session::connection::Connection,
        queue: &descriptions::Queue,
    ) -> Result<SimpleQueue<T>> {
        let producer = connection.producer::<T>(queue)?;
        let source = connection.gate().getter(producer.routing_key())?;
        Ok(SimpleQueue {
            producer,
            getter: Getter { source },
            codecs: Codecs::default(),
        })
    }

    /// Puts a payload in.
    ///
    /// # Errors
    /// As [`Producer::publish`], giving the payload back.
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// assert_eq!(queue.put(7)?.routed, 1);
    /// broker.delete(&Queue::new("q"))?;
    /// assert_eq!(queue.put(8).unwrap_err().into_inner(), 8);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn put(&self, payload: T) -> Result<Published, PublishError<T>> {
        self.producer.publish(payload)
    }

    /// Puts a message with properties of its own in.
    ///
    /// # Errors
    /// As [`Producer::publish_message`], giving the message back.
    ///
    /// # Examples
    /// ```
    /// use leveret::Message;
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put_message(Message::new(7).correlation_id("request-1"))?;
    /// assert_eq!(queue.get()?.info().properties().correlation_id.as_deref(), Some("request-1"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn put_message(&self, message: Message<T>) -> Result<Published, PublishError<Message<T>>> {
        self.producer.publish_message(message)
    }

    /// Gets the next message; waits for one if there is none.
    ///
    /// # Errors
    /// [`RecvError::Decode`] for a message that does not decode as `T`; [`RecvError::Cancelled`] once the queue is
    /// deleted or the broker shut down.
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
        let got = waiter::wait(&self.getter, None).unwrap_or(Err(CancelReason::QueueDeleted));
        self.open_delivery(got)
    }

    /// Gets the next message if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now; otherwise as [`get`](Self::get).
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
        match waiter::Waitable::attempt(&self.getter, None) {
            Poll::Ready(got) => Ok(self.open_delivery(got)?),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Gets the next message; waits at most `timeout` for one.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if none came in time; otherwise as [`get`](Self::get).
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
        let time = self.getter.source.vhost.time().clone();
        match waiter::wait(&self.getter, time.deadline(timeout)) {
            Some(got) => Ok(self.open_delivery(got)?),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// As [`get`](Self::get), for a task; needs no particular runtime.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has taken nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
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
        let got = Waiting::new(self.getter.clone()).await;
        self.open_delivery(got)
    }

    fn open_delivery(&self, got: Result<Envelope, CancelReason>) -> Result<Delivery<T>, RecvError> {
        let envelope = got.map_err(RecvError::Cancelled)?;
        Delivery::open(self.getter.source.handle(), envelope, &self.codecs)
            .map_err(RecvError::Decode)
    }

    /// How many messages are ready; 0 once the queue is deleted.
    pub fn len(&self) -> usize {
        self.getter.queue().ready_len()
    }

    /// Whether no message is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops all ready messages, without dead-lettering; returns how many. What was got and not settled stays so.
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// # let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// let held = queue.get()?;
    /// assert_eq!(queue.len(), 1);
    /// assert_eq!(queue.purge(), 1);
    /// assert!(queue.is_empty());
    /// assert_eq!((*held, &**queue.name()), (7, "q"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn purge(&self) -> u64 {
        self.getter.source.vhost.purge(self.getter.queue())
    }

    /// The name of the queue.
    pub fn name(&self) -> &Name {
        self.getter.queue().name()
    }
}

impl<T: Payload> Clone for SimpleQueue<T> {
    fn clone(&self) -> SimpleQueue<T> {
        SimpleQueue {
            producer: self.producer.clone(),
            getter: self.getter.clone(),
            codecs: self.codecs.clone(),
        }
    }
}

impl<T: Payload> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue")
            .field("name", self.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
