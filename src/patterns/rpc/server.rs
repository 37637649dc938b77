//! [`Server`], a server that is ready to run.

use std::{
    fmt,
    future::Future,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
    time::Duration,
};

use super::{
    Connected, Context, Endpoint, RequestInfo, ServerHandle, ServerReport, Target,
    core::{Access, Core},
    dispatch::Dispatcher,
    limits::Limiter,
    method::Method,
    order::KeyOf,
    request::Request,
};
use crate::{
    model::{
        descriptions::Queue,
        error::{Result, RpcError},
    },
    patterns::worker::{self, Chain, StopHandle, Worker, WorkerBuilder},
    session::{connection::Connection, delivery::Delivery},
};

/// A server: a target and the endpoints that serve it.
///
/// [`spawn`](Self::spawn) runs it on threads of its own, [`run`](Self::run) on the current thread
/// and more, and [`run_async`](Self::run_async) in a task.
///
/// # At most once, or at least once
/// By default a method is called at most once for each request: the arguments move to it, so that
/// there is nothing to call it with again. A request in the hands of a server that ends fails with
/// [`RpcError::ServerGone`]. With [`at_least_once`](Self::at_least_once) such a request goes to
/// another server.
///
/// In both cases the request is acknowledged when its method has ended. So a
/// [shutdown](crate::Broker::shutdown) waits for the method, and the method may publish and call
/// meanwhile.
///
/// # Programs outside
/// A server also answers programs in other languages. [The module](super) says how.
///
/// # If dropped
/// A server that does not run yet has no effect.
///
/// # RabbitMQ
/// `get_rpc_server` of oslo.messaging.
///
/// # Examples
/// ```
/// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
///
/// let broker = Broker::new();
/// let endpoint = Endpoint::new().method("add", |(a, b): (u64, u64), _| a + b);
/// let server = Server::new(&broker, Target::topic("math").server("server-1"))
///     .endpoint(endpoint)
///     .concurrency(4)
///     .spawn()?;
/// let client = Client::new(&broker, Target::topic("math"));
/// assert_eq!(client.call::<u64>("add", (1_u64, 2_u64))?, 3);
/// # drop(server);
/// # Ok::<(), leveret::rpc::RpcError>(())
/// ```
#[must_use = "a server does nothing until it runs"]
pub struct Server {
    connection: Result<Connection>,
    target: Target,
    endpoints: Vec<Endpoint>,
    access: Option<Box<Access>>,
    at_least_once: bool,
    concurrency: usize,
    prefetch: Option<u32>,
    is_exclusive: bool,
    timeout: Option<Duration>,
    order: Option<Box<KeyOf>>,
}

/// The default prefetch of a server with an order, at least: that of a worker.
const PREFETCH: usize = 256;

impl Server {
    /// Makes a server without endpoints.
    pub fn new(broker: &impl Connected, target: Target) -> Server {
        Server {
            connection: broker.connection(),
            target,
            endpoints: Vec::new(),
            access: None,
            at_least_once: false,
            concurrency: 1,
            prefetch: None,
            is_exclusive: false,
            timeout: None,
            order: None,
        }
    }

    /// Adds an endpoint. Of several endpoints that could serve a request, the one that was added
    /// first does.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Server {
        self.endpoints.push(endpoint);
        self
    }

    /// Sets the number of methods that run at the same time: the number of threads, or of futures
    /// in a task. The default is 1, which handles the requests in their order; 0 counts as 1, and
    /// more than 65,536 as 65,536.
    pub fn concurrency(mut self, concurrency: usize) -> Server {
        self.concurrency = concurrency;
        self
    }

    /// Sets the number of requests that the server may hold from each queue. The default is twice
    /// the [`concurrency`](Self::concurrency): for each request in hand one more waits here, and
    /// the others wait for any server of the target.
    ///
    /// With the concurrency itself, no request waits behind a slow one while another server is
    /// idle. A larger prefetch is faster if methods are short.
    ///
    /// The default of a server with an [order](Self::ordered_by) is at least 256, since requests
    /// that wait for their key count.
    pub fn prefetch(mut self, prefetch: u32) -> Server {
        self.prefetch = Some(prefetch);
        self
    }

    /// Makes the server the only one of its name. It is refused if there is another one, and takes
    /// no part in the requests to the topic, which go to any of its servers.
    pub(in crate::patterns) fn exclusive(mut self) -> Server {
        self.is_exclusive = true;
        self
    }

    /// Limits the time of each method, as [`Endpoint::timeout`] does. An endpoint with a limit of
    /// its own has that.
    pub fn timeout(mut self, limit: Duration) -> Server {
        self.timeout = Some(limit);
        self
    }

    /// Calls the methods of requests with the same key one after the other, in the order in which
    /// the server got the requests. Requests of different keys run at the same time, as many as the
    /// [`concurrency`](Self::concurrency) says.
    ///
    /// The key is asked for with each request, also with a [ping](super::Client::ping). If it
    /// panics, the call fails with [`RpcError::Panicked`]. A method that ends after its
    /// [time limit](Self::timeout) keeps its key until then.
    ///
    /// The order holds within one server, and within each of its queues: the topic, and the name of
    /// the server. [`OrderedBuilder`](crate::worker::OrderedBuilder) has the details.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
    /// use std::{collections::HashMap, sync::Mutex};
    ///
    /// let broker = Broker::new();
    /// let balances = Mutex::new(HashMap::<String, i64>::new());
    /// let endpoint = Endpoint::new().method("add", move |(account, sum): (String, i64), _| {
    ///     let mut balances = balances.lock().unwrap();
    ///     let balance = balances.entry(account).or_default();
    ///     *balance += sum;
    ///     *balance
    /// });
    /// let server = Server::new(&broker, Target::topic("bank")).endpoint(endpoint).concurrency(4);
    /// let by_account = |request: &leveret::rpc::RequestInfo<'_>| {
    ///     request.arguments(|(account, _): &(String, i64)| account.clone())
    /// };
    /// let server = server.ordered_by(by_account).spawn()?;
    ///
    /// let client = Client::new(&broker, Target::topic("bank"));
    /// client.cast("add", ("Ada".to_owned(), 7_i64))?;
    /// client.cast("add", ("Ada".to_owned(), -3_i64))?;
    /// assert_eq!(client.call::<i64>("add", ("Ada".to_owned(), 0_i64))?, 4);
    /// # drop(server);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub fn ordered_by<K: Hash>(
        mut self,
        key: impl Fn(&RequestInfo<'_>) -> K + Send + Sync + 'static,
    ) -> Server {
        let hasher = RandomState::new();
        self.order = Some(Box::new(move |request| hasher.hash_one(key(request))));
        self
    }

    /// Gives a request to another server, or to this one, if its method was cut off: the task of
    /// the server was dropped. So a method may be called more than once.
    ///
    /// Each call gets a copy of the arguments, made as JSON. Arguments that cannot be encoded are
    /// [`RpcError::BadArguments`]. A method that fails or panics has replied, and is not called
    /// again.
    pub fn at_least_once(mut self) -> Server {
        self.at_least_once = true;
        self
    }

    /// Sets a hook that decides for each request whether its method may be called. A denied call
    /// fails with [`RpcError::Denied`].
    ///
    /// A hook that panics denies the call: it fails with [`RpcError::Panicked`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, FieldTable, rpc::{Client, Endpoint, RpcError, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let endpoint = Endpoint::new().method("reboot", |(): (), _| ());
    /// let is_root = |context: &leveret::rpc::Context<'_>| {
    ///     let user = context.request_context().and_then(|context| context.get("user"));
    ///     user == Some(&"root".into())
    /// };
    /// let server = Server::new(&broker, Target::topic("host")).endpoint(endpoint);
    /// let server = server.access(is_root).spawn()?;
    /// let client = Client::new(&broker, Target::topic("host"));
    /// let denied = RpcError::Denied { method: "reboot".into() };
    /// assert_eq!(client.call::<()>("reboot", ()), Err(denied));
    /// client.context(FieldTable::from([("user", "root")])).call::<()>("reboot", ())?;
    /// # drop(server);
    /// # Ok::<(), RpcError>(())
    /// ```
    pub fn access(mut self, hook: impl Fn(&Context<'_>) -> bool + Send + Sync + 'static) -> Server {
        self.access = Some(Box::new(hook));
        self
    }

    /// Makes the worker of this server.
    fn worker(mut self) -> Result<(Worker<Request>, Arc<Core>), RpcError> {
        let queues = match self.is_exclusive {
            true => self.target.unshared_queues()?,
            false => self.target.queues()?,
        };
        for endpoint in &mut self.endpoints {
            endpoint.limits.time = endpoint.limits.time.or(self.timeout);
        }
        let mut limits = self.endpoints.iter().map(|endpoint| &endpoint.limits);
        let has_time_limit = limits.clone().any(|limits| limits.time.is_some());
        let has_limit = limits.any(|limits| limits.concurrency.is_some());
        let is_called = |method: &Method| matches!(method, Method::Call(_));
        let mut methods = self.endpoints.iter().flat_map(|endpoint| &endpoint.methods);
        let is_called = methods.all(|(_, method)| is_called(method));
        let core = Arc::new(Core::new(
            Dispatcher::new(self.endpoints)?,
            self.access,
            self.at_least_once,
        ));
        let least = if self.order.is_some() { PREFETCH } else { 2 };
        let prefetch = self.concurrency.saturating_mul(2).max(least);
        let prefetch = u32::try_from(prefetch).unwrap_or(u32::MAX);
        let failed = Arc::clone(&core);
        let mut worker = worker_of(&self.connection?, queues)
            .name(format!("rpc {}", self.target.text()))
            .concurrency(self.concurrency)
            .prefetch(self.prefetch.unwrap_or(prefetch))
            .on_error(move |error, context| failed.failed(error, context));
        if self.is_exclusive {
            worker = worker.exclusive();
        }
        if has_time_limit {
            let core = Arc::clone(&core);
            worker = worker.timeout_by(move |request| core.limits_of(request)?.time);
        }
        let worker = match has_limit {
            false => with_handler(worker, &core, self.order, is_called),
            true => {
                let limiter = Limiter(Arc::clone(&core));
                with_handler(worker.middleware(limiter), &core, self.order, is_called)
            }
        };
        Ok((worker, core))
    }

    /// Runs the server on threads of its own, as many as its
    /// [`concurrency`](Self::concurrency).
    ///
    /// # Errors
    /// - [`RpcError::InvalidTarget`] if a name in the target is empty, or one of a topic has a
    ///   wildcard.
    /// - [`RpcError::DuplicateMethod`]
    /// - [`RpcError::Broker`] with the errors of [`Worker::run`].
    pub fn spawn(self) -> Result<ServerHandle, RpcError> {
        let (worker, core) = self.worker()?;
        Ok(ServerHandle::new(worker.spawn()?, core))
    }

    /// Runs the server on this thread until it ends, and on more threads with a
    /// [`concurrency`](Self::concurrency) of more than 1. `started` gets the handle that stops it
    /// from elsewhere, before it starts.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Endpoint, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let server = Server::new(&broker, Target::topic("math")).endpoint(Endpoint::new());
    /// let report = server.run(|stop_handle| stop_handle.stop())?;
    /// assert_eq!(report.worker.counts.handled, 0);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub fn run(self, started: impl FnOnce(StopHandle)) -> Result<ServerReport, RpcError> {
        let (worker, core) = self.worker()?;
        started(worker.stop_handle()?);
        Ok(ServerReport::new(worker.run()?, &core))
    }

    /// Runs the server in the task that polls this future, until it ends. The future holds up to
    /// [`concurrency`](Self::concurrency) methods at a time. It needs no particular runtime.
    ///
    /// The server listens from the call on, before the future is polled. It ends when it is
    /// dropped, and with its connection.
    ///
    /// # If dropped
    /// The server ends, and its methods are dropped. See [`Server`] for their requests.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn).
    pub fn run_async(self) -> impl Future<Output = Result<ServerReport, RpcError>> + Send + use<> {
        let started = self
            .worker()
            .map(|(worker, core)| (worker.run_async(), core));
        async move {
            let (running, core) = started?;
            Ok(ServerReport::new(running.await?, &core))
        }
    }
}

/// Sets the handler of a worker: `core`, in a task unless all methods are called.
fn with_handler<C: Chain>(
    worker: WorkerBuilder<Request, C>,
    core: &Arc<Core>,
    order: Option<Box<KeyOf>>,
    is_called: bool,
) -> Worker<Request> {
    let core = Arc::clone(core);
    let order = order.map(|key| move |request: &Delivery<Request>| key(&RequestInfo::new(request)));
    if is_called {
        let handler =
            move |request: &Request, context: &worker::Context<'_>| core.handle(request, context);
        return match order {
            None => worker.handler(handler),
            Some(order) => worker.ordered_by(order).handler(handler),
        };
    }
    let handler = move |job, context| Arc::clone(&core).handle_async(job, context);
    match order {
        None => worker.handler_async(handler),
        Some(order) => worker.ordered_by(order).handler_async(handler),
    }
}

fn worker_of(connection: &Connection, queues: Vec<Queue>) -> WorkerBuilder<Request> {
    let mut queues = queues.into_iter();
    // A target has at least one queue.
    let worker = connection.worker(queues.next().unwrap_or_default());
    queues.fold(worker, WorkerBuilder::also)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("target", &self.target)
            .field("endpoints", &self.endpoints)
            .field("concurrency", &self.concurrency)
            .field("at_least_once", &self.at_least_once)
            .field("timeout", &self.timeout)
            .field("is_ordered", &self.order.is_some())
            .finish_non_exhaustive()
    }
}
