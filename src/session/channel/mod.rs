//! A channel: AMQP 0-9-1's methods in AMQP's words, a ledger of deliveries, and one stream of events.
//!
//! Complete enough for a wire protocol to sit on it, which is why it exists beside the typed handles. Errors are
//! returned and close nothing.
//!
//! Files: `topology` (exchanges, queues, bindings), `publish`, `confirms`, `consume`, `settle`, `tx` the methods; `ledger` the
//! deliveries; `events` the stream; `outlet` the end that queues see.

mod confirms;
mod consume;
mod events;
mod ledger;
mod options;
mod publish;
mod settle;
mod sink;
mod topology;
mod tx;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Weak},
};

pub use self::{
    events::{ChannelDelivery, Confirm, ConfirmOutcome, Event, Events, Returned},
    options::{AckMode, ConsumeOptions, IfEmpty, IfUnused, Multiple, PublishOptions, QosScope},
};

use self::{
    confirms::Confirms,
    ledger::{ConsumerSlot, Ledger},
    tx::Tx,
};
use super::{
    connection::{Connection, ConnectionCore, Member},
    gate::Gate,
    publisher::Publisher,
};
use crate::{
    engine::{
        queue::{ConsumerId, Group, QueueCore, ReturnedDelivery as ReturnedToQueue},
        vhost::VirtualHost,
    },
    model::{
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        sync::{
            Mutex, MutexGuard,
            channel::{Receiver, Sender, unbounded},
        },
        waiter::{WaitList, Wake},
    },
    session::{
        subscriber::Subscriber,
        unacked::{DeliveryOrigin, Unacked},
    },
};

/// A channel of a [`Connection`].
///
/// Cloning is cheap; clones are the same channel.
///
/// # If dropped
/// With its last clone the channel closes as by [`close`](Self::close). Readers of its [`events`](Self::events) do not
/// keep it open.
///
/// # Errors of a closed channel
/// Every method fails with [`Error::ChannelClosed`] once the channel is closed, with [`Error::ConnectionClosed`] if its
/// connection closed, with [`Error::VhostDeleted`] if its virtual host was deleted, and with [`Error::ShutDown`] if the broker is gone. All other
/// errors leave the channel open, and nothing is changed by the method that failed.
///
/// # Examples
/// ```
/// use leveret::{channel::{AckMode, Multiple, PublishOptions}, Broker, Credentials, Properties, Queue};
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
pub struct Channel {
    handle: Arc<ChannelHandle>,
}

/// Closes the channel when the last handle goes.
struct ChannelHandle {
    core: Arc<ChannelCore>,
    /// The stream lives while a handle or a reader lives: unread events hold payloads, which are user code to drop, and the last of the
    /// core may go with a queue's lock held.
    events: Receiver<Event>,
    /// A channel keeps its connection open.
    connection: Connection,
}

impl Drop for ChannelHandle {
    fn drop(&mut self) {
        self.core.close(CancelReason::ChannelClosed);
    }
}

/// What queues, events and handles share of a channel.
pub(crate) struct ChannelCore {
    connection: Arc<ConnectionCore>,
    number: u16,
    /// Its consumers, to queues.
    group: Group,
    state: Mutex<ChannelState>,
}

/// Everything behind the channel's lock: a leaf, since queues take it while they hold their own.
pub(crate) struct ChannelState {
    pub(crate) closed: Option<CancelReason>,
    ledger: Ledger,
    mode: PublishMode,
    /// Of consumers made from now on.
    prefetch: u16,
    /// What an empty queue name stands for.
    current_queue: Option<Name>,
    /// The tag of the reply consumer, and the name under which replies reach it.
    replies_to: Option<(Name, Name)>,
    /// Typed consumers that end with the channel.
    subscribers: Vec<Weak<Subscriber>>,
    pub(crate) waiting: WaitList,
    /// Publishers that wait for room, but no longer than the channel is open.
    closing: WaitList,
    /// By exchange; never more than [`MOST_PUBLISHERS`].
    publishers: HashMap<Name, Arc<Publisher>>,
    events: Sender<Event>,
}

/// The number of exchanges whose routes a channel remembers.
const MOST_PUBLISHERS: usize = 256;

enum PublishMode {
    Plain,
    Confirm(Confirms),
    Tx(Tx),
}

impl ChannelState {
    /// Appends to the stream of events; the reader that is to be woken comes back.
    #[must_use = "woken after the lock is released"]
    fn send(&mut self, event: Event) -> Option<Wake> {
        // Without handles and readers nobody wants to know; the channel is closed then, so it is no delivery that is lost.
        let _ = self.events.send(event);
        self.waiting.take_one()
    }
}

impl ChannelCore {
    pub(crate) fn lock(&self) -> MutexGuard<'_, ChannelState> {
        self.state.lock()
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        self.connection.gate()
    }

    pub(crate) fn vhost(&self) -> &Arc<VirtualHost> {
        self.gate().vhost()
    }

    /// Locks the channel for a method.
    fn open(&self) -> Result<MutexGuard<'_, ChannelState>> {
        self.vhost().check_up()?;
        let state = self.lock();
        match state.closed {
            None => Ok(state),
            Some(CancelReason::ConnectionClosed) => Err(Error::ConnectionClosed),
            Some(CancelReason::ShutDown) => Err(Error::ShutDown),
            Some(_) => Err(Error::ChannelClosed),
        }
    }

    fn check_open(&self) -> Result {
        self.open().map(drop)
    }

    /// The publisher to an exchange. It is kept, since it remembers routes.
    fn publisher(&self, exchange: &Name) -> Arc<Publisher> {
        let mut state = self.lock();
        if let Some(publisher) = state.publishers.get(exchange) {
            return Arc::clone(publisher);
        }
        if state.publishers.len() == MOST_PUBLISHERS {
            state.publishers.clear();
        }
        let (key, mandatory) = (Name::empty(), false);
        let publisher = self
            .gate()
            .publisher(exchange.clone(), key, mandatory, None, None);
        let publisher = Arc::new(publisher);
        state
            .publishers
            .insert(exchange.clone(), Arc::clone(&publisher));
        publisher
    }

    /// Closes: consumers are removed and everything unsettled returns, each queue in one critical section. Confirms of
    /// nothing are outstanding, and what a transaction has not committed is forgotten.
    pub(crate) fn close(&self, reason: CancelReason) {
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason);
        let consumers: Vec<Arc<DeliveryOrigin>> = state
            .ledger
            .consumers
            .drain()
            .filter_map(|(_, slot)| slot.source())
            .collect();
        let mut unsettled: Vec<Unacked> = state
            .ledger
            .take_all()
            .into_iter()
            .map(|(_, held)| held)
            .collect();
        let mut unconfirmed = Vec::new();
        let uncommitted = match std::mem::replace(&mut state.mode, PublishMode::Plain) {
            PublishMode::Tx(tx) => Some(tx),
            PublishMode::Confirm(confirms) => {
                unconfirmed = confirms.close();
                None
            }
            PublishMode::Plain => None,
        };
        let replies_to = state.replies_to.take();
        let subscriptions = std::mem::take(&mut state.subscribers);
        let mut wakes = state.waiting.take_all();
        wakes.extend(state.closing.take_all());
        drop(state);
        let (settlements, forgotten) = uncommitted.map(Tx::into_parts).unwrap_or_default();
        unsettled.extend(settlements);
        if let Some((_, name)) = replies_to {
            self.vhost().forget_requester(&name);
        }
        self.remove_consumers(consumers, unsettled);
        for subscription in subscriptions.iter().filter_map(Weak::upgrade) {
            subscription.cancel(reason);
        }
        self.connection.forget_channel(self.number);
        for wake in wakes.into_iter().chain(unconfirmed) {
            wake.wake();
        }
        drop(forgotten);
    }

    /// Has a typed consumer end with this channel.
    ///
    /// # Errors
    /// Those of a closed channel; the consumer is cancelled then.
    pub(crate) fn adopt(&self, subscription: &Arc<Subscriber>) -> Result {
        let adopted = self.open().map(|mut state| {
            state.subscribers.retain(|other| other.strong_count() > 0);
            state.subscribers.push(Arc::downgrade(subscription));
        });
        if adopted.is_err() {
            subscription.cancel(CancelReason::ChannelClosed);
        }
        adopted
    }

    /// Removes the consumers from their queues and returns the deliveries to theirs.
    fn remove_consumers(&self, consumers: Vec<Arc<DeliveryOrigin>>, unsettled: Vec<Unacked>) {
        let mut queues: Vec<(Arc<QueueCore>, Vec<ConsumerId>, Vec<ReturnedToQueue>)> = Vec::new();
        let mut place = |queue: &Arc<QueueCore>| -> usize {
            let found = queues.iter().position(|(known, _, _)| known == queue);
            found.unwrap_or_else(|| {
                queues.push((Arc::clone(queue), Vec::new(), Vec::new()));
                queues.len() - 1
            })
        };
        let consumers: Vec<_> = consumers
            .iter()
            .filter_map(|source| Some((place(&source.queue), source.consumer.as_ref()?.0)))
            .collect();
        let unsettled: Vec<_> = unsettled
            .into_iter()
            .filter_map(|mut held| {
                let (source, envelope) = held.release()?;
                Some((place(&source.queue), source.consumer.clone(), envelope))
            })
            .collect();
        for (place, id) in consumers {
            queues[place].1.push(id);
        }
        for (place, consumer, envelope) in unsettled {
            queues[place].2.push(ReturnedToQueue { consumer, envelope });
        }
        for (queue, ids, returned) in queues {
            let now = self.vhost().now_for(&queue);
            let (_, effects) =
                self.vhost()
                    .remove_consumers(&queue, &ids, &mut VecDeque::new(), returned, now);
            self.vhost().run_effects(&queue, effects);
        }
    }

    /// Tells queues that the channel's common limit has room.
    fn resume(&self, queues: Vec<Arc<QueueCore>>) {
        for queue in queues {
            self.vhost().resume(&queue, self.group);
        }
    }
}

impl Member for ChannelCore {
    fn close(&self, reason: CancelReason) {
        ChannelCore::close(self, reason);
    }
}

impl ConsumerSlot {
    fn source(self) -> Option<Arc<DeliveryOrigin>> {
        match self {
            ConsumerSlot::Reserved => None,
            ConsumerSlot::Consumer(source) => Some(source),
        }
    }
}

impl Connection {
    /// Opens a channel.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] after [`close`](Self::close), [`Error::VhostDeleted`] or [`Error::ShutDown`] if the virtual host or the broker is
    /// gone, [`Error::ResourceError`] if all 65,535 channels are open.
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
        let number = self.core().next_channel()?;
        let channel = Channel::open(self.clone(), number);
        self.core().add_channel(number, channel.downgrade())?;
        Ok(channel)
    }
}

impl Channel {
    pub(crate) fn open(connection: Connection, number: u16) -> Channel {
        let core = Arc::clone(connection.core());
        let (events, receiver) = unbounded();
        let state = ChannelState {
            closed: None,
            ledger: Ledger::default(),
            mode: PublishMode::Plain,
            closing: WaitList::default(),
            publishers: HashMap::new(),
            prefetch: 0,
            current_queue: None,
            replies_to: None,
            subscribers: Vec::new(),
            waiting: WaitList::default(),
            events,
        };
        let group = core.gate().vhost().new_group();
        let core = ChannelCore {
            connection: core,
            number,
            group,
            state: Mutex::new(state),
        };
        Channel {
            handle: Arc::new(ChannelHandle {
                core: Arc::new(core),
                events: receiver,
                connection,
            }),
        }
    }

    pub(crate) fn core(&self) -> &Arc<ChannelCore> {
        &self.handle.core
    }

    pub(crate) fn downgrade(&self) -> Weak<ChannelCore> {
        Arc::downgrade(self.core())
    }

    /// The number of this channel in its connection, from 1.
    pub fn number(&self) -> u16 {
        self.core().number
    }

    /// The stream of everything that happens on this channel: deliveries, returns, confirms, cancellations.
    ///
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
    /// assert!(matches!(one.try_recv()?, Event::Cancelled { consumer_tag, .. } if consumer_tag == "c"));
    /// assert!(matches!(other.try_recv(), Err(TryRecvError::Empty))); // each event comes once
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn events(&self) -> Events {
        Events {
            core: Arc::clone(self.core()),
            stream: self.handle.events.clone(),
        }
    }

    /// Closes the channel (`channel.close`).
    ///
    /// Its consumers are removed, and everything delivered or got on it and not settled goes back to its place, marked
    /// as redelivered; each queue sees both at once. An auto-delete queue that loses its last consumer goes. Events
    /// that happened before can still be read.
    ///
    /// # Errors
    /// [`Error::ChannelClosed`], [`Error::ConnectionClosed`], [`Error::ShutDown`] if it is closed already.
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::{channel::{AckMode, PublishOptions}, Properties};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # channel.basic_publish("", "q", "hello", Properties::new().content_type("text/plain"), PublishOptions::new())?;
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

    /// The connection that the channel belongs to.
    pub(crate) fn parent(&self) -> Result<Connection> {
        self.core().check_open()?;
        Ok(self.handle.connection.clone())
    }

    /// The name that an empty queue name stands for: that of the queue declared last on this channel.
    fn expand<'a>(&self, queue: &'a str, current: &'a Option<Name>) -> Result<&'a str> {
        match (queue, current) {
            ("", Some(current)) => Ok(current),
            ("", None) => Err(Error::NoDeclaredQueue),
            (queue, _) => Ok(queue),
        }
    }

    fn current_queue(&self) -> Result<Option<Name>> {
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
