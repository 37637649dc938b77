//! The part of a message that a consistent-hash exchange hashes.

use serde::{Deserialize, Serialize};

use super::names::{HASH_HEADER, HASH_PROPERTY};

/// The part of a message that a consistent-hash exchange hashes, set by
/// [`Exchange::hash_on`](crate::Exchange::hash_on). Messages with the same part go to the same
/// destination.
///
/// # RabbitMQ
/// The arguments `hash-header` and `hash-property` of the plugin
/// `rabbitmq_consistent_hash_exchange`.
///
/// # Examples
/// ```
/// use leveret::{Exchange, HashOn};
///
/// let exchange = Exchange::consistent_hash("orders").hash_on(HashOn::Header("customer".into()));
/// assert_eq!(exchange.argument_table().get("hash-header"), Some(&"customer".into()));
///
/// let exchange = exchange.hash_on(HashOn::MessageId);
/// assert_eq!(exchange.argument_table().get("hash-header"), None);
/// assert_eq!(exchange.argument_table().get("hash-property"), Some(&"message_id".into()));
///
/// let exchange = exchange.hash_on(HashOn::default()); // the routing key
/// assert!(exchange.argument_table().is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HashOn {
    /// The routing key. The keys in the headers `CC` and `BCC` do not count. This is the default.
    #[default]
    RoutingKey,
    /// The header of this name. All messages without it go to one destination.
    ///
    /// The value is hashed as RabbitMQ 4.3 does it: of an array or a table only the first element
    /// counts.
    Header(String),
    /// The property `message_id`. All messages without it go to one destination.
    MessageId,
    /// The property `correlation_id`. All messages without it go to one destination.
    CorrelationId,
    /// The property `timestamp`. All messages without it go to one destination.
    Timestamp,
}

impl HashOn {
    /// The values of `hash-property`.
    pub(crate) const PROPERTIES: [(&'static str, HashOn); 3] = [
        ("message_id", HashOn::MessageId),
        ("correlation_id", HashOn::CorrelationId),
        ("timestamp", HashOn::Timestamp),
    ];

    /// The argument that says so, and its value. `None` for the routing key.
    pub(super) fn argument(&self) -> Option<(&'static str, &str)> {
        if let HashOn::Header(name) = self {
            return Some((HASH_HEADER, name));
        }
        let mut properties = HashOn::PROPERTIES.iter();
        let (name, _) = properties.find(|(_, property)| property == self)?;
        Some((HASH_PROPERTY, name))
    }
}
