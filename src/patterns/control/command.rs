//! [`Command`] and [`Answer`], which travel between a mailbox and its nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::wildcards::fits;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes(Chosen);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The arguments of a command, with its nodes. Every node gets it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Command<A> {
    pub(super) nodes: Nodes,
    pub(super) arguments: A,
}

/// The answer of a node. `None` if the command is not for it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Answer<R> {
    pub(super) node: String,
    pub(super) result: Option<Result<R, CommandError>>,
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
