//! The description of a byte budget.

use serde::{Deserialize, Serialize};

use super::is_unset;

/// Describes a byte budget: so many bytes for all the queues that it covers together.
///
/// Queues name it ([`Queue::budget`](crate::Queue::budget)); it is declared before them. One for the
/// [whole virtual host](Budget::whole_vhost) covers every queue there, named or not. Declaring it again is nothing, and declaring another
/// of the same name is [`Error::Inequivalent`](crate::Error::Inequivalent).
///
/// What counts is the size of every message (as [`Queue::max_length_bytes`](crate::Queue::max_length_bytes) counts it) that is ready,
/// delayed or *unsettled* in a covered queue, from its arrival until it is acknowledged, dropped, dead-lettered, expired, purged or moved
/// away; a message in several covered queues counts in each. A queue that is deleted gives everything back at once, deliveries in
/// somebody's hands included: they are in no queue any more. Nothing is ever evicted to make room.
///
/// A publisher that finds the budget spent is refused ([`BudgetPolicy::Reject`]) or waits ([`BudgetPolicy::Block`]). What the broker
/// itself brings (a dead letter, a message that comes back or whose delay is over) is neither refused nor does it wait, so that it may
/// take the budget over its limit.
///
/// RabbitMQ has a memory alarm for the whole server instead, and ActiveMQ Artemis `global-max-size` with `address-full-policy` `FAIL` or
/// `BLOCK`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Budget, Error, Queue};
///
/// let broker = Broker::new();
/// broker.declare(&Budget::new("uploads", 10))?;
/// let (images, texts) = (Queue::new("images").budget("uploads"), Queue::new("texts").budget("uploads"));
/// let (images, texts) = (broker.simple_queue::<String>(&images)?, broker.simple_queue::<String>(&texts)?);
///
/// images.put("123456".to_owned())?;
/// let held = images.get()?;
/// let refused = texts.put("12345".to_owned()).unwrap_err(); // 6 bytes are unsettled still
/// assert!(matches!(refused.error(), Error::Refused { .. }));
/// held.ack()?;
/// texts.put(refused.into_inner())?;
/// assert_eq!(broker.budget("uploads")?.used, 5);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    name: String,
    limit: u64,
    #[serde(default)]
    policy: BudgetPolicy,
    #[serde(default, skip_serializing_if = "is_unset")]
    whole_vhost: bool,
}

/// What a spent [`Budget`] does with a publisher.
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
    /// Refuses a message that does not fit, as a full queue with [`Overflow::RejectPublish`](crate::Overflow::RejectPublish) does. One that
    /// is larger than the whole budget is always refused.
    #[default]
    Reject,
    /// Lets the publisher wait while all of it is used, as a full queue with [`Overflow::Block`](crate::Overflow::Block) does. What
    /// publishers then bring at the same time may take it over the limit, by one message of each at the most.
    Block,
}

impl BudgetPolicy {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Block => "block",
        }
    }
}

impl Budget {
    /// A budget of so many bytes, at least one, that refuses publishers when it is spent. The name is its own within the virtual host, of
    /// 1 to 255 bytes.
    pub fn new(name: impl Into<String>, bytes: u64) -> Self {
        Self {
            name: name.into(),
            limit: bytes,
            policy: BudgetPolicy::default(),
            whole_vhost: false,
        }
    }

    /// Lets publishers wait when it is spent, instead of refusing them.
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

    /// Covers every queue of the virtual host, besides the budgets that queues name, and what waits in its delayed exchanges. It is
    /// declared before the first of them is.
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

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What it does with publishers when it is spent.
    pub fn policy(&self) -> BudgetPolicy {
        self.policy
    }

    /// Whether it covers the [whole virtual host](Self::whole_vhost).
    pub fn is_whole_vhost(&self) -> bool {
        self.whole_vhost
    }
}
