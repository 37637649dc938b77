//! A message to be published: a payload and its options.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    message::{headers::x_delay, properties::Properties},
    model::{descriptions::names, field_value::FieldValue},
};

/// A message to be published by [`publish_message`](crate::Producer::publish_message): a payload
/// with properties.
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
///     Message::new("sweep".to_owned())
///         .priority(5)
///         .expiration(Duration::from_secs(60))
///         .header("origin", "cellar"),
/// )?;
/// let delivery = broker.consumer::<String>(&tasks)?.recv()?;
/// assert_eq!(delivery.info().properties().priority, Some(5));
/// # Ok::<(), leveret::Error>(())
/// ```
///
/// Most of the options:
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
/// assert_eq!(error.error().reply_code(), Some(312)); // mandatory, and without a queue
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

/// The earliest time of the delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Delay {
    #[default]
    None,
    After(Duration),
    At(SystemTime),
}

impl<T> Message<T> {
    /// Makes a message of a payload, without options.
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

    /// Returns the payload.
    pub fn into_payload(self) -> T {
        self.payload
    }

    /// Replaces all properties.
    ///
    /// # RabbitMQ
    /// The basic properties of the message.
    pub fn properties(mut self, properties: Properties) -> Message<T> {
        self.properties = properties;
        self
    }

    /// Sets the routing key, in place of the key of the producer; at most 255 bytes.
    ///
    /// # RabbitMQ
    /// The `routing-key` of `basic.publish`.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Message<T> {
        self.routing_key = Some(routing_key.into());
        self
    }

    /// Makes the message mandatory: if no queue takes it, the publish fails and the error returns
    /// the message.
    ///
    /// # RabbitMQ
    /// The `mandatory` of `basic.publish`. RabbitMQ reports the failure later, with `basic.return`.
    pub fn mandatory(mut self) -> Message<T> {
        self.mandatory = Some(true);
        self
    }

    /// Makes the message not mandatory: if no queue takes it, it is dropped, even by a producer for
    /// a queue.
    ///
    /// # RabbitMQ
    /// The `mandatory` of `basic.publish`, which is off by default there.
    pub fn not_mandatory(mut self) -> Message<T> {
        self.mandatory = Some(false);
        self
    }

    /// Sets the priority in a queue with [`max_priority`](crate::Queue::max_priority), 0 to 255.
    ///
    /// A message with a higher priority is delivered first. A priority above the maximum of the
    /// queue counts as that maximum. A quorum queue has the priorities 0 to 31, and a message
    /// without one has 4.
    ///
    /// # RabbitMQ
    /// The property `priority`.
    pub fn priority(mut self, priority: u8) -> Message<T> {
        self.properties.priority = Some(priority);
        self
    }

    /// Sets the time that the message may wait in a queue, in whole milliseconds, rounded up.
    ///
    /// The maximum is 4,294,967,295 milliseconds (49 days). The publish checks it.
    ///
    /// # RabbitMQ
    /// The property `expiration`.
    pub fn expiration(mut self, expiration: Duration) -> Message<T> {
        self.properties.expiration = Some(expiration.as_nanos().div_ceil(1_000_000).to_string());
        self
    }

    /// Delays the message: it waits in its queues, and is delivered after this time at the
    /// earliest.
    ///
    /// It gets its position at the end of the delay. It counts as ready from then on, and begins to
    /// expire. While it is delayed in a classic queue, it does not count for
    /// [`max_length`](crate::Queue::max_length).
    ///
    /// A quorum queue counts it from the beginning, and refuses it as any other message.
    ///
    /// If a classic queue is full at the end of the delay, its overflow behaviour decides.
    /// [`DropHead`](crate::Overflow::DropHead) drops the head. With
    /// [`Block`](crate::Overflow::Block) the message stays delayed until there is room, and becomes
    /// ready before the publishers that wait. Its time to live begins at the end of the delay
    /// nevertheless. The values that refuse a publish take the message, over the limit.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no such delay in its queues. [`delay`](Self::delay) is that of its plugin.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ManualClock, Message};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let reminders = broker.simple_queue::<String>("reminders")?;
    /// let tea = Message::new("tea".to_owned()).deliver_after(Duration::from_secs(240));
    /// reminders.put_message(tea)?;
    /// assert!(reminders.is_empty()?);
    /// clock.advance(Duration::from_secs(240));
    /// assert_eq!(*reminders.get()?, "tea");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn deliver_after(mut self, delay: Duration) -> Message<T> {
        self.delay = Delay::After(delay);
        self
    }

    /// Delays the message until this time of the broker's wall clock, as
    /// [`deliver_after`](Self::deliver_after) does. If the time is past, the message is delivered
    /// at once.
    ///
    /// The publish computes the delay. A later change of the clock has no effect.
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
    /// assert!(reminders.is_empty()?);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(*reminders.get()?, "tea");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn deliver_at(mut self, at: SystemTime) -> Message<T> {
        self.delay = Delay::At(at);
        self
    }

    /// Sets the header `x-delay`: an exchange that is [`delayed`](crate::Exchange::delayed) routes
    /// the message after this delay. The value has whole milliseconds, rounded up.
    ///
    /// Other exchanges and queues ignore the header. [`deliver_after`](Self::deliver_after) works
    /// with every exchange and routes the message at once. With both, a delayed exchange keeps the
    /// message until both times are over.
    ///
    /// At the end of the delay the exchange routes the message, and does not wait for room in a
    /// full queue. [`Exchange::delayed`](crate::Exchange::delayed) has the details and an example.
    ///
    /// # RabbitMQ
    /// The header `x-delay` of the plugin for delayed messages.
    pub fn delay(self, delay: Duration) -> Message<T> {
        let milliseconds = delay.as_nanos().div_ceil(1_000_000);
        let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
        self.header(x_delay::X_DELAY, x_delay::value(milliseconds))
    }

    /// Sets the header `x-recent-history-no-store`: exchanges with a
    /// [history](crate::Exchange::recent_history) route the message, and do not keep it.
    ///
    /// # RabbitMQ
    /// The header `x-recent-history-no-store` of the plugin for recent histories.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Message, Queue};
    /// let broker = Broker::new();
    /// let room = Exchange::recent_history("room");
    /// let speaker = broker.producer::<String>(&room)?;
    /// speaker.publish_message(Message::new("aside".to_owned()).keep_out_of_history())?;
    /// let late = broker.simple_queue::<String>(&Queue::new("late").bind(&room, ""))?;
    /// assert!(late.is_empty()?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn keep_out_of_history(self) -> Message<T> {
        self.header(names::RECENT_HISTORY_NO_STORE, true)
    }

    /// Sets one header.
    ///
    /// # RabbitMQ
    /// The property `headers`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Message<T> {
        self.properties.headers_mut().insert(name, value);
        self
    }

    /// Makes the message persistent. In a durable queue it survives a restart if the broker has a
    /// folder (the page `guide::durability` tells more) or is a RabbitMQ. Elsewhere the mode is
    /// only recorded.
    ///
    /// # RabbitMQ
    /// The property `delivery-mode` with the value 2.
    pub fn persistent(mut self) -> Message<T> {
        self.properties = self.properties.persistent();
        self
    }

    /// Sets the id that relates a reply to its request.
    ///
    /// # RabbitMQ
    /// The property `correlation-id`.
    pub fn correlation_id(mut self, correlation_id: impl Into<String>) -> Message<T> {
        self.properties = self.properties.correlation_id(correlation_id.into());
        self
    }

    /// Sets the queue for replies.
    ///
    /// # RabbitMQ
    /// The property `reply-to`.
    pub fn reply_to(mut self, queue: impl Into<String>) -> Message<T> {
        self.properties = self.properties.reply_to(queue.into());
        self
    }

    /// Sets the application's id of the message.
    ///
    /// # RabbitMQ
    /// The property `message-id`.
    pub fn message_id(mut self, message_id: impl Into<String>) -> Message<T> {
        self.properties = self.properties.message_id(message_id.into());
        self
    }

    /// Sets the time of the message, in whole seconds since 1970. A time before 1970 counts as
    /// 1970.
    ///
    /// # RabbitMQ
    /// The property `timestamp`.
    pub fn timestamp(mut self, timestamp: SystemTime) -> Message<T> {
        let since = timestamp.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.properties.timestamp = Some(since.as_secs());
        self
    }

    /// Sets the kind of the message.
    ///
    /// # RabbitMQ
    /// The property `type`.
    pub fn message_type(mut self, message_type: impl Into<String>) -> Message<T> {
        self.properties = self.properties.message_type(message_type.into());
        self
    }

    /// Sets the application that made the message.
    ///
    /// # RabbitMQ
    /// The property `app-id`.
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
