//! The four exchange types and their names in AMQP.
//!
//! Each type has a table in `engine::exchange`, which routes. This module knows only the names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::model::error::Error;

/// The rule by which an exchange chooses the destinations of a message.
///
/// # Examples
/// ```
/// use leveret::ExchangeKind;
///
/// let kind: ExchangeKind = "topic".parse()?;
/// assert_eq!(kind, ExchangeKind::Topic);
/// assert_eq!((kind.as_str(), kind.to_string()), ("topic", "topic".to_owned()));
///
/// let unknown = "x-random".parse::<ExchangeKind>().unwrap_err();
/// assert_eq!(unknown.reply_code(), Some(406));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExchangeKind {
    /// A binding matches if its binding key equals the routing key.
    Direct,
    /// Every binding matches. Keys have no effect.
    Fanout,
    /// A binding matches if its pattern fits the routing key. `*` is one dot-separated word, and
    /// `#` is any number of words.
    Topic,
    /// A binding matches if its arguments fit the headers of the message. Keys have no effect.
    Headers,
}

impl ExchangeKind {
    /// The name of this type in a declaration: `direct`, `fanout`, `topic` or `headers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads the name of a type. The case of letters matters.
///
/// # Errors
/// [`Error::PreconditionFailed`] (406) with RabbitMQ's text for any other name.
impl FromStr for ExchangeKind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| Error::unknown_exchange_type(word))
    }
}
