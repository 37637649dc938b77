//! A message to be published: a payload, and everything that may go with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    message::{headers::x_delay, properties::Properties},
    model::field_value::FieldValue,
};

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
///
/// All that may go with a payload:
///
/// ```
/// use leveret::{Broker, Exchange, Message, Properties};
/// # use std::time::{Duration, UNIX_EPOCH};
/// let message = Message::new(7)
///     .properties(Properties::new().content_type("application/json"))
///     .routing_key("disk.error")
///     .mandatory()
///     .persistent()
///     .correlation_id("request-1")
///     .reply_to("replies")
///     .message_id("m-1")
///     .timestamp(UNIX_EPOCH + Duration::from_secs(5))
///     .message_type("alarm")
///     .app_id("monitor");
/// assert_eq!(message.payload(), &7);
/// assert_eq!(message.clone().into_payload(), 7);
///
/// let broker = Broker::new();
/// let producer = broker.producer::<i32>(&Exchange::topic("logs"))?;
/// let error = producer.publish_message(message).unwrap_err();
/// assert_eq!(error.error().reply_code(), Some(312)); // mandatory, and nobody listens
/// assert_eq!(producer.publish_message(Message::from(7).not_mandatory())?.routed, 0);
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

    /// The priority (AMQP's `priority`) in a queue with [`max_priority`](crate::Queue::max_priority), 0 to 255: higher is
    /// served first, and what is above the queue's maximum counts as the maximum.
    pub fn priority(mut self, priority: u8) -> Message<T> {
        self.properties.priority = Some(priority);
        self
    }

    /// How long the message may wait in a queue (AMQP's `expiration`); whole milliseconds, rounded up, at most
    /// 4,294,967,295 of them (49 days), which is checked when it is published.
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
    /// is past. How long that is, is worked out when the message is published: setting the clock later changes nothing.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Clock, ManualClock, Message};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let reminders = broker.simple_queue::<String>("reminders")?;
    /// let at = clock.system_now() + Duration::from_secs(60);
    /// reminders.put_message(Message::new("tea".to_owned()).deliver_at(at))?;
    /// assert!(reminders.is_empty());
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(*reminders.get()?, "tea");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn deliver_at(mut self, at: SystemTime) -> Message<T> {
        self.delay = Delay::At(at);
        self
    }

    /// An exchange that is [`delayed`](crate::Exchange::delayed) keeps the message back for so long and routes it then (the
    /// header `x-delay`); whole milliseconds, rounded up. On the way through other exchanges and in queues it means nothing: that
    /// is [`deliver_after`](Self::deliver_after), which works everywhere and decides at once where the message goes. If a
    /// message says both, such an exchange keeps it until both times are over.
    ///
    /// [`Exchange::delayed`](crate::Exchange::delayed) has an example.
    pub fn delay(self, delay: Duration) -> Message<T> {
        let milliseconds = delay.as_nanos().div_ceil(1_000_000);
        let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
        self.header(x_delay::X_DELAY, x_delay::value(milliseconds))
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

    /// Ties a reply to its request (AMQP's `correlation-id`).
    pub fn correlation_id(mut self, correlation_id: impl Into<String>) -> Message<T> {
        self.properties = self.properties.correlation_id(correlation_id.into());
        self
    }

    /// The queue that replies go to (AMQP's `reply-to`).
    pub fn reply_to(mut self, queue: impl Into<String>) -> Message<T> {
        self.properties = self.properties.reply_to(queue.into());
        self
    }

    /// The application's name for the message (AMQP's `message-id`).
    pub fn message_id(mut self, message_id: impl Into<String>) -> Message<T> {
        self.properties = self.properties.message_id(message_id.into());
        self
    }

    /// When the message was made (AMQP's `timestamp`), in whole seconds since 1970; before 1970 counts as 1970.
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

    /// The application that made it (AMQP's `app-id`).
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
