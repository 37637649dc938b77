//! The description of a queue.

use super::{
    Binding, Exchange, Overflow, Unkept, count, entity_name, is_unset, milliseconds, names as x,
    read_entity_name,
};
use crate::model::{
    field_value::{FieldTable, FieldValue},
    name::Name,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Describes a queue.
///
/// The first use of a description declares the queue, and the exchanges that it is bound to. A
/// second declaration with the same properties does nothing. A declaration with other properties
/// fails with [`Error::Inequivalent`](crate::Error::Inequivalent). A description without a name
/// makes a new queue at each use. Setters never fail. The declaration checks names and arguments.
///
/// A plain name opens a queue. `broker.consumer::<Task>("tasks")` uses the existing queue, whatever
/// its properties. It declares a missing queue as [`Queue::new("tasks")`](Queue::new).
/// [`Queue::existing`] requires that the queue exists.
///
/// Limits and times are RabbitMQ's `x-` arguments. The setters write them into
/// [one table](Queue::argument_table). [`argument`](Queue::argument) writes any other argument.
///
/// # RabbitMQ
/// `queue.declare`, and `queue.bind` for each binding. Here all of them take effect, or none. The
/// `x-` arguments have RabbitMQ's names and meanings.
///
/// # Examples
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
///     .classic_delivery_limit(3)
///     .lazy()
///     .argument("x-note", "any other")
///     .bind_with("amq.headers", "", [("x-match", "any"), ("format", "pdf")]);
/// assert!(all.is_exclusive() && all.is_auto_delete());
/// assert_eq!(all.argument_table().get("x-expires"), Some(&60_000.into()));
/// assert!(Queue::existing("q").is_passive());
/// ```
///
/// A description reads the item of a queue in [definitions](crate::guide::definitions):
///
/// ```
/// # use leveret::Queue;
/// let exported = r#"{"name": "q", "vhost": "orders", "type": "classic", "durable": true,
///     "auto_delete": false, "arguments": {"x-max-length": 5}}"#;
/// assert_eq!(serde_json::from_str::<Queue>(exported)?, Queue::new("q").durable().max_length(5));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    #[serde(deserialize_with = "read_entity_name")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "is_unset")]
    durable: bool,
    #[serde(skip_serializing_if = "is_unset")]
    auto_delete: bool,
    #[serde(skip_serializing_if = "is_unset")]
    exclusive: bool,
    #[serde(skip_serializing_if = "is_unset")]
    passive: bool,
    /// The description was made from a plain name.
    #[serde(skip_serializing_if = "is_unset")]
    open: bool,
    #[serde(skip_serializing_if = "FieldTable::is_empty")]
    arguments: FieldTable,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bindings: Vec<Binding>,
    /// The virtual host of an export.
    #[serde(skip_serializing)]
    vhost: Unkept,
    /// The type in an export, which the argument `x-queue-type` says as well.
    #[serde(rename = "type", skip_serializing)]
    queue_type: Unkept,
}

impl Queue {
    /// Describes a queue of this name. For the empty name, the broker generates one. Line ends in
    /// the name are removed.
    ///
    /// # RabbitMQ
    /// `queue` of `queue.declare`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: entity_name(name),
            ..Self::default()
        }
    }

    /// Describes an exclusive queue without a name. Only its connection can use it, and it is
    /// deleted with the connection.
    ///
    /// A queue declared on a [`Broker`](crate::Broker) belongs to the implicit connection, which
    /// all users of the broker share and which ends with the broker. [`temporary`](Self::temporary)
    /// is for a queue that ends with its consumer, and [`Broker::connect`](crate::Broker::connect)
    /// for a connection of one's own.
    ///
    /// # RabbitMQ
    /// `queue.declare` with an empty `queue` and with `exclusive`.
    pub fn exclusive() -> Self {
        Self::new("").exclusive_flag()
    }

    /// Describes an exclusive queue without a name that is deleted with its last consumer.
    ///
    /// # RabbitMQ
    /// `queue.declare` with an empty `queue`, `exclusive` and `auto_delete`.
    pub fn temporary() -> Self {
        Self::exclusive().auto_delete()
    }

    /// Describes an existing queue. The queue is looked up and never created.
    ///
    /// # RabbitMQ
    /// `queue.declare` with `passive`.
    pub fn existing(name: impl Into<String>) -> Self {
        Self::new(name).passive()
    }

    /// Sets `durable`. The queue survives the process in a broker with a folder (feature
    /// `durable`). Otherwise the flag is recorded, compared and shown.
    ///
    /// # RabbitMQ
    /// `durable` of `queue.declare`.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Deletes the queue when its last consumer ends. A queue that never had a consumer stays.
    ///
    /// # RabbitMQ
    /// `auto_delete` of `queue.declare`.
    #[must_use]
    pub fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// Makes the queue exclusive: only the connection that declares it can use it, and it is
    /// deleted with that connection.
    ///
    /// # RabbitMQ
    /// `exclusive` of `queue.declare`.
    #[must_use]
    pub fn exclusive_flag(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Only checks that the queue exists, whatever its properties. If it does not exist, its use
    /// fails.
    ///
    /// # RabbitMQ
    /// `passive` of `queue.declare`.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.passive = true;
        self
    }

    /// Limits the time that a message may wait. The time is rounded up to whole milliseconds, and
    /// is at most ten years. A message may stay a quarter of a millisecond longer. With zero, the
    /// queue drops a message that no consumer can take at once.
    ///
    /// # RabbitMQ
    /// The argument `x-message-ttl`.
    #[must_use]
    pub fn message_ttl(self, ttl: Duration) -> Self {
        self.argument(x::MESSAGE_TTL, milliseconds(ttl))
    }

    /// Deletes the queue after this time without use. The time is rounded up to whole milliseconds.
    /// It is more than zero and at most ten years. A quorum queue looks at its use every five
    /// seconds only, so that it may live longer.
    ///
    /// # RabbitMQ
    /// The argument `x-expires`.
    #[must_use]
    pub fn expires(self, after: Duration) -> Self {
        self.argument(x::EXPIRES, milliseconds(after))
    }

    /// Limits the number of ready messages. [`overflow`](Queue::overflow) sets the behaviour at the
    /// limit. With [`Overflow::Block`] the limit is at least 1, because a limit of 0 would never
    /// admit a message.
    ///
    /// Ready messages are those that no consumer has. Each consumer has up to its
    /// [prefetch](crate::ConsumerBuilder::prefetch) besides: `max_length(4)` and one consumer with
    /// the default prefetch of 256 hold 260 messages in all. For a strict bound set the prefetch as
    /// well: with `prefetch(1)` they hold 5. With `prefetch(0)`, which is unlimited, a consumer
    /// takes everything, and the limit has no effect. A [`Budget`](crate::Budget) counts the bytes
    /// of all messages, wherever they are.
    ///
    /// A quorum queue also counts delayed messages, and dead letters that wait for another queue.
    ///
    /// # RabbitMQ
    /// The argument `x-max-length`.
    #[must_use]
    pub fn max_length(self, messages: u64) -> Self {
        self.argument(x::MAX_LENGTH, count(messages))
    }

    /// Limits the total bytes of the bodies of ready messages. With [`Overflow::Block`] the limit
    /// is at least 1. As for [`max_length`](Self::max_length), each consumer has up to its prefetch
    /// besides. A quorum queue counts the encoded properties too, which have at least two bytes.
    ///
    /// # RabbitMQ
    /// The argument `x-max-length-bytes`. A value that is not encoded counts by
    /// [`ProducerBuilder::sized_by`](crate::ProducerBuilder::sized_by).
    #[must_use]
    pub fn max_length_bytes(self, bytes: u64) -> Self {
        self.argument(x::MAX_LENGTH_BYTES, count(bytes))
    }

    /// Names the [`Budget`](crate::Budget) that the queue shares with other queues. The budget is
    /// declared before the queue.
    ///
    /// # RabbitMQ
    /// The argument `x-budget`, which RabbitMQ does not have.
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
        self.argument(x::BUDGET, entity_name(name))
    }

    /// Sets the behaviour at a limit.
    ///
    /// # RabbitMQ
    /// The argument `x-overflow`. RabbitMQ does not have the value `block`.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        self.argument(x::OVERFLOW, overflow.as_str())
    }

    /// Sets the exchange for rejected, expired and dropped messages. The exchange need not exist
    /// yet. The empty name is the default exchange.
    ///
    /// # RabbitMQ
    /// The argument `x-dead-letter-exchange`.
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
        self.argument(x::DEAD_LETTER_EXCHANGE, entity_name(name))
    }

    /// Sets the routing key of dead letters, instead of their own. It requires a dead-letter
    /// exchange.
    ///
    /// # RabbitMQ
    /// The argument `x-dead-letter-routing-key`.
    #[must_use]
    pub fn dead_letter_routing_key(self, routing_key: impl Into<String>) -> Self {
        self.argument(x::DEAD_LETTER_ROUTING_KEY, routing_key.into())
    }

    /// Delivers messages by priority, the highest first. Priorities range from 0 to `highest`,
    /// which is at most 255. A higher priority counts as `highest`.
    ///
    /// A quorum queue always has the priorities 0 to 31, and refuses this setting.
    ///
    /// # RabbitMQ
    /// The argument `x-max-priority`.
    #[must_use]
    pub fn max_priority(self, highest: u8) -> Self {
        self.argument(x::MAX_PRIORITY, i32::from(highest))
    }

    /// Delivers to one consumer at a time, while the other consumers wait. In a quorum queue a
    /// consumer of a higher priority takes over, once the active one holds nothing.
    ///
    /// # RabbitMQ
    /// The argument `x-single-active-consumer`.
    #[must_use]
    pub fn single_active_consumer(self) -> Self {
        self.argument(x::SINGLE_ACTIVE_CONSUMER, true)
    }

    /// Limits how often a message of a classic queue may be returned. The next return drops or
    /// dead-letters it. Without this setting there is no limit.
    ///
    /// Every return counts. [`delivery_limit`](Self::delivery_limit) is the limit of a quorum
    /// queue, which counts failed deliveries only.
    ///
    /// # RabbitMQ
    /// The argument `x-leveret-delivery-limit`, which RabbitMQ does not have. Its classic queues
    /// have no limit.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, Requeue};
    /// let broker = Broker::new();
    /// let queue = broker.simple_queue::<u32>(&Queue::new("q").classic_delivery_limit(1))?;
    /// queue.put(7)?;
    /// queue.get()?.nack(Requeue::Yes)?;
    /// queue.get()?.nack(Requeue::Yes)?;
    /// assert_eq!(queue.len()?, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn classic_delivery_limit(self, returns: u32) -> Self {
        self.argument(x::CLASSIC_DELIVERY_LIMIT, count(returns.into()))
    }

    /// Sets the lazy mode. It is recorded and compared, and has no effect.
    ///
    /// # RabbitMQ
    /// The argument `x-queue-mode` with the value `lazy`.
    #[must_use]
    pub fn lazy(self) -> Self {
        self.argument(x::QUEUE_MODE, "lazy")
    }

    /// Adds an argument. It replaces an argument of the same name.
    ///
    /// # RabbitMQ
    /// A field of `arguments` in `queue.declare`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Adds arguments. They replace arguments of the same names.
    ///
    /// # RabbitMQ
    /// `arguments` of `queue.declare`.
    #[must_use]
    pub fn arguments<K, V>(mut self, arguments: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<FieldValue>,
    {
        self.arguments.extend(arguments);
        self
    }

    /// Binds the queue to an exchange, with a binding key. The exchange is declared with the queue.
    /// A plain name means an existing exchange.
    ///
    /// # RabbitMQ
    /// `queue.bind`. RabbitMQ does not declare the exchange.
    #[must_use]
    pub fn bind(self, exchange: impl Into<Exchange>, routing_key: impl Into<String>) -> Self {
        self.binding(Binding::new(exchange, routing_key))
    }

    /// Binds the queue with arguments, as [`bind`](Queue::bind) does without them.
    ///
    /// # RabbitMQ
    /// `queue.bind` with `arguments`.
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
    ///
    /// # RabbitMQ
    /// `queue.bind`.
    #[must_use]
    pub fn binding(mut self, binding: Binding) -> Self {
        self.bindings.push(binding);
        self
    }

    /// The given name. It is empty if the broker generates one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the queue is [`durable`](Queue::durable).
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether the queue is [`auto_delete`](Queue::auto_delete).
    pub fn is_auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether the queue is [exclusive](Queue::exclusive_flag).
    pub fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// Whether the description is [`passive`](Queue::passive).
    pub fn is_passive(&self) -> bool {
        self.passive
    }

    /// All arguments.
    pub fn argument_table(&self) -> &FieldTable {
        &self.arguments
    }

    /// The bindings to this queue.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// The queue of this name, or a new one if there is none.
    pub(super) fn opened(name: impl Into<String>) -> Self {
        Self {
            open: true,
            ..Self::new(name)
        }
    }

    /// Whether the description was made from a plain name. It then means the existing queue, or a
    /// new one if there is none.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// What a new queue keeps of the description: all but the name and the bindings. A description
    /// from a plain name becomes that of [`Queue::new`].
    pub(crate) fn of_new_queue(&self) -> Self {
        Self {
            name: String::new(),
            open: false,
            bindings: Vec::new(),
            arguments: self.arguments.clone(),
            ..*self
        }
    }

    /// The description that `declare` returns for a queue without a name. It has the generated
    /// name. It is passive, because a generated name cannot be declared. It has no bindings,
    /// because they are made already.
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
