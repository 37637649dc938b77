//! The description of a queue.

use super::{Binding, Exchange, count, is_unset, milliseconds, names as x};
use crate::model::{
    field_value::{FieldTable, FieldValue},
    name::Name,
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Describes a queue.
///
/// It is declared, with the exchanges it is bound to, when it is first used; declaring it again is nothing, and declaring another of the same
/// name with other properties is [`Error::Inequivalent`](crate::Error::Inequivalent). A description without a name makes a new queue at each
/// use. Setters never fail: what is wrong with a name or an argument is found when it is declared.
///
/// A plain name opens a queue: `broker.consumer::<Task>("tasks")` uses the queue as it is, whatever its properties, and declares
/// [`Queue::new("tasks")`](Queue::new) if there is none. [`Queue::existing`] is for a queue that must be there.
///
/// The limits and times are RabbitMQ's `x-` arguments, which the setters write into [one table](Queue::argument_table); `argument` can write
/// any other.
///
/// ```
/// use leveret::{Exchange, Overflow, Queue};
/// use std::time::Duration;
///
/// let logs = Exchange::topic("logs");
/// let errors = Queue::new("errors")
///     .durable()
///     .bind(&logs, "*.error")
///     .max_length(10_000)
///     .overflow(Overflow::RejectPublish)
///     .message_ttl(Duration::from_secs(3600));
///
/// assert_eq!(errors.argument_table().get("x-message-ttl"), Some(&3_600_000.into()));
/// assert_eq!((errors.name(), errors.bindings().len()), ("errors", 1));
/// assert!(errors.is_durable() && !errors.is_exclusive());
///
/// let all = Queue::temporary()
///     .expires(Duration::from_secs(60))
///     .max_length_bytes(1 << 20)
///     .max_priority(10)
///     .single_active_consumer()
///     .delivery_limit(3)
///     .lazy()
///     .argument("x-note", "any other")
///     .bind_with("amq.headers", "", [("x-match", "any"), ("format", "pdf")]);
/// assert!(all.is_exclusive() && all.is_auto_delete());
/// assert_eq!(all.argument_table().get("x-expires"), Some(&60_000.into()));
/// assert!(Queue::existing("q").is_passive());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    name: String,
    #[serde(skip_serializing_if = "is_unset")]
    durable: bool,
    #[serde(skip_serializing_if = "is_unset")]
    auto_delete: bool,
    #[serde(skip_serializing_if = "is_unset")]
    exclusive: bool,
    #[serde(skip_serializing_if = "is_unset")]
    passive: bool,
    /// Made from a plain name.
    #[serde(skip_serializing_if = "is_unset")]
    open: bool,
    #[serde(skip_serializing_if = "FieldTable::is_empty")]
    arguments: FieldTable,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bindings: Vec<Binding>,
}

impl Queue {
    /// A queue of this name; the empty name asks the broker for one.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// A nameless queue that only its connection can use, and that goes with it.
    pub fn exclusive() -> Self {
        Self::new("").exclusive_flag()
    }

    /// A nameless queue that only its connection can use, and that goes with its last consumer.
    pub fn temporary() -> Self {
        Self::exclusive().auto_delete()
    }

    /// A queue that exists already, since somebody else declares it. It is looked up, never created.
    pub fn existing(name: impl Into<String>) -> Self {
        Self::new(name).passive()
    }

    /// Sets AMQP's `durable`: recorded, compared and shown. Nothing survives a restart yet.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Sets AMQP's `auto-delete`: deleted when its last consumer is gone. One that never had a consumer stays.
    #[must_use]
    pub fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// AMQP's exclusive flag: only the connection that declares it can use it, and it is deleted with that connection.
    #[must_use]
    pub fn exclusive_flag(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Only asks whether the queue exists, whatever its properties; if it does not, use of it is an error.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.passive = true;
        self
    }

    /// How long a message may wait (`x-message-ttl`), in whole milliseconds, rounded up; at most ten years. Zero drops what no consumer
    /// can take at once.
    #[must_use]
    pub fn message_ttl(self, ttl: Duration) -> Self {
        self.argument(x::MESSAGE_TTL, milliseconds(ttl))
    }

    /// Deletes the queue when it has not been used for this long (`x-expires`), in whole milliseconds, rounded up; more than zero, at most
    /// ten years.
    #[must_use]
    pub fn expires(self, after: Duration) -> Self {
        self.argument(x::EXPIRES, milliseconds(after))
    }

    /// How many messages may be ready (`x-max-length`); what happens then says [`overflow`](Queue::overflow). 1 or more with
    /// [`Overflow::Block`], since nobody could ever get in else.
    #[must_use]
    pub fn max_length(self, messages: u64) -> Self {
        self.argument(x::MAX_LENGTH, count(messages))
    }

    /// How many bytes of bodies may be ready (`x-max-length-bytes`); 1 or more with [`Overflow::Block`].
    #[must_use]
    pub fn max_length_bytes(self, bytes: u64) -> Self {
        self.argument(x::MAX_LENGTH_BYTES, count(bytes))
    }

    /// The byte budget that it shares with other queues (`x-budget`, which RabbitMQ does not have): a [`Budget`](crate::Budget) of this
    /// name, which must have been declared.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Budget, Queue};
    /// let broker = Broker::new();
    /// let queue = Queue::new("q").budget("shared");
    /// assert!(broker.declare(&queue).unwrap_err().is_not_found()); // no such budget
    /// broker.declare(&Budget::new("shared", 1 << 20))?;
    /// broker.declare(&queue)?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn budget(self, name: impl Into<String>) -> Self {
        self.argument(x::BUDGET, name.into())
    }

    /// What to do when a limit is reached (`x-overflow`).
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        self.argument(x::OVERFLOW, overflow.as_str())
    }

    /// Where rejected, expired and dropped messages go (`x-dead-letter-exchange`): to the exchange of this name, which need not exist yet.
    /// The empty name is the default exchange.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// let broker = Broker::new();
    /// let dead = broker.simple_queue::<u32>("dead")?;
    /// let tasks = Queue::new("tasks").dead_letter_exchange("").dead_letter_routing_key("dead");
    /// let tasks = broker.simple_queue::<u32>(&tasks)?;
    /// tasks.put(7)?;
    /// tasks.get()?.reject()?;
    /// assert_eq!(*dead.get()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn dead_letter_exchange(self, name: impl Into<String>) -> Self {
        self.argument(x::DEAD_LETTER_EXCHANGE, name.into())
    }

    /// The routing key of dead letters (`x-dead-letter-routing-key`), instead of those they had. Needs a dead letter exchange.
    #[must_use]
    pub fn dead_letter_routing_key(self, routing_key: impl Into<String>) -> Self {
        self.argument(x::DEAD_LETTER_ROUTING_KEY, routing_key.into())
    }

    /// Delivers by message priority, the highest first (`x-max-priority`): from 0 to this, which is at most 255. What is above counts as
    /// this.
    #[must_use]
    pub fn max_priority(self, highest: u8) -> Self {
        self.argument(x::MAX_PRIORITY, i32::from(highest))
    }

    /// Delivers to one consumer at a time, the others stand by (`x-single-active-consumer`).
    #[must_use]
    pub fn single_active_consumer(self) -> Self {
        self.argument(x::SINGLE_ACTIVE_CONSUMER, true)
    }

    /// How often a message may be returned (`x-delivery-limit`); the next return drops or dead-letters it.
    #[must_use]
    pub fn delivery_limit(self, returns: u32) -> Self {
        self.argument(x::DELIVERY_LIMIT, count(returns.into()))
    }

    /// RabbitMQ's lazy mode (`x-queue-mode: lazy`): recorded and compared, without any effect here.
    #[must_use]
    pub fn lazy(self) -> Self {
        self.argument(x::QUEUE_MODE, "lazy")
    }

    /// Adds an argument; one of the same name is replaced.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Adds arguments; those of the same names are replaced.
    #[must_use]
    pub fn arguments<K, V>(mut self, arguments: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<FieldValue>,
    {
        self.arguments.extend(arguments);
        self
    }

    /// Binds the queue to an exchange: what `routing_key` matches there comes here. The exchange's description travels along and is declared
    /// with the queue; a plain name means an exchange that exists already.
    #[must_use]
    pub fn bind(self, exchange: impl Into<Exchange>, routing_key: impl Into<String>) -> Self {
        self.binding(Binding::new(exchange, routing_key))
    }

    /// Binds the queue with arguments: see [`bind`](Queue::bind).
    #[must_use]
    pub fn bind_with<K, V>(
        self,
        exchange: impl Into<Exchange>,
        routing_key: impl Into<String>,
        arguments: impl IntoIterator<Item = (K, V)>,
    ) -> Self
    where
        K: Into<String>,
        V: Into<FieldValue>,
    {
        self.binding(Binding::new(exchange, routing_key).arguments(arguments))
    }

    /// Adds a binding.
    #[must_use]
    pub fn binding(mut self, binding: Binding) -> Self {
        self.bindings.push(binding);
        self
    }

    /// The name, as it was given; empty if the broker is to choose one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is [`durable`](Queue::durable).
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether it is [`auto_delete`](Queue::auto_delete).
    pub fn is_auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether it is [exclusive](Queue::exclusive_flag).
    pub fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// Whether it is [`passive`](Queue::passive).
    pub fn is_passive(&self) -> bool {
        self.passive
    }

    /// All arguments.
    pub fn argument_table(&self) -> &FieldTable {
        &self.arguments
    }

    /// The bindings that lead to it.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Whether it was made from a plain name: it means the queue as it is, or a new one if there is none.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The description that a new queue keeps: one made from a plain name is like [`Queue::new`].
    pub(crate) fn of_new_queue(&self) -> Self {
        Self {
            open: false,
            ..self.clone()
        }
    }

    /// What `declare` returns for a nameless description: the same queue under the name it was given, which is from now on looked up and
    /// not declared (a name that the broker chose cannot be declared), nor bound again.
    pub(crate) fn declared_as(&self, name: &Name) -> Self {
        Self {
            name: name.to_string(),
            passive: true,
            open: false,
            bindings: Vec::new(),
            ..self.clone()
        }
    }
}

impl From<&Queue> for Queue {
    fn from(queue: &Queue) -> Self {
        queue.clone()
    }
}

/// A plain name opens a queue.
macro_rules! by_name {
    ($($name:ty),*) => {$(
        impl From<$name> for Queue {
            /// Opens the queue of this name. It is used as it is if it exists, whatever its properties.
            /// Otherwise it is declared as by [`Queue::new`].
            fn from(name: $name) -> Self {
                Self {
                    open: true,
                    ..Self::new(name)
                }
            }
        }
    )*};
}

by_name!(&str, String, &String, Name, &Name);

/// What a queue at its limit does with one message more.
///
/// # Examples
/// ```
/// use leveret::{Broker, Overflow, Queue};
/// let broker = Broker::new();
/// let queue = Queue::new("q").max_length(1).overflow(Overflow::DropHead);
/// let queue = broker.simple_queue::<u32>(&queue)?;
/// queue.put(1)?;
/// queue.put(2)?;
/// assert_eq!((queue.len(), *queue.get()?), (1, 2)); // 1 was at the head
/// assert_eq!(Overflow::RejectPublishDlx.as_str(), "reject-publish-dlx");
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overflow {
    /// Drops (or dead-letters) from the head. RabbitMQ's default.
    #[default]
    DropHead,
    /// Refuses the new message: its publisher is told.
    RejectPublish,
    /// Refuses the new message and dead-letters it.
    RejectPublishDlx,
    /// Lets the publisher wait until there is room. RabbitMQ has no such mode: over a network it could not.
    Block,
}

impl Overflow {
    /// The word that `x-overflow` has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropHead => "drop-head",
            Self::RejectPublish => "reject-publish",
            Self::RejectPublishDlx => "reject-publish-dlx",
            Self::Block => "block",
        }
    }

    /// Reads `x-overflow`'s word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [
            Self::DropHead,
            Self::RejectPublish,
            Self::RejectPublishDlx,
            Self::Block,
        ]
        .into_iter()
        .find(|overflow| overflow.as_str() == word)
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
