//! Lists and cancels the delayed messages of a queue or of a delayed exchange.
//!
//! The messages are read in pages, so the queue's lock is never held for long, however many
//! messages there are. No filter runs under a lock. This module does not know why a message is
//! delayed.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, SystemTime},
};

use crate::{
    engine::queue::DelayedKey,
    handles::{broker::Broker, producer::Destination},
    message::{
        envelope::{Envelope, NEVER, SharedProperties},
        properties::Properties,
    },
    model::{error::Result, name::Name},
    session::{channel::Channel, connection::Connection, delay_queue::DelayQueue},
};

/// The delayed messages of one queue or one delayed exchange.
/// [`Broker::delayed`](crate::Broker::delayed) makes it.
///
/// Three kinds of messages are delayed:
/// - messages published with [`Message::deliver_after`](crate::Message::deliver_after), also those
///   that are due and wait for room in a queue with [`Overflow::Block`](crate::Overflow::Block)
/// - messages returned with [`Requeue::After`](crate::Requeue::After)
/// - messages that a [delayed exchange](crate::Exchange::delayed) holds until their delay ends
///
/// Each call reads the current messages. After the queue or exchange is deleted, there are none.
///
/// A cancelled message is dropped, not dead-lettered, and counts as purged.
///
/// # RabbitMQ
/// There is no counterpart. The delayed message plugin neither lists nor cancels messages.
///
/// # If dropped
/// The messages stay as they are.
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
///     let delay = Duration::from_secs(60 * minutes);
///     let message = Message::new(what.to_owned()).deliver_after(delay).message_id(what);
///     reminders.put_message(message)?;
/// }
///
/// let delayed = broker.delayed(&queue)?;
/// let first = delayed.iter().next().expect("three wait");
/// assert_eq!(first.properties().message_id.as_deref(), Some("tea"));
/// assert_eq!(first.due_in(), Duration::from_secs(240));
/// assert!(delayed.cancel(first.id()));
/// assert_eq!(delayed.cancel_if(|message| message.due_in() > Duration::from_secs(600)), 1);
/// clock.advance(Duration::from_secs(3_600));
/// assert_eq!(*reminders.get()?, "eggs");
/// assert!(delayed.is_empty());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
pub struct Delayed {
    /// The queue, or the delay queue of the exchange.
    queue: DelayQueue,
}

impl Connection {
    /// The delayed messages of a queue or of a [delayed exchange](crate::Exchange::delayed), for
    /// listing and cancelling. The call declares nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the queue or exchange does not exist,
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) for a queue that is exclusive to
    /// another connection, [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an
    /// exchange of another type, [`Error::ConnectionClosed`](crate::Error::ConnectionClosed),
    /// [`Error::ShutDown`](crate::Error::ShutDown).
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
        let queue = match destination {
            Destination::Queue(queue) => gate.delayed_of_queue(&Name::of_entity(queue.name())?)?,
            Destination::Exchange(exchange) => {
                gate.delayed_of_exchange(&Name::of_entity(exchange.name())?)?
            }
        };
        Ok(Delayed { queue })
    }

    /// The number of delayed messages.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there are no delayed messages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lists the messages in the order in which they are due. Messages with the same due time come
    /// in the order of their arrival.
    ///
    /// If a message arrives, becomes due or is cancelled during the iteration, the list may contain
    /// it or not. Every other message is in the list exactly once.
    pub fn iter(&self) -> DelayedMessages {
        DelayedMessages {
            delayed: self.clone(),
            page: VecDeque::new(),
            last: None,
            over: false,
        }
    }

    /// Cancels one message. Returns `false` if the message is not delayed any more, because it has
    /// become ready or was cancelled already.
    pub fn cancel(&self, id: DelayedId) -> bool {
        id.queue == self.queue.id() && self.cancel_keys(vec![id.key]) == 1
    }

    /// Cancels the messages that the filter accepts. Returns the number of cancelled messages. A
    /// message that becomes ready before the filter returns is not cancelled and not counted.
    ///
    /// The filter runs without any lock, so it may use the broker. It gets the messages in the
    /// order of [`iter`](Self::iter).
    ///
    /// # Panics
    /// If the filter panics. Of the messages that it has accepted, fewer than the last 256 are not
    /// cancelled then, and all earlier ones are. Nothing else has changed.
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

    /// Cancels all messages. Returns the number of cancelled messages.
    pub fn cancel_all(&self) -> u64 {
        self.queue.cancel_all()
    }

    fn cancel_keys(&self, keys: Vec<DelayedKey>) -> u64 {
        self.queue.cancel(keys)
    }

    /// The next page: the messages behind `last`.
    fn page(&self, last: Option<DelayedKey>) -> Vec<DelayedMessage> {
        let (now, wall) = self.queue.now();
        let queue = self.queue.id();
        self.queue.page(last, PAGE, |key, envelope, exchange| {
            let id = DelayedId { queue, key };
            DelayedMessage::new(id, envelope, exchange, now, wall)
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

/// The iterator that [`Delayed::iter`] returns.
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

/// Identifies one delayed message while it is delayed. If the same message is delayed again, it
/// gets another id.
///
/// [`Delayed`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DelayedId {
    queue: u64,
    key: DelayedKey,
}

/// A view of a delayed message, without its payload.
///
/// # Examples
/// ```
/// use leveret::{Broker, Clock, ManualClock, Message, Queue};
/// # use std::time::Duration;
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// let queue = Queue::new("q");
/// let delay = Duration::from_secs(240);
/// let message = Message::new("tea".to_owned()).deliver_after(delay).priority(5);
/// broker.producer::<String>(&queue)?.publish_message(message)?;
///
/// let delayed = broker.delayed(&queue)?;
/// let tea = delayed.iter().next().expect("one waits");
/// assert_eq!(tea.due_at(), Some(clock.system_now() + delay));
/// assert_eq!((&**tea.exchange(), tea.routing_key()), ("", "q"));
/// assert_eq!(tea.properties().priority, Some(5));
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
    redelivered: bool,
    acquired_count: u32,
    delivery_count: u32,
}

impl DelayedMessage {
    fn new(
        id: DelayedId,
        envelope: &Envelope,
        exchange: Name,
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
            exchange,
            routing_key: envelope.routing_key().into(),
            properties: envelope.shared_properties(),
            size: envelope.size(),
            type_name: envelope.body().type_name(),
            redelivered: envelope.redelivered(),
            acquired_count: envelope.acquired_count(),
            delivery_count: envelope.delivery_count(),
        }
    }

    /// The id with which [`Delayed::cancel`] cancels the message.
    pub fn id(&self) -> DelayedId {
        self.id
    }

    /// The rest of the delay at the moment of the listing. Zero if the message is due and waits for
    /// room. [`Duration::MAX`] if the due time is too far away for the broker's clock.
    pub fn due_in(&self) -> Duration {
        self.due_in
    }

    /// The due time, by the broker's wall clock at the moment of the listing. That moment if the
    /// message is due already. `None` if a [`SystemTime`] cannot hold the due time.
    pub fn due_at(&self) -> Option<SystemTime> {
        self.seen_at.checked_add(self.due_in)
    }

    /// The exchange to which the message was published.
    pub fn exchange(&self) -> &Name {
        &self.exchange
    }

    /// The routing key with which the message was published.
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// The properties of the message.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The size of the message in bytes, as limits and counts use it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The name of the payload's Rust type.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Whether the message was delivered before and returned by
    /// [`Requeue::After`](crate::Requeue::After).
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// The number of earlier deliveries of the message that returned to the queue, for whatever
    /// reason.
    pub fn acquired_count(&self) -> u32 {
        self.acquired_count
    }

    /// The number of earlier deliveries of the message that failed.
    pub fn delivery_count(&self) -> u32 {
        self.delivery_count
    }
}

/// The number of messages in a page. The queue's lock is held while one page is read.
const PAGE: usize = 256;
