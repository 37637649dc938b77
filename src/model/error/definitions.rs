//! The error of a file of definitions that does not fit.

use std::fmt;

use super::Error;

/// The first thing in a file of definitions that does not fit: the contents of
/// [`Error::InvalidDefinitions`].
///
/// # Examples
/// ```
/// use leveret::{Broker, Error};
///
/// let broker = Broker::new();
/// let json = r#"{"vhosts": [{"name": "v"}], "queues": [{"vhost": "w", "name": "q"}]}"#;
/// match broker.import_definitions(json).unwrap_err() {
///     Error::InvalidDefinitions(error) => assert_eq!(error.path, "$.queues[0].vhost"),
///     other => panic!("{other}"),
/// }
/// assert_eq!(broker.vhosts()?, ["/"]); // nothing was made
///
/// let error = broker.import_definitions("{\n  nonsense").unwrap_err();
/// assert!(error.to_string().contains("line 2 column 3"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefinitionsError {
    /// The place in the file as a JSON path (RFC 9535): `$.queues[3].arguments['x-max-length']`.
    /// `$` is the whole file.
    pub path: String,
    /// The line and the column, both from 1, if the file is not JSON.
    pub position: Option<(usize, usize)>,
    /// The fault, as a text.
    pub reason: String,
    /// The error that the broker has given for it, if it is the broker that does not take it.
    pub cause: Option<Error>,
}

impl DefinitionsError {
    pub(crate) fn new(path: impl fmt::Display, reason: impl Into<String>) -> DefinitionsError {
        DefinitionsError {
            path: path.to_string(),
            position: None,
            reason: reason.into(),
            cause: None,
        }
    }

    pub(crate) fn caused(path: impl fmt::Display, cause: Error) -> DefinitionsError {
        DefinitionsError {
            path: path.to_string(),
            position: None,
            reason: cause.to_string(),
            cause: Some(cause),
        }
    }
}

impl fmt::Display for DefinitionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(
                f,
                "the definitions are not JSON: {} at line {line} column {column}",
                self.reason
            ),
            None => write!(f, "{} of the definitions: {}", self.path, self.reason),
        }
    }
}

impl std::error::Error for DefinitionsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.cause.as_ref();
        cause.map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

impl From<DefinitionsError> for Error {
    fn from(error: DefinitionsError) -> Error {
        Error::InvalidDefinitions(Box::new(error))
    }
}
