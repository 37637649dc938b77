//! What can go wrong: one enum, with AMQP's reply code and RabbitMQ's wording where AMQP knows the error.
//!
//! The variants follow AMQP's reply texts; 406 alone has so many causes that [`Precondition`] lists them. The sentences
//! are made in `situation`, one constructor for each situation, so that callers state facts and never words.
//! The errors of waiting and receiving belong to the handles that wait.

mod codec;
mod precondition;
mod replies;

use std::{fmt, sync::Arc};

pub use self::{
    codec::CodecError,
    precondition::{Precondition, Resource},
};
use crate::model::{
    field_value::FieldValue,
    name::{Name, NameTooLong},
};

/// The result of most operations.
///
/// # Examples
/// ```
/// fn first(broker: &leveret::Broker) -> leveret::Result<u32> {
///     Ok(*broker.simple_queue::<u32>("q")?.try_get()?)
/// }
/// assert!(first(&leveret::Broker::new()).is_err());
/// ```
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
///
/// A failing operation changes nothing and closes nothing. Where AMQP 0-9-1 has a code for the error,
/// [`reply_code`](Error::reply_code) gives it and the message reads as RabbitMQ's would.
///
/// # Examples
/// ```
/// use leveret::{Broker, Error};
///
/// let error = Broker::new().declare(&leveret::Queue::new("x".repeat(300))).unwrap_err();
/// assert!(matches!(&error, Error::InvalidName(name) if name.length == 300));
/// assert_eq!(error.reply_code(), Some(502));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // What AMQP knows, by reply code.
    /// 312: a mandatory message reached no queue.
    #[error(
        "NO_ROUTE - no queue is bound to exchange '{exchange}' for routing key '{routing_key}'"
    )]
    NoRoute {
        /// The exchange that the message was published to.
        exchange: Name,
        /// Its routing key.
        routing_key: Arc<str>,
    },
    /// 320: the virtual host was deleted.
    #[error("CONNECTION_FORCED - vhost '{vhost}' is deleted")]
    VhostDeleted {
        /// Its name.
        vhost: Name,
    },
    /// 403: the user may not, or nobody may.
    #[error("ACCESS_REFUSED - {0}")]
    AccessRefused(Arc<str>),
    /// 404: what was named is not there.
    #[error("NOT_FOUND - no {}", Resource::new(*.entity, .name, .vhost))]
    NotFound {
        /// What kind of thing.
        entity: EntityKind,
        /// Its name.
        name: Name,
        /// The virtual host it was looked for in.
        vhost: Name,
    },
    /// 404: an empty queue name stands for the queue that the channel declared last, and it declared none.
    #[error("NOT_FOUND - no previously declared queue")]
    NoDeclaredQueue,
    /// 405: an exclusive queue of another connection.
    #[error(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked {entity} '{name}' in vhost '{vhost}'. It could be originally \
         declared on another connection or the exclusive property value does not match that of the original declaration."
    )]
    ResourceLocked {
        /// What kind of thing: a queue.
        entity: EntityKind,
        /// Its name.
        name: Name,
        /// Its virtual host.
        vhost: Name,
    },
    /// 406: it exists, but declared otherwise.
    #[error("PRECONDITION_FAILED - {0}")]
    Inequivalent(Box<Inequivalent>),
    /// 406: the thing or the request is not in the state that the operation needs.
    #[error("PRECONDITION_FAILED - {0}")]
    PreconditionFailed(Box<Precondition>),
    /// 502: a name is too long.
    #[error("SYNTAX_ERROR - {0}")]
    InvalidName(#[from] NameTooLong),
    /// 503: the request makes no sense here, such as an exchange type that nobody knows.
    #[error("COMMAND_INVALID - {0}")]
    CommandInvalid(Arc<str>),
    /// 506: a limit of the broker is reached.
    #[error("RESOURCE_ERROR - {0}")]
    ResourceError(Arc<str>),
    /// 530: never allowed, such as a consumer tag that is in use.
    #[error("NOT_ALLOWED - {0}")]
    NotAllowed(Arc<str>),
    /// 540: AMQP has it, the broker does not.
    #[error("NOT_IMPLEMENTED - {0}")]
    NotImplemented(Arc<str>),

    // What AMQP has no code for.
    /// A queue is at its limit and refuses what does not fit (`x-overflow: reject-publish`), or a [`Budget`](crate::Budget) that covers it
    /// is spent; no queue took the message.
    #[error(
        "queue '{queue}' refused the message: it is at its length limit, or its byte budget is spent"
    )]
    Refused {
        /// The queue, or the first of them; or the delayed exchange that cannot keep it back.
        queue: Name,
    },
    /// A `Local` payload, of which there is only one, would reach more than one queue.
    #[error(
        "a local payload ({type_name}) cannot be shared by {queues} queues: publish it to one, or publish a `LocalArc<_>`"
    )]
    NotShareable {
        /// The Rust type of the payload.
        type_name: &'static str,
        /// How many queues it would reach.
        queues: usize,
    },
    /// A payload could not be encoded or decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The consumer was cancelled.
    #[error("the consumer was cancelled: {0}")]
    Cancelled(CancelReason),
    /// The channel is closed.
    #[error("the channel is closed")]
    ChannelClosed,
    /// The connection is closed.
    #[error("the connection is closed")]
    ConnectionClosed,
    /// The broker is shut down, or its last handle was dropped.
    #[error("the broker is shut down")]
    ShutDown,
    /// It did not happen in the time given.
    #[error("timed out")]
    Timeout,
}

impl Error {
    /// AMQP's reply code, such as 404; `None` for what AMQP has no code for.
    pub fn reply_code(&self) -> Option<u16> {
        Some(match self {
            Error::NoRoute { .. } => 312,
            Error::VhostDeleted { .. } => 320,
            Error::AccessRefused(_) => 403,
            Error::NotFound { .. } | Error::NoDeclaredQueue => 404,
            Error::ResourceLocked { .. } => 405,
            Error::Inequivalent(_) | Error::PreconditionFailed(_) => 406,
            Error::InvalidName(_) => 502,
            Error::CommandInvalid(_) => 503,
            Error::ResourceError(_) => 506,
            Error::NotAllowed(_) => 530,
            Error::NotImplemented(_) => 540,
            Error::Refused { .. }
            | Error::NotShareable { .. }
            | Error::Codec(_)
            | Error::Cancelled(_)
            | Error::ChannelClosed
            | Error::ConnectionClosed
            | Error::ShutDown
            | Error::Timeout => return None,
        })
    }

    /// What AMQP would have closed because of this error. This broker closes nothing.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error, Queue, Scope};
    /// let error = Broker::new().purge(&Queue::new("q")).unwrap_err();
    /// assert_eq!((error.reply_code(), error.scope()), (Some(404), Scope::Channel));
    /// assert!(error.is_not_found() && !error.is_inequivalent() && !error.is_closed());
    /// assert_eq!(Error::ShutDown.scope(), Scope::Operation);
    /// ```
    pub fn scope(&self) -> Scope {
        self.reply_code().map_or(Scope::Operation, Scope::of)
    }

    /// Whether something that was named is not there (404).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. } | Error::NoDeclaredQueue)
    }

    /// Whether something exists already, declared otherwise.
    pub fn is_inequivalent(&self) -> bool {
        matches!(self, Error::Inequivalent(_))
    }

    /// Whether the channel, the connection or the broker that the operation needs is gone, so that it can never succeed.
    pub fn is_closed(&self) -> bool {
        match self {
            Error::ChannelClosed
            | Error::ConnectionClosed
            | Error::VhostDeleted { .. }
            | Error::ShutDown => true,
            Error::Cancelled(reason) => matches!(
                reason,
                CancelReason::ChannelClosed
                    | CancelReason::ConnectionClosed
                    | CancelReason::VhostDeleted
                    | CancelReason::ShutDown
            ),
            _ => false,
        }
    }
}

/// What an error speaks of. Prints as RabbitMQ names it.
///
/// # Examples
/// ```
/// use leveret::EntityKind;
/// assert_eq!(EntityKind::VirtualHost.to_string(), "vhost");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EntityKind {
    /// A byte budget.
    Budget,
    /// An exchange.
    Exchange,
    /// A policy.
    Policy,
    /// A queue.
    Queue,
    /// A virtual host.
    VirtualHost,
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EntityKind::Budget => "budget",
            EntityKind::Exchange => "exchange",
            EntityKind::Policy => "policy",
            EntityKind::Queue => "queue",
            EntityKind::VirtualHost => "vhost",
        })
    }
}

/// What an AMQP broker closes because of an error.
///
/// [`Error::scope`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Nothing: AMQP has no code for the error.
    Operation,
    /// The channel.
    Channel,
    /// The whole connection.
    Connection,
}

impl Scope {
    /// AMQP 0-9-1's table of reply codes.
    fn of(reply_code: u16) -> Scope {
        match reply_code {
            311..=313 | 403..=406 => Scope::Channel,
            320 | 402 | 501..=506 | 530 | 540 | 541 => Scope::Connection,
            _ => Scope::Operation,
        }
    }
}

/// Why a consumer gets nothing more.
///
/// # Examples
/// ```
/// use leveret::{Broker, CancelReason, Error, Queue};
/// let consumer = Broker::new().consumer::<u32>(&Queue::new("q"))?; // the broker is dropped
/// let error = Error::from(consumer.recv().unwrap_err());
/// assert_eq!(error, Error::Cancelled(CancelReason::ShutDown));
/// assert!(error.is_closed());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// It was cancelled, here or by its cancel_handle.
    ConsumerCancelled,
    /// Its queue was deleted, or expired.
    QueueDeleted,
    /// Its channel was closed.
    ChannelClosed,
    /// Its connection was closed.
    ConnectionClosed,
    /// Its virtual host was deleted.
    VhostDeleted,
    /// The broker was shut down.
    ShutDown,
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CancelReason::ConsumerCancelled => "on request",
            CancelReason::QueueDeleted => "its queue was deleted",
            CancelReason::ChannelClosed => "its channel was closed",
            CancelReason::ConnectionClosed => "its connection was closed",
            CancelReason::VhostDeleted => "its virtual host was deleted",
            CancelReason::ShutDown => "the broker was shut down",
        })
    }
}

/// How a declaration differs from what exists: the contents of [`Error::Inequivalent`].
///
/// # Examples
/// ```
/// use leveret::{Error, Queue};
/// # use leveret::Broker;
/// # let broker = Broker::new();
/// broker.declare(&Queue::new("q"))?;
/// match broker.declare(&Queue::new("q").durable()).unwrap_err() {
///     Error::Inequivalent(difference) => {
///         assert_eq!(difference.field, "durable");
///         assert_eq!(difference.received, Some(true.into()));
///         assert_eq!(difference.current, Some(false.into()));
///     }
///     other => panic!("{other}"),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inequivalent {
    /// The property or argument that differs, as AMQP names it: `durable`, `type`, `x-max-length`, ...
    pub field: String,
    /// What kind of thing was declared.
    pub entity: EntityKind,
    /// Its name.
    pub name: Name,
    /// Its virtual host.
    pub vhost: Name,
    /// The value in the declaration; `None` if it has no such argument.
    pub received: Option<FieldValue>,
    /// The value of what exists; `None` if it has no such argument.
    pub current: Option<FieldValue>,
}

impl fmt::Display for Inequivalent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inequivalent {
            field,
            entity,
            name,
            vhost,
            received,
            current,
        } = self;
        write!(
            f,
            "inequivalent arg '{field}' for {entity} '{name}' in vhost '{vhost}': "
        )?;
        match (received, current) {
            (Some(received), Some(current)) => {
                write!(f, "received '{received}' but current is '{current}'")
            }
            // RabbitMQ gives the type only where there is nothing to compare it with.
            (received, current) => write!(
                f,
                "received {} but current is {}",
                Lone(received),
                Lone(current)
            ),
        }
    }
}

/// Prints the value of an argument that only one side has.
struct Lone<'a>(&'a Option<FieldValue>);

impl fmt::Display for Lone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(value) => write!(f, "the value '{value}' of type '{}'", value.type_name()),
        }
    }
}

#[cfg(test)]
mod tests;
