//! The metadata of a virtual host.

use serde::{Deserialize, Serialize};

/// The metadata of a virtual host: a description, tags, and the type of new queues.
///
/// # RabbitMQ
/// The `description`, `tags` and `default_queue_type` of `rabbitmqctl add_vhost` and
/// `update_vhost_metadata`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, VhostMetadata};
///
/// let broker = Broker::new();
/// broker.create_vhost("orders")?;
/// let metadata = VhostMetadata::new().description("of the shop").default_queue_type("quorum");
/// broker.set_vhost_metadata("orders", metadata)?;
/// assert_eq!(broker.vhost_metadata("orders")?.description, "of the shop");
///
/// let orders = broker.vhost("orders")?;
/// orders.declare(&Queue::new("paid").durable())?; // a quorum queue
/// orders.declare(&Queue::quorum("paid"))?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VhostMetadata {
    /// A text for readers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Words for readers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The `x-queue-type` of queues that are declared without one: `classic`, `quorum` or `stream`.
    /// A queue that cannot be of this type, since it is exclusive, say, is a classic queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<String>,
}

impl VhostMetadata {
    /// Nothing is said.
    pub fn new() -> VhostMetadata {
        VhostMetadata::default()
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> VhostMetadata {
        self.description = description.into();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> VhostMetadata {
        self.tags.push(tag.into());
        self
    }

    /// Sets the type of queues that are declared without one.
    #[must_use]
    pub fn default_queue_type(mut self, queue_type: impl Into<String>) -> VhostMetadata {
        self.default_queue_type = Some(queue_type.into());
        self
    }
}
