//! [`Client`], which calls the methods of servers.

use std::{
    borrow::Cow,
    fmt,
    pin::pin,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};

use super::{
    Connected, Replies, Target,
    arguments::{Arguments, Octets},
    dispatch::PING,
    pending::{Pending, begin, gone},
    request::{Head, Request, Wanted},
};
use crate::{
    handles::producer::{Producer, PublishError},
    message::payload::{Body, Payload},
    model::{
        error::{Error, Result, RpcError},
        field_value::FieldTable,
        version::Version,
    },
    runtime::{
        clock::Deadline,
        waiter::{self, Waiting},
    },
    session::{connection::Connection, publisher::Claim},
};

/// Calls the methods of the servers at a [`Target`]. A clone is cheap; each clone caches its own
/// route, so give each thread its own.
///
/// A call waits for its reply, at most as long as the [time-out](Self::timeout), which is 60
/// seconds by default. It needs no thread and no queue of its own: it waits on a slot that travels
/// with the request. A call fails at once if there is no server, and if its server ends.
///
/// # If dropped
/// Nothing happens to calls, which have their own handles. A client keeps its connection open.
///
/// # RabbitMQ
/// `RPCClient` of oslo.messaging.
///
/// # Examples
/// ```
/// use leveret::{Broker, rpc::{Client, Endpoint, RpcError, Server, Target}};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let endpoint = Endpoint::new()
///     .method("add", |(a, b): (u64, u64), _| a + b)
///     .method("log", |line: String, _| println!("{line}"));
/// let server = Server::new(&broker, Target::topic("test")).endpoint(endpoint).spawn()?;
///
/// let client = Client::new(&broker, Target::topic("test")).timeout(Duration::from_secs(5));
/// assert_eq!(client.call::<u64>("add", (1_u64, 2_u64))?, 3);
/// assert_eq!(client.call::<u64>("add", serde_json::json!([1, 2]))?, 3); // it decodes
/// client.cast("log", "testing".to_owned())?; // waits for no reply
/// let error = client.call::<u64>("subtract", (1_u64, 2_u64)).unwrap_err();
/// assert_eq!(error, RpcError::NoSuchMethod { method: "subtract".into() });
/// # drop(server);
/// # Ok::<(), RpcError>(())
/// ```
#[derive(Clone)]
pub struct Client {
    pub(super) connection: Result<Connection>,
    pub(super) target: Target,
    pub(super) timeout: Option<Duration>,
    pub(super) version_cap: Option<Version>,
    pub(super) context: Option<Arc<FieldTable>>,
    pub(super) queue_if_absent: bool,
    /// The request on whose behalf this client calls.
    pub(super) claim: Option<Claim>,
    /// Made by the first request that can. It depends on the target.
    pub(super) producer: OnceLock<Producer<Request>>,
}

/// The time-out of a client that has none of its own.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// Makes a client. It declares nothing before its first request.
    ///
    /// If the broker has ended, each call says so.
    pub fn new(broker: &impl Connected, target: Target) -> Client {
        Client {
            connection: broker.connection(),
            target,
            timeout: None,
            version_cap: None,
            context: None,
            queue_if_absent: false,
            claim: None,
            producer: OnceLock::new(),
        }
    }

    /// Calls a method, and waits for its reply.
    ///
    /// The calls of one thread are served in their order, if the server has a concurrency of 1.
    ///
    /// # Errors
    /// Every [`RpcError`] but [`RpcError::DuplicateMethod`].
    pub fn call<R: Payload>(
        &self,
        method: impl Into<Cow<'static, str>>,
        arguments: impl Payload,
    ) -> Result<R, RpcError> {
        self.call_timeout(method, arguments, self.timeout.unwrap_or(TIMEOUT))
    }

    /// Same as [`call`](Self::call), with another time-out.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_timeout<R: Payload>(
        &self,
        method: impl Into<Cow<'static, str>>,
        arguments: impl Payload,
        timeout: Duration,
    ) -> Result<R, RpcError> {
        let connection = self.connection.as_ref().map_err(Error::clone)?;
        let producer = self.producer()?;
        let deadline = connection.time().deadline(timeout);
        let head = self.head(method.into(), at(deadline), Wanted::One)?;
        let (mut pending, request) = begin::<_, R>(head, Arguments::Value(arguments));
        let published = match deadline {
            Some(_) => producer.publish_timeout(request, timeout),
            None => producer.publish(request),
        };
        published.map_err(|error| self.unpublished(error))?;
        pending.call().spin_for_reply();
        match waiter::wait(&**pending.call(), deadline) {
            Some(reply) => {
                pending.ended();
                reply.unwrap_or_else(|| Err(gone(connection)))
            }
            None => pending.give_up().unwrap_or(Err(RpcError::Timeout)),
        }
    }

    /// Same as [`call`](Self::call), for a task.
    ///
    /// # If dropped
    /// The caller gives up. A method that runs already sees that.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let add = |(a, b): (u64, u64), _| async move { a + b };
    /// let endpoint = Endpoint::new().method_async("add", add);
    /// let server = Server::new(&broker, Target::topic("math")).endpoint(endpoint).spawn()?;
    /// let client = Client::new(&broker, Target::topic("math"));
    /// let sum = futures_lite::future::block_on(client.call_async::<u64>("add", (1_u64, 2_u64)))?;
    /// assert_eq!(sum, 3);
    /// # drop(server);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub async fn call_async<R: Payload>(
        &self,
        method: impl Into<Cow<'static, str>>,
        arguments: impl Payload,
    ) -> Result<R, RpcError> {
        let connection = self.connection.as_ref().map_err(Error::clone)?;
        let producer = self.producer()?;
        let deadline = at(connection.time().deadline(self.timeout.unwrap_or(TIMEOUT)));
        let head = self.head(method.into(), deadline, Wanted::One)?;
        let (mut pending, request) = begin::<_, R>(head, Arguments::Value(arguments));
        let replying = async {
            let published = producer.publish_async(request).await;
            published.map_err(|error| self.unpublished(error))?;
            let reply = Waiting::new(Arc::clone(pending.call())).await;
            reply.unwrap_or_else(|| Err(gone(connection)))
        };
        let replied = match deadline {
            None => Some(replying.await),
            Some(deadline) => match select(pin!(replying), connection.until(deadline)).await {
                Either::Left((reply, _)) => Some(reply),
                Either::Right(_) => None,
            },
        };
        match replied {
            Some(reply) => {
                pending.ended();
                reply
            }
            None => pending.give_up().unwrap_or(Err(RpcError::Timeout)),
        }
    }

    /// Sends a request and waits for no reply. Returns the number of servers that it has reached:
    /// one, or all of them with a [`fanout`](Self::fanout).
    ///
    /// For a fanout the arguments are encoded as JSON, so that each server has its own.
    ///
    /// # Errors
    /// - [`RpcError::NoServer`], but not for a fanout, which may reach no server.
    /// - [`RpcError::BadArguments`] if the arguments of a fanout cannot be encoded.
    /// - [`RpcError::VersionCap`], [`RpcError::InvalidTarget`], [`RpcError::Broker`].
    pub fn cast(
        &self,
        method: impl Into<Cow<'static, str>>,
        arguments: impl Payload,
    ) -> Result<usize, RpcError> {
        let (_, routed) = self.send::<_, ()>(method.into(), arguments, Wanted::None)?;
        Ok(routed)
    }

    /// Same as [`cast`](Self::cast), for a task: it does not block while a queue has no room.
    ///
    /// # If dropped
    /// A request that waits for room is not sent.
    ///
    /// # Errors
    /// Those of [`cast`](Self::cast).
    pub async fn cast_async(
        &self,
        method: impl Into<Cow<'static, str>>,
        arguments: impl Payload,
    ) -> Result<usize, RpcError> {
        let (_, request, timeout) = self.make::<_, ()>(method.into(), arguments, Wanted::None)?;
        let connection = self.connection.as_ref().map_err(Error::clone)?;
        let publishing = pin!(self.producer()?.publish_async(request));
        let published = match timeout.and_then(|timeout| connection.after(timeout)) {
            None => publishing.await,
            Some(time_out) => match select(publishing, time_out).await {
                Either::Left((published, _)) => published,
                Either::Right(_) => return Err(RpcError::Timeout),
            },
        };
        Ok(published.map_err(|error| self.unpublished(error))?.routed)
    }

    /// Sends a request to all servers of the target, or to those that it
    /// [names](Target::servers), and returns their replies as they come.
    ///
    /// The replies end when each server has replied, or with [`RpcError::Timeout`]. `take(n)` ends
    /// them early. A server that ends without a reply is a [`RpcError::ServerGone`]. If there is no
    /// server, there is no reply.
    ///
    /// # Errors
    /// Those of [`cast`](Self::cast). The errors of servers are among the replies.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let server = |load: u32| {
    ///     let endpoint = Endpoint::new().method("load", move |(): (), _| load);
    ///     Server::new(&broker, Target::topic("workers")).endpoint(endpoint).spawn()
    /// };
    /// let servers = [server(3)?, server(5)?];
    /// let client = Client::new(&broker, Target::topic("workers"));
    /// let loads: Result<Vec<u32>, _> = client.scatter("load", ())?.collect();
    /// assert_eq!(loads?.iter().sum::<u32>(), 8);
    /// assert_eq!(client.scatter::<u32>("load", ())?.take(1).count(), 1);
    /// # drop(servers);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub fn scatter<R: Payload>(
        &self,
        method: impl Into<Cow<'static, str>>,
        arguments: impl Payload,
    ) -> Result<Replies<R>, RpcError> {
        let all = match self.target.is_to_many() {
            true => self.prepare(),
            false => self.prepare().fanout(),
        };
        let (pending, servers) = all.send::<_, R>(method.into(), arguments, Wanted::Many)?;
        all.replies(pending, servers)
    }

    /// Calls a method that [streams](super::Endpoint::stream) its replies, and returns them as they
    /// come. The [time-out](Self::timeout) is that of the whole stream.
    ///
    /// A method that does not stream has one reply.
    ///
    /// # Errors
    /// [`RpcError::NoServer`], [`RpcError::VersionCap`], [`RpcError::InvalidTarget`] and
    /// [`RpcError::Broker`]. The other errors come in place of a reply.
    ///
    /// [`Endpoint::stream`](super::Endpoint::stream) has an example.
    pub fn call_stream<R: Payload>(
        &self,
        method: impl Into<Cow<'static, str>>,
        arguments: impl Payload,
    ) -> Result<Replies<R>, RpcError> {
        if self.target.is_to_many() {
            return Err(to_one());
        }
        let (pending, servers) = self.send::<_, R>(method.into(), arguments, Wanted::Many)?;
        self.replies(pending, servers)
    }

    /// Asks whether a server is there, and waits for its answer. Every server answers.
    ///
    /// # RabbitMQ
    /// `oslo_rpc_server_ping` of oslo.messaging.
    ///
    /// # Errors
    /// [`RpcError::NoServer`], [`RpcError::Timeout`] and [`RpcError::ServerGone`], and those of the
    /// target.
    pub fn ping(&self) -> Result<(), RpcError> {
        self.call(PING, ())
    }

    /// Sends a request that waits for no reply, or for many.
    fn send<A: Payload, R: Payload>(
        &self,
        method: Cow<'static, str>,
        arguments: A,
        replies: Wanted,
    ) -> Result<(Pending<A, R>, usize), RpcError> {
        let (pending, request, timeout) = self.make(method, arguments, replies)?;
        let producer = self.producer()?;
        let published = match timeout {
            Some(timeout) => producer.publish_timeout(request, timeout),
            None => producer.publish(request),
        };
        let published = published.map_err(|error| self.unpublished(error))?;
        Ok((pending, published.routed))
    }

    /// Makes such a request. It is sent in this time.
    #[allow(clippy::type_complexity, reason = "both sides of a call, and a time")]
    fn make<A: Payload, R: Payload>(
        &self,
        method: Cow<'static, str>,
        arguments: A,
        replies: Wanted,
    ) -> Result<(Pending<A, R>, Request, Option<Duration>), RpcError> {
        let connection = self.connection.as_ref().map_err(Error::clone)?;
        let timeout = match replies {
            Wanted::None => self.timeout,
            Wanted::One | Wanted::Many => Some(self.timeout.unwrap_or(TIMEOUT)),
        };
        let deadline = timeout.and_then(|timeout| connection.time().deadline(timeout));
        let head = self.head(method, at(deadline), replies)?;
        let arguments = match self.target.is_to_many() {
            false => Arguments::Value(arguments),
            true => {
                let octets = Octets::encode(&Body::new(arguments));
                Arguments::Octets(octets.map_err(RpcError::BadArguments)?)
            }
        };
        let (mut pending, request) = begin::<A, R>(head, arguments);
        match replies {
            Wanted::None => pending.ended(),
            // If it reaches none, the publish fails. It is told before, since replies may come
            // before the confirm.
            Wanted::Many if !self.target.is_to_many() => pending.call().reached(1),
            Wanted::One | Wanted::Many => {}
        }
        Ok((pending, request, timeout))
    }

    fn replies<A: Payload, R: Payload>(
        &self,
        pending: Pending<A, R>,
        servers: usize,
    ) -> Result<Replies<R>, RpcError> {
        let connection = self.connection.as_ref().map_err(Error::clone)?;
        // An engine outside does not tell how many have the request.
        if self.target.is_to_many() && !connection.gate().is_remote() {
            pending.call().reached(servers);
        }
        Ok(Replies::new(connection.clone(), pending))
    }

    /// # Errors
    /// [`RpcError::VersionCap`], and [`RpcError::InvalidTarget`] for a call of a fanout.
    fn head(
        &self,
        method: Cow<'static, str>,
        deadline: Option<Instant>,
        replies: Wanted,
    ) -> Result<Head, RpcError> {
        let version = self.target.version;
        if let Some(cap) = self.version_cap.filter(|cap| !cap.serves(version)) {
            return Err(RpcError::VersionCap { version, cap });
        }
        if replies == Wanted::One && self.target.is_to_many() {
            return Err(to_one());
        }
        Ok(Head {
            method,
            namespace: self.target.namespace.clone(),
            version,
            deadline,
            context: self.context.clone(),
            replies,
        })
    }

    #[cold]
    fn unpublished(&self, error: PublishError<Request>) -> RpcError {
        match error.into_parts().0 {
            Error::NoRoute { .. } | Error::NotFound { .. } => RpcError::NoServer {
                target: self.target.text(),
            },
            Error::Timeout => RpcError::Timeout,
            error => RpcError::Broker(error),
        }
    }
}

fn at(deadline: Option<Deadline<'_>>) -> Option<Instant> {
    deadline.map(|deadline| deadline.at())
}

fn to_one() -> RpcError {
    RpcError::InvalidTarget("a call goes to one server, and the target is several".into())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.target)
            .field("timeout", &self.timeout)
            .field("version_cap", &self.version_cap)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
