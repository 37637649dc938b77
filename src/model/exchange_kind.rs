//! The exchange types of AMQP and RabbitMQ, their names, and one kind for all others.
//!
//! Some of them have a table in `engine::exchange`, which routes. The others have a router. This
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
/// assert_eq!("x-random".parse::<ExchangeKind>()?, ExchangeKind::Random);
///
/// let unknown = "x-own".parse::<ExchangeKind>().unwrap_err();
/// assert_eq!(unknown.reply_code(), Some(406));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExchangeKind {
    /// A binding matches if its binding key equals the routing key.
    #[serde(rename = "direct")]
    Direct,
    /// Every binding matches. Keys have no effect.
    #[serde(rename = "fanout")]
    Fanout,
    /// A binding matches if its pattern fits the routing key. `*` is one dot-separated word, and
    /// `#` is any number of words.
    #[serde(rename = "topic")]
    Topic,
    /// A binding matches if its arguments fit the headers of the message. Keys have no effect.
    #[serde(rename = "headers")]
    Headers,
    /// One destination gets the message, chosen by a hash. Binding keys are weights.
    #[serde(rename = "x-consistent-hash")]
    ConsistentHash,
    /// Every binding matches, and a new binding gets the last messages. Keys have no effect.
    #[serde(rename = "x-recent-history")]
    RecentHistory,
    /// One binding matches, chosen by chance. Keys have no effect.
    #[serde(rename = "x-random")]
    Random,
    /// One binding matches, chosen by chance. Binding keys are empty.
    #[serde(rename = "x-local-random")]
    LocalRandom,
    /// One binding matches, chosen by a hash of the routing key. Binding keys have no effect.
    #[serde(rename = "x-modulus-hash")]
    ModulusHash,
    /// A [`Router`](crate::Router) of the program chooses among the bindings. The kind of all types
    /// that the program adds.
    #[serde(rename = "router")]
    Router,
}

impl ExchangeKind {
    const ALL: [Self; 9] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::RecentHistory,
        Self::Random,
        Self::LocalRandom,
        Self::ModulusHash,
    ];

    /// The name of this type in a declaration. The types that the program adds have names of their
    /// own, and this is `router` for all of them.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::RecentHistory => "x-recent-history",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::ModulusHash => "x-modulus-hash",
            Self::Router => "router",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads the name of a type of AMQP or RabbitMQ. The case of letters matters.
///
/// # Errors
/// [`Error::PreconditionFailed`] (406) with RabbitMQ's text for any other name.
impl FromStr for ExchangeKind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.as_str() == word)
            .ok_or_else(|| Error::unknown_exchange_type(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_serialized_by_its_name() {
        for kind in ExchangeKind::ALL.into_iter().chain([ExchangeKind::Router]) {
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.as_str());
            assert_eq!(serde_json::from_value::<ExchangeKind>(json).unwrap(), kind);
        }
    }
}
