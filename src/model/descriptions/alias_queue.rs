//! The description of an alias queue.

use serde::{Deserialize, Serialize};

use super::{entity_name, read_entity_name};

/// Describes an *alias queue*: a name that stands for a queue or an exchange.
///
/// Every operation resolves the name once, when it begins. A publish to the alias, by the default
/// exchange or as a dead letter, reaches its target. So do a get, a consumer, a purge, a binding
/// and a passive declaration. The deletion of the name deletes the alias, and its target stays. The
/// target may be an alias again, and it need not exist yet. Queues and aliases share their names.
///
/// [`Connection::repoint`](crate::Connection::repoint) gives an alias another target, at once for
/// all. A publish that begins after it goes to the new target. A consumer, and a
/// [`SimpleQueue`](crate::SimpleQueue), stays with the queue that it has.
///
/// Messages cannot be taken from an alias of an exchange: that fails with
/// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406). A publish to it is routed
/// by the exchange, with the name of the alias as the routing key. A binding of it binds the
/// exchange.
///
/// An alias that would lead to itself is refused with 406 when it is declared, and so is a name
/// that a queue or a model queue has.
///
/// # RabbitMQ
/// RabbitMQ has no aliases. IBM MQ has alias queues (`QALIAS` with `TARGET`).
///
/// # Examples
/// ```
/// use leveret::{AliasQueue, Broker};
///
/// let broker = Broker::new();
/// let (blue, green) = (broker.simple_queue("blue")?, broker.simple_queue("green")?);
/// broker.declare(&AliasQueue::of_queue("orders", "blue"))?;
/// let orders = broker.producer::<u32>("orders")?;
/// orders.publish(1)?;
/// broker.repoint(&AliasQueue::of_queue("orders", "green"))?;
/// orders.publish(2)?;
/// assert_eq!((*blue.get()?, *green.get()?), (1, 2));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasQueue {
    #[serde(deserialize_with = "read_entity_name")]
    name: String,
    target: AliasTarget,
}

/// The target of an [`AliasQueue`].
///
/// # Examples
/// ```
/// use leveret::{AliasQueue, AliasTarget};
/// let alias = AliasQueue::of_exchange("events", "amq.topic");
/// assert_eq!(alias.target(), &AliasTarget::Exchange("amq.topic".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AliasTarget {
    /// The queue, or another alias, of this name.
    Queue(String),
    /// The exchange of this name.
    Exchange(String),
}

impl AliasQueue {
    /// Describes an alias of a queue. The name has 1 to 255 bytes.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no aliases.
    pub fn of_queue(name: impl Into<String>, queue: impl Into<String>) -> Self {
        Self {
            name: entity_name(name),
            target: AliasTarget::Queue(entity_name(queue)),
        }
    }

    /// Describes an alias of an exchange. The name has 1 to 255 bytes.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no aliases.
    ///
    /// # Examples
    /// ```
    /// use leveret::{AliasQueue, Broker, Exchange, Queue};
    /// let broker = Broker::new();
    /// let all = Exchange::fanout("all");
    /// let log = broker.simple_queue::<u32>(&Queue::new("log").bind(&all, ""))?;
    /// broker.declare(&AliasQueue::of_exchange("orders", "all"))?;
    /// broker.producer::<u32>("orders")?.publish(7)?;
    /// assert_eq!(*log.get()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn of_exchange(name: impl Into<String>, exchange: impl Into<String>) -> Self {
        Self {
            name: entity_name(name),
            target: AliasTarget::Exchange(entity_name(exchange)),
        }
    }

    /// The given name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The queue or the exchange that the name stands for.
    pub fn target(&self) -> &AliasTarget {
        &self.target
    }
}

impl AliasTarget {
    /// The name of the queue or the exchange.
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(name) | Self::Exchange(name) => name,
        }
    }
}
