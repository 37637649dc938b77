//! The types of queues, and the arguments of each.

use crate::model::{descriptions::names as x, field_value::FieldTable};

/// The type of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum QueueType {
    /// A classic queue.
    #[default]
    Classic,
    /// A queue that counts deliveries, has its own order of service and must be durable.
    Quorum,
    /// A log that consumers read and take nothing from. It must be durable.
    Stream,
}

impl QueueType {
    pub(crate) const ALL: [QueueType; 3] = [Self::Classic, Self::Quorum, Self::Stream];

    /// The value of `x-queue-type`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
        }
    }

    /// The name of the type in RabbitMQ's errors.
    pub(crate) const fn module(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
            Self::Stream => "rabbit_stream_queue",
        }
    }

    /// The arguments that queues of this type take. A redeclaration is compared by the same
    /// arguments.
    pub(crate) const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Classic => &[
                x::BUDGET,
                x::CLASSIC_DELIVERY_LIMIT,
                x::DURABILITY,
                x::INITIATION_QUEUE,
                x::TRIGGER,
                x::EXPIRES,
                x::MESSAGE_TTL,
                x::DEAD_LETTER_EXCHANGE,
                x::DEAD_LETTER_ROUTING_KEY,
                x::MAX_LENGTH,
                x::MAX_LENGTH_BYTES,
                x::MAX_PRIORITY,
                x::OVERFLOW,
                x::QUEUE_MODE,
                x::QUEUE_VERSION,
                x::SINGLE_ACTIVE_CONSUMER,
                x::QUEUE_TYPE,
                x::QUEUE_MASTER_LOCATOR,
                x::QUEUE_LEADER_LOCATOR,
            ],
            Self::Quorum => &[
                x::BUDGET,
                x::DURABILITY,
                x::INITIATION_QUEUE,
                x::TRIGGER,
                x::DEAD_LETTER_EXCHANGE,
                x::DEAD_LETTER_ROUTING_KEY,
                x::DEAD_LETTER_STRATEGY,
                x::EXPIRES,
                x::MAX_LENGTH,
                x::MAX_LENGTH_BYTES,
                x::MAX_IN_MEMORY_LENGTH,
                x::MAX_IN_MEMORY_BYTES,
                x::OVERFLOW,
                x::SINGLE_ACTIVE_CONSUMER,
                x::QUEUE_TYPE,
                x::QUORUM_INITIAL_GROUP_SIZE,
                x::DELIVERY_LIMIT,
                x::MESSAGE_TTL,
                x::QUEUE_LEADER_LOCATOR,
                x::CONSUMER_DISCONNECTED_TIMEOUT,
                x::CONSUMER_TIMEOUT,
                x::DELAYED_RETRY_TYPE,
                x::DELAYED_RETRY_MIN,
                x::DELAYED_RETRY_MAX,
            ],
            Self::Stream => &[
                x::BUDGET,
                x::DURABILITY,
                x::MAX_LENGTH_BYTES,
                x::QUEUE_TYPE,
                x::MAX_AGE,
                x::STREAM_MAX_SEGMENT_SIZE_BYTES,
                x::STREAM_FILTER_SIZE_BYTES,
                x::INITIAL_CLUSTER_SIZE,
                x::QUEUE_LEADER_LOCATOR,
            ],
        }
    }

    /// Whether queues of another type have this argument, and queues of this type do not.
    pub(crate) fn is_foreign(self, argument: &str) -> bool {
        let others = [
            Self::Classic.arguments(),
            Self::Quorum.arguments(),
            Self::Stream.arguments(),
        ];
        !self.arguments().contains(&argument)
            && others.iter().any(|names| names.contains(&argument))
    }

    /// The arguments that consumers of queues of this type take.
    pub(crate) const fn consumer_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Classic => &[x::PRIORITY],
            Self::Quorum => &[x::PRIORITY, x::CONSUMER_TIMEOUT],
            Self::Stream => &[
                x::STREAM_OFFSET,
                x::STREAM_FILTER,
                x::STREAM_MATCH_UNFILTERED,
            ],
        }
    }

    /// Whether consumers of queues of another type have this argument, and consumers of queues of
    /// this type do not.
    pub(crate) fn is_foreign_to_consumer(self, argument: &str) -> bool {
        let others = [Self::Quorum, Self::Stream].map(Self::consumer_arguments);
        !self.consumer_arguments().contains(&argument)
            && others.iter().any(|names| names.contains(&argument))
    }

    /// The type in an argument table.
    pub(crate) fn of(arguments: &FieldTable) -> Self {
        match arguments.get(x::QUEUE_TYPE).and_then(|word| word.as_str()) {
            Some("quorum") => Self::Quorum,
            Some("stream") => Self::Stream,
            _ => Self::Classic,
        }
    }
}
