//! The explanation of a route: which bindings lead a message on, why, and what its queues would do
//! with it.
//!
//! Plain values, which the virtual host fills in. The exchanges are a list and no tree, because a
//! chain of exchanges may be of any length. `tree` prints them as a tree.

mod tree;

use std::{fmt, time::Duration};

use super::{
    field_value::{FieldTable, FieldValue},
    name::Name,
};

/// What would happen to a message, and why.
/// [`Connection::explain`](crate::Connection::explain) makes it.
///
/// `Display` prints it as a tree.
///
/// # Examples
/// ```
/// use leveret::{Exchange, FieldTable, Overflow, Queue, QueueOutlook};
/// # let broker = leveret::Broker::new();
/// let logs = Exchange::topic("logs");
/// broker.declare(&Queue::new("errors").bind(&logs, "*.error"))?;
/// let full = Queue::new("disk").max_length(0).overflow(Overflow::RejectPublish);
/// broker.declare(&full.bind(&logs, "disk.#"))?;
///
/// let why = broker.explain(&logs, "disk.error", &FieldTable::new())?;
/// assert_eq!(why.queues.len(), 2);
/// let disk = why.queue("disk").expect("a binding leads there");
/// assert_eq!(disk.outlook, QueueOutlook::Refuse);
/// assert_eq!(
///     why.to_string(),
///     r#"exchange "logs" (topic), routing key "disk.error"
/// ├─ "*.error" fits "disk.error": queue "errors" takes it
/// └─ "disk.#" fits "disk.error": queue "disk" refuses it (full)
/// "#,
/// );
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The routing key of the message, and after it the keys of its headers `CC` and `BCC`.
    pub routing_keys: Vec<String>,
    /// The exchanges on the way of the message, each once. The first is the one that the message
    /// is published to.
    pub exchanges: Vec<ExplainedExchange>,
    /// The queues that the message would reach, each once, in the order in which they get it.
    pub queues: Vec<ExplainedQueue>,
}

impl Explanation {
    /// The names of the queues that the message would reach, in the order in which they get it.
    pub fn queue_names(&self) -> impl Iterator<Item = &Name> {
        self.queues.iter().map(|queue| &queue.name)
    }

    /// The exchange of this name, if the message comes to it.
    pub fn exchange(&self, name: &str) -> Option<&ExplainedExchange> {
        self.exchanges
            .iter()
            .find(|exchange| exchange.name == *name)
    }

    /// The queue of this name, if the message reaches it.
    pub fn queue(&self, name: &str) -> Option<&ExplainedQueue> {
        self.queues.iter().find(|queue| queue.name == *name)
    }

    /// Whether no queue and no delayed exchange would have the message. A mandatory message would
    /// return to its publisher then.
    pub fn is_unroutable(&self) -> bool {
        let kept = |exchange: &ExplainedExchange| exchange.delay.is_some();
        self.queues.is_empty() && !self.exchanges.iter().any(kept)
    }
}

/// An exchange on the way of a message. [`Explanation`] has an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedExchange {
    /// The name of the exchange. Empty for the default exchange.
    pub name: Name,
    /// Its type, such as `topic`. Empty if the exchange does not exist, which only an alternate
    /// exchange or the target of an alias may do.
    pub exchange_type: String,
    /// Whether the exchange is internal: nothing can be published to it directly.
    pub internal: bool,
    /// The bindings of the exchange that lead the message on. The default exchange has one for
    /// each routing key.
    pub matching: Vec<ExplainedBinding>,
    /// The bindings of the exchange that do not lead the message on. The default exchange has
    /// none.
    pub others: Vec<ExplainedBinding>,
    /// The alternate exchange, if the message goes there because no binding leads it on.
    pub alternate: Option<Name>,
    /// How long a delayed exchange keeps the message. It is routed after that time.
    pub delay: Option<Duration>,
}

/// A binding of an exchange on the way of a message. [`Explanation`] has an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedBinding {
    /// The binding key.
    pub routing_key: Name,
    /// The arguments of the binding.
    pub arguments: FieldTable,
    /// The end of the binding.
    pub destination: ExplainedDestination,
    /// Why it leads the message on, or not.
    pub reason: MatchReason,
}

/// The end of a binding. [`Explanation`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExplainedDestination {
    /// A queue. If the message reaches it, it is among [`Explanation::queues`].
    Queue(Name),
    /// An exchange. If the message reaches it, it is among [`Explanation::exchanges`].
    Exchange(Name),
    /// A name for which there is no queue: a routing key at the default exchange.
    NoQueue(String),
    /// The address of a direct reply.
    ReplyTo(String),
}

/// Why a binding leads a message on, or not. [`Explanation`] has an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MatchReason {
    /// The binding key of a direct exchange equals this routing key of the message. `None` if it
    /// equals none of them.
    Key(Option<String>),
    /// The pattern of a topic exchange fits this routing key of the message. `None` if it fits none
    /// of them.
    Pattern(Option<String>),
    /// Every binding of the exchange leads each message on: `fanout` and `x-recent-history`.
    Always,
    /// The conditions of a headers exchange.
    Headers {
        /// The `x-match` of the binding, such as `all` or `any-with-x`.
        x_match: String,
        /// The conditions of the binding. With `all` each of them must hold, with `any` one of
        /// them.
        conditions: Vec<HeaderCondition>,
    },
    /// Whether the hash of the message has chosen the destination, among all of an
    /// `x-consistent-hash` exchange.
    Hash(bool),
    /// Whether the router of the exchange has chosen the binding. Some routers choose by chance,
    /// such as that of `x-random`, and choose anew for each message.
    Router(bool),
    /// The routing key names the queue: the default exchange.
    Name,
    /// The routing key is an alias for the destination: the default exchange.
    Alias,
}

/// One condition of a binding of a headers exchange. [`Explanation`] has an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HeaderCondition {
    /// The name of the header.
    pub name: String,
    /// The value that the header must have. A void value means any.
    pub wanted: FieldValue,
    /// The value that the message has, if it has the header.
    pub found: Option<FieldValue>,
    /// Whether the condition holds.
    pub holds: bool,
}

/// A queue that a message would reach. [`Explanation`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedQueue {
    /// The name of the queue.
    pub name: Name,
    /// What the queue would do with the message.
    pub outlook: QueueOutlook,
    /// The number of its ready messages.
    pub messages_ready: u64,
    /// The number of its consumers.
    pub consumers: u64,
}

/// What a queue would do with a message of one byte, as the queue is now. [`Explanation`] has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueOutlook {
    /// It would take the message.
    Take,
    /// It would take the message and drop or dead-letter the oldest one, because it is full.
    DropHead,
    /// It would refuse the message, because it is full.
    Refuse,
    /// It would refuse the message and dead-letter it, because it is full.
    DeadLetter,
    /// It would refuse the message, because a budget of bytes is spent.
    RefuseForBudget,
    /// The publisher would wait, because the queue is full.
    Block,
    /// The publisher would wait, because a budget of bytes is spent.
    BlockForBudget,
    /// The queue was deleted while it was looked at.
    Deleted,
}

impl QueueOutlook {
    /// Whether the queue would have the message without a wait.
    pub fn is_taken(self) -> bool {
        matches!(self, QueueOutlook::Take | QueueOutlook::DropHead)
    }
}

impl fmt::Display for QueueOutlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            QueueOutlook::Take => "takes it",
            QueueOutlook::DropHead => "takes it and drops its oldest message (full)",
            QueueOutlook::Refuse => "refuses it (full)",
            QueueOutlook::DeadLetter => "refuses and dead-letters it (full)",
            QueueOutlook::RefuseForBudget => "refuses it (a budget is spent)",
            QueueOutlook::Block => "lets the publisher wait (full)",
            QueueOutlook::BlockForBudget => "lets the publisher wait (a budget is spent)",
            QueueOutlook::Deleted => "is deleted",
        })
    }
}
