//! The errors: one enum with AMQP's reply codes and RabbitMQ's texts.
//!
//! The variants follow AMQP's reply texts. [`Precondition`] lists the many causes of 406. `replies`
//! has one constructor for each situation, so that callers give facts and no texts. The errors of
//! receiving belong to the handles that receive.

mod access;
mod cancel_reason;
mod codec;
mod definitions;
mod exchange_types;
mod inequivalent;
mod pattern;
mod precondition;
mod queue_kinds;
mod replies;
mod rpc;
mod schedule;
mod store;
mod streams;

use std::{fmt, sync::Arc};

pub use self::{
    access::{Permission, PermissionDenied},
    cancel_reason::CancelReason,
    codec::CodecError,
    definitions::DefinitionsError,
    inequivalent::Inequivalent,
    pattern::InvalidPattern,
    precondition::{Precondition, Resource},
    rpc::{RemoteError, RpcError},
    schedule::{InvalidCron, ScheduleError},
    store::{StoreError, StoreErrorKind},
};
use crate::model::{
    field_value::TableTooDeep,
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

/// The reason why an operation failed.
///
/// A failed operation changes nothing and closes nothing. If AMQP 0-9-1 has a code for the error,
/// [`reply_code`](Error::reply_code) returns it, and the text follows RabbitMQ's.
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
    // The errors that AMQP knows, by reply code.
    /// 312: a mandatory message reached no queue.
    #[error(
        "NO_ROUTE - no queue is bound to exchange '{exchange}' for routing key '{routing_key}'"
    )]
    NoRoute {
        /// The exchange of the publish.
        exchange: Name,
        /// The routing key of the message.
        routing_key: Arc<str>,
    },
    /// 320: the virtual host was deleted.
    #[error("CONNECTION_FORCED - vhost '{vhost}' is deleted")]
    VhostDeleted {
        /// The name of the virtual host.
        vhost: Name,
    },
    /// 320: the user of the connection was deleted.
    #[error("CONNECTION_FORCED - user '{user}' is deleted")]
    UserDeleted {
        /// The name of the user.
        user: Name,
    },
    /// 403: a login of an unknown user, or with a wrong password. The error does not tell which.
    #[error(
        "ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
    )]
    LoginRefused {
        /// The mechanism of the login, such as `PLAIN`.
        mechanism: Arc<str>,
    },
    /// 403: the user of the connection lacks a permission.
    #[error("ACCESS_REFUSED - {0}")]
    PermissionDenied(Box<PermissionDenied>),
    /// 403: the operation is not permitted.
    #[error("ACCESS_REFUSED - {0}")]
    AccessRefused(Arc<str>),
    /// 404: the named thing does not exist.
    #[error("NOT_FOUND - no {}", Resource::new(*.entity, .name, .vhost))]
    NotFound {
        /// The kind of the thing.
        entity: EntityKind,
        /// The name of the thing.
        name: Name,
        /// The virtual host of the lookup.
        vhost: Name,
    },
    /// 404: a queue name is empty, and the channel has declared no queue. An empty name stands for
    /// the queue that the channel declared last.
    #[error("NOT_FOUND - no previously declared queue")]
    NoDeclaredQueue,
    /// 405: the queue is exclusive to another connection.
    #[error(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked {entity} '{name}' in vhost '{vhost}'. It could be originally \
         declared on another connection or the exclusive property value does not match that of the original declaration."
    )]
    ResourceLocked {
        /// The kind of the thing: a queue.
        entity: EntityKind,
        /// The name of the queue.
        name: Name,
        /// The virtual host of the queue.
        vhost: Name,
    },
    /// 405: `basic.get` from a quorum queue with a single active consumer.
    #[error(
        "RESOURCE_LOCKED - cannot obtain access to locked queue '{name}' in vhost '{vhost}'. basic.get operations are not supported \
         by <<\"quorum\">> queues with single active consumer"
    )]
    SingleActiveConsumer {
        /// The name of the queue.
        name: Name,
        /// The virtual host of the queue.
        vhost: Name,
    },
    /// 406: the thing exists with other properties.
    #[error("PRECONDITION_FAILED - {0}")]
    Inequivalent(Box<Inequivalent>),
    /// 406: a precondition of the operation does not hold.
    #[error("PRECONDITION_FAILED - {0}")]
    PreconditionFailed(Box<Precondition>),
    /// 502: a name is too long.
    #[error("SYNTAX_ERROR - {0}")]
    InvalidName(#[from] NameTooLong),
    /// 502: a table is nested too deep.
    #[error("SYNTAX_ERROR - {0}")]
    InvalidTable(#[from] TableTooDeep),
    /// 504: a channel is opened with a number that is in use.
    #[error("CHANNEL_ERROR - {0}")]
    ChannelError(Arc<str>),
    /// 506: a limit of the broker is reached.
    #[error("RESOURCE_ERROR - {0}")]
    ResourceError(Arc<str>),
    /// 530: the request is never allowed, for example a consumer tag that is in use.
    #[error("NOT_ALLOWED - {0}")]
    NotAllowed(Arc<str>),
    /// 540: AMQP has the feature, and the broker does not.
    #[error("NOT_IMPLEMENTED - {0}")]
    NotImplemented(Arc<str>),
    /// 541: the request uses a feature that RabbitMQ has removed and answers in this way.
    #[error("INTERNAL_ERROR - {0}")]
    InternalError(Arc<str>),

    // The errors that AMQP has no code for.
    /// No queue took the message, and at least one queue refused it. The queue is full and has
    /// `x-overflow: reject-publish`, or a [`Budget`](crate::Budget) that covers it is spent. A
    /// publish that does not wait is also refused by a full queue with `x-overflow: block`, and by
    /// one whose blocking budget is spent.
    #[error(
        "queue '{queue}' refused the message: it is at its length limit, or its byte budget is spent"
    )]
    Refused {
        /// The first queue that refused the message, or the delayed exchange that cannot delay it.
        queue: Name,
        /// A queue that refused the message has dead-lettered it, as
        /// [`RejectPublishDlx`](crate::Overflow::RejectPublishDlx) says. Another publish of the
        /// message would make another dead letter.
        dead_lettered: bool,
    },
    /// A `Local` payload would reach several queues, and there is only one value.
    #[error(
        "a local payload ({type_name}) cannot be shared by {queues} queues: publish it to one, or publish a `LocalArc<_>`"
    )]
    NotShareable {
        /// The Rust type of the payload.
        type_name: &'static str,
        /// The number of queues that the payload would reach.
        queues: usize,
    },
    /// A `Local` payload would reach a stream, whose readers share each value.
    #[error("a local payload ({type_name}) cannot go to a stream: publish a `LocalArc<_>`")]
    LocalToStream {
        /// The Rust type of the payload.
        type_name: &'static str,
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
    /// The connection to an engine outside of this process was lost, for example because its server
    /// stopped. The broker [connects again](crate::guide::rabbitmq).
    ///
    /// For a delivery it means that the message is not settled: the engine has it back, and
    /// delivers it again. For a publish it means that the engine may have the message or not.
    #[error("the connection to {address} was lost: {fault}")]
    ConnectionLost {
        /// The address of the engine, such as `127.0.0.1:5672`.
        address: Arc<str>,
        /// The reason.
        fault: Arc<str>,
    },
    /// An engine outside of this process cannot be reached, or does not answer in time.
    #[error("cannot connect to {address}: {fault}")]
    ConnectFailed {
        /// The address of the engine, such as `127.0.0.1:5672`.
        address: Arc<str>,
        /// The reason.
        fault: Arc<str>,
    },
    /// The URL of a broker cannot be used.
    #[error("invalid URL '{url}': {fault}")]
    InvalidUrl {
        /// The URL, without the password in it.
        url: Arc<str>,
        /// The reason.
        fault: Arc<str>,
    },
    /// The broker was shut down.
    #[error("the broker is shut down")]
    ShutDown,
    /// The last clone of the [`Broker`](crate::Broker) was dropped, which ended the broker. Keep a
    /// clone for as long as the broker is used. This error comes wherever
    /// [`ShutDown`](Self::ShutDown) comes after a shutdown.
    #[error("the broker has ended: its last `Broker` clone was dropped")]
    BrokerDropped,
    /// A reply is asked for, and the message does not say where it goes: it has no `reply_to`.
    #[error("the message has no `reply_to`")]
    NoReplyTo,
    /// A driver of a [notifier](crate::notify) has failed.
    #[error("driver '{driver}' of a notifier: {fault}")]
    NotificationDriver {
        /// The name of the driver.
        driver: Arc<str>,
        /// The text of its error.
        fault: Arc<str>,
    },
    /// A regular expression of [permissions](crate::Permissions) or of a
    /// [filter](crate::notify::NotificationFilter) does not compile.
    #[error(transparent)]
    InvalidPattern(#[from] InvalidPattern),
    /// A file of definitions does not fit, or an export would lose something.
    #[error(transparent)]
    InvalidDefinitions(Box<DefinitionsError>),
    /// The system cannot start a thread.
    #[error("a thread cannot be started: {0}")]
    Thread(Arc<str>),
    /// The time-out passed first.
    #[error("timed out")]
    Timeout,
    /// The time-out passed first, and no message could come: the consumer holds its whole prefetch.
    #[error(
        "timed out: the consumer holds its whole prefetch of {prefetch} unsettled messages from queue '{queue}'"
    )]
    PrefetchReached {
        /// The queue of the messages.
        queue: Name,
        /// The prefetch of the consumer.
        prefetch: u32,
    },
    /// A call by [RPC](crate::rpc) has failed.
    #[error(transparent)]
    Rpc(Box<RpcError>),
    /// The folder of a durable broker cannot be read or written.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A function of the program has panicked while the broker used it, such as a filter.
    #[error("{0} has panicked")]
    Panicked(&'static str),
    /// A schedule cannot begin.
    #[error(transparent)]
    InvalidSchedule(#[from] ScheduleError),
    /// There are no more ticks: they were cancelled, or there have been as many as were wanted.
    #[error("the schedule has ended")]
    ScheduleEnded,
}

impl Error {
    /// AMQP's reply code, for example 404. It is `None` if AMQP has no code for the error.
    pub fn reply_code(&self) -> Option<u16> {
        Some(match self {
            Error::NoRoute { .. } => 312,
            Error::VhostDeleted { .. } | Error::UserDeleted { .. } => 320,
            Error::LoginRefused { .. } | Error::PermissionDenied(_) | Error::AccessRefused(_) => {
                403
            }
            Error::NotFound { .. } | Error::NoDeclaredQueue => 404,
            Error::ResourceLocked { .. } | Error::SingleActiveConsumer { .. } => 405,
            Error::Inequivalent(_) | Error::PreconditionFailed(_) => 406,
            Error::InvalidName(_) | Error::InvalidTable(_) => 502,
            Error::ChannelError(_) => 504,
            Error::ResourceError(_) => 506,
            Error::NotAllowed(_) => 530,
            Error::NotImplemented(_) => 540,
            Error::InternalError(_) => 541,
            Error::Refused { .. }
            | Error::NotShareable { .. }
            | Error::LocalToStream { .. }
            | Error::Codec(_)
            | Error::Cancelled(_)
            | Error::ChannelClosed
            | Error::ConnectionClosed
            | Error::ConnectionLost { .. }
            | Error::ConnectFailed { .. }
            | Error::InvalidUrl { .. }
            | Error::ShutDown
            | Error::BrokerDropped
            | Error::NoReplyTo
            | Error::NotificationDriver { .. }
            | Error::InvalidPattern(_)
            | Error::InvalidDefinitions(_)
            | Error::Thread(_)
            | Error::Timeout
            | Error::PrefetchReached { .. }
            | Error::Rpc(_)
            | Error::Store(_)
            | Error::Panicked(_)
            | Error::InvalidSchedule(_)
            | Error::ScheduleEnded => return None,
        })
    }

    /// The part of the connection that AMQP would have closed because of this error. This broker
    /// closes nothing.
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
        match self {
            Error::LoginRefused { .. } => Scope::Connection,
            _ => self.reply_code().map_or(Scope::Operation, Scope::of),
        }
    }

    /// Whether a named thing does not exist (404).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. } | Error::NoDeclaredQueue)
    }

    /// Whether the thing exists with other properties.
    pub fn is_inequivalent(&self) -> bool {
        matches!(self, Error::Inequivalent(_))
    }

    /// Whether the channel, the connection, the virtual host or the broker of the operation is
    /// closed. A repetition then fails as well.
    pub fn is_closed(&self) -> bool {
        match self {
            Error::ChannelClosed
            | Error::ConnectionClosed
            | Error::VhostDeleted { .. }
            | Error::UserDeleted { .. }
            | Error::ShutDown
            | Error::BrokerDropped => true,
            Error::Cancelled(reason) => matches!(
                reason,
                CancelReason::ChannelClosed
                    | CancelReason::ConnectionClosed
                    | CancelReason::VhostDeleted
                    | CancelReason::UserDeleted
                    | CancelReason::ShutDown
                    | CancelReason::BrokerDropped
            ),
            _ => false,
        }
    }
}

/// The kind of thing that an error names. It prints as in RabbitMQ's texts.
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
    /// A user.
    User,
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
            EntityKind::User => "user",
            EntityKind::VirtualHost => "vhost",
        })
    }
}

/// The part of a connection that an AMQP broker closes because of an error.
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

#[cfg(test)]
mod tests;
