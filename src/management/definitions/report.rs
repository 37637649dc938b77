//! What an import has made, and what it has to say about the file.

use std::fmt;

/// The result of an import: how many things are new, and remarks on parts of the file.
///
/// [`ImportOptions`](crate::ImportOptions) has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// Users that were added or replaced.
    pub users: usize,
    /// Virtual hosts that were created.
    pub vhosts: usize,
    /// Permissions that were set.
    pub permissions: usize,
    /// Topic permissions that were set.
    pub topic_permissions: usize,
    /// Limits of virtual hosts that were set.
    pub limits: usize,
    /// Global parameters that were set.
    pub global_parameters: usize,
    /// Policies that were set.
    pub policies: usize,
    /// Operator policies that were set.
    pub operator_policies: usize,
    /// Budgets that were declared, and are new.
    pub budgets: usize,
    /// Exchanges that were declared, and are new.
    pub exchanges: usize,
    /// Queues that were declared, and are new.
    pub queues: usize,
    /// Alias queues that were declared, and are new.
    pub alias_queues: usize,
    /// Model queues that were declared, and are new.
    pub model_queues: usize,
    /// Bindings that were made. Those that existed count, too.
    pub bindings: usize,
    /// The parts of the file that were not made as they are written, and those that may not be as
    /// they once were. In the order of the file.
    pub remarks: Vec<Remark>,
}

/// A remark on a part of a file of definitions, or on a part of a broker that an export leaves out.
///
/// # Examples
/// ```
/// use leveret::{Broker, RemarkKind};
///
/// let json = r#"{"vhosts": [{"name": "/", "colour": "red"}],
///     "parameters": [{"vhost": "/", "component": "shovel", "name": "s", "value": {}}]}"#;
/// let report = Broker::new().import_definitions(json)?;
/// let kinds = report.remarks.iter().map(|remark| (remark.path.as_str(), remark.kind));
/// assert_eq!(
///     kinds.collect::<Vec<_>>(),
///     [("$.vhosts[0].colour", RemarkKind::Ignored), ("$.parameters[0]", RemarkKind::Kept)]
/// );
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remark {
    /// The place in the file as a JSON path (RFC 9535). In an export it is the place where the file
    /// would have it: `$.queues[?@.vhost=='/' && @.name=='q']`.
    pub path: String,
    /// The fate of it.
    pub kind: RemarkKind,
    /// The reason.
    pub text: String,
}

impl Remark {
    pub(super) fn new(
        path: impl fmt::Display,
        kind: RemarkKind,
        text: impl Into<String>,
    ) -> Remark {
        Remark {
            path: path.to_string(),
            kind,
            text: text.into(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Remark { path, kind, text } = self;
        write!(f, "{path} {kind}: {text}")
    }
}

/// The fate of a part of a file.
///
/// [`Remark`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RemarkKind {
    /// It was not made. RabbitMQ does not make it either.
    Dropped,
    /// It is unknown, or has no meaning here, and was not kept.
    Ignored,
    /// It belongs to a feature that is not here. It has no effect, and the next export has it.
    Kept,
    /// It was made as it is written. The broker that has exported it may have spoiled it.
    Doubtful,
    /// It was made in another form than it is written in.
    Restored,
}

impl fmt::Display for RemarkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RemarkKind::Dropped => "dropped",
            RemarkKind::Ignored => "ignored",
            RemarkKind::Kept => "kept",
            RemarkKind::Doubtful => "doubtful",
            RemarkKind::Restored => "restored",
        })
    }
}
