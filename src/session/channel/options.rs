//! The arguments of AMQP's methods besides names, with chainable setters.

use crate::model::field_value::{FieldTable, FieldValue};

/// The options of a channel, for
/// [`Connection::open_channel_with`](crate::Connection::open_channel_with).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ChannelOptions {
    pub(super) number: Option<u16>,
    pub(super) window: u32,
    pub(super) events_to_connection: bool,
}

impl ChannelOptions {
    /// The options of [`open_channel`](crate::Connection::open_channel): the next free number, no
    /// window, and a stream of its own.
    pub fn new() -> ChannelOptions {
        ChannelOptions::default()
    }

    /// Sets the number of the channel: 1 to 65,535. Without it the connection takes the next free
    /// one.
    ///
    /// # RabbitMQ
    /// The channel of `channel.open` (AMQP 0-9-1), which the client chooses.
    #[must_use]
    pub fn number(mut self, number: u16) -> ChannelOptions {
        self.number = Some(number);
        self
    }

    /// Sets how many deliveries to the consumers of the channel may be unread at the same time. 0
    /// is no limit, and the default.
    ///
    /// A queue hands no message to a channel whose window is full. It keeps the message, or gives
    /// it to the consumer of another channel, and goes on when half of the window is read. So a
    /// reader that stops reading costs no more than its window. A
    /// [prefetch](crate::Channel::basic_qos) counts unsettled deliveries instead, and none of a
    /// consumer with automatic acknowledgement.
    ///
    /// Without a window a channel takes all that its consumers may have, and the stream keeps it.
    /// This suits a program that reads its events, or whose consumers have a prefetch. Direct
    /// replies have no queue to wait in, and are not limited.
    ///
    /// # RabbitMQ
    /// A queue stops to serve a channel at 200 messages that are not written to the socket (the
    /// `UNSENT_MESSAGE_LIMIT`).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{ChannelOptions, ConsumeOptions, PublishOptions};
    /// use leveret::{Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// let channel = connection.open_channel_with(ChannelOptions::new().window(2))?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.basic_consume("q", ConsumeOptions::new().auto_ack())?;
    /// for body in ["a", "b", "c", "d", "e"] {
    ///     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// }
    /// assert_eq!(channel.queue_declare_passive("q")?.message_count, 3);
    /// channel.events().recv()?; // one more has room
    /// assert_eq!(channel.queue_declare_passive("q")?.message_count, 2);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn window(mut self, window: u32) -> ChannelOptions {
        self.window = window;
        self
    }

    /// Sends the events of the channel to the stream [of its
    /// connection](crate::Connection::events), instead of one of its own. So one reader serves many
    /// channels, in the order in which the broker acts.
    ///
    /// The channel's own [stream](crate::Channel::events) has no event then, and ends with the
    /// channel. Events that are not read when the channel is closed are dropped, since another
    /// channel may get its number.
    #[must_use]
    pub fn events_to_connection(mut self) -> ChannelOptions {
        self.events_to_connection = true;
        self
    }
}

/// Whether deliveries must be acknowledged.
///
/// The `no-ack` of `basic.consume` and `basic.get`;
/// [`Channel::basic_get`](crate::Channel::basic_get) has an example of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AckMode {
    /// A delivery must be settled. It returns to its queue if that never happens.
    #[default]
    Manual,
    /// A delivery counts as acknowledged as soon as it is made (AMQP's `no-ack`).
    Auto,
}

/// Whether a settlement covers all earlier deliveries of the channel too.
///
/// The `multiple` of `basic.ack` and `basic.nack`;
/// [`Channel::basic_ack`](crate::Channel::basic_ack) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Multiple {
    /// It covers the delivery with this tag only.
    #[default]
    No,
    /// It covers the delivery with this tag and all before it. The tag 0 stands for all deliveries
    /// so far.
    Yes,
}

impl From<bool> for Multiple {
    /// Converts the bit of the protocol.
    fn from(multiple: bool) -> Multiple {
        match multiple {
            true => Multiple::Yes,
            false => Multiple::No,
        }
    }
}

/// The deliveries that a prefetch limit counts.
///
/// The `global` of `basic.qos`, with RabbitMQ's meaning;
/// [`Channel::basic_qos`](crate::Channel::basic_qos) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QosScope {
    /// The unsettled deliveries of each consumer that starts from now on (`global` is false).
    #[default]
    Consumer,
    /// The unsettled deliveries of the whole channel (`global` is true). A quorum queue refuses
    /// consumers of such a channel, and does not limit those that it has. RabbitMQ 4.3 takes it for
    /// [`Consumer`](Self::Consumer), unless its configuration permits it.
    Channel,
}

impl From<bool> for QosScope {
    /// Converts the bit of the protocol.
    fn from(global: bool) -> QosScope {
        match global {
            true => QosScope::Channel,
            false => QosScope::Consumer,
        }
    }
}

/// Whether an exchange or queue is deleted only if it is not in use.
///
/// The `if-unused` of `exchange.delete` and `queue.delete`;
/// [`Channel::exchange_delete`](crate::Channel::exchange_delete) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IfUnused {
    /// It is deleted in any case.
    #[default]
    No,
    /// An exchange with bindings or a queue with consumers is not deleted: error 406.
    Yes,
}

/// Whether a queue is deleted only if it has no ready messages.
///
/// The `if-empty` of `queue.delete`; [`Channel::queue_delete`](crate::Channel::queue_delete) has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IfEmpty {
    /// It is deleted in any case.
    #[default]
    No,
    /// A queue with ready messages is not deleted: error 406.
    Yes,
}

/// The options of [`basic_publish`](crate::Channel::basic_publish).
///
/// # Examples
/// ```
/// use leveret::{channel::PublishOptions, Properties};
/// # use leveret::{Broker, Credentials};
/// # let broker = Broker::new();
/// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// let options = PublishOptions::new().mandatory().immediate();
/// let error = channel.basic_publish("", "q", "", Properties::new(), options).unwrap_err();
/// assert_eq!(error.reply_code(), Some(540)); // `immediate` is not implemented
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PublishOptions {
    pub(super) mandatory: bool,
    pub(super) immediate: bool,
}

impl PublishOptions {
    /// Options for a message that is neither mandatory nor immediate.
    pub fn new() -> PublishOptions {
        PublishOptions::default()
    }

    /// Makes the message mandatory: if it reaches no queue, it returns as
    /// [`Event::Return`](crate::channel::Event::Return).
    ///
    /// # RabbitMQ
    /// The `mandatory` of `basic.publish`.
    #[must_use]
    pub fn mandatory(mut self) -> PublishOptions {
        self.mandatory = true;
        self
    }

    /// Asks for delivery at once, or else for the message to be returned. The publish fails with
    /// 540.
    ///
    /// # RabbitMQ
    /// The `immediate` of `basic.publish`, which RabbitMQ does not implement either.
    #[must_use]
    pub fn immediate(mut self) -> PublishOptions {
        self.immediate = true;
        self
    }
}

/// The options of [`basic_consume`](crate::Channel::basic_consume).
///
/// # Examples
/// ```
/// use leveret::{channel::ConsumeOptions, FieldTable, Queue};
/// # use leveret::{Broker, Credentials};
/// # let broker = Broker::new();
/// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// channel.queue_declare(&Queue::new("q"))?;
/// let first = ConsumeOptions::new().tag("worker-1").auto_ack().no_local().priority(10);
/// assert_eq!(channel.basic_consume("q", first)?, "worker-1");
/// // The same priority, as an argument.
/// let second = ConsumeOptions::new().argument("x-priority", 10);
/// let third = ConsumeOptions::new().arguments(FieldTable::from([("x-priority", 10)]));
/// assert!(channel.basic_consume("q", second)?.starts_with("amq.ctag-"));
/// channel.basic_consume("q", third)?;
/// // The queue has other consumers, so an exclusive one is refused.
/// let error = channel.basic_consume("q", ConsumeOptions::new().exclusive()).unwrap_err();
/// assert_eq!(error.reply_code(), Some(403));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConsumeOptions {
    pub(super) tag: String,
    pub(super) auto_ack: bool,
    pub(super) exclusive: bool,
    pub(super) no_local: bool,
    pub(super) arguments: FieldTable,
}

impl ConsumeOptions {
    /// Options for a generated tag and manual acknowledgement, not exclusive and without arguments.
    pub fn new() -> ConsumeOptions {
        ConsumeOptions::default()
    }

    /// Sets the consumer tag, at most 255 bytes. For an empty tag the broker makes one.
    ///
    /// # RabbitMQ
    /// The `consumer-tag` of `basic.consume`.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> ConsumeOptions {
        self.tag = tag.into();
        self
    }

    /// Makes deliveries count as acknowledged as soon as they are made.
    ///
    /// # RabbitMQ
    /// The `no-ack` of `basic.consume`.
    #[must_use]
    pub fn auto_ack(mut self) -> ConsumeOptions {
        self.auto_ack = true;
        self
    }

    /// Makes the consumer exclusive: it is refused if the queue has other consumers, and later
    /// consumers are refused. For a quorum queue it has no effect.
    ///
    /// # RabbitMQ
    /// The `exclusive` of `basic.consume`.
    #[must_use]
    pub fn exclusive(mut self) -> ConsumeOptions {
        self.exclusive = true;
        self
    }

    /// Asks for no messages that the same connection publishes. It has no effect.
    ///
    /// # RabbitMQ
    /// The `no-local` of `basic.consume`, which has no effect in RabbitMQ either.
    #[must_use]
    pub fn no_local(mut self) -> ConsumeOptions {
        self.no_local = true;
        self
    }

    /// Sets the priority of the consumer, 0 by default. A queue delivers to consumers with a higher
    /// priority first.
    ///
    /// # RabbitMQ
    /// The argument `x-priority` of `basic.consume`.
    #[must_use]
    pub fn priority(self, priority: i32) -> ConsumeOptions {
        self.argument("x-priority", priority)
    }

    /// Sets one argument of `basic.consume`.
    #[must_use]
    pub fn argument(
        mut self,
        name: impl Into<String>,
        value: impl Into<FieldValue>,
    ) -> ConsumeOptions {
        self.arguments.insert(name, value);
        self
    }

    /// Sets several arguments of `basic.consume`.
    #[must_use]
    pub fn arguments(mut self, arguments: FieldTable) -> ConsumeOptions {
        self.arguments.extend(arguments);
        self
    }
}
