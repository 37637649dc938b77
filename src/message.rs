//! A message to be published: a payload, and everything that may go with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{field_value::FieldValue, properties::Properties};

/// A message to be published by [`publish_message`](crate::Producer::publish_message): a payload with properties.
///
/// # Examples
/// ```
/// use leveret::{Broker, Message, Queue};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let tasks = Queue::new("tasks");
/// let producer = broker.producer::<String>(&tasks)?;
/// producer.publish_message(
///     Message::new("sweep".to_owned()).priority(5).expiration(Duration::from_secs(60)).header("origin", "cellar"),
/// )?;
/// let delivery = broker.consumer::<String>(&tasks)?.recv()?;
/// assert_eq!(delivery.info().properties().priority, Some(5));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Message<T> {
    pub(crate) payload: T,
    pub(crate) properties: Properties,
    pub(crate) routing_key: Option<String>,
    pub(crate) mandatory: Option<bool>,
    pub(crate) delay: Delay,
}

/// When a message may be delivered at the earliest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Delay {
    #[default]
    None,
    After(Duration),
    At(SystemTime),
}

impl<T> Message<T> {
    /// A message with nothing but a payload.
    pub fn new(payload: T) -> Message<T> {
        Message {
            payload,
            properties: Properties::new(),
            routing_key: None,
            mandatory: None,
            delay: Delay::None,
        }
    }

    /// The payload.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Gives the payload out.
    pub fn into_payload(self) -> T {
        self.payload
    }

    /// Replaces all properties.
    pub fn properties(mut self, properties: Properties) -> Message<T> {
        self.properties = properties;
        self
    }

    /// The routing key, instead of the producer's own; at most 255 bytes.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Message<T> {
        self.routing_key = Some(routing_key.into());
        self
    }

    /// If no queue takes the message, the publish is an error that gives it back.
    pub fn mandatory(mut self) -> Message<T> {
        self.mandatory = Some(true);
        self
    }

    /// If no queue takes the message, it is dropped, even by a producer made for a queue.
    pub fn not_mandatory(mut self) -> Message<T> {
        self.mandatory = Some(false);
        self
    }

    /// The priority in a queue with [`max_priority`](crate::Queue::max_priority): higher is served first.
    pub fn priority(mut self, priority: u8) -> Message<T> {
        self.properties.priority = Some(priority);
        self
    }

    /// How long the message may wait in a queue; whole milliseconds, rounded up.
    pub fn expiration(mut self, expiration: Duration) -> Message<T> {
        self.properties.expiration = Some(expiration.as_nanos().div_ceil(1_000_000).to_string());
        self
    }

    /// The message waits in its queues, delayed, and is delivered after this time at the earliest. Only then does it get
    /// its place, is counted as ready, and begins to expire.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ManualClock, Message};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let reminders = broker.simple_queue::<String>("reminders")?;
    /// reminders.put_message(Message::new("tea".to_owned()).deliver_after(Duration::from_secs(240)))?;
    /// assert!(reminders.is_empty());
    /// clock.advance(Duration::from_secs(240));
    /// assert_eq!(*reminders.get()?, "tea");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn deliver_after(mut self, delay: Duration) -> Message<T> {
        self.delay = Delay::After(delay);
        self
    }

    /// As [`deliver_after`](Self::deliver_after), at this time of the broker's wall clock at the earliest; at once if it
    /// is past.
    pub fn deliver_at(mut self, at: SystemTime) -> Message<T> {
        self.delay = Delay::At(at);
        self
    }

    /// One header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Message<T> {
        self.properties.headers_mut().insert(name, value);
        self
    }

    /// Asks durable queues to keep the message over a restart (`delivery-mode` 2). Nothing survives one yet.
    pub fn persistent(mut self) -> Message<T> {
        self.properties = self.properties.persistent();
        self
    }

    /// Ties a reply to its request.
    pub fn correlation_id(mut self, correlation_id: impl Into<String>) -> Message<T> {
        self.properties = self.properties.correlation_id(correlation_id.into());
        self
    }

    /// The queue that replies go to.
    pub fn reply_to(mut self, queue: impl Into<String>) -> Message<T> {
        self.properties = self.properties.reply_to(queue.into());
        self
    }

    /// The application's name for the message.
    pub fn message_id(mut self, message_id: impl Into<String>) -> Message<T> {
        self.properties = self.properties.message_id(message_id.into());
        self
    }

    /// When the message was made, in whole seconds; before 1970 counts as 1970.
    pub fn timestamp(mut self, timestamp: SystemTime) -> Message<T> {
        let since = timestamp.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.properties.timestamp = Some(since.as_secs());
        self
    }

    /// What kind of message it is (AMQP's `type`).
    pub fn message_type(mut self, message_type: impl Into<String>) -> Message<T> {
        self.properties = self.properties.message_type(message_type.into());
        self
    }

    /// The application that made it.
    pub fn app_id(mut self, app_id: impl Into<String>) -> Message<T> {
        self.properties = self.properties.app_id(app_id.into());
        self
    }
}

impl<T> From<T> for Message<T> {
    fn from(payload: T) -> Message<T> {
        Message::new(payload)
    }
}
