//! What a user may do in one virtual host.

use serde::{Deserialize, Serialize};

/// The permissions of a user in one virtual host: three regular expressions for the names of queues
/// and exchanges.
///
/// A pattern may be anywhere in a name, unless `^` and `$` say otherwise. It is compared byte by
/// byte, and case counts. The empty pattern is `^$`, which is in no name. The default exchange has
/// the name `amq.default` here. [The page on access](crate::guide::access) tells which operation
/// asks for which permission.
///
/// # RabbitMQ
/// The arguments of `rabbitmqctl set_permissions`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Credentials, Permissions, Queue, User};
///
/// let broker = Broker::new();
/// broker.add_user(User::new("ada").password("secret"))?;
/// let own = Permissions::new("^ada-", "^(ada-|amq.default$)", "^ada-");
/// broker.set_permissions("/", "ada", &own)?;
/// let connection = broker.connect("/", Credentials::new("ada", "secret"))?;
/// connection.declare(&Queue::new("ada-tasks"))?;
/// let error = connection.declare(&Queue::new("tasks")).unwrap_err();
/// let text = "configure access to queue 'tasks' in vhost '/' refused for user 'ada'";
/// assert_eq!(error.to_string(), format!("ACCESS_REFUSED - {text}"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Permissions {
    /// The names of queues and exchanges that may be declared and deleted.
    pub configure: String,
    /// The names of exchanges that may be published to, and of queues and exchanges that may be
    /// bound as a destination.
    pub write: String,
    /// The names of queues that may be consumed from and purged, and of exchanges that may be bound
    /// as a source.
    pub read: String,
}

impl Permissions {
    /// Permissions with these patterns for configure, write and read.
    pub fn new(
        configure: impl Into<String>,
        write: impl Into<String>,
        read: impl Into<String>,
    ) -> Permissions {
        Permissions {
            configure: configure.into(),
            write: write.into(),
            read: read.into(),
        }
    }

    /// Everything is permitted: `.*` three times.
    pub fn all() -> Permissions {
        Permissions::new(".*", ".*", ".*")
    }

    /// Nothing is permitted, except a connection: three empty patterns.
    pub fn none() -> Permissions {
        Permissions::default()
    }
}

/// The topic permissions of a user for one exchange of a virtual host: two regular expressions for
/// routing keys.
///
/// They count for exchanges of the type `topic`, beside the [`Permissions`]. A user without them
/// may use every key. The pattern meets a key as it is written: `#` in a binding key is the letter
/// `#`. `{username}` and `{vhost}` in a pattern stand for the user and the virtual host, letter by
/// letter.
///
/// # RabbitMQ
/// The arguments of `rabbitmqctl set_topic_permissions`, as in 4.3: 3.10 takes the name of the user
/// for a part of the expression.
///
/// # Examples
/// ```
/// use leveret::{
///     channel::PublishOptions, Broker, Credentials, Permissions, Properties, TopicPermissions,
///     User,
/// };
///
/// let broker = Broker::new();
/// broker.add_user(User::new("ada").password("secret"))?;
/// broker.set_permissions("/", "ada", &Permissions::all())?;
/// let own = TopicPermissions::new("amq.topic", r"^{username}\.", ".*");
/// broker.set_topic_permissions("/", "ada", &own)?;
/// let channel = broker.connect("/", Credentials::new("ada", "secret"))?.open_channel()?;
/// let publish = |key| {
///     channel.basic_publish("amq.topic", key, "", Properties::new(), PublishOptions::new())
/// };
/// publish("ada.done")?;
/// assert_eq!(publish("bob.done").unwrap_err().reply_code(), Some(403));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TopicPermissions {
    /// The name of the exchange.
    pub exchange: String,
    /// The routing keys that may be published with.
    pub write: String,
    /// The routing keys that may be bound with.
    pub read: String,
}

impl TopicPermissions {
    /// Topic permissions for this exchange with these patterns for write and read.
    pub fn new(
        exchange: impl Into<String>,
        write: impl Into<String>,
        read: impl Into<String>,
    ) -> TopicPermissions {
        TopicPermissions {
            exchange: exchange.into(),
            write: write.into(),
            read: read.into(),
        }
    }
}
