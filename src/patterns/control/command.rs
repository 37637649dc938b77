//! [`Nodes`], which a command is for, and [`NodeReply`], the reply of one of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        field_value::{FieldTable, FieldValue},
        wildcards::fits,
    },
    patterns::rpc::{Client, Context},
};

/// The nodes that a command is for.
///
/// # Examples
/// ```
/// use leveret::control::Nodes;
///
/// assert!(Nodes::all().contains("web"));
/// assert!(Nodes::matching("worker.*").contains("worker.1"));
/// assert!(!Nodes::named(["web", "mail"]).contains("worker.1"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes(Chosen);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Chosen {
    All,
    Matching(String),
    Named(Vec<String>),
}

impl Nodes {
    /// All nodes.
    pub fn all() -> Nodes {
        Nodes(Chosen::All)
    }

    /// The nodes whose names match a pattern. In it `*` is any text, also an empty one, and `?` is
    /// one character.
    ///
    /// A command goes to all nodes then, and each one compares its name. So one that is busy with
    /// another command keeps the caller waiting, even if its name does not match.
    pub fn matching(pattern: impl Into<String>) -> Nodes {
        Nodes(Chosen::Matching(pattern.into()))
    }

    /// The nodes with these names. Names without a node are left out.
    pub fn named<I>(names: I) -> Nodes
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Nodes(Chosen::Named(names.into_iter().map(Into::into).collect()))
    }

    /// Whether a node of this name is one of them.
    pub fn contains(&self, name: &str) -> bool {
        match &self.0 {
            Chosen::All => true,
            Chosen::Matching(pattern) => fits(pattern, name),
            Chosen::Named(names) => names.iter().any(|chosen| chosen == name),
        }
    }

    /// The client that sends to the nodes.
    pub(super) fn client(self, client: Client) -> Client {
        match self.0 {
            Chosen::All => client.fanout(),
            Chosen::Matching(pattern) => {
                let context = FieldTable::from([(PATTERN, pattern)]);
                client.fanout().context(context)
            }
            Chosen::Named(names) => client.servers(names),
        }
    }
}

/// The entry of the request context with the pattern of the nodes.
const PATTERN: &str = "nodes";

/// Whether a command that has reached the node of this name is for it.
pub(super) fn is_meant(context: &Context<'_>, node: &str) -> bool {
    let pattern = context.request_context().and_then(|it| it.get(PATTERN));
    match pattern {
        Some(FieldValue::LongString(pattern)) => fits(pattern, node),
        _ => true,
    }
}

/// The answer of a node.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Answer<R> {
    pub(super) node: String,
    pub(super) result: Result<R, CommandError>,
}

/// The reply of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeReply<R> {
    /// The name of the node.
    pub node: String,
    /// The result of the command, or its error.
    pub result: Result<R, CommandError>,
}

/// The error of a command, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandError {
    pub(super) type_name: String,
    pub(super) message: String,
}

impl CommandError {
    /// The name of the error's type.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The text of the error.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}
