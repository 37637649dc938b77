//! The guarantee that a quorum queue gives for its dead letters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The guarantee that a quorum queue gives for its dead letters, set by
/// [`Queue::dead_letter_strategy`](crate::Queue::dead_letter_strategy).
///
/// # RabbitMQ
/// The values of the argument `x-dead-letter-strategy`.
///
/// # Examples
/// ```
/// use leveret::DeadLetterStrategy;
/// assert_eq!(DeadLetterStrategy::AtLeastOnce.as_str(), "at-least-once");
/// assert_eq!(DeadLetterStrategy::default(), DeadLetterStrategy::AtMostOnce);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeadLetterStrategy {
    /// A dead letter leaves the queue at once. It is lost if no queue takes it. This is the
    /// default.
    ///
    /// # RabbitMQ
    /// `at-most-once`.
    #[default]
    AtMostOnce,
    /// A dead letter stays in the queue, where no consumer can get it, until another queue has
    /// taken it. That requires a queue with
    /// [`Overflow::RejectPublish`](crate::Overflow::RejectPublish). On any other queue this value
    /// means the same as [`AtMostOnce`](Self::AtMostOnce). A change of the policies that ends this
    /// strategy drops the messages that wait, as in RabbitMQ.
    ///
    /// # RabbitMQ
    /// `at-least-once`.
    AtLeastOnce,
}

impl DeadLetterStrategy {
    /// The value of `x-dead-letter-strategy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtMostOnce => "at-most-once",
            Self::AtLeastOnce => "at-least-once",
        }
    }

    /// Reads a value of `x-dead-letter-strategy`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::AtMostOnce, Self::AtLeastOnce]
            .into_iter()
            .find(|strategy| strategy.as_str() == word)
    }
}

impl fmt::Display for DeadLetterStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
