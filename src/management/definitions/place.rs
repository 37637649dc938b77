//! The place of an item in a file, for errors and remarks.

use std::fmt;

use super::path::Path;
use crate::model::error::{DefinitionsError, Error, Precondition};

/// An item of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) section: &'static str,
    pub(super) index: usize,
}

impl Place {
    /// The error of a field.
    pub(super) fn error(self, field: &str, reason: impl Into<String>) -> DefinitionsError {
        self.at(&[field], |path| DefinitionsError::new(path, reason))
    }

    /// The error that the broker has given for the item.
    pub(super) fn refused(self, error: Error) -> DefinitionsError {
        let table = match self.section {
            "policies" => "definition",
            _ => "arguments",
        };
        let mut fields: Vec<String> = match self.section {
            "parameters" => vec!["value".to_owned()],
            _ => Vec::new(),
        };
        match &error {
            // The other names of such an item have been read as names.
            Error::InvalidName(_) if self.section == "model_queues" => {
                fields.push("pattern".to_owned());
            }
            Error::InvalidName(_) => fields.push("name".to_owned()),
            Error::Inequivalent(difference) => match &*difference.field {
                "durable" | "auto_delete" | "internal" | "type" | "target" => {
                    fields.push(difference.field.clone());
                }
                argument => fields.extend([table.to_owned(), argument.to_owned()]),
            },
            Error::PreconditionFailed(reason) => match &**reason {
                Precondition::InvalidProperty { property, .. } => match *property {
                    "non-durable" => fields.push("durable".to_owned()),
                    "auto-delete" => fields.push("auto_delete".to_owned()),
                    _ => {}
                },
                Precondition::InvalidArgument { argument, .. }
                | Precondition::InvalidArgumentType { argument, .. }
                | Precondition::UnsupportedArgument { argument, .. } => match argument.as_str() {
                    "pattern" | "definition"
                        if matches!(self.section, "policies" | "parameters") =>
                    {
                        fields.push(argument.clone());
                    }
                    _ if self.section == "parameters" => {
                        fields.extend(["definition".to_owned(), argument.clone()]);
                    }
                    _ => fields.extend([table.to_owned(), argument.clone()]),
                },
                Precondition::QueueKind(text) if text.contains("needs a pattern") => {
                    fields.push("pattern".to_owned());
                }
                Precondition::QueueKind(text) if text.ends_with("an alias of itself") => {
                    fields.push("target".to_owned());
                }
                // Another kind of queue has the name.
                Precondition::QueueKind(text) if !text.ends_with("another model queue") => {
                    fields.push("name".to_owned());
                }
                Precondition::InvalidBinding(text) if text.contains("x-match") => {
                    fields.extend([table.to_owned(), "x-match".to_owned()]);
                }
                Precondition::InvalidBinding(_) => fields.push("routing_key".to_owned()),
                _ => {}
            },
            _ => {}
        }
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        self.at(&fields, |path| DefinitionsError::caused(path, error))
    }

    /// Calls `use_path` with the path of a field, of a field of that, and so on.
    fn at<R>(self, fields: &[&str], use_path: impl FnOnce(Path<'_>) -> R) -> R {
        fn deeper<R>(path: Path<'_>, fields: &[&str], use_path: impl FnOnce(Path<'_>) -> R) -> R {
            match fields {
                [] => use_path(path),
                [field, rest @ ..] => deeper(path.key(field), rest, use_path),
            }
        }
        let section = Path::Root.key(self.section);
        deeper(section.index(self.index), fields, use_path)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$.{}[{}]", self.section, self.index)
    }
}
