//! [`Node`], the part of a program that takes commands.

use std::{any, convert::Infallible, fmt, future::Future};

use super::{
    CONTROL, NODES,
    command::{Answer, CommandError, is_meant},
};
use crate::{
    message::payload::Serializable,
    model::error::{Result, RpcError},
    patterns::rpc::{Connected, Context, Endpoint, Server, ServerHandle, ServerReport, Target},
    session::connection::Connection,
};

/// A part of a program that takes commands under a name of its own.
///
/// # RabbitMQ
/// `pidbox.Node` of kombu. There a second node of the same name gets the commands too.
///
/// # Examples
/// ```
/// use leveret::control::{Mailbox, Node};
/// use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
/// use std::sync::Arc;
///
/// let broker = leveret::Broker::new();
/// let verbose = Arc::new(AtomicBool::new(false));
/// let switch = Arc::clone(&verbose);
/// let node = Node::new(&broker, "web")
///     .command("verbose", move |on: bool, _| switch.swap(on, SeqCst))
///     .try_command("parse", |text: String, _| text.parse::<u32>())
///     .spawn()?;
///
/// let mailbox = Mailbox::new(&broker);
/// assert_eq!(mailbox.call::<bool>("web", "verbose", true)?, false); // it was off
/// assert!(verbose.load(SeqCst));
/// let error = mailbox.call::<u32>("web", "parse", "seven".to_owned()).unwrap_err();
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// # node.stop();
/// # Ok::<(), leveret::rpc::RpcError>(())
/// ```
#[must_use = "a node takes no commands until `spawn` is called"]
pub struct Node {
    connection: Result<Connection>,
    exchange: String,
    name: String,
    endpoint: Endpoint,
    concurrency: usize,
}

impl Node {
    /// Makes a node without commands.
    pub fn new(broker: &impl Connected, name: impl Into<String>) -> Node {
        Node {
            connection: broker.connection(),
            exchange: CONTROL.to_owned(),
            name: name.into(),
            endpoint: Endpoint::new(),
            concurrency: 1,
        }
    }

    /// Sets the exchange, which is that of its [mailbox](super::Mailbox::exchange). The default is
    /// `control`.
    pub fn exchange(mut self, exchange: impl Into<String>) -> Node {
        self.exchange = exchange.into();
        self
    }

    /// Adds a command that cannot fail. Its function gets the arguments and the context of the
    /// request. If it panics, the caller gets [`RpcError::Panicked`].
    pub fn command<A, R>(
        self,
        name: impl Into<String>,
        function: impl Fn(A, &Context<'_>) -> R + Send + Sync + 'static,
    ) -> Node
    where
        A: Serializable,
        R: Serializable,
    {
        self.try_command(name, move |arguments, context: &Context<'_>| {
            Ok::<R, Infallible>(function(arguments, context))
        })
    }

    /// Adds a command that may fail. Its error reaches the caller as text.
    pub fn try_command<A, R, E>(
        mut self,
        name: impl Into<String>,
        function: impl Fn(A, &Context<'_>) -> Result<R, E> + Send + Sync + 'static,
    ) -> Node
    where
        A: Serializable,
        R: Serializable,
        E: fmt::Display + 'static,
    {
        let node = self.name.clone();
        let method = move |arguments, context: &Context<'_>| Answer {
            node: node.clone(),
            result: function(arguments, context).map_err(|error| error_of(&error)),
        };
        self.endpoint = self.endpoint.method(name, method);
        self
    }

    /// Adds a command that returns a future, and cannot fail. A node in a
    /// [task](Self::run_async) goes on with other commands meanwhile, if its
    /// [`concurrency`](Self::concurrency) allows it.
    pub fn command_async<A, R, F>(
        self,
        name: impl Into<String>,
        function: impl Fn(A, Context<'static>) -> F + Send + Sync + 'static,
    ) -> Node
    where
        A: Serializable,
        R: Serializable,
        F: Future<Output = R> + Send + 'static,
    {
        self.try_command_async(name, move |arguments, context| {
            let replying = function(arguments, context);
            async move { Ok::<R, Infallible>(replying.await) }
        })
    }

    /// Adds a command that returns a future, and may fail.
    pub fn try_command_async<A, R, E, F>(
        mut self,
        name: impl Into<String>,
        function: impl Fn(A, Context<'static>) -> F + Send + Sync + 'static,
    ) -> Node
    where
        A: Serializable,
        R: Serializable,
        E: fmt::Display + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        let node = self.name.clone();
        let method = move |arguments, context| {
            let node = node.clone();
            let replying = function(arguments, context);
            async move {
                Answer {
                    node,
                    result: replying.await.map_err(|error| error_of(&error)),
                }
            }
        };
        self.endpoint = self.endpoint.method_async(name, method);
        self
    }

    /// Sets the number of commands that run at the same time, as
    /// [`Server::concurrency`](crate::rpc::Server::concurrency) does. The default is 1.
    pub fn concurrency(mut self, concurrency: usize) -> Node {
        self.concurrency = concurrency;
        self
    }

    /// The server that takes the commands.
    fn server(self) -> Result<Server, RpcError> {
        let target = Target::topic(NODES).exchange(self.exchange);
        let server = Server::new(&self.connection?, target.server(&self.name));
        let name = self.name;
        Ok(server
            .endpoint(self.endpoint)
            .concurrency(self.concurrency)
            .access(move |context| is_meant(context, &name))
            .exclusive())
    }

    /// Takes commands on threads of its own, as many as its [`concurrency`](Self::concurrency).
    ///
    /// The name is free again as soon as the node is stopped, while its last command runs.
    ///
    /// # Errors
    /// - [`RpcError::InvalidTarget`] if the name or the exchange is empty or has a wildcard.
    /// - [`RpcError::DuplicateMethod`] if two commands have the same name.
    /// - [`RpcError::Broker`] with [`Error::AccessRefused`](crate::Error::AccessRefused) if there
    ///   is a node of this name, and with the other errors of the broker.
    pub fn spawn(self) -> Result<ServerHandle, RpcError> {
        self.server()?.spawn()
    }

    /// Takes commands in the task that polls this future, as
    /// [`Server::run_async`](crate::rpc::Server::run_async) does. The node is there from the call
    /// on.
    ///
    /// # If dropped
    /// The node ends, and its commands are dropped.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn).
    ///
    /// # Examples
    /// ```
    /// use leveret::control::{Mailbox, Node};
    /// use futures_lite::future;
    ///
    /// let broker = leveret::Broker::new();
    /// let node = Node::new(&broker, "web").command_async("double", |number: u32, _| async move {
    ///     number * 2 // any async code
    /// });
    /// let running = node.run_async();
    /// let mailbox = Mailbox::new(&broker);
    /// let calling = mailbox.call_async::<u32>("web", "double", 21_u32);
    /// let ended = async { running.await.map(|_| 0) };
    /// assert_eq!(future::block_on(future::or(calling, ended)), Ok(42));
    /// ```
    pub fn run_async(self) -> impl Future<Output = Result<ServerReport, RpcError>> + Send + use<> {
        let started = self.server().map(Server::run_async);
        async move { started?.await }
    }
}

fn error_of<E: fmt::Display>(error: &E) -> CommandError {
    CommandError {
        type_name: any::type_name::<E>().to_owned(),
        message: format!("{error:#}"),
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("exchange", &self.exchange)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
