//! The four exchange types, and the words that name them on the wire.
//!
//! How each of them routes is in the table of its name; only the names are known here.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::model::error::Error;

/// How an exchange chooses the destinations of a message.
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
/// assert_eq!(unknown.reply_code(), Some(503));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExchangeKind {
    /// To every destination bound with exactly the message's routing key.
    Direct,
    /// To every destination bound at all; keys play no part.
    Fanout,
    /// To every destination bound with a pattern that the routing key fits: `*` stands for one dot-separated word,
    /// `#` for any number of them.
    Topic,
    /// To every destination whose binding arguments fit the message's headers; keys play no part.
    Headers,
}

impl ExchangeKind {
    /// The word for this kind in a declaration: `direct`, `fanout`, `topic` or `headers`.
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

/// Reads the word of a declaration; case matters.
///
/// # Errors
/// [`Error::CommandInvalid`] (503), as RabbitMQ words it, for a word that names none of the four kinds.
impl FromStr for ExchangeKind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| Error::unknown_exchange_type(word))
    }
}
