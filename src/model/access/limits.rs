//! The limits of virtual hosts and of users.

use serde::{Deserialize, Serialize};

/// The limits of a virtual host. A negative limit is none.
///
/// # RabbitMQ
/// The terms of `rabbitmqctl set_vhost_limits`, by the same names in JSON: `max-connections` and
/// `max-queues`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, VhostLimits};
///
/// let broker = Broker::new();
/// broker.set_vhost_limits("/", VhostLimits::new().max_queues(1))?;
/// broker.declare(&Queue::new("a"))?;
/// broker.declare(&Queue::new("a"))?; // it exists
/// let error = broker.declare(&Queue::new("b")).unwrap_err();
/// assert_eq!(error.reply_code(), Some(406));
/// let limits: VhostLimits = serde_json::from_str(r#"{"max-queues": 10}"#).unwrap();
/// broker.set_vhost_limits("/", limits)?;
/// broker.declare(&Queue::new("b"))?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct VhostLimits {
    /// The most open connections, besides the implicit one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// The most queues. A declaration that would make one more is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queues: Option<i64>,
}

impl VhostLimits {
    /// No limits.
    pub fn new() -> VhostLimits {
        VhostLimits::default()
    }

    /// Limits the open connections. The implicit connection does not count.
    #[must_use]
    pub fn max_connections(mut self, limit: i64) -> VhostLimits {
        self.max_connections = Some(limit);
        self
    }

    /// Limits the queues.
    #[must_use]
    pub fn max_queues(mut self, limit: i64) -> VhostLimits {
        self.max_queues = Some(limit);
        self
    }

    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        *self == VhostLimits::default()
    }
}

/// The limits of a user, over all virtual hosts. A negative limit is none.
///
/// # RabbitMQ
/// The terms of `rabbitmqctl set_user_limits`, by the same names in JSON: `max-connections` and
/// `max-channels`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Credentials, Permissions, User, UserLimits};
///
/// let broker = Broker::new();
/// let limits = UserLimits::new().max_connections(1);
/// broker.add_user(User::new("ada").password("secret").limits(limits))?;
/// broker.set_permissions("/", "ada", &Permissions::all())?;
/// let ada = || broker.connect("/", Credentials::new("ada", "secret"));
/// let connection = ada()?;
/// assert_eq!(ada().unwrap_err().reply_code(), Some(530));
/// connection.close()?;
/// ada()?.close()?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct UserLimits {
    /// The most open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// The most open channels of all connections together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_channels: Option<i64>,
}

impl UserLimits {
    /// No limits.
    pub fn new() -> UserLimits {
        UserLimits::default()
    }

    /// Limits the open connections.
    #[must_use]
    pub fn max_connections(mut self, limit: i64) -> UserLimits {
        self.max_connections = Some(limit);
        self
    }

    /// Limits the open channels.
    #[must_use]
    pub fn max_channels(mut self, limit: i64) -> UserLimits {
        self.max_channels = Some(limit);
        self
    }

    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        *self == UserLimits::default()
    }
}

/// The limit, if `count` has reached it.
pub(crate) fn reached(limit: Option<i64>, count: usize) -> Option<i64> {
    let reached = |limit: &i64| usize::try_from(*limit).is_ok_and(|limit| count >= limit);
    limit.filter(reached)
}
