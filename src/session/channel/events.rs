//! What a channel has to say, in one ordered stream: deliveries, returns, confirms, cancellations.

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

/// One thing that happened on a [`Channel`](crate::Channel), in the order in which the broker did it.
///
/// # Examples
/// ```
/// use leveret::{channel::{ConsumeOptions, Event, PublishOptions}, Broker, Credentials, Properties, Queue};
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
    /// A consumer of the channel was handed a message (`basic.deliver`).
    Delivery(ChannelDelivery),
    /// A mandatory message reached no queue (`basic.return`).
    Return(Returned),
    /// A published message is confirmed (`basic.ack` and `basic.nack` from the broker).
    Confirm(Confirm),
    /// The broker ended a consumer (`basic.cancel` from the broker).
    Cancelled {
        /// The consumer's tag, free again.
        consumer_tag: Name,
        /// Why.
        reason: CancelReason,
    },
}

/// A message on a channel, delivered to a consumer or got. Settled by its tag.
///
/// # If dropped
/// Nothing happens: the message is in the channel's ledger until it is settled by its tag or the channel closes.
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
    /// A copy, sharing the payload with the ledger's. `None` if the payload is a `Local`, which cannot be shared.
    pub(super) envelope: Option<Envelope>,
    pub(super) message_count: u64,
}

impl ChannelDelivery {
    /// The tag of the consumer it was delivered to; empty for a get.
    pub fn consumer_tag(&self) -> &Name {
        &self.consumer_tag
    }

    /// The tag by which to settle it: 1, 2, 3, ... on each channel, over deliveries and gets alike.
    pub fn delivery_tag(&self) -> u64 {
        self.delivery_tag
    }

    /// Whether it was delivered before and came back.
    pub fn redelivered(&self) -> bool {
        self.envelope.as_ref().is_some_and(Envelope::redelivered)
    }

    /// How many earlier deliveries of it came back.
    pub fn delivery_count(&self) -> u32 {
        self.envelope
            .as_ref()
            .map_or(0, |envelope| envelope.delivery_count())
    }

    /// The exchange it was published to.
    pub fn exchange(&self) -> Name {
        self.envelope
            .as_ref()
            .map(|envelope| self.vhost.exchange_names().name(envelope.origin()))
            .unwrap_or_default()
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &str {
        self.envelope
            .as_ref()
            .map(Envelope::routing_key)
            .unwrap_or_default()
    }

    /// Its properties.
    pub fn properties(&self) -> &Properties {
        static NONE: Properties = Properties::new();
        self.envelope.as_ref().map_or(&NONE, Envelope::properties)
    }

    /// Its body, encoded now if it was published as a Rust value.
    ///
    /// # Errors
    /// [`CodecError`] if the value cannot be encoded, as a [`Local`](crate::Local) never can.
    pub fn body(&self) -> Result<Bytes, CodecError> {
        match &self.envelope {
            Some(envelope) => envelope.encode(),
            None => Err(CodecError::new("", "a local payload cannot be encoded")),
        }
    }

    /// How many messages were still ready when this one was got; 0 for a delivery to a consumer.
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

/// A message that came back because it was mandatory and reached no queue.
///
/// [`Channel::basic_publish`](crate::Channel::basic_publish) has an example (`basic.return`).
#[derive(Debug)]
#[non_exhaustive]
pub struct Returned {
    /// AMQP's reply code: 312.
    pub reply_code: u16,
    /// AMQP's reply text: `NO_ROUTE`.
    pub reply_text: &'static str,
    /// The exchange it was published to.
    pub exchange: Name,
    /// The routing key it was published with.
    pub routing_key: Name,
    /// Its properties.
    pub properties: Properties,
    /// Its body.
    pub body: Bytes,
}

/// The broker's answer to messages published in confirm mode.
///
/// [`Channel::confirm_select`](crate::Channel::confirm_select) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirm {
    /// The number of the message: the first one published after `confirm_select` is 1.
    pub delivery_tag: u64,
    /// Whether all messages up to this one are meant that were not confirmed yet.
    pub multiple: bool,
    /// Whether the broker took it.
    pub outcome: ConfirmOutcome,
}

/// Whether the broker took a message.
///
/// [`Channel::confirm_select`](crate::Channel::confirm_select) has an example of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// Every queue it was routed to took it (or there was none).
    Ack,
    /// A queue refused it.
    Nack,
}

/// The stream of a channel's events. Clones read from the same stream: each event comes once.
///
/// # If dropped
/// Nothing happens: events stay in the channel for the next reader.
///
/// # Examples
/// ```
/// use leveret::{channel::{ConsumeOptions, Event, PublishOptions}, Properties, Queue, RecvError, RecvTimeoutError, TryRecvError};
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
    /// Takes the next event; waits for one if there is none.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] once the channel is closed and everything that happened before was read.
    pub fn recv(&self) -> Result<Event, RecvError> {
        // Without a deadline the wait ends with an event or with the channel.
        let event = waiter::wait(self, None).unwrap_or(Err(CancelReason::ChannelClosed));
        event.map_err(RecvError::Cancelled)
    }

    /// Takes the next event if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now; [`TryRecvError::Cancelled`] as for [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Event, TryRecvError> {
        match waiter::Waitable::attempt(self, None) {
            Poll::Ready(event) => event.map_err(TryRecvError::Cancelled),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Takes the next event; waits at most `timeout` for it.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if none came in time; [`RecvTimeoutError::Cancelled`] as for [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvTimeoutError> {
        let time = self.core.vhost().time().clone();
        match waiter::wait(self, time.deadline(timeout)) {
            Some(event) => event.map_err(RecvTimeoutError::Cancelled),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// As [`recv`](Self::recv), for a task; needs no particular runtime.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has taken nothing.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] as for [`recv`](Self::recv).
    pub fn recv_async(&self) -> impl Future<Output = Result<Event, RecvError>> + Send + use<> {
        let event = Waiting::new(self.clone());
        async move { event.await.map_err(RecvError::Cancelled) }
    }
}

impl waiter::Waitable for Events {
    type Output = Result<Event, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Result<Event, CancelReason>> {
        if let Ok(event) = self.stream.try_recv() {
            return Poll::Ready(Ok(event));
        }
        let mut state = self.core.lock();
        // Events are sent under this lock: what was not there before it was taken and is not there now, is to come.
        match self.stream.try_recv() {
            Ok(event) => return Poll::Ready(Ok(event)),
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
