//! The events of a channel, in one ordered stream: deliveries, returned messages, confirms and
//! cancelled consumers.

use std::{fmt, future::Future, sync::Arc, task::Poll, time::Duration};

use super::ChannelCore;
use crate::{
    engine::vhost::VirtualHost,
    message::{envelope::Envelope, properties::Properties},
    model::{
        bytes::Bytes,
        error::{CancelReason, CodecError},
        name::Name,
    },
    runtime::{
        sync::channel::{Receiver, TryRecvError as Nothing},
        waiter::{self, Ticket, WaitList, Waiting},
    },
    session::receive::{RecvError, RecvTimeoutError, TryRecvError},
};

/// An event on a [`Channel`](crate::Channel). The stream has the order in which the broker acts.
///
/// # Examples
/// ```
/// use leveret::{
///     channel::{ConsumeOptions, Event, PublishOptions},
///     Broker, Credentials, Properties, Queue,
/// };
///
/// let broker = Broker::new();
/// let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// let queue = channel.queue_declare(&Queue::new("q"))?.name;
/// channel.basic_consume(&queue, ConsumeOptions::new())?;
/// channel.basic_publish("", &queue, "hello", Properties::new(), PublishOptions::new())?;
/// match channel.events().recv()? {
///     Event::Delivery(delivery) => assert_eq!(&*delivery.body()?, b"hello"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message is delivered to a consumer of the channel (`basic.deliver`).
    Delivery(ChannelDelivery),
    /// A mandatory message reached no queue and is returned (`basic.return`).
    Return(Returned),
    /// A published message is confirmed (`basic.ack` or `basic.nack` from the broker).
    Confirm(Confirm),
    /// The broker cancelled a consumer (`basic.cancel` from the broker, RabbitMQ's extension).
    Cancelled {
        /// The tag of the consumer, which can be used again.
        consumer_tag: Name,
        /// The reason.
        reason: CancelReason,
    },
}

/// A message on a channel, from a consumer or from a get. It is settled by its tag.
///
/// # If dropped
/// Nothing happens. The message is unsettled until it is settled by its tag or the channel closes.
///
/// # RabbitMQ
/// The content of `basic.deliver` or `basic.get-ok` (AMQP 0-9-1).
///
/// # Examples
/// ```
/// use leveret::{channel::{AckMode, PublishOptions}, Properties};
/// # use leveret::{Broker, Credentials};
/// # let broker = Broker::new();
/// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// # use leveret::Queue;
/// # channel.queue_declare(&Queue::new("q"))?;
/// let properties = Properties::new().message_id("m-1");
/// channel.basic_publish("", "q", "hello", properties, PublishOptions::new())?;
/// let got = channel.basic_get("q", AckMode::Manual)?.expect("one is ready");
/// assert_eq!((got.delivery_tag(), got.message_count()), (1, 0));
/// assert_eq!((&**got.consumer_tag(), &*got.exchange(), got.routing_key()), ("", "", "q"));
/// assert_eq!((got.redelivered(), got.delivery_count()), (false, 0));
/// assert_eq!(got.properties().message_id.as_deref(), Some("m-1"));
/// assert_eq!(&*got.body()?, b"hello");
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct ChannelDelivery {
    pub(super) vhost: Arc<VirtualHost>,
    pub(super) consumer_tag: Name,
    pub(super) delivery_tag: u64,
    /// A copy that shares the payload with the unsettled delivery. `None` if the payload is a
    /// `Local`, which cannot be shared.
    pub(super) envelope: Option<Envelope>,
    pub(super) message_count: u64,
}

impl ChannelDelivery {
    /// The tag of the consumer; empty for a get.
    ///
    /// # RabbitMQ
    /// The `consumer-tag` of `basic.deliver`.
    pub fn consumer_tag(&self) -> &Name {
        &self.consumer_tag
    }

    /// The tag to settle the message by: 1, 2, 3, ... on each channel, for deliveries and gets
    /// together.
    ///
    /// # RabbitMQ
    /// The `delivery-tag` of `basic.deliver` and `basic.get-ok`.
    pub fn delivery_tag(&self) -> u64 {
        self.delivery_tag
    }

    /// Whether the message was delivered before and returned to its queue.
    ///
    /// # RabbitMQ
    /// The `redelivered` of `basic.deliver` and `basic.get-ok`.
    pub fn redelivered(&self) -> bool {
        self.envelope.as_ref().is_some_and(Envelope::redelivered)
    }

    /// The number of earlier deliveries of the message that returned to the queue, for whatever
    /// reason. At most 16,777,215.
    ///
    /// # RabbitMQ
    /// The header `x-acquired-count` of quorum queues, since version 4.3. Here it is counted for
    /// every queue.
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{AckMode, Multiple, PublishOptions};
    /// use leveret::{Broker, Credentials, Properties, Queue, Requeue};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::quorum("q"))?;
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// let get = || channel.basic_get("q", AckMode::Manual);
    /// let first = get()?.expect("one is ready");
    /// channel.basic_nack(first.delivery_tag(), Multiple::No, Requeue::Yes)?; // returned
    /// let second = get()?.expect("it is back");
    /// channel.basic_reject(second.delivery_tag(), Requeue::Yes)?; // returned, and failed
    /// let third = get()?.expect("it is back");
    /// assert_eq!((third.acquired_count(), third.delivery_count()), (2, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn acquired_count(&self) -> u32 {
        self.envelope
            .as_ref()
            .map_or(0, |envelope| envelope.acquired_count())
    }

    /// The number of earlier deliveries of the message that failed: it was rejected, or its channel
    /// ended. A dead letter keeps the count of the queues that it was in before. At most 2,097,151.
    ///
    /// # RabbitMQ
    /// The header `x-delivery-count` of quorum queues, as of version 4.3. Here it is counted for
    /// every queue.
    pub fn delivery_count(&self) -> u32 {
        self.envelope
            .as_ref()
            .map_or(0, |envelope| envelope.delivery_count())
    }

    /// The exchange that the message was published to.
    ///
    /// # RabbitMQ
    /// The `exchange` of `basic.deliver` and `basic.get-ok`.
    pub fn exchange(&self) -> Name {
        self.envelope
            .as_ref()
            .map(|envelope| self.vhost.exchange_names().name(envelope.origin()))
            .unwrap_or_default()
    }

    /// The routing key of the message.
    ///
    /// # RabbitMQ
    /// The `routing-key` of `basic.deliver` and `basic.get-ok`.
    pub fn routing_key(&self) -> &str {
        self.envelope
            .as_ref()
            .map(Envelope::routing_key)
            .unwrap_or_default()
    }

    /// The properties of the message.
    ///
    /// # RabbitMQ
    /// The basic properties of the message.
    pub fn properties(&self) -> &Properties {
        static NONE: Properties = Properties::new();
        self.envelope.as_ref().map_or(&NONE, Envelope::properties)
    }

    /// The body of the message. A message that was published as a Rust value is encoded by this
    /// call.
    ///
    /// # Errors
    /// [`CodecError`] if the value cannot be encoded. A [`Local`](crate::Local) never can.
    pub fn body(&self) -> Result<Bytes, CodecError> {
        match &self.envelope {
            Some(envelope) => envelope.encode(),
            None => Err(CodecError::new("", "a local payload cannot be encoded")),
        }
    }

    /// The number of messages that were still ready after a get; 0 for a delivery to a consumer.
    ///
    /// # RabbitMQ
    /// The `message-count` of `basic.get-ok`.
    pub fn message_count(&self) -> u64 {
        self.message_count
    }
}

impl fmt::Debug for ChannelDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelDelivery")
            .field("consumer_tag", &self.consumer_tag)
            .field("delivery_tag", &self.delivery_tag)
            .field("envelope", &self.envelope)
            .finish_non_exhaustive()
    }
}

/// A mandatory message that reached no queue and is returned.
///
/// [`Channel::basic_publish`](crate::Channel::basic_publish) has an example.
///
/// # RabbitMQ
/// `basic.return` (AMQP 0-9-1).
#[derive(Debug)]
#[non_exhaustive]
pub struct Returned {
    /// The reply code of AMQP: 312.
    pub reply_code: u16,
    /// The reply text of AMQP: `NO_ROUTE`.
    pub reply_text: &'static str,
    /// The exchange that the message was published to.
    pub exchange: Name,
    /// The routing key of the message.
    pub routing_key: Name,
    /// The properties of the message.
    pub properties: Properties,
    /// The body of the message.
    pub body: Bytes,
}

/// The confirm of a message that was published in confirm mode.
///
/// [`Channel::confirm_select`](crate::Channel::confirm_select) has an example.
///
/// # RabbitMQ
/// `basic.ack` and `basic.nack` from the broker (RabbitMQ's extension of AMQP 0-9-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirm {
    /// The number of the message. The first message after `confirm_select` has the number 1.
    pub delivery_tag: u64,
    /// Whether the confirm covers all unconfirmed messages up to this one.
    pub multiple: bool,
    /// Whether the broker accepted the message.
    pub outcome: ConfirmOutcome,
}

/// Whether the broker accepted a message.
///
/// [`Channel::confirm_select`](crate::Channel::confirm_select) has an example of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// Every queue of the route accepted the message, or the route had no queue.
    Ack,
    /// At least one queue refused the message.
    Nack,
}

/// The stream of the events of a channel. Clones read from the same stream: each event comes to one
/// of them.
///
/// # If dropped
/// Nothing happens. The events stay in the channel for the next reader.
///
/// # Examples
/// ```
/// use leveret::{
///     channel::{ConsumeOptions, Event, PublishOptions},
///     Properties, Queue, RecvError, RecvTimeoutError, TryRecvError,
/// };
/// # use leveret::{Broker, Credentials};
/// # let broker = Broker::new();
/// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// # use std::time::Duration;
/// channel.queue_declare(&Queue::new("q"))?;
/// channel.basic_consume("q", ConsumeOptions::new())?;
/// let events = channel.events();
/// assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
/// assert!(matches!(events.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout)));
/// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
/// assert!(matches!(events.recv()?, Event::Delivery(_)));
/// channel.close()?;
/// assert!(matches!(events.recv(), Err(RecvError::Cancelled(_))));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
pub struct Events {
    pub(super) core: Arc<ChannelCore>,
    pub(super) stream: Receiver<Event>,
}

impl Events {
    /// Takes the next event. It waits if there is none.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] if the channel is closed and all its events have been read.
    pub fn recv(&self) -> Result<Event, RecvError> {
        // Without a deadline the wait ends with an event or with the channel.
        let event = waiter::wait(self, None).unwrap_or(Err(CancelReason::ChannelClosed));
        event.map_err(RecvError::Cancelled)
    }

    /// Takes the next event if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is no event now; [`TryRecvError::Cancelled`] as for
    /// [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Event, TryRecvError> {
        match waiter::Waitable::attempt(self, None) {
            Poll::Ready(event) => event.map_err(TryRecvError::Cancelled),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Takes the next event. It waits at most `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if no event came in time; [`RecvTimeoutError::Cancelled`] as
    /// for [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvTimeoutError> {
        let time = self.core.vhost().time().clone();
        match waiter::wait(self, time.deadline(timeout)) {
            Some(event) => event.map_err(RecvTimeoutError::Cancelled),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// The same as [`recv`](Self::recv), as a future for any runtime.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has taken no event. One that was polled and is
    /// kept without being polled again may hold back the wake for one event: poll it or drop it.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] as for [`recv`](Self::recv).
    pub fn recv_async(&self) -> impl Future<Output = Result<Event, RecvError>> + Send + use<> {
        let event = Waiting::new(self.clone());
        async move { event.await.map_err(RecvError::Cancelled) }
    }
}

impl Events {
    /// Notes that this thread receives the deliveries of the channel.
    fn noted(&self, event: Event) -> Event {
        if matches!(event, Event::Delivery(_)) {
            self.core.note_receiver();
        }
        event
    }
}

impl waiter::Waitable for Events {
    type Output = Result<Event, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Result<Event, CancelReason>> {
        if let Ok(event) = self.stream.try_recv() {
            return Poll::Ready(Ok(self.noted(event)));
        }
        let mut state = self.core.lock();
        // Events are sent under this lock. If the stream is empty now, every later event wakes this
        // waiter.
        match self.stream.try_recv() {
            Ok(event) => return Poll::Ready(Ok(self.noted(event))),
            Err(Nothing::Empty | Nothing::Disconnected) => {}
        }
        if let Some(reason) = state.closed {
            return Poll::Ready(Err(reason));
        }
        if let Some(ticket) = ticket {
            state.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.core.lock().waiting);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("waiting", &self.stream.len())
            .finish_non_exhaustive()
    }
}
