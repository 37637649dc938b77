//! What policies apply to.

use super::ApplyTo;
use crate::model::arguments::QueueType;

/// A queue or an exchange, to which a policy may apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Exchange,
    Queue(QueueType),
}

impl Subject {
    /// Whether it is of the kind that a policy is for.
    pub(super) fn is_in(self, kind: ApplyTo) -> bool {
        match kind {
            ApplyTo::All => true,
            ApplyTo::Exchanges => self == Self::Exchange,
            ApplyTo::Queues => self != Self::Exchange,
            ApplyTo::ClassicQueues => self == Self::Queue(QueueType::Classic),
            ApplyTo::QuorumQueues => self == Self::Queue(QueueType::Quorum),
            ApplyTo::Streams => self == Self::Queue(QueueType::Stream),
        }
    }

    /// Whether a policy with this key can apply to it. RabbitMQ applies a policy as a whole: one
    /// key that the queue does not support keeps the others off as well.
    pub(super) fn supports(self, key: &str) -> bool {
        let unsupported: &[&str] = match self {
            Self::Exchange => &[],
            Self::Queue(QueueType::Classic) => &[
                "max-age",
                "stream-max-segment-size-bytes",
                "initial-cluster-size",
                "delivery-limit",
                "dead-letter-strategy",
                "max-in-memory-length",
                "max-in-memory-bytes",
                "target-group-size",
            ],
            Self::Queue(QueueType::Quorum) => &[
                "queue-mode",
                "max-age",
                "stream-max-segment-size-bytes",
                "initial-cluster-size",
            ],
            Self::Queue(QueueType::Stream) => &[
                "dead-letter-exchange",
                "dead-letter-routing-key",
                "dead-letter-strategy",
                "delivery-limit",
                "expires",
                "max-in-memory-bytes",
                "max-in-memory-length",
                "max-length",
                "message-ttl",
                "overflow",
                "queue-mode",
                "target-group-size",
            ],
        };
        !unsupported.contains(&key)
    }
}
