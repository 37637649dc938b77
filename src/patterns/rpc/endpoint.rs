//! [`Endpoint`], the methods of a server in one namespace and version.

use std::{convert::Infallible, fmt, future::Future, sync::Arc, time::Duration};

use super::{Context, ReplySender, limits::Limits, method::Method};
use crate::{
    message::payload::Payload, model::version::Version, patterns::middleware::ConcurrencyLimit,
};

/// Methods of a server, in one namespace and of one version.
///
/// A method is a closure. Its first argument has the arguments of the call, one value: often a
/// tuple, or a struct. The value moves from the client to the method if both have the same type.
/// Otherwise it is encoded as JSON and decoded. So a client may call with a
/// `serde_json::Value`. A [`Local`](crate::Local) carries an argument that has no encoding.
///
/// The default namespace is none, and the default version 1.0.
///
/// # RabbitMQ
/// The endpoints of oslo.messaging.
///
/// # Examples
/// ```
/// use leveret::rpc::Endpoint;
///
/// let endpoint = Endpoint::new()
///     .namespace("math")
///     .version((1, 4))
///     .method("add", |(a, b): (u64, u64), _| a + b)
///     .try_method("divide", |(a, b): (u64, u64), _| a.checked_div(b).ok_or("division by zero"))
///     .method_async("square", |a: u64, _| async move { a * a });
/// assert!(format!("{endpoint:?}").contains("divide"));
/// ```
#[must_use = "an endpoint serves nothing without a server"]
pub struct Endpoint {
    /// The names of the namespace. `None` is the one without a name.
    pub(super) namespaces: Vec<Option<String>>,
    pub(super) version: Version,
    pub(super) methods: Vec<(String, Arc<Method>)>,
    pub(super) limits: Limits,
}

impl Endpoint {
    /// Makes an endpoint without methods.
    pub fn new() -> Endpoint {
        Endpoint {
            namespaces: vec![None],
            version: Version::default(),
            methods: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Sets the namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Endpoint {
        self.namespaces[0] = Some(namespace.into());
        self
    }

    /// Adds another name of the namespace, for clients that know the old one.
    ///
    /// # RabbitMQ
    /// `legacy_namespaces` of a `Target` of oslo.messaging.
    pub fn legacy_namespace(mut self, namespace: impl Into<String>) -> Endpoint {
        self.namespaces.push(Some(namespace.into()));
        self
    }

    /// Sets the version.
    pub fn version(mut self, version: impl Into<Version>) -> Endpoint {
        self.version = version.into();
        self
    }

    /// Limits the time of each call of a method of this endpoint, by the broker's clock. Without it
    /// the limit is that of the [server](super::Server::timeout), if that has one.
    ///
    /// When the time is over, the caller gets
    /// [`RpcError::MethodTimeout`](super::RpcError::MethodTimeout), and the
    /// [stop signal](Context::stop_signal) is set. The future of a method is dropped. A method that
    /// blocks its thread cannot be stopped: its late result is dropped and counted, and a spare
    /// thread takes the place of its own, as with a
    /// [worker](crate::worker::WorkerBuilder::timeout). A server that also has methods which are
    /// futures runs all of them as futures, and has no time limit for one that blocks.
    ///
    /// The time-out of a [client](super::Client::timeout) limits how long a caller waits. This
    /// limits how long a method runs, also for a cast.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Endpoint, RpcError, Server, Target}};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let limit = Duration::from_millis(5);
    /// let slow = Endpoint::new().timeout(limit).method("slow", |(): (), context| {
    ///     context.stop_signal().wait(); // a method that is stuck
    /// });
    /// let quick = Endpoint::new().method("quick", |(): (), _| ());
    /// let server = Server::new(&broker, Target::topic("test")).endpoint(slow).endpoint(quick);
    /// let server = server.spawn()?;
    /// let client = Client::new(&broker, Target::topic("test"));
    /// let error = client.call::<()>("slow", ()).unwrap_err();
    /// assert_eq!(error, RpcError::MethodTimeout { method: "slow".into(), limit });
    /// client.call::<()>("quick", ())?; // the server goes on
    /// let report = server.stop_and_drain(Duration::from_secs(10));
    /// assert_eq!(report.worker.counts.timed_out, 1);
    /// # Ok::<(), RpcError>(())
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Endpoint {
        self.limits.time = Some(limit);
        self
    }

    /// Limits how many calls of the methods of this endpoint run at the same time. The others wait,
    /// and get in as they came. Clones of the limit share it, between endpoints and servers.
    ///
    /// Methods with limits of their own are in endpoints of their own. A server may have several
    /// endpoints of one namespace and version.
    ///
    /// A request that waits occupies a thread or a future of its server. So the server needs a
    /// [`concurrency`](super::Server::concurrency) to match.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, middleware::ConcurrencyLimit, rpc::{Endpoint, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let connections = ConcurrencyLimit::new(2);
    /// let reports = Endpoint::new()
    ///     .concurrency_limit(connections.clone())
    ///     .method("report", move |(): (), _| connections.in_use() as u64);
    /// let plain = Endpoint::new().method("version", |(): (), _| "1.0".to_owned());
    /// let server = Server::new(&broker, Target::topic("shop")).endpoint(reports).endpoint(plain);
    /// let server = server.concurrency(8).spawn()?;
    /// # let client = leveret::rpc::Client::new(&broker, Target::topic("shop"));
    /// # assert_eq!(client.call::<u64>("report", ())?, 1);
    /// # drop(server);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub fn concurrency_limit(mut self, limit: ConcurrencyLimit) -> Endpoint {
        self.limits.concurrency = Some(limit);
        self
    }

    fn add(mut self, name: impl Into<String>, method: Method) -> Endpoint {
        self.methods.push((name.into(), Arc::new(method)));
        self
    }

    /// Adds a method that cannot fail. A `Result` that it returns is sent as a value: use
    /// [`try_method`](Self::try_method) for errors. If it panics, its caller gets
    /// [`RpcError::Panicked`](super::RpcError::Panicked).
    ///
    /// [`Endpoint`] has an example.
    pub fn method<A, R>(
        self,
        name: impl Into<String>,
        method: impl Fn(A, &Context<'_>) -> R + Send + Sync + 'static,
    ) -> Endpoint
    where
        A: Payload,
        R: Payload,
    {
        let method =
            move |arguments, context: &Context<'_>| Ok::<R, Infallible>(method(arguments, context));
        self.add(name, Method::call(method))
    }

    /// Adds a method that may fail, with an error of any type that can be shared between threads,
    /// such as `Box<dyn Error + Send + Sync>`. The error reaches the caller in
    /// [`RpcError::Remote`](super::RpcError::Remote), with its type.
    ///
    /// [`RemoteError`](super::RemoteError) has an example.
    pub fn try_method<A, R, E>(
        self,
        name: impl Into<String>,
        method: impl Fn(A, &Context<'_>) -> Result<R, E> + Send + Sync + 'static,
    ) -> Endpoint
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
    {
        self.add(name, Method::call(method))
    }

    /// Adds a method that returns a future, and cannot fail.
    ///
    /// A server in a [task](super::Server::run_async) runs many of them at a time. On threads, one
    /// thread runs one of them.
    ///
    /// [`Endpoint`] has an example.
    pub fn method_async<A, R, F>(
        self,
        name: impl Into<String>,
        method: impl Fn(A, Context<'static>) -> F + Send + Sync + 'static,
    ) -> Endpoint
    where
        A: Payload,
        R: Payload,
        F: Future<Output = R> + Send + 'static,
    {
        let method = move |arguments, context| {
            let replying = method(arguments, context);
            async move { Ok::<R, Infallible>(replying.await) }
        };
        self.add(name, Method::task(method))
    }

    /// Adds a method that returns a future, and may fail.
    pub fn try_method_async<A, R, E, F>(
        self,
        name: impl Into<String>,
        method: impl Fn(A, Context<'static>) -> F + Send + Sync + 'static,
    ) -> Endpoint
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.add(name, Method::task(method))
    }

    /// Adds a method that streams its replies. The stream ends with the method.
    ///
    /// [`Client::call_stream`](super::Client::call_stream) calls it. A plain
    /// [`call`](super::Client::call) gets the first reply.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{CallerGone, Client, Endpoint, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let endpoint = Endpoint::new().stream("count", |to: u32, _, replies| {
    ///     (1..=to).try_for_each(|number: u32| replies.send(number))
    /// });
    /// let server = Server::new(&broker, Target::topic("numbers")).endpoint(endpoint).spawn()?;
    /// let client = Client::new(&broker, Target::topic("numbers"));
    /// let numbers: Result<Vec<u32>, _> = client.call_stream("count", 3_u32)?.collect();
    /// assert_eq!(numbers?, [1, 2, 3]);
    /// # drop(server);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub fn stream<A, R, E>(
        self,
        name: impl Into<String>,
        method: impl Fn(A, &Context<'_>, ReplySender<R>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Endpoint
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
    {
        self.add(name, Method::stream(method))
    }

    /// Adds a method that streams its replies, and returns a future.
    pub fn stream_async<A, R, E, F>(
        self,
        name: impl Into<String>,
        method: impl Fn(A, Context<'static>, ReplySender<R>) -> F + Send + Sync + 'static,
    ) -> Endpoint
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.add(name, Method::stream_task(method))
    }
}

impl Default for Endpoint {
    fn default() -> Endpoint {
        Endpoint::new()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.methods.iter().map(|(name, _)| name);
        f.debug_struct("Endpoint")
            .field("namespaces", &self.namespaces)
            .field("version", &self.version)
            .field("methods", &methods.collect::<Vec<_>>())
            .finish()
    }
}
