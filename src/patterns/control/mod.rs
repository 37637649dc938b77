//! Remote control: commands to the parts of a program, by their names.
//!
//! A [`Node`] has a name and commands. A [`Mailbox`] sends a command to one node, to those whose
//! names match a pattern, or to all, and gathers the replies.
//!
//! ```
//! use leveret::control::{Mailbox, Node, Nodes};
//! use std::time::Duration;
//!
//! let broker = leveret::Broker::new();
//! let node = |name: &str, jobs: u32| {
//!     Node::new(&broker, name).command("jobs", move |(): (), _| jobs).spawn()
//! };
//! let nodes = [node("worker.1", 3)?, node("worker.2", 5)?, node("web", 0)?];
//!
//! let mailbox = Mailbox::new(&broker);
//! assert_eq!(mailbox.call::<u32>("worker.2", "jobs", ())?, 5);
//! let mut workers = Vec::new();
//! for reply in mailbox.gather::<u32>(Nodes::matching("worker.*"), "jobs", ())? {
//!     let reply = reply?;
//!     workers.push(format!("{} has {} jobs", reply.node, reply.result.unwrap()));
//! }
//! workers.sort();
//! assert_eq!(workers, ["worker.1 has 3 jobs", "worker.2 has 5 jobs"]);
//! # drop(nodes);
//! # Ok::<(), leveret::rpc::RpcError>(())
//! ```
//!
//! It is made of [`rpc`](crate::rpc): a node is a server, and a command a method. The arguments and
//! the replies are types that serde can serialize and deserialize.
//!
//! | kombu | here |
//! |---|---|
//! | `pidbox.Mailbox(namespace)` | [`Mailbox`], [`Mailbox::exchange`] |
//! | `pidbox.Node(hostname)`, `node.handler` | [`Node`], [`Node::command`] |
//! | `mailbox.call(destination, command, arguments)` | [`Mailbox::call`] |
//! | `mailbox.cast`, `mailbox.abcast` | [`Mailbox::cast`] |
//! | `mailbox.multi_call(command, arguments, timeout, limit)` | [`Mailbox::gather`], [`Mailbox::timeout`], `take` of the replies |
//! | `destination`, `pattern` with the matcher `glob` | [`Nodes`] |
//!
//! The files: `node`: [`Node`]. `mailbox`: [`Mailbox`]. `command`: what travels between them.

mod command;
mod mailbox;
mod node;

pub use self::{
    command::{CommandError, NodeReply, Nodes},
    mailbox::{Mailbox, NodeReplies},
    node::Node,
};

/// The exchange of commands if no other is given, and the topic of the nodes in it.
const CONTROL: &str = "control";
const NODES: &str = "nodes";
