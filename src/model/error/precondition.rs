//! The causes of PRECONDITION_FAILED (406), except a declaration that differs from the existing
//! thing.

use std::fmt;

use super::EntityKind;
use crate::model::name::Name;

/// A named thing in a virtual host. It prints as in RabbitMQ's texts: `queue 'q' in vhost '/'`.
///
/// [`Precondition`] contains it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Resource {
    /// The kind of the thing.
    pub entity: EntityKind,
    /// The name of the thing.
    pub name: Name,
    /// The virtual host of the thing.
    pub vhost: Name,
}

impl Resource {
    pub(crate) fn new(entity: EntityKind, name: &Name, vhost: &Name) -> Resource {
        Resource {
            entity,
            name: name.clone(),
            vhost: vhost.clone(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resource {
            entity,
            name,
            vhost,
        } = self;
        match entity {
            EntityKind::VirtualHost | EntityKind::User => write!(f, "{entity} '{name}'"),
            _ => write!(f, "{entity} '{name}' in vhost '{vhost}'"),
        }
    }
}

/// The reason why a precondition failed: the contents of
/// [`Error::PreconditionFailed`](super::Error::PreconditionFailed).
///
/// # Examples
/// ```
/// use leveret::{Error, Precondition, Queue};
/// # use leveret::Broker;
/// # let broker = Broker::new();
/// let error = broker.declare(&Queue::new("q").argument("x-max-length", -1)).unwrap_err();
/// match error {
///     Error::PreconditionFailed(why) => match *why {
///         Precondition::InvalidArgument { argument, .. } => assert_eq!(argument, "x-max-length"),
///         other => panic!("{other}"),
///     },
///     other => panic!("{other}"),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Precondition {
    /// The thing is in use, and the deletion requires an unused one.
    #[error("{0} in use")]
    InUse(Resource),
    /// The queue has messages, and the deletion requires an empty one.
    #[error("{0} not empty")]
    NotEmpty(Resource),
    /// The value of an argument is not accepted.
    #[error("invalid arg '{argument}' for {resource}: {reason}")]
    InvalidArgument {
        /// The argument.
        argument: String,
        /// The thing with the argument.
        resource: Resource,
        /// The fault, and the accepted values.
        reason: String,
    },
    /// The argument names an exchange, and its value is not a string.
    #[error("invalid type '{type_name}' for arg '{argument}' in {resource}")]
    InvalidArgumentType {
        /// The field type of the value, in RabbitMQ's words.
        type_name: &'static str,
        /// The argument.
        argument: String,
        /// The thing with the argument.
        resource: Resource,
    },
    /// A queue of this type does not take this argument.
    #[error("invalid arg '{argument}' for {resource} of queue type {queue_type}")]
    UnsupportedArgument {
        /// The argument.
        argument: String,
        /// The queue.
        resource: Resource,
        /// The type of the queue.
        queue_type: String,
    },
    /// A queue of this type cannot have this property.
    #[error("invalid property '{property}' for {resource}")]
    InvalidProperty {
        /// The property: `exclusive-owner`, `auto-delete`, `non-durable`.
        property: &'static str,
        /// The queue.
        resource: Resource,
    },
    /// An argument of a stream is out of its range.
    #[error("{0}")]
    StreamArgument(String),
    /// A reader was opened for a queue that is not a stream.
    #[error("{0} is not a stream")]
    NotAStream(Resource),
    /// A reader without a name would store an offset.
    #[error("a reader without a name stores no offset")]
    ReaderWithoutName,
    /// A consumer of a stream has no prefetch.
    #[error("consumer prefetch count is not set for stream {0}")]
    StreamPrefetch(Resource),
    /// A queue of this type needs a name.
    #[error("Cannot declare a server-named queue for type {queue_type}")]
    ServerNamed {
        /// The type of the queue, in RabbitMQ's words.
        queue_type: &'static str,
    },
    /// The broker has no exchange type of this name.
    #[error("unknown exchange type '{0}'")]
    UnknownExchangeType(String),
    /// The arguments of a delayed exchange have no valid `x-delayed-type`.
    #[error("Invalid argument, {0}")]
    DelayedType(&'static str),
    /// An argument of an exchange is invalid for its type.
    #[error("{0}")]
    ExchangeArgument(String),
    /// An alias queue or a model queue is invalid, or the name is that of another kind of queue.
    #[error("{0}")]
    QueueKind(String),
    /// The delayed messages of an exchange were requested, and the exchange is not of the type
    /// `x-delayed-message`.
    #[error("{0} keeps no messages back: its type is not x-delayed-message")]
    NotDelayed(Resource),
    /// Messages were to be moved from a queue to itself.
    #[error("{0} cannot move messages to itself")]
    MovedToItself(Resource),
    /// The arguments of a binding are invalid for its exchange.
    #[error("{0}")]
    InvalidBinding(String),
    /// The channel has no unsettled delivery with this tag.
    #[error("unknown delivery tag {0}")]
    UnknownDeliveryTag(u64),
    /// The channel is in the wrong mode. Transaction mode and confirm mode exclude each other, and
    /// some methods require one of them.
    #[error("{0}")]
    ChannelMode(&'static str),
    /// Direct reply-to was used in a way that it does not allow.
    #[error("{0}")]
    DirectReplyTo(&'static str),
    /// An address of direct replies was consumed from.
    #[error("{0} {1}")]
    ReplyAddress(&'static str, Resource),
    /// The message's expiration is not a number of milliseconds.
    #[error("invalid expiration '{value}': {reason}")]
    InvalidExpiration {
        /// The given property.
        value: String,
        /// The fault of the property.
        reason: String,
    },
    /// The message's `user_id` is not the user of the connection.
    #[error("user_id property set to '{claimed}' but authenticated user was '{actual}'")]
    UserIdMismatch {
        /// The given property.
        claimed: String,
        /// The user of the connection.
        actual: Name,
    },
    /// A precondition of an engine outside of this process, in its words.
    #[error("{0}")]
    Server(String),
    /// A property or header of the message is invalid.
    #[error("invalid message: {0}")]
    InvalidMessage(String),
    /// A budget for the whole virtual host was declared after its first queue or delayed exchange.
    #[error("{0} cannot cover the whole vhost: it has queues or delayed exchanges already")]
    LateBudget(Resource),
    /// One more queue would be more than the limit of the virtual host.
    #[error("cannot declare queue '{name}': queue limit in vhost '{vhost}' ({limit}) is reached")]
    QueueLimit {
        /// The name of the queue that was not made.
        name: Name,
        /// The virtual host.
        vhost: Name,
        /// Its limit.
        limit: i64,
    },
    /// The user exists already.
    #[error("user '{0}' already exists")]
    UserExists(Name),
    /// The name of a user is empty.
    #[error("user cannot be an empty string")]
    UserWithoutName,
    /// The hash of a password is not base64.
    #[error("invalid password hash: {0}")]
    InvalidPasswordHash(String),
    /// The default queue type of a virtual host is no type of queues.
    #[error("invalid default queue type '{0}': it is classic, quorum or stream")]
    InvalidQueueType(String),
}
