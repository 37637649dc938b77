//! The handle of a channel, and its methods on the channel itself: open, events, close.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use hashbrown::HashMap;

use super::{
    ChannelCore, ChannelOptions, ChannelState, Outlet, PublishMode, Reading, ledger::Ledger,
};
use crate::{
    model::{
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{sync::atomic::AtomicBool, waiter::WaitList},
    session::{
        connection::{Connection, Member},
        events::{EventStream, Events, StreamEnd},
    },
};

/// A channel of a [`Connection`].
///
/// A clone is another handle to the same channel, and cheap to make.
///
/// # If dropped
/// The channel closes as by [`close`](Self::close) when its last clone is dropped.
/// [`Events`] do not keep the channel open.
///
/// # RabbitMQ
/// A channel of AMQP 0-9-1. In RabbitMQ an error closes the channel or its connection. Here only
/// the method fails, and [`Error::scope`] names what RabbitMQ would have closed.
///
/// # Permissions
/// A method fails with [`Error::PermissionDenied`] if the user of the connection lacks a
/// permission. [The page on access](crate::guide::access) tells which method asks for which.
///
/// # Errors of a closed channel
/// Every method fails with one of these errors on a closed channel:
///
/// - [`Error::ChannelClosed`] if the channel is closed.
/// - [`Error::ConnectionClosed`] if its connection is closed.
/// - [`Error::VhostDeleted`] if its virtual host is deleted.
/// - [`Error::ShutDown`] if the broker is shut down, and [`Error::BrokerDropped`] if its last clone
///   was dropped.
/// - [`Error::UserDeleted`] if the user of its connection is deleted.
///
/// All other errors leave the channel open. A method that fails changes nothing,
/// except [`tx_commit`](Self::tx_commit).
///
/// # Examples
/// ```
/// use leveret::{
///     channel::{AckMode, Multiple, PublishOptions},
///     Broker, Credentials, Properties, Queue,
/// };
///
/// let broker = Broker::new();
/// let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// channel.queue_declare(&Queue::new("q"))?;
/// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
/// let delivery = channel.basic_get("q", AckMode::Manual)?.expect("one message");
/// assert_eq!(&*delivery.body()?, b"hello");
/// channel.basic_ack(delivery.delivery_tag(), Multiple::No)?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a channel closes when its last clone is dropped"]
pub struct Channel {
    handle: Arc<ChannelHandle>,
}

/// Closes the channel when the last handle is dropped.
struct ChannelHandle {
    core: Arc<ChannelCore>,
    /// The end of the stream that is read. Unread events are dropped with the last handle and the
    /// last [`Events`].
    events: Arc<StreamEnd>,
    /// A channel keeps its connection open.
    connection: Connection,
}

impl Drop for ChannelHandle {
    fn drop(&mut self) {
        self.core.close(CancelReason::ChannelClosed);
    }
}

impl Connection {
    /// Opens a channel.
    ///
    /// # RabbitMQ
    /// `channel.open` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::ConnectionClosed`] after [`close`](Self::close).
    /// - [`Error::VhostDeleted`] if the virtual host is deleted.
    /// - [`Error::ShutDown`] if the broker is shut down.
    /// - [`Error::ResourceError`] if all 65,535 channels of the connection are open.
    /// - [`Error::NotAllowed`] if the user of the connection has as many channels as are allowed.
    /// - [`Error::UserDeleted`] if the user of the connection is deleted.
    ///
    /// # Examples
    /// ```
    /// use leveret::Error;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// let (first, second) = (connection.open_channel()?, connection.open_channel()?);
    /// assert_eq!((first.number(), second.number()), (1, 2));
    /// connection.close()?;
    /// assert_eq!(connection.open_channel().unwrap_err(), Error::ConnectionClosed);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn open_channel(&self) -> Result<Channel> {
        self.open_channel_with(ChannelOptions::new())
    }

    /// Opens a channel with options: its number, the window of its unread deliveries, and where its
    /// events go.
    ///
    /// # RabbitMQ
    /// `channel.open` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::ChannelError`] for a number that is in use, and for 0.
    /// - The errors of [`open_channel`](Self::open_channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{ChannelOptions, ConsumeOptions, Event, PublishOptions};
    /// use leveret::{Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// let options = ChannelOptions::new().number(7).window(200).events_to_connection();
    /// let channel = connection.open_channel_with(options.clone())?;
    /// let in_use = connection.open_channel_with(options).unwrap_err();
    /// assert_eq!(in_use.to_string(), "CHANNEL_ERROR - second 'channel.open' seen");
    ///
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.basic_consume("q", ConsumeOptions::new())?;
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// let (number, event) = connection.events().recv()?;
    /// assert!(number == 7 && matches!(event, Event::Delivery(_)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn open_channel_with(&self, options: ChannelOptions) -> Result<Channel> {
        self.core().open_channel(options.number, |number| {
            let channel = Channel::open(self.clone(), number, &options);
            let member = channel.downgrade();
            (channel, member as Weak<dyn Member>)
        })
    }
}

impl Channel {
    pub(crate) fn open(connection: Connection, number: u16, options: &ChannelOptions) -> Channel {
        let core = Arc::clone(connection.core());
        let events = Arc::new(EventStream::new(connection.time()));
        let end = StreamEnd::new(&events);
        let shared = options.events_to_connection;
        let shared = shared.then(|| Arc::clone(core.events()));
        let state = ChannelState {
            closed: None,
            ledger: Ledger::default(),
            mode: PublishMode::Plain,
            closing: WaitList::default(),
            last_get: None,
            publishers: HashMap::new(),
            last_route: None,
            prefetch: 0,
            current_queue: None,
            replies_to: None,
            subscribers: Vec::new(),
            outlet: Outlet::new(number, events, shared),
        };
        let group = core.gate().vhost().new_group();
        let core = Arc::new_cyclic(|channel| ChannelCore {
            connection: core,
            number,
            group,
            reading: Arc::new(Reading::new(channel, options.window, state)),
            is_closed: AtomicBool::new(false),
        });
        Channel {
            handle: Arc::new(ChannelHandle {
                core,
                events: end,
                connection,
            }),
        }
    }

    pub(crate) fn core(&self) -> &Arc<ChannelCore> {
        &self.handle.core
    }

    /// Has the queues hand over all that the consumers of the channel have a right to. Runs user
    /// code (wakers).
    #[cfg(feature = "amqp")]
    pub(crate) fn serve_consumers(&self) {
        self.core().serve_consumers();
    }

    pub(crate) fn downgrade(&self) -> Weak<ChannelCore> {
        Arc::downgrade(self.core())
    }

    /// The number of this channel in its connection, from 1.
    pub fn number(&self) -> u16 {
        self.core().number
    }

    /// The stream of the channel's events: deliveries, returned messages, confirms and cancelled
    /// consumers.
    ///
    /// # RabbitMQ
    /// The methods that the broker sends to a client, which client libraries hand to callbacks:
    /// `basic.deliver`, `basic.return`, `basic.ack`, `basic.nack` and `basic.cancel` (AMQP 0-9-1
    /// with RabbitMQ's extensions).
    /// # Examples
    /// ```
    /// use leveret::{channel::{ConsumeOptions, Event, IfEmpty, IfUnused}, Queue, TryRecvError};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let (one, other) = (channel.events(), channel.events());
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.basic_consume("q", ConsumeOptions::new().tag("c"))?;
    /// channel.queue_delete("q", IfUnused::No, IfEmpty::No)?;
    /// let event = one.try_recv()?;
    /// assert!(matches!(event, Event::Cancelled { consumer_tag, .. } if consumer_tag == "c"));
    /// // Each event comes to one reader.
    /// assert!(matches!(other.try_recv(), Err(TryRecvError::Empty)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn events(&self) -> Events {
        Events::new(&self.handle.events)
    }

    /// Closes the channel.
    ///
    /// The consumers of the channel are removed. Every delivery and every message of a get that is
    /// not settled returns to its queue, marked as redelivered, and has failed
    /// ([`Requeue::Failed`](crate::Requeue::Failed)). For each queue both happen at once. An
    /// auto-delete queue that loses its last consumer is deleted. Events from before the close can
    /// still be read.
    ///
    /// # RabbitMQ
    /// `channel.close` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::ChannelClosed`], [`Error::ConnectionClosed`] or [`Error::ShutDown`] if it is closed
    /// already.
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::{channel::{AckMode, PublishOptions}, Properties};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # let properties = Properties::new().content_type("text/plain");
    /// # channel.basic_publish("", "q", "hello", properties, PublishOptions::new())?;
    /// # channel.basic_get("q", AckMode::Manual)?;
    /// // The delivery with tag 1 is not settled.
    /// channel.close()?;
    /// assert!(channel.close().unwrap_err().is_closed());
    /// assert!(broker.consumer::<String>(&Queue::new("q"))?.recv()?.info().redelivered());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn close(&self) -> Result {
        self.core().check_open()?;
        self.core().close(CancelReason::ChannelClosed);
        Ok(())
    }

    /// The connection of the channel.
    pub(crate) fn parent(&self) -> Result<Connection> {
        self.core().check_open()?;
        Ok(self.handle.connection.clone())
    }

    /// The name of the queue: for an empty name, that of the queue declared last on this channel.
    pub(super) fn expand<'a>(&self, queue: &'a str, current: &'a Option<Name>) -> Result<&'a str> {
        match (queue, current) {
            ("", Some(current)) => Ok(current),
            ("", None) => Err(Error::NoDeclaredQueue),
            (queue, _) => Ok(queue),
        }
    }

    pub(super) fn current_queue(&self) -> Result<Option<Name>> {
        Ok(self.core().open()?.current_queue.clone())
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}
