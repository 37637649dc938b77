//! The events of a broker, by RabbitMQ's names: something is made, changed or deleted in it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::field_value::{FieldTable, FieldValue};

/// The field with the time of an event, in milliseconds since 1970.
pub(crate) const TIMESTAMP: &str = "timestamp_in_ms";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// The kind of a [`BrokerEvent`]. Its text is the routing key of the event in RabbitMQ.
        ///
        /// # RabbitMQ
        /// The routing keys of the exchange `amq.rabbitmq.event`, which the plugin
        /// `rabbitmq_event_exchange` publishes to.
        ///
        /// # Examples
        /// ```
        /// use leveret::EventKind;
        /// assert_eq!(EventKind::QueueCreated.as_str(), "queue.created");
        /// assert_eq!(EventKind::AlarmSet.to_string(), "alarm.set");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* #[doc = ""] #[doc = concat!("`", $name, "`.")] $kind,)*
        }

        impl EventKind {
            /// All kinds, in the order of this page.
            pub const ALL: &[EventKind] = &[$(EventKind::$kind,)*];

            /// The name of the kind in RabbitMQ.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(EventKind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A virtual host was made: `name`, `description`, `tags`, `default_queue_type`.
    VhostCreated = "vhost.created",
    /// The metadata of a virtual host have changed: as for [`VhostCreated`](Self::VhostCreated).
    VhostUpdated = "vhost.updated",
    /// A virtual host was deleted: `name`.
    VhostDeleted = "vhost.deleted",
    /// The limits of a virtual host were set: `max-connections` and `max-queues`, if there are such
    /// limits.
    VhostLimitsSet = "vhost.limits.set",
    /// The limits of a virtual host were cleared.
    VhostLimitsCleared = "vhost.limits.cleared",
    /// An exchange was declared: `name`, `type`, `durable`, `auto_delete`, `internal`, `arguments`.
    ExchangeCreated = "exchange.created",
    /// An exchange was deleted: `name`.
    ExchangeDeleted = "exchange.deleted",
    /// A queue was declared: `name`, `type`, `durable`, `auto_delete`, `exclusive`, `arguments`.
    QueueCreated = "queue.created",
    /// A queue was deleted: `name`, `type`.
    QueueDeleted = "queue.deleted",
    /// A binding was made: `source_name`, `source_kind`, `destination_name`, `destination_kind`,
    /// `routing_key`, `arguments`.
    BindingCreated = "binding.created",
    /// A binding was removed: as for [`BindingCreated`](Self::BindingCreated).
    BindingDeleted = "binding.deleted",
    /// A consumer was started: `queue`, `consumer_tag`, `ack_required`, `exclusive`,
    /// `prefetch_count`, `arguments`, `connection` (the number of its connection), `channel` (the
    /// number of its channel, if it has one).
    ConsumerCreated = "consumer.created",
    /// A consumer has ended: `queue`, `consumer_tag`, `connection`, `channel`. Its
    /// [user](BrokerEvent::user) is the one who has started it.
    ConsumerDeleted = "consumer.deleted",
    /// A connection was opened: `pid` (its number in the broker), `user`, `name`, `type`,
    /// `protocol`, `auth_mechanism`, `client_properties`.
    ConnectionCreated = "connection.created",
    /// A connection has ended: `pid`, `name`.
    ConnectionClosed = "connection.closed",
    /// A channel was opened: `connection` (the number of its connection), `number`, `name`, `user`.
    ChannelCreated = "channel.created",
    /// A channel has ended: as for [`ChannelCreated`](Self::ChannelCreated).
    ChannelClosed = "channel.closed",
    /// A user has logged in: `name`, `auth_mechanism`.
    UserAuthenticationSuccess = "user.authentication.success",
    /// A login has failed: `name`, `auth_mechanism`.
    UserAuthenticationFailure = "user.authentication.failure",
    /// A user was added: `name`.
    UserCreated = "user.created",
    /// A user was deleted: `name`.
    UserDeleted = "user.deleted",
    /// The password of a user was changed: `name`.
    UserPasswordChanged = "user.password.changed",
    /// The tags of a user were set: `name`, `tags`.
    UserTagsSet = "user.tags.set",
    /// The limits of a user were set: `username`, and `max-connections` and `max-channels` if there
    /// are such limits.
    UserLimitsSet = "user.limits.set",
    /// The limits of a user were cleared: `username`.
    UserLimitsCleared = "user.limits.cleared",
    /// The permissions of a user in a virtual host were set: `user`, `configure`, `write`, `read`.
    PermissionCreated = "permission.created",
    /// The permissions of a user in a virtual host were cleared: `user`.
    PermissionDeleted = "permission.deleted",
    /// Topic permissions of a user were set: `user`, `exchange`, `write`, `read`.
    TopicPermissionCreated = "topic.permission.created",
    /// Topic permissions of a user were cleared: `user`, `exchange`.
    TopicPermissionDeleted = "topic.permission.deleted",
    /// A policy or an operator policy was set: `name`, `pattern`, `apply-to`, `priority`,
    /// `definition`.
    PolicySet = "policy.set",
    /// A policy was cleared: `name`.
    PolicyCleared = "policy.cleared",
    /// An operator policy was cleared: `name`.
    OperatorPolicyCleared = "operator.policy.cleared",
    /// A parameter was set: `component` (`global`, `operator_policy` or `vhost-limits`), `name`.
    ParameterSet = "parameter.set",
    /// A parameter was cleared: as for [`ParameterSet`](Self::ParameterSet).
    ParameterCleared = "parameter.cleared",
    /// An alarm was raised, and publishers wait: `source` (`disk`).
    AlarmSet = "alarm.set",
    /// An alarm is over: `source`.
    AlarmCleared = "alarm.cleared",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An event of a broker. [`Broker::events`](crate::Broker::events) gives them.
///
/// [`EventKind`] lists the fields of each kind. Each event has the field `timestamp_in_ms`, and an
/// event of a virtual host has the field `vhost`. The field `user_who_performed_action` is the user
/// who has caused the event, if it is known. It is `guest` for what the program itself does by its
/// [`Broker`](crate::Broker), and `rmq-internal` if the broker has done it by itself, such as the
/// end of an auto-delete queue. Logins, alarms and the end of a connection have none.
///
/// # RabbitMQ
/// An event of the plugin `rabbitmq_event_exchange`, whose fields are the headers of the message.
/// They have the same names here, and are left out where there is no such thing here (nodes,
/// processes). Arguments are a table here, and lists of texts in RabbitMQ.
///
/// # Examples
/// ```
/// use leveret::{Broker, EventKind, FieldValue, Queue};
///
/// let broker = Broker::new();
/// let events = broker.events();
/// broker.declare(&Queue::new("orders"))?;
/// let event = events.recv()?;
/// assert_eq!(event.kind(), EventKind::QueueCreated);
/// assert_eq!((event.text("name"), event.vhost()), (Some("orders"), Some("/")));
/// assert_eq!(event.get("durable"), Some(&FieldValue::Bool(false)));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerEvent {
    kind: EventKind,
    fields: Arc<FieldTable>,
}

impl BrokerEvent {
    pub(crate) fn new(kind: EventKind, fields: FieldTable) -> BrokerEvent {
        BrokerEvent {
            kind,
            fields: Arc::new(fields),
        }
    }

    /// The kind of the event.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// All fields of the event.
    pub fn fields(&self) -> &FieldTable {
        &self.fields
    }

    /// A field of the event, if it has it.
    pub fn get(&self, field: &str) -> Option<&FieldValue> {
        self.fields.get(field)
    }

    /// A field of the event that is text, if it has it.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_str()
    }

    /// The virtual host of the event. `None` if it is one of the whole broker.
    pub fn vhost(&self) -> Option<&str> {
        self.text("vhost")
    }

    /// When the event happened, to the millisecond, by the clock of the broker.
    ///
    /// The event is made under a lock, and there a [`Clock`](crate::Clock) of the user's own is not
    /// read. The time is then its last reading and the real time since that.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # use std::time::SystemTime;
    ///
    /// let broker = Broker::new();
    /// let (events, before) = (broker.events(), SystemTime::now());
    /// broker.declare(&Queue::new("orders"))?;
    /// let age = events.recv()?.timestamp().duration_since(before).unwrap_or_default();
    /// assert!(age.as_secs() < 60);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn timestamp(&self) -> SystemTime {
        let milliseconds = match self.get(TIMESTAMP) {
            Some(FieldValue::Long(milliseconds)) => u64::try_from(*milliseconds).unwrap_or(0),
            _ => 0,
        };
        let since = Duration::from_millis(milliseconds);
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }

    /// The user who has caused the event, if that is known.
    pub fn user(&self) -> Option<&str> {
        self.text("user_who_performed_action")
    }
}

impl fmt::Display for BrokerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.fields)
    }
}
