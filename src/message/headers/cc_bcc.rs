//! Sender-selected distribution: the additional routing keys of the `CC` and `BCC` headers.
//!
//! Consumers see the `CC` header. The publish removes the `BCC` header. If the message is
//! dead-lettered, its keys are needed again, so they are kept beside the message. These are pure
//! functions of a message. They do not know which exchanges use routing keys.

use crate::{
    message::properties::Properties,
    model::{
        error::{Error, Result},
        field_value::{FieldTable, FieldValue},
    },
};

/// The header whose keys consumers see.
pub(crate) const CC: &str = "CC";

/// The header whose keys consumers do not see.
pub(crate) const BCC: &str = "BCC";

/// The keys to route a message by: its own key first, then those of `CC` and `BCC`. Elements that
/// are not text are ignored.
///
/// Only the first stays with the message as its routing key. The others are AMQP long strings and
/// may have any length.
///
/// # Errors
/// [`Error::PreconditionFailed`] (406) if one of the headers is there and not an array.
pub(crate) fn routing_keys<'a>(
    routing_key: &'a str,
    headers: Option<&'a FieldTable>,
) -> Result<Vec<&'a str>> {
    let mut keys = vec![routing_key];
    for name in [CC, BCC] {
        match headers.and_then(|headers| headers.get(name)) {
            None => {}
            Some(FieldValue::Array(values)) => {
                keys.extend(values.iter().filter_map(FieldValue::as_str));
            }
            Some(other) => return Err(Error::invalid_routing_header(name, other)),
        }
    }
    Ok(keys)
}

/// Whether the message has more keys than its own. Its route then depends on its headers, and must
/// not be remembered.
pub(crate) fn is_selected_by_sender(headers: Option<&FieldTable>) -> bool {
    headers.is_some_and(|headers| headers.contains_key(CC) || headers.contains_key(BCC))
}

/// Removes the `BCC` header, before a consumer can see the message, and returns its keys.
#[inline]
pub(crate) fn take_bcc(properties: &mut Properties) -> Vec<String> {
    let list = properties.as_list();
    match list.and_then(|list| list.headers.as_ref()) {
        Some(_) => take_bcc_of_headers(properties),
        None => Vec::new(),
    }
}

fn take_bcc_of_headers(properties: &mut Properties) -> Vec<String> {
    let taken = properties.headers_mut().remove(BCC);
    let values = taken.and_then(|taken| taken.into_array().ok());
    let values = values.into_iter().flatten();
    values
        .filter_map(|value| value.into_string().ok())
        .collect()
}

/// The keys of the `CC` header of a published message. It has no such header or a valid one.
pub(crate) fn cc(properties: &Properties) -> impl Iterator<Item = &str> {
    properties
        .header_value(CC)
        .and_then(FieldValue::as_array)
        .unwrap_or_default()
        .iter()
        .filter_map(FieldValue::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(keys: &[&str]) -> FieldValue {
        FieldValue::Array(keys.iter().map(|&key| key.into()).collect())
    }

    #[test]
    fn a_message_without_the_headers_has_its_own_key_only() {
        assert_eq!(routing_keys("k", None), Ok(vec!["k"]));
        let headers = FieldTable::from([("other", 1)]);
        assert_eq!(routing_keys("", Some(&headers)), Ok(vec![""]));
        assert!(!is_selected_by_sender(None));
        assert!(!is_selected_by_sender(Some(&headers)));
    }

    #[test]
    fn cc_keys_follow_the_own_key_and_bcc_keys_follow_them() {
        let headers = FieldTable::new()
            .with("BCC", array(&["d"]))
            .with("CC", array(&["b", "", "b"]));
        let keys = routing_keys("a", Some(&headers));
        assert_eq!(keys, Ok(vec!["a", "b", "", "b", "d"]));
        assert!(is_selected_by_sender(Some(&headers)));
    }

    #[test]
    fn a_key_may_be_longer_than_a_name() {
        let long = "x".repeat(300);
        let headers = FieldTable::new().with("CC", array(&[&long]));
        assert_eq!(routing_keys("a", Some(&headers)), Ok(vec!["a", &*long]));
    }

    #[test]
    fn elements_that_are_not_text_are_ignored() {
        let mixed = FieldValue::Array(vec![
            1.into(),
            "b".into(),
            FieldValue::Void,
            FieldValue::Bytes(b"c".to_vec()),
        ]);
        let headers = FieldTable::new().with("CC", mixed.clone());
        assert_eq!(routing_keys("a", Some(&headers)), Ok(vec!["a", "b"]));
        let mut properties = Properties::new().header("BCC", mixed);
        assert_eq!(take_bcc(&mut properties), ["b"]);
    }

    #[test]
    fn the_header_names_are_case_sensitive() {
        let headers = FieldTable::from([("cc", "b"), ("Bcc", "c")]);
        assert_eq!(routing_keys("a", Some(&headers)), Ok(vec!["a"]));
    }

    #[test]
    fn a_header_that_is_not_an_array_is_refused_in_rabbitmqs_words() {
        for name in ["CC", "BCC"] {
            let headers = FieldTable::from([(name, "b")]);
            let error = routing_keys("a", Some(&headers)).unwrap_err();
            assert_eq!(error.reply_code(), Some(406));
            assert_eq!(
                error.to_string(),
                format!(
                    "PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,\"{name}\",longstr}}"
                )
            );
            let void = FieldTable::from([(name, ())]);
            assert!(routing_keys("a", Some(&void)).is_err());
        }
    }

    #[test]
    fn taking_bcc_leaves_everything_else() {
        let mut properties = Properties::new()
            .priority(1)
            .header("BCC", array(&["b", "c"]))
            .header("CC", array(&["d"]))
            .header("other", 1);
        assert_eq!(take_bcc(&mut properties), ["b", "c"]);
        assert_eq!(
            properties,
            Properties::new()
                .priority(1)
                .header("CC", array(&["d"]))
                .header("other", 1)
        );
        assert!(cc(&properties).eq(["d"]));
        assert!(take_bcc(&mut properties).is_empty());
    }
}
