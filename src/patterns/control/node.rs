//! [`Node`], the part of a program that takes commands.

use std::{any, convert::Infallible, fmt, time::Duration};

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
}

impl Node {
    /// Makes a node without commands.
    pub fn new(broker: &impl Connected, name: impl Into<String>) -> Node {
        Node {
            connection: broker.connection(),
            exchange: CONTROL.to_owned(),
            name: name.into(),
            endpoint: Endpoint::new(),
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

    /// Takes commands on a thread of its own.
    ///
    /// # Errors
    /// - [`RpcError::DuplicateMethod`] if two commands have the same name.
    /// - [`RpcError::Broker`] with [`Error::AccessRefused`](crate::Error::AccessRefused) if there
    ///   is a node of this name, and with the other errors of the broker.
    pub fn spawn(self) -> Result<NodeHandle, RpcError> {
        let target = Target::topic(NODES).exchange(self.exchange);
        let name = self.name.clone();
        let server = Server::new(&self.connection?, target.server(&self.name))
            .endpoint(self.endpoint)
            .access(move |context| is_meant(context, &name))
            .exclusive();
        Ok(NodeHandle {
            server: server.spawn()?,
            name: self.name,
        })
    }
}

fn error_of<E: fmt::Display>(error: &E) -> CommandError {
    CommandError {
        type_name: any::type_name::<E>().to_owned(),
        message: format!("{error:#}"),
    }
}

/// A node that takes commands.
///
/// # If dropped
/// The node ends, as by [`stop`](Self::stop).
#[must_use = "a node that is dropped takes no more commands"]
pub struct NodeHandle {
    server: ServerHandle,
    name: String,
}

impl NodeHandle {
    /// The name of the node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops the node. A command that runs goes on to its end. The name is free from now on.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Handles the commands that wait, and stops the node then, or when the deadline has passed.
    pub fn stop_and_drain(self, deadline: Duration) -> ServerReport {
        self.server.stop_and_drain(deadline)
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

impl fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeHandle")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
