//! [`InvalidPattern`], the fault of a regular expression.

use std::sync::Arc;

/// A regular expression does not compile.
///
/// # Examples
/// ```
/// use leveret::notify::NotificationFilter;
///
/// let error = NotificationFilter::new().publisher_id("(").unwrap_err();
/// assert_eq!(error.pattern(), "(");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression '{pattern}' does not compile: {fault}")]
pub struct InvalidPattern {
    pattern: Arc<str>,
    fault: Arc<str>,
}

impl InvalidPattern {
    pub(crate) fn new(pattern: &str, fault: String) -> InvalidPattern {
        InvalidPattern {
            pattern: pattern.into(),
            fault: fault.into(),
        }
    }

    /// The same fault of another text: the one that this pattern was made from.
    pub(crate) fn of(self, pattern: &str) -> InvalidPattern {
        InvalidPattern {
            pattern: pattern.into(),
            fault: self.fault,
        }
    }

    /// The regular expression.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}
