//! What AMQP's methods take besides names: the rest of their arguments, chainable.

use crate::model::field_value::{FieldTable, FieldValue};

/// Whether deliveries wait to be acknowledged.
///
/// [`Channel::basic_get`](crate::Channel::basic_get) shows both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AckMode {
    /// They do, and return if that never happens.
    #[default]
    Manual,
    /// They count as acknowledged when they are made (AMQP's `no-ack`).
    Auto,
}

/// Whether a settlement covers all earlier deliveries of the channel as well.
///
/// The `multiple` of `basic.ack` and `basic.nack`; [`Channel::basic_ack`](crate::Channel::basic_ack)
/// has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Multiple {
    /// It covers the delivery with this tag.
    #[default]
    No,
    /// It covers this delivery and all before it. The tag 0 stands for all deliveries so far.
    Yes,
}

impl From<bool> for Multiple {
    /// The bit of the wire.
    fn from(multiple: bool) -> Multiple {
        match multiple {
            true => Multiple::Yes,
            false => Multiple::No,
        }
    }
}

/// What a prefetch limit counts.
///
/// The `global` of `basic.qos`, with RabbitMQ's meaning;
/// [`Channel::basic_qos`](crate::Channel::basic_qos) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QosScope {
    /// The unsettled deliveries of each consumer that is started from now on (`global` is false).
    #[default]
    Consumer,
    /// The unsettled deliveries of the whole channel (`global` is true).
    Channel,
}

impl From<bool> for QosScope {
    /// The bit of the wire.
    fn from(global: bool) -> QosScope {
        match global {
            true => QosScope::Channel,
            false => QosScope::Consumer,
        }
    }
}

/// Whether an exchange or queue is deleted only if nobody uses it.
///
/// The `if-unused` of `exchange.delete` and `queue.delete`;
/// [`Channel::exchange_delete`](crate::Channel::exchange_delete) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IfUnused {
    /// It is deleted in any case.
    #[default]
    No,
    /// An exchange with bindings, or a queue with consumers, stays: 406.
    Yes,
}

/// Whether a queue is deleted only if it has no ready messages.
///
/// The `if-empty` of `queue.delete`; [`Channel::queue_delete`](crate::Channel::queue_delete) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IfEmpty {
    /// It is deleted in any case.
    #[default]
    No,
    /// A queue with ready messages stays: 406.
    Yes,
}

/// How [`basic_publish`](crate::Channel::basic_publish) publishes.
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
    /// Neither mandatory nor immediate.
    pub fn new() -> PublishOptions {
        PublishOptions::default()
    }

    /// A message that reaches no queue comes back as [`Event::Return`](crate::channel::Event::Return).
    #[must_use]
    pub fn mandatory(mut self) -> PublishOptions {
        self.mandatory = true;
        self
    }

    /// Deliver at once or return. RabbitMQ does not implement it, and neither does this broker: 540.
    #[must_use]
    pub fn immediate(mut self) -> PublishOptions {
        self.immediate = true;
        self
    }
}

/// How [`basic_consume`](crate::Channel::basic_consume) consumes.
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
/// // The same priority, as the arguments that it is.
/// let second = ConsumeOptions::new().argument("x-priority", 10);
/// let third = ConsumeOptions::new().arguments(FieldTable::from([("x-priority", 10)]));
/// assert!(channel.basic_consume("q", second)?.starts_with("amq.ctag-"));
/// channel.basic_consume("q", third)?;
/// // There are others: this one cannot have the queue to itself.
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
    /// A generated tag, manual acknowledgement, shared, no arguments.
    pub fn new() -> ConsumeOptions {
        ConsumeOptions::default()
    }

    /// The consumer tag, at most 255 bytes. Empty: the broker chooses.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> ConsumeOptions {
        self.tag = tag.into();
        self
    }

    /// Deliveries count as acknowledged when they are made (AMQP's `no-ack`).
    #[must_use]
    pub fn auto_ack(mut self) -> ConsumeOptions {
        self.auto_ack = true;
        self
    }

    /// Refused unless it is the queue's only consumer, and keeps others from joining.
    #[must_use]
    pub fn exclusive(mut self) -> ConsumeOptions {
        self.exclusive = true;
        self
    }

    /// Not to be sent what the same connection publishes. Accepted and ignored, as by RabbitMQ.
    #[must_use]
    pub fn no_local(mut self) -> ConsumeOptions {
        self.no_local = true;
        self
    }

    /// The consumer's priority (`x-priority`): the higher, the sooner it is served. 0 unless set.
    #[must_use]
    pub fn priority(self, priority: i32) -> ConsumeOptions {
        self.argument("x-priority", priority)
    }

    /// One more argument.
    #[must_use]
    pub fn argument(
        mut self,
        name: impl Into<String>,
        value: impl Into<FieldValue>,
    ) -> ConsumeOptions {
        self.arguments.insert(name, value);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: FieldTable) -> ConsumeOptions {
        self.arguments.extend(arguments);
        self
    }
}
