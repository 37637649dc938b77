//! The returns that a quorum queue delays.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The returned messages that a quorum queue holds back for a while, set by
/// [`Queue::delayed_retry`](crate::Queue::delayed_retry).
///
/// # RabbitMQ
/// The values of the argument `x-delayed-retry-type`, since RabbitMQ 4.3.
///
/// # Examples
/// ```
/// use leveret::DelayedRetryKind;
/// assert_eq!(DelayedRetryKind::Failed.as_str(), "failed");
/// assert_eq!(DelayedRetryKind::default(), DelayedRetryKind::Disabled);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DelayedRetryKind {
    /// Every return.
    ///
    /// # RabbitMQ
    /// `all`.
    All,
    /// The return of a message whose delivery failed: by a reject, or by the end of its channel or
    /// connection.
    ///
    /// # RabbitMQ
    /// `failed`.
    Failed,
    /// The return of a message whose delivery did not fail: by a nack, by a recovery or by the
    /// timeout of a consumer.
    ///
    /// # RabbitMQ
    /// `returned`.
    Returned,
    /// No return. This is the default.
    ///
    /// # RabbitMQ
    /// `disabled`.
    #[default]
    Disabled,
}

impl DelayedRetryKind {
    /// The value of `x-delayed-retry-type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failed => "failed",
            Self::Returned => "returned",
            Self::Disabled => "disabled",
        }
    }

    /// Reads a value of `x-delayed-retry-type`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::All, Self::Failed, Self::Returned, Self::Disabled]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for DelayedRetryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
