//! [`RpcError`], the reason why a call has no reply.

use std::{
    any::{self, Any},
    fmt,
    sync::Arc,
    time::Duration,
};

use super::{CodecError, Error};
use crate::model::version::Version;

/// The reason why a call has no reply, or why there is no server.
///
/// `?` turns it into an [`Error`]. There, [`Timeout`](Self::Timeout) is
/// [`Error::Timeout`], the error in [`Broker`](Self::Broker) is itself, and
/// every other one is in [`Error::Rpc`].
///
/// # Examples
/// ```
/// use leveret::{Broker, Error, rpc};
///
/// let broker = Broker::new();
/// let double = rpc::client::<u32, u32>(&broker, "double");
/// let error = double.call(21).unwrap_err();
/// assert_eq!(error.to_string(), "no server listens at 'double'");
/// assert!(matches!(Error::from(error), Error::Rpc(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The time-out passed before the reply came. If the method runs already, it sees that its
    /// caller has gone.
    #[error("no reply came in time")]
    Timeout,
    /// No server listens at the target. The call fails at once.
    #[error("no server listens at '{target}'")]
    NoServer {
        /// The queue, or the topic and the server, that were called.
        target: Arc<str>,
    },
    /// The server has ended without a reply: its handle was dropped while the request waited, its
    /// task was dropped while the method ran, or its queue was deleted or purged.
    #[error("the server has ended without a reply")]
    ServerGone,
    /// The server has no such method.
    #[error("the server has no method '{method}'")]
    NoSuchMethod {
        /// The name of the method.
        method: Arc<str>,
    },
    /// The server has no endpoint with the namespace and a compatible version.
    #[error("the server has no endpoint of version {version} for the method '{method}'")]
    UnsupportedVersion {
        /// The name of the method.
        method: Arc<str>,
        /// The version of the request.
        version: Version,
    },
    /// The client may not send this version.
    #[error("the version {version} is over the version cap {cap} of the client")]
    VersionCap {
        /// The version of the request.
        version: Version,
        /// The version cap of the client.
        cap: Version,
    },
    /// The access hook of the server has denied the call.
    #[error("access to the method '{method}' is denied")]
    Denied {
        /// The name of the method.
        method: Arc<str>,
    },
    /// The arguments are not those of the method, and do not decode as such. Or they have to be
    /// copied, and cannot be.
    #[error("bad arguments: {0}")]
    BadArguments(CodecError),
    /// The reply has another type than the caller wants, and does not decode as that.
    #[error("bad reply: {0}")]
    BadReply(CodecError),
    /// The method has returned an error.
    #[error("{0}")]
    Remote(RemoteError),
    /// The method has panicked, with this message. The server goes on.
    #[error("the method panicked: {0}")]
    Panicked(Arc<str>),
    /// The method has taken longer than its server allows. It was cut off, or goes on without
    /// effect on the call.
    #[error("the method '{method}' took longer than {limit:?}")]
    MethodTimeout {
        /// The name of the method.
        method: Arc<str>,
        /// The time limit.
        limit: Duration,
    },
    /// The target cannot be used in this way.
    #[error("invalid target: {0}")]
    InvalidTarget(Arc<str>),
    /// A server has the same method twice, in one namespace and version.
    #[error("the method '{method}' is registered twice")]
    DuplicateMethod {
        /// The name of the method.
        method: Arc<str>,
    },
    /// The broker has refused the request: its queue is full, or the broker is shut down, say.
    #[error(transparent)]
    Broker(#[from] Error),
}

impl From<RpcError> for Error {
    fn from(error: RpcError) -> Error {
        match error {
            RpcError::Timeout => Error::Timeout,
            RpcError::Broker(error) => error,
            other => Error::Rpc(Box::new(other)),
        }
    }
}

/// The error of a method: the contents of [`RpcError::Remote`].
///
/// It has the error itself, and its text and the name of its type. Two of them are equal if their
/// texts and the names of their types are.
///
/// # Examples
/// ```
/// use leveret::{Broker, rpc::{Client, Endpoint, RpcError, Server, Target}};
///
/// #[derive(Debug, PartialEq, thiserror::Error)]
/// #[error("{0} is odd")]
/// struct Odd(u32);
///
/// let broker = Broker::new();
/// let endpoint = Endpoint::new().try_method("half", |number: u32, _| match number % 2 {
///     0 => Ok(number / 2),
///     _ => Err(Odd(number)),
/// });
/// let server = Server::new(&broker, Target::topic("numbers")).endpoint(endpoint).spawn()?;
/// let client = Client::new(&broker, Target::topic("numbers"));
/// let half = client.call::<u32>("half", 7_u32);
/// let Err(RpcError::Remote(error)) = half else { panic!("7 is odd") };
/// assert_eq!(error.downcast_ref(), Some(&Odd(7)));
/// assert_eq!(error.to_string(), "7 is odd");
/// # drop(server);
/// # Ok::<(), RpcError>(())
/// ```
#[derive(Clone)]
pub struct RemoteError {
    type_name: Arc<str>,
    message: Arc<str>,
    value: Arc<dyn Any + Send + Sync>,
}

impl RemoteError {
    /// Makes one of an error. Its message is the text that `{:#}` gives, which is the whole chain
    /// for some error types.
    pub(crate) fn new<E: fmt::Display + Send + Sync + 'static>(error: E) -> RemoteError {
        RemoteError {
            type_name: any::type_name::<E>().into(),
            message: format!("{error:#}").into(),
            value: Arc::new(error),
        }
    }

    /// An error that a program outside has told, by its type and its text.
    pub(crate) fn told(type_name: &str, message: &str) -> RemoteError {
        /// The value of an error that is not here.
        struct Elsewhere;
        RemoteError {
            type_name: type_name.into(),
            message: message.into(),
            value: Arc::new(Elsewhere),
        }
    }

    /// The error, if it is an `E`. One of a program in another language is no Rust value.
    pub fn downcast_ref<E: 'static>(&self) -> Option<&E> {
        self.value.downcast_ref()
    }

    /// The name of the type of the error, as its language has it.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The text of the error.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl PartialEq for RemoteError {
    fn eq(&self, other: &RemoteError) -> bool {
        (&self.type_name, &self.message) == (&other.type_name, &other.message)
    }
}

impl Eq for RemoteError {}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RemoteError {}

impl fmt::Debug for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteError")
            .field("type_name", &self.type_name)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
