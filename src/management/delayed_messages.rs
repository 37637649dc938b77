//! Delayed messages as they wait: listed and cancelled, at a queue or at a delayed exchange.
//!
//! They are looked at a page at a time, so that the queue is never locked for long however many they are, and no filter runs
//! under a lock. Knows nothing of why a message is delayed.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    engine::{
        queue::{DelayedKey, QueueCore},
        vhost::VirtualHost,
    },
    handles::{broker::Broker, producer::Destination},
    message::{
        envelope::{Envelope, NEVER, SharedProperties},
        properties::Properties,
    },
    model::{error::Result, name::Name},
    session::{channel::Channel, connection::Connection, gate::DelayQueue},
};

/// The delayed messages of one queue or one delayed exchange: those published to be
/// [delivered after a time](crate::Message::deliver_after), those returned with
/// [`Requeue::After`](crate::Requeue::After), and those that a [delayed exchange](crate::Exchange::delayed) keeps back. Made
/// by [`Broker::delayed`](crate::Broker::delayed).
///
/// It sees what is there when it is asked. Once the queue or the exchange is deleted, nothing is there.
///
/// Cancelled messages are dropped without dead-lettering, and counted as purged.
///
/// # If dropped
/// Nothing happens to the messages.
///
/// # Examples
/// ```
/// use leveret::{Broker, ManualClock, Message, Queue};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// let queue = Queue::new("reminders");
/// let reminders = broker.simple_queue::<String>(&queue)?;
/// for (what, minutes) in [("eggs", 5), ("bread", 40), ("tea", 4)] {
///     let message = Message::new(what.to_owned()).deliver_after(Duration::from_secs(60 * minutes)).message_id(what);
///     reminders.put_message(message)?;
/// }
///
/// let delayed = broker.delayed(&queue)?;
/// let first = delayed.iter().next().expect("three wait");
/// assert_eq!((first.properties().message_id.as_deref(), first.due_in().as_secs()), (Some("tea"), 240));
/// assert!(delayed.cancel(first.id()));
/// assert_eq!(delayed.cancel_if(|message| message.due_in() > Duration::from_secs(600)), 1);
/// clock.advance(Duration::from_secs(3_600));
/// assert_eq!(*reminders.get()?, "eggs");
/// assert!(delayed.is_empty());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
pub struct Delayed {
    vhost: Arc<VirtualHost>,
    /// The queue, or the shelf of the exchange.
    queue: Arc<QueueCore>,
}

impl Connection {
    /// The delayed messages of a queue, or of an exchange that is [`delayed`](crate::Exchange::delayed), to be
    /// listed and cancelled. Nothing is declared.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it does not exist,
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) for another connection's exclusive queue,
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an exchange of another type,
    /// [`Error::ConnectionClosed`](crate::Error::ConnectionClosed), [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// [`Delayed`] has an example.
    pub fn delayed(&self, at: impl Into<Destination>) -> Result<Delayed> {
        Delayed::at(self, &at.into())
    }
}

impl Broker {
    /// As [`Connection::delayed`].
    ///
    /// # Errors
    /// Those of [`Connection::delayed`].
    pub fn delayed(&self, at: impl Into<Destination>) -> Result<Delayed> {
        self.connection()?.delayed(at)
    }
}

impl Channel {
    /// As [`Connection::delayed`].
    ///
    /// # Errors
    /// Those of [`Connection::delayed`].
    pub fn delayed(&self, at: impl Into<Destination>) -> Result<Delayed> {
        self.connection()?.delayed(at)
    }
}

impl Delayed {
    pub(crate) fn at(connection: &Connection, destination: &Destination) -> Result<Delayed> {
        let gate = connection.gate();
        let DelayQueue { vhost, queue } = match destination {
            Destination::Queue(queue) => gate.delayed_of_queue(&Name::new(queue.name())?)?,
            Destination::Exchange(exchange) => {
                gate.delayed_of_exchange(&Name::new(exchange.name())?)?
            }
        };
        Ok(Delayed { vhost, queue })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.delayed().messages as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lists them, those that are due first first, and those of the same time as they came.
    ///
    /// What comes, goes or is cancelled while the list is read may be in it or not; everything else is in it once.
    pub fn iter(&self) -> DelayedMessages {
        DelayedMessages {
            delayed: self.clone(),
            page: VecDeque::new(),
            last: None,
            over: false,
        }
    }

    /// Cancels one; `false` if it is not there any more, having become ready or been cancelled.
    pub fn cancel(&self, id: DelayedId) -> bool {
        id.queue == self.queue.id() && self.cancel_keys(vec![id.key]) == 1
    }

    /// Cancels those that the filter accepts; returns how many it were. One that becomes ready before its answer is there
    /// stays, and is not counted.
    ///
    /// The filter runs without any lock: it may use the broker. It sees them as [`iter`](Self::iter) lists them.
    ///
    /// # Panics
    /// If the filter does; what it accepted long before is cancelled then, and nothing else is harmed.
    pub fn cancel_if(&self, mut filter: impl FnMut(&DelayedMessage) -> bool) -> u64 {
        let mut cancelled = 0;
        let mut last = None;
        loop {
            let page = self.page(last);
            let Some(end) = page.last() else {
                return cancelled;
            };
            last = Some(end.id.key);
            let chosen = page.into_iter().filter(|message| filter(message));
            let chosen: Vec<_> = chosen.map(|message| message.id.key).collect();
            cancelled += self.cancel_keys(chosen);
        }
    }

    /// Cancels all; returns how many it were.
    pub fn cancel_all(&self) -> u64 {
        self.vhost.cancel_all_delayed(&self.queue)
    }

    fn cancel_keys(&self, keys: Vec<DelayedKey>) -> u64 {
        self.vhost.cancel_delayed(&self.queue, keys)
    }

    /// The next of them behind `last`.
    fn page(&self, last: Option<DelayedKey>) -> Vec<DelayedMessage> {
        let (now, wall) = (self.vhost.nanos(), self.vhost.time().system_now());
        let queue = self.queue.id();
        self.queue.map_delayed(last, PAGE, |(key, envelope)| {
            let id = DelayedId { queue, key };
            DelayedMessage::new(&self.vhost, id, envelope, now, wall)
        })
    }
}

impl IntoIterator for &Delayed {
    type Item = DelayedMessage;
    type IntoIter = DelayedMessages;

    fn into_iter(self) -> DelayedMessages {
        self.iter()
    }
}

impl fmt::Debug for Delayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delayed")
            .field("at", self.queue.name())
            .finish_non_exhaustive()
    }
}

/// The list that [`Delayed::iter`] makes.
pub struct DelayedMessages {
    delayed: Delayed,
    page: VecDeque<DelayedMessage>,
    last: Option<DelayedKey>,
    over: bool,
}

impl Iterator for DelayedMessages {
    type Item = DelayedMessage;

    fn next(&mut self) -> Option<DelayedMessage> {
        if self.page.is_empty() && !self.over {
            self.page = self.delayed.page(self.last).into();
            self.over = self.page.is_empty();
        }
        let next = self.page.pop_front()?;
        self.last = Some(next.id.key);
        Some(next)
    }
}

impl fmt::Debug for DelayedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedMessages")
            .field("delayed", &self.delayed)
            .finish_non_exhaustive()
    }
}

/// Names one delayed message as long as it is delayed; a message that is delayed again has another.
///
/// [`Delayed`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DelayedId {
    queue: u64,
    key: DelayedKey,
}

/// What can be seen of a delayed message. Its payload stays with it.
///
/// # Examples
/// ```
/// use leveret::{Broker, Clock, ManualClock, Message, Queue};
/// # use std::time::Duration;
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// let queue = Queue::new("q");
/// let message = Message::new("tea".to_owned()).deliver_after(Duration::from_secs(240)).priority(5);
/// broker.producer::<String>(&queue)?.publish_message(message)?;
///
/// let delayed = broker.delayed(&queue)?;
/// let tea = delayed.iter().next().expect("one waits");
/// assert_eq!(tea.due_at(), Some(clock.system_now() + Duration::from_secs(240)));
/// assert_eq!((&**tea.exchange(), tea.routing_key(), tea.properties().priority), ("", "q", Some(5)));
/// assert_eq!((tea.size(), tea.redelivered(), tea.delivery_count()), (3, false, 0));
/// assert!(tea.type_name().ends_with("String"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DelayedMessage {
    id: DelayedId,
    due_in: Duration,
    seen_at: SystemTime,
    exchange: Name,
    routing_key: Box<str>,
    properties: SharedProperties,
    size: u64,
    type_name: &'static str,
    delivery_count: u32,
}

impl DelayedMessage {
    fn new(
        vhost: &VirtualHost,
        id: DelayedId,
        envelope: &Envelope,
        now: u64,
        wall: SystemTime,
    ) -> DelayedMessage {
        let (due, _) = id.key;
        DelayedMessage {
            id,
            due_in: match due {
                NEVER => Duration::MAX,
                due => Duration::from_nanos(due.saturating_sub(now)),
            },
            seen_at: wall,
            exchange: vhost.exchange_names().name(envelope.origin()),
            routing_key: envelope.routing_key().into(),
            properties: envelope.shared_properties(),
            size: envelope.size(),
            type_name: envelope.body().type_name(),
            delivery_count: envelope.delivery_count(),
        }
    }

    /// Its name, by which it can be [cancelled](Delayed::cancel).
    pub fn id(&self) -> DelayedId {
        self.id
    }

    /// How long it had to wait when it was listed. [`Duration::MAX`] if its time lies beyond all that can be told.
    pub fn due_in(&self) -> Duration {
        self.due_in
    }

    /// When it is due, by the broker's wall clock as it was when this was listed; `None` if no such time can be told.
    pub fn due_at(&self) -> Option<SystemTime> {
        self.seen_at.checked_add(self.due_in)
    }

    /// The exchange it was published to.
    pub fn exchange(&self) -> &Name {
        &self.exchange
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// Its properties.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Its size in bytes, as limits and counts use it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The Rust type of its payload.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Whether it was delivered before and came back, by [`Requeue::After`](crate::Requeue::After).
    pub fn redelivered(&self) -> bool {
        self.delivery_count > 0
    }

    /// How many earlier deliveries of it came back.
    pub fn delivery_count(&self) -> u32 {
        self.delivery_count
    }
}

/// How many are looked at at once: so long the queue is locked.
const PAGE: usize = 256;
