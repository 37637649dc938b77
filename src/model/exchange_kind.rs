//! The four exchange types of AMQP and their names, and one kind for all others.
//!
//! Each of the four has a table in `engine::exchange`, which routes. The others have a router. This
//! module knows only the names.

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
    /// A [`Router`](crate::Router) chooses among the bindings. The kind of all types besides the
    /// other four, for example of `x-modulus-hash`.
    Router,
}

impl ExchangeKind {
    /// The name of this type in a declaration: `direct`, `fanout`, `topic` or `headers`. The types
    /// that have routers have names of their own, and this is `router` for all of them.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::Router => "router",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads the name of one of the four types of AMQP. The case of letters matters.
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
