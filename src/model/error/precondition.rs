//! The causes of AMQP's 406, PRECONDITION_FAILED, apart from a declaration that differs from what exists.

use std::fmt;

use super::EntityKind;
use crate::model::name::Name;

/// A named thing in a virtual host. Prints as RabbitMQ does: `queue 'q' in vhost '/'`.
///
/// It is part of what [`Precondition`] tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Resource {
    /// What kind of thing.
    pub entity: EntityKind,
    /// Its name.
    pub name: Name,
    /// Its virtual host.
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
            EntityKind::VirtualHost => write!(f, "{entity} '{name}'"),
            _ => write!(f, "{entity} '{name}' in vhost '{vhost}'"),
        }
    }
}

/// Why a precondition failed: the contents of [`Error::PreconditionFailed`](super::Error::PreconditionFailed).
///
/// # Examples
/// ```
/// use leveret::{Error, Precondition, Queue};
/// # use leveret::Broker;
/// # let broker = Broker::new();
/// let error = broker.declare(&Queue::new("q").argument("x-max-length", -1)).unwrap_err();
/// match error {
///     Error::PreconditionFailed(why) => {
///         assert!(matches!(*why, Precondition::InvalidArgument { ref argument, .. } if argument == "x-max-length"));
///     }
///     other => panic!("{other}"),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Precondition {
    /// It was to be deleted only if unused, and it is used.
    #[error("{0} in use")]
    InUse(Resource),
    /// It was to be deleted only if empty, and it is not.
    #[error("{0} not empty")]
    NotEmpty(Resource),
    /// An argument has a value that is not accepted.
    #[error("invalid arg '{argument}' for {resource}: {reason}")]
    InvalidArgument {
        /// The argument.
        argument: String,
        /// What it was given for.
        resource: Resource,
        /// What is wrong, and what is accepted.
        reason: String,
    },
    /// The name of an exchange was given in a value that is not a string.
    #[error("invalid type '{type_name}' for arg '{argument}' in {resource}")]
    InvalidArgumentType {
        /// The field type of the value, as RabbitMQ names it.
        type_name: &'static str,
        /// The argument.
        argument: String,
        /// What it was given for.
        resource: Resource,
    },
    /// A queue of this type does not take this argument.
    #[error("invalid arg '{argument}' for {resource} of queue type {queue_type}")]
    UnsupportedArgument {
        /// The argument.
        argument: String,
        /// The queue.
        resource: Resource,
        /// The queue's type.
        queue_type: String,
    },
    /// A queue of this type cannot have this property.
    #[error("invalid property '{property}' for {resource}")]
    InvalidProperty {
        /// The property: `exclusive`, `auto-delete`, `non-durable`.
        property: &'static str,
        /// The queue.
        resource: Resource,
    },
    /// An exchange that keeps messages back does not say how it routes, or says that it keeps them back.
    #[error("Invalid argument, {0}")]
    DelayedType(&'static str),
    /// The exchange is asked for delayed messages, and keeps none back.
    #[error("{0} keeps no messages back: its type is not x-delayed-message")]
    NotDelayed(Resource),
    /// A binding's arguments are not what the exchange needs.
    #[error("{0}")]
    InvalidBinding(String),
    /// No delivery with this tag is outstanding on the channel.
    #[error("unknown delivery tag {0}")]
    UnknownDeliveryTag(u64),
    /// The channel is in transaction mode or in confirm mode, and cannot have both or is in neither.
    #[error("{0}")]
    ChannelMode(&'static str),
    /// Direct reply-to was used otherwise than it allows.
    #[error("{0}")]
    DirectReplyTo(&'static str),
    /// The message's expiration is not a number of milliseconds.
    #[error("invalid expiration '{value}': {reason}")]
    InvalidExpiration {
        /// The property as it was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The message's `user_id` is not the user that publishes it.
    #[error("user_id property set to '{claimed}' but authenticated user was '{actual}'")]
    UserIdMismatch {
        /// The property.
        claimed: String,
        /// The user of the connection.
        actual: Name,
    },
    /// A property or header of the message is not what the broker can work with.
    #[error("invalid message: {0}")]
    InvalidMessage(String),
    /// A budget for the whole virtual host is declared before its first queue or delayed exchange is.
    #[error("{0} cannot cover the whole vhost: it has queues or delayed exchanges already")]
    LateBudget(Resource),
}
