//! The description of a byte budget.

use serde::{Deserialize, Serialize};

use super::{entity_name, is_unset, read_entity_name};

/// Describes a byte budget: the total bytes of all queues that it covers.
///
/// A queue names its budget by [`Queue::budget`](crate::Queue::budget). The budget is declared
/// before the queue. A budget for the [whole virtual host](Budget::whole_vhost) covers every queue
/// there. A second declaration with the same properties does nothing. A declaration with other
/// properties fails with [`Error::Inequivalent`](crate::Error::Inequivalent).
///
/// The budget counts the size of every message that is ready, delayed or *unsettled* in a covered
/// queue. [`Queue::max_length_bytes`](crate::Queue::max_length_bytes) counts sizes in the same way.
/// A message counts from its arrival until it is acknowledged, dropped, dead-lettered, expired,
/// purged or moved. A message in several covered queues counts in each of them. A deleted queue
/// returns all its bytes at once, including those of unsettled deliveries. The budget never evicts
/// a message.
///
/// When the budget is spent, publishers are refused ([`BudgetPolicy::Reject`]) or wait
/// ([`BudgetPolicy::Block`]). Dead letters, returning messages and messages whose delay is over are
/// never refused and never wait. They may take the budget over its limit.
///
/// # RabbitMQ
/// RabbitMQ has no budgets; it has a memory alarm for the whole server. ActiveMQ Artemis has
/// `global-max-size` with the `address-full-policy` `FAIL` or `BLOCK`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Budget, Error, Queue};
///
/// let broker = Broker::new();
/// broker.declare(&Budget::new("uploads", 10))?;
/// let images = broker.simple_queue::<String>(Queue::new("images").budget("uploads"))?;
/// let texts = broker.simple_queue::<String>(Queue::new("texts").budget("uploads"))?;
///
/// images.put("123456".to_owned())?;
/// let held = images.get()?;
/// let refused = texts.put("12345".to_owned()).unwrap_err(); // 6 bytes are unsettled still
/// assert!(matches!(refused.error(), Error::Refused { .. }));
/// held.ack()?;
/// texts.put(refused.into_inner().expect("it was refused"))?;
/// assert_eq!(broker.budget("uploads")?.used, 5);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    #[serde(deserialize_with = "read_entity_name")]
    name: String,
    limit: u64,
    #[serde(default)]
    policy: BudgetPolicy,
    #[serde(default, skip_serializing_if = "is_unset")]
    whole_vhost: bool,
}

/// The behaviour of a spent [`Budget`] towards publishers.
///
/// # Examples
/// ```
/// use leveret::{Budget, BudgetPolicy};
/// assert_eq!(Budget::new("b", 1).policy(), BudgetPolicy::Reject);
/// assert_eq!(Budget::new("b", 1).block().policy().as_str(), "block");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BudgetPolicy {
    /// Refuses a message that does not fit, as a full queue with
    /// [`Overflow::RejectPublish`](crate::Overflow::RejectPublish) does. A message that is larger
    /// than the whole budget is always refused.
    #[default]
    Reject,
    /// Lets a publisher wait until its message fits, as a full queue with
    /// [`Overflow::Block`](crate::Overflow::Block) does. Publishers are served first come first
    /// served, those of all covered queues together. A message that is larger than the whole budget
    /// waits until no bytes are used.
    Block,
}

impl BudgetPolicy {
    /// The name of the policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Block => "block",
        }
    }
}

impl Budget {
    /// Describes a budget of `bytes` bytes, at least one. A spent budget refuses publishers. The
    /// name has 1 to 255 bytes. Budgets have names of their own within the virtual host.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no budgets.
    pub fn new(name: impl Into<String>, bytes: u64) -> Self {
        Self {
            name: entity_name(name),
            limit: bytes,
            policy: BudgetPolicy::default(),
            whole_vhost: false,
        }
    }

    /// Lets publishers wait when the budget is spent, instead of refusing them.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no budgets. Its memory alarm blocks the connections that publish.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// use leveret::{Broker, Budget, Error, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.declare(&Budget::new("jobs", 8).block())?;
    /// let producer = broker.producer::<u64>(&Queue::new("q").budget("jobs"))?;
    /// producer.publish(1)?; // all 8 bytes
    /// let error = producer.publish_timeout(2, Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.error(), &Error::Timeout);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn block(mut self) -> Self {
        self.policy = BudgetPolicy::Block;
        self
    }

    /// Covers every queue of the virtual host, and the messages that wait in its delayed exchanges.
    /// The budgets that queues name apply as well. This budget is declared before the first queue
    /// or delayed exchange.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no budgets. Its memory alarm covers the whole server.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Budget};
    ///
    /// let broker = Broker::new();
    /// broker.declare(&Budget::new("all", 1 << 30).whole_vhost())?;
    /// broker.simple_queue::<u32>("q")?.put(7)?;
    /// assert_eq!(broker.budget("all")?.used, 4);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn whole_vhost(mut self) -> Self {
        self.whole_vhost = true;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The behaviour of the spent budget towards publishers.
    pub fn policy(&self) -> BudgetPolicy {
        self.policy
    }

    /// Whether the budget covers the [whole virtual host](Self::whole_vhost).
    pub fn is_whole_vhost(&self) -> bool {
        self.whole_vhost
    }
}
