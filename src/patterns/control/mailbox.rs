//! [`Mailbox`], which sends commands to nodes.

use std::{borrow::Cow, fmt, time::Duration};

use super::{
    CONTROL, NODES,
    command::{Answer, NodeReply, Nodes},
};
use crate::{
    message::payload::Serializable,
    model::error::{RemoteError, RpcError},
    patterns::rpc::{Client, Connected, Replies, Target},
};

/// How long a mailbox waits for replies if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Sends commands to [nodes](super::Node). Cloning is cheap.
///
/// # RabbitMQ
/// `pidbox.Mailbox` of kombu.
///
/// # If dropped
/// Nothing happens to the nodes, and commands under way are executed.
///
/// # Examples
/// The [module](super) has one.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// Without a time-out, since a command that is cast may wait for its node.
    client: Client,
    timeout: Duration,
}

impl Mailbox {
    /// Makes a mailbox for the nodes of a broker, or of the virtual host of a connection.
    pub fn new(broker: &impl Connected) -> Mailbox {
        Mailbox {
            client: Client::new(broker, Target::topic(NODES).exchange(CONTROL)),
            timeout: TIMEOUT,
        }
    }

    /// Sets the exchange, which is that of its [nodes](super::Node::exchange). The default is
    /// `control`.
    pub fn exchange(self, exchange: impl Into<String>) -> Mailbox {
        let target = Target::topic(NODES).exchange(exchange);
        Mailbox {
            client: self.client.target(target),
            ..self
        }
    }

    /// Sets how long it waits for replies, by the broker's clock. The default is a second, as in
    /// kombu. A command that waits for its node until then is not executed. A [`cast`](Self::cast)
    /// waits for no replies, and has no such limit.
    pub fn timeout(self, timeout: Duration) -> Mailbox {
        Mailbox { timeout, ..self }
    }

    /// The client for commands with replies.
    fn caller(&self) -> Client {
        self.client.prepare().timeout(self.timeout)
    }

    /// Sends a command to one node, and waits for its reply.
    ///
    /// # Errors
    /// - [`RpcError::NoServer`] at once if there is no node of this name.
    /// - [`RpcError::NoSuchMethod`] if the node has no such command.
    /// - [`RpcError::Remote`] if the command has failed. The error in it is a
    ///   [`CommandError`](super::CommandError).
    /// - The other errors of [`Client::call`].
    pub fn call<R: Serializable>(
        &self,
        node: &str,
        command: impl Into<Cow<'static, str>>,
        arguments: impl Serializable,
    ) -> Result<R, RpcError> {
        let client = self.caller().server(node);
        own(client.call::<Answer<R>>(command, arguments)?)
    }

    /// Same as [`call`](Self::call), for a task.
    ///
    /// # If dropped
    /// The command sees that its caller has gone.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub async fn call_async<R: Serializable>(
        &self,
        node: &str,
        command: impl Into<Cow<'static, str>>,
        arguments: impl Serializable,
    ) -> Result<R, RpcError> {
        let client = self.caller().server(node);
        let command = client.call_async::<Answer<R>>(command, arguments);
        own(command.await?)
    }

    /// Sends a command to some nodes, and does not wait for them. Returns how many nodes it has
    /// reached: with a [pattern](Nodes::matching) all of them.
    ///
    /// # Errors
    /// Those of [`Client::cast`], without [`RpcError::NoServer`].
    pub fn cast(
        &self,
        nodes: Nodes,
        command: impl Into<Cow<'static, str>>,
        arguments: impl Serializable,
    ) -> Result<usize, RpcError> {
        nodes.client(self.client.prepare()).cast(command, arguments)
    }

    /// Sends a command to some nodes, and returns their replies as they come. There are no more of
    /// them when all nodes have replied, or when the [time](Self::timeout) is over. For a limit of
    /// the number use [`take`](Iterator::take).
    ///
    /// A node without such a command is left out. The error of a command is in the reply of its
    /// node. A panic, a node that ends, and the end of the time are errors in place of a reply.
    ///
    /// # Errors
    /// Those of [`Client::scatter`], without [`RpcError::NoServer`].
    pub fn gather<R: Serializable>(
        &self,
        nodes: Nodes,
        command: impl Into<Cow<'static, str>>,
        arguments: impl Serializable,
    ) -> Result<NodeReplies<R>, RpcError> {
        let client = nodes.client(self.caller());
        client.scatter(command, arguments).map(NodeReplies)
    }
}

/// The replies of nodes, as they come. [`Mailbox::gather`] returns it.
///
/// # If dropped
/// The commands that still run see that their caller has gone.
#[must_use = "dropping the replies gives up on them"]
pub struct NodeReplies<R: Serializable>(Replies<Answer<R>>);

impl<R: Serializable> NodeReplies<R> {
    /// Waits for the next reply, for a task. `None` at the end.
    ///
    /// # If dropped
    /// No reply is lost.
    ///
    /// # Examples
    /// ```
    /// use leveret::control::{Mailbox, Node, Nodes};
    ///
    /// let broker = leveret::Broker::new();
    /// let node = Node::new(&broker, "web").command("ping", |(): (), _| "pong".to_owned());
    /// let node = node.spawn()?;
    /// let mut replies = Mailbox::new(&broker).gather::<String>(Nodes::all(), "ping", ())?;
    /// futures_lite::future::block_on(async {
    ///     let reply = replies.next_async().await.unwrap()?;
    ///     assert_eq!((&*reply.node, reply.result), ("web", Ok("pong".to_owned())));
    ///     assert!(replies.next_async().await.is_none());
    ///     Ok::<(), leveret::rpc::RpcError>(())
    /// })?;
    /// # drop(node);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub async fn next_async(&mut self) -> Option<Result<NodeReply<R>, RpcError>> {
        loop {
            let answer = self.0.next_async().await?;
            if let Some(reply) = meant(answer) {
                return Some(reply);
            }
        }
    }
}

impl<R: Serializable> Iterator for NodeReplies<R> {
    type Item = Result<NodeReply<R>, RpcError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find_map(meant)
    }
}

/// The reply of a node that the command is for, and that has it.
fn meant<R>(answer: Result<Answer<R>, RpcError>) -> Option<Result<NodeReply<R>, RpcError>> {
    match answer {
        Ok(Answer { node, result }) => Some(Ok(NodeReply { node, result })),
        Err(RpcError::NoSuchMethod { .. } | RpcError::Denied { .. }) => None,
        Err(error) => Some(Err(error)),
    }
}

impl<R: Serializable> fmt::Debug for NodeReplies<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeReplies").field(&self.0).finish()
    }
}

/// The result of the only node.
fn own<R>(answer: Answer<R>) -> Result<R, RpcError> {
    let remote = |error| RpcError::Remote(RemoteError::new(error));
    answer.result.map_err(remote)
}
