//! The arguments that only exchanges of one type have.

use crate::model::{
    descriptions::{HashOn, names},
    error::{Error, Result},
    exchange_kind::ExchangeKind,
    field_value::{FieldTable, FieldValue},
};

/// The checked arguments of an exchange that belong to its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeTypeArguments {
    /// What a consistent-hash exchange hashes.
    pub(crate) hash_on: HashOn,
    /// How many messages an exchange with a history keeps.
    pub(crate) history_length: u64,
}

impl Default for ExchangeTypeArguments {
    fn default() -> Self {
        Self {
            hash_on: HashOn::default(),
            history_length: 20,
        }
    }
}

impl ExchangeTypeArguments {
    /// Checks the arguments of an exchange of this kind. Those of other kinds have no effect.
    pub(crate) fn parse(kind: ExchangeKind, arguments: &FieldTable) -> Result<Self> {
        let mut parsed = Self::default();
        match kind {
            ExchangeKind::ConsistentHash => parsed.hash_on = hash_on(arguments)?,
            ExchangeKind::RecentHistory => {
                let length = history_length(arguments)?;
                parsed.history_length = length.unwrap_or(parsed.history_length);
            }
            _ => {}
        }
        Ok(parsed)
    }
}

fn hash_on(arguments: &FieldTable) -> Result<HashOn> {
    let text = |argument| {
        let text = |value: &FieldValue| match value {
            FieldValue::LongString(text) => Ok(text.clone()),
            other => Err(Error::hash_on_no_text(argument, other)),
        };
        arguments.get(argument).map(text).transpose()
    };
    match (text(names::HASH_HEADER)?, text(names::HASH_PROPERTY)?) {
        (None, None) => Ok(HashOn::RoutingKey),
        (Some(header), None) => Ok(HashOn::Header(header)),
        (Some(_), Some(_)) => Err(Error::hash_on_two()),
        (None, Some(name)) => {
            let mut properties = HashOn::PROPERTIES.into_iter();
            let found = properties.find(|(known, _)| *known == name);
            let (_, property) = found.ok_or_else(|| Error::hash_on_property(&name))?;
            Ok(property)
        }
    }
}

fn history_length(arguments: &FieldTable) -> Result<Option<u64>> {
    let Some(value) = arguments.get(names::RECENT_HISTORY_LENGTH) else {
        return Ok(None);
    };
    let length = value.as_i64().and_then(|length| u64::try_from(length).ok());
    match length.filter(|length| *length > 0) {
        Some(length) => Ok(Some(length)),
        None => Err(Error::history_length(names::RECENT_HISTORY_LENGTH, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: ExchangeKind, arguments: FieldTable) -> String {
        match ExchangeTypeArguments::parse(kind, &arguments) {
            Ok(parsed) => format!("{:?} {}", parsed.hash_on, parsed.history_length),
            Err(error) => error.to_string(),
        }
    }

    /// The texts of RabbitMQ 4.3.6. It has none for a name that is no text.
    #[test]
    fn what_is_hashed_is_checked() {
        let invalid = |text: &str| format!("PRECONDITION_FAILED - {text}");
        let (header, property) = ("hash-header", "hash-property");
        for (arguments, expected) in [
            (FieldTable::new(), "RoutingKey 20".to_owned()),
            (
                FieldTable::from([(header, "")]),
                "Header(\"\") 20".to_owned(),
            ),
            (
                FieldTable::from([(property, "timestamp")]),
                "Timestamp 20".to_owned(),
            ),
            (
                FieldTable::from([(property, "app_id")]),
                invalid("Unsupported property: app_id"),
            ),
            (
                FieldTable::from([(header, "h"), (property, "app_id")]),
                invalid("hash-header and hash-property are mutually exclusive"),
            ),
            (
                FieldTable::from([(header, 5)]),
                invalid("Invalid argument 5, 'hash-header' must be a string"),
            ),
        ] {
            assert_eq!(
                text(ExchangeKind::ConsistentHash, arguments.clone()),
                expected
            );
            assert_eq!(text(ExchangeKind::Topic, arguments), "RoutingKey 20");
        }
    }

    /// The texts of RabbitMQ 4.3.6.
    #[test]
    fn a_history_has_a_positive_length() {
        for (value, expected) in [
            (FieldValue::from(1), "RoutingKey 1"),
            ((1_i64 << 40).into(), "RoutingKey 1099511627776"),
            (0.into(), "Invalid argument 0,"),
            ("5".into(), "Invalid argument <<\"5\">>,"),
            (FieldValue::Void, "Invalid argument undefined,"),
            (FieldValue::Timestamp(7), "Invalid argument 7,"),
            (
                FieldValue::Array(vec![1.into()]),
                "Invalid argument [{signedint,1}],",
            ),
        ] {
            let arguments = FieldTable::from([("x-recent-history-length", value)]);
            let text = text(ExchangeKind::RecentHistory, arguments);
            assert!(text.contains(expected), "{text}");
            let is_refused = expected.ends_with(',');
            assert_eq!(text.ends_with("must be a positive integer"), is_refused);
        }
    }
}
