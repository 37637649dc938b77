//! The behaviour of a queue at its limit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The behaviour of a queue at its limit when one more message arrives.
///
/// # RabbitMQ
/// The values of the argument `x-overflow`. RabbitMQ does not have `block`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Overflow, Queue};
/// let broker = Broker::new();
/// let queue = Queue::new("q").max_length(1).overflow(Overflow::DropHead);
/// let queue = broker.simple_queue::<u32>(&queue)?;
/// queue.put(1)?;
/// queue.put(2)?;
/// assert_eq!((queue.len()?, *queue.get()?), (1, 2)); // 1 was at the head
/// assert_eq!(Overflow::RejectPublishDlx.as_str(), "reject-publish-dlx");
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overflow {
    /// Drops or dead-letters the message at the head. This is the default.
    ///
    /// # RabbitMQ
    /// `drop-head`.
    #[default]
    DropHead,
    /// Refuses the new message. The publish fails if no other queue takes the message. A quorum
    /// queue takes one message over its limit. It then refuses all others, until it is at four
    /// fifths of the limit.
    ///
    /// # RabbitMQ
    /// `reject-publish`. RabbitMQ reports the refusal only in confirm mode.
    RejectPublish,
    /// Refuses the new message and dead-letters it. For a quorum queue it means
    /// [`DropHead`](Self::DropHead).
    ///
    /// # RabbitMQ
    /// `reject-publish-dlx`.
    RejectPublishDlx,
    /// Lets the publisher wait until there is room for its message.
    ///
    /// No publisher takes the queue over its limit. Only a message that is larger than the whole
    /// limit goes over it; it waits until no other message is ready. Publishers are served first
    /// come first served, threads and tasks alike: a smaller message does not overtake a larger one
    /// that waits.
    ///
    /// A delayed message of a publisher ([`deliver_after`](crate::Message::deliver_after)) waits as
    /// well. If the queue is full when it is due, it stays delayed. It becomes ready as soon as
    /// there is room, before all publishers that wait.
    ///
    /// A returned message never waits and drops nothing, so it may take the queue over its limit.
    /// That holds for [`Requeue::After`](crate::Requeue::After) too.
    ///
    /// Only a message that the broker itself publishes drops others. Such a message is a dead
    /// letter, or one that a [delayed exchange](crate::Exchange::delayed) routes when its delay is
    /// over. It does not wait, and the queue drops its head for it, as for
    /// [`DropHead`](Self::DropHead).
    ///
    /// A publisher waits when the queue has [`max_length`](crate::Queue::max_length) ready
    /// messages. Each consumer has up to its prefetch besides, 256 by default. For a strict bound
    /// set the [prefetch](crate::ConsumerBuilder::prefetch) of the consumers as well.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no such value.
    Block,
}

impl Overflow {
    /// The value of `x-overflow`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropHead => "drop-head",
            Self::RejectPublish => "reject-publish",
            Self::RejectPublishDlx => "reject-publish-dlx",
            Self::Block => "block",
        }
    }

    /// Reads a value of `x-overflow`.
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
