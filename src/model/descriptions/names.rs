//! The names of the arguments that the broker reads. They are RabbitMQ's names.

pub(crate) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// The type of an exchange that can delay messages, and the argument with the type by which it
/// routes.
pub(crate) const DELAYED_MESSAGE: &str = "x-delayed-message";
pub(crate) const DELAYED_TYPE: &str = "x-delayed-type";

/// The types of exchanges with routers.
pub(crate) const RANDOM: &str = "x-random";
pub(crate) const LOCAL_RANDOM: &str = "x-local-random";
pub(crate) const MODULUS_HASH: &str = "x-modulus-hash";

/// A type of exchange, and the arguments with what it hashes.
pub(crate) const CONSISTENT_HASH: &str = "x-consistent-hash";
pub(crate) const HASH_HEADER: &str = "hash-header";
pub(crate) const HASH_PROPERTY: &str = "hash-property";

/// A type of exchange, the argument with the length of its history, and the header that keeps a
/// message out of it.
pub(crate) const RECENT_HISTORY: &str = "x-recent-history";
pub(crate) const RECENT_HISTORY_LENGTH: &str = "x-recent-history-length";
pub(crate) const RECENT_HISTORY_NO_STORE: &str = "x-recent-history-no-store";

/// An argument of leveret that RabbitMQ does not have: the delivery limit of a classic queue.
pub(crate) const CLASSIC_DELIVERY_LIMIT: &str = "x-leveret-delivery-limit";

/// An argument of leveret that RabbitMQ does not have: when a durable queue has its messages on
/// disk.
pub(crate) const DURABILITY: &str = "x-leveret-durability";

/// Arguments of leveret that RabbitMQ does not have: when a queue sends trigger messages, and
/// where.
pub(crate) const INITIATION_QUEUE: &str = "x-leveret-initiation-queue";
pub(crate) const TRIGGER: &str = "x-leveret-trigger";

pub(crate) const PRIORITY: &str = "x-priority";
pub(crate) const STREAM_FILTER: &str = "x-stream-filter";
pub(crate) const STREAM_MATCH_UNFILTERED: &str = "x-stream-match-unfiltered";
pub(crate) const STREAM_OFFSET: &str = "x-stream-offset";

/// The header with the value that the filters of a stream compare.
pub(crate) const STREAM_FILTER_VALUE: &str = "x-stream-filter-value";

/// An argument of leveret that RabbitMQ does not have.
pub(crate) const BUDGET: &str = "x-budget";
pub(crate) const CONSUMER_DISCONNECTED_TIMEOUT: &str = "x-consumer-disconnected-timeout";
pub(crate) const CONSUMER_TIMEOUT: &str = "x-consumer-timeout";
pub(crate) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
pub(crate) const DEAD_LETTER_ROUTING_KEY: &str = "x-dead-letter-routing-key";
pub(crate) const DEAD_LETTER_STRATEGY: &str = "x-dead-letter-strategy";
pub(crate) const DELAYED_RETRY_MAX: &str = "x-delayed-retry-max";
pub(crate) const DELAYED_RETRY_MIN: &str = "x-delayed-retry-min";
pub(crate) const DELAYED_RETRY_TYPE: &str = "x-delayed-retry-type";
pub(crate) const DELIVERY_LIMIT: &str = "x-delivery-limit";
pub(crate) const EXPIRES: &str = "x-expires";
pub(crate) const INITIAL_CLUSTER_SIZE: &str = "x-initial-cluster-size";
pub(crate) const MAX_AGE: &str = "x-max-age";
pub(crate) const MAX_IN_MEMORY_BYTES: &str = "x-max-in-memory-bytes";
pub(crate) const MAX_IN_MEMORY_LENGTH: &str = "x-max-in-memory-length";
pub(crate) const MAX_LENGTH: &str = "x-max-length";
pub(crate) const MAX_LENGTH_BYTES: &str = "x-max-length-bytes";
pub(crate) const MAX_PRIORITY: &str = "x-max-priority";
pub(crate) const MESSAGE_TTL: &str = "x-message-ttl";
pub(crate) const OVERFLOW: &str = "x-overflow";
pub(crate) const QUEUE_LEADER_LOCATOR: &str = "x-queue-leader-locator";
pub(crate) const QUEUE_MASTER_LOCATOR: &str = "x-queue-master-locator";
pub(crate) const QUEUE_MODE: &str = "x-queue-mode";
pub(crate) const QUEUE_TYPE: &str = "x-queue-type";
pub(crate) const QUEUE_VERSION: &str = "x-queue-version";
pub(crate) const QUORUM_INITIAL_GROUP_SIZE: &str = "x-quorum-initial-group-size";
pub(crate) const SINGLE_ACTIVE_CONSUMER: &str = "x-single-active-consumer";
pub(crate) const STREAM_FILTER_SIZE_BYTES: &str = "x-stream-filter-size-bytes";
pub(crate) const STREAM_MAX_SEGMENT_SIZE_BYTES: &str = "x-stream-max-segment-size-bytes";

/// The header with the deaths of a message, and what a record there tells of its expiration.
pub(crate) const X_DEATH: &str = "x-death";
pub(crate) const ORIGINAL_EXPIRATION: &str = "original-expiration";
