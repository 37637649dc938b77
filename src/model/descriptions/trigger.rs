//! Triggers: a queue that tells another one of its messages.

use serde::{Deserialize, Serialize};

use super::{Queue, count, entity_name, names as x};
use crate::model::{field_value::FieldValue, name::Name};

/// When a queue sends a trigger message to its *initiation queue*, set by [`Queue::trigger`].
///
/// A program that waits at the initiation queue can then start another one, which works the queue
/// off. The trigger message is a [`TriggerMessage`] in JSON.
///
/// | trigger | sends a message when | and again |
/// |---|---|---|
/// | `First` | a message comes to the empty queue | when it has been empty |
/// | `Every` | a message comes | at each message |
/// | `Depth(n)` | there are `n` ready messages | after [`Connection::rearm_trigger`](crate::Connection::rearm_trigger) |
///
/// `First` and `Depth` send nothing while the queue has a consumer, since then a program is there.
/// When the last consumer ends and leaves messages behind (any at all, or `n`), they send one. So
/// they do when a broker with a folder starts with such a queue. `Every` has none of these rules.
///
/// A message comes when it becomes ready: a delayed one when it is due. A message that returns to
/// the queue does not come again. If the initiation queue does not exist, the trigger message goes
/// to the dead-letter queue of the virtual host, if there is one.
///
/// # RabbitMQ
/// RabbitMQ has no triggers. They are those of IBM MQ (`TRIGTYPE`, `TRIGDPTH`, `INITQ`), without a
/// trigger interval, a trigger priority and process definitions.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, Trigger, TriggerMessage};
///
/// let broker = Broker::new();
/// let started = broker.simple_queue::<TriggerMessage>("start")?;
/// let jobs = Queue::new("jobs").trigger("start", Trigger::First);
/// let producer = broker.producer::<u32>(&jobs)?;
/// producer.publish(1)?;
/// producer.publish(2)?;
///
/// let message = started.get()?;
/// assert_eq!((&*message.queue, message.trigger, message.depth), ("jobs", Trigger::First, 1));
/// # message.ack()?;
/// assert!(started.is_empty()?);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Trigger {
    /// At the first message.
    First,
    /// At every message.
    Every,
    /// At this number of messages, from 1 on.
    Depth(u64),
}

/// The message that a queue with a [`Trigger`] sends to its initiation queue.
///
/// [`Trigger`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TriggerMessage {
    /// The queue that has messages.
    pub queue: Name,
    /// The cause.
    pub trigger: Trigger,
    /// The number of ready messages at that moment.
    pub depth: u64,
}

impl TriggerMessage {
    pub(crate) fn new(queue: Name, trigger: Trigger, depth: u64) -> Self {
        Self {
            queue,
            trigger,
            depth,
        }
    }
}

/// The words of the argument.
const FIRST: &str = "first";
const EVERY: &str = "every";

impl Trigger {
    fn to_value(self) -> FieldValue {
        match self {
            Trigger::First => FIRST.into(),
            Trigger::Every => EVERY.into(),
            Trigger::Depth(messages) => count(messages),
        }
    }

    /// Reads the argument.
    pub(crate) fn from_value(value: &FieldValue) -> Option<Trigger> {
        match (value.as_str(), value.as_i64()) {
            (Some(FIRST), _) => Some(Trigger::First),
            (Some(EVERY), _) => Some(Trigger::Every),
            (_, Some(messages)) => {
                let messages = u64::try_from(messages).ok();
                messages.filter(|it| *it > 0).map(Trigger::Depth)
            }
            _ => None,
        }
    }
}

impl Queue {
    /// Lets the queue send trigger messages to an *initiation queue*. The initiation queue is any
    /// queue or [alias](crate::AliasQueue). It need not exist yet. The declaration refuses
    /// `Depth(0)`.
    ///
    /// # RabbitMQ
    /// An addition of leveret, as the arguments `x-leveret-initiation-queue` and
    /// `x-leveret-trigger`: `first`, `every`, or a number of messages.
    #[must_use]
    pub fn trigger(self, initiation_queue: impl Into<String>, trigger: Trigger) -> Self {
        self.argument(x::INITIATION_QUEUE, entity_name(initiation_queue))
            .argument(x::TRIGGER, trigger.to_value())
    }
}
