//! The basic properties of a message: the 14 that AMQP 0-9-1 names, all optional.
//!
//! Most messages have few or none, so [`Properties`] is one pointer, and empty properties allocate nothing.
//! The values are what the publisher said; what the broker makes of them (routing by headers, priority, expiry) is
//! decided elsewhere. Only what can be checked without a broker is checked here.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{
    arguments::MAX_EXPIRY_MILLIS,
    error::{Error, Result},
    field_value::{FieldTable, FieldValue},
};

/// The basic properties of a message.
///
/// Made by chained setters, read (and changed) through the fields of [`PropertyList`]; setter and field have the same name.
///
/// # Examples
/// ```
/// use leveret::{FieldTable, FieldValue, Properties};
///
/// let properties = Properties::new().content_type("text/plain").priority(5).header("k", "v").persistent();
/// assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
/// assert_eq!(properties.priority, Some(5));
/// assert_eq!(properties.header_value("k"), Some(&FieldValue::from("v")));
/// assert!(properties.is_persistent());
/// assert_eq!(properties.reply_to, None);
///
/// let mut all = Properties::new()
///     .content_encoding("gzip")
///     .headers(FieldTable::from([("k", 1)]))
///     .delivery_mode(Properties::TRANSIENT)
///     .correlation_id("request-1")
///     .reply_to("replies")
///     .expiration("60000")
///     .message_id("m-1")
///     .timestamp(1_700_000_000)
///     .message_type("alarm")
///     .user_id("guest")
///     .app_id("monitor")
///     .cluster_id("");
/// all.headers_mut().insert("k", 2);
/// assert_eq!(all.header_value("k"), Some(&FieldValue::Int(2)));
/// assert!(!all.is_empty() && Properties::new().is_empty());
/// ```
#[derive(Clone, Default)]
pub struct Properties(Option<Box<PropertyList>>);

/// The fields of [`Properties`]. What is `None` is absent from the message.
///
/// [`Properties`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PropertyList {
    /// The MIME type of the body. Set at publish, from the payload, if it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The MIME encoding of the body, such as `gzip`. The broker does not look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Named values: what headers exchanges look at, `CC` and `BCC`, and what the broker adds (`x-death`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<FieldTable>,
    /// 1 for a transient message, 2 for a persistent one. Absent is transient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<u8>,
    /// The priority in a queue with priorities. Absent is 0; what is above the queue's maximum counts as the maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// What a reply refers to: by custom, the request's correlation id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Where to send a reply: by custom, a queue's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// How long the message lives in a queue: a number of milliseconds, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// The application's id for the message. The broker does not look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// When the message was made, in seconds since 1970-01-01 00:00 UTC. The broker does not look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The application's name for this kind of message: AMQP's `type`, which is a keyword in Rust.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Who published the message. If present it must be the name of the user of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What published the message. The broker does not look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// Deprecated by AMQP, and carried along unseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

/// What empty properties show.
static EMPTY: PropertyList = PropertyList {
    content_type: None,
    content_encoding: None,
    headers: None,
    delivery_mode: None,
    priority: None,
    correlation_id: None,
    reply_to: None,
    expiration: None,
    message_id: None,
    timestamp: None,
    message_type: None,
    user_id: None,
    app_id: None,
    cluster_id: None,
};

/// The setters of text properties, which differ in their names only.
macro_rules! text_setters {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: impl Into<String>) -> Properties {
            self.$name = Some($name.into());
            self
        }
    )*};
}

impl Properties {
    /// The delivery mode of a persistent message.
    pub const PERSISTENT: u8 = 2;

    /// The delivery mode of a transient message.
    pub const TRANSIENT: u8 = 1;

    /// No properties. Allocates nothing.
    pub const fn new() -> Properties {
        Properties(None)
    }

    text_setters! {
        /// Sets the MIME type of the body.
        content_type;
        /// Sets the MIME encoding of the body.
        content_encoding;
        /// Sets what a reply refers to.
        correlation_id;
        /// Sets where to send a reply.
        reply_to;
        /// Sets how long the message lives in a queue: a number of milliseconds, as text. Checked when it is published.
        expiration;
        /// Sets the application's id for the message.
        message_id;
        /// Sets the application's name for this kind of message: AMQP's `type`.
        message_type;
        /// Sets who publishes the message. Publishing checks it against the connection's user.
        user_id;
        /// Sets what publishes the message.
        app_id;
        /// Sets the cluster id, which AMQP deprecates.
        cluster_id;
    }

    /// Sets all headers, in place of those set before.
    #[must_use]
    pub fn headers(mut self, headers: FieldTable) -> Properties {
        self.headers = Some(headers);
        self
    }

    /// Sets one header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Properties {
        self.headers_mut().insert(name, value);
        self
    }

    /// Sets the delivery mode: [`TRANSIENT`](Properties::TRANSIENT) or [`PERSISTENT`](Properties::PERSISTENT). Checked
    /// when the message is published.
    #[must_use]
    pub fn delivery_mode(mut self, delivery_mode: u8) -> Properties {
        self.delivery_mode = Some(delivery_mode);
        self
    }

    /// Makes the message persistent.
    #[must_use]
    pub fn persistent(self) -> Properties {
        self.delivery_mode(Properties::PERSISTENT)
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Properties {
        self.priority = Some(priority);
        self
    }

    /// Sets when the message was made, in seconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn timestamp(mut self, timestamp: u64) -> Properties {
        self.timestamp = Some(timestamp);
        self
    }

    /// Whether no property is set.
    pub fn is_empty(&self) -> bool {
        **self == EMPTY
    }
}

impl PropertyList {
    /// Whether the delivery mode says that the message is to survive a restart.
    pub fn is_persistent(&self) -> bool {
        self.delivery_mode == Some(Properties::PERSISTENT)
    }

    /// The header of that name, if there are headers and it is among them.
    pub fn header_value(&self, name: &str) -> Option<&FieldValue> {
        self.headers.as_ref()?.get(name)
    }

    /// The headers, to be changed; made if there were none.
    pub fn headers_mut(&mut self) -> &mut FieldTable {
        self.headers.get_or_insert_default()
    }

    /// The expiration in milliseconds, if there is one.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] (406) if it is not a whole number from 0 to 4,294,967,295 in decimal digits.
    ///
    /// # Examples
    /// ```
    /// use leveret::Properties;
    /// assert_eq!(Properties::new().expiration("60000").expiration_millis()?, Some(60_000));
    /// assert_eq!(Properties::new().expiration_millis()?, None);
    /// let error = Properties::new().expiration("soon").expiration_millis().unwrap_err();
    /// assert_eq!(error.reply_code(), Some(406));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn expiration_millis(&self) -> Result<Option<u64>> {
        self.expiration.as_deref().map(parse_expiration).transpose()
    }

    /// Checks what a publish checks in the properties alone: the expiration, then the delivery mode.
    pub(crate) fn validate(&self) -> Result {
        self.expiration_millis()?;
        self.check_delivery_mode()
    }

    /// Checks the delivery mode. A publish does so after all other checks, as in RabbitMQ.
    pub(crate) fn check_delivery_mode(&self) -> Result {
        match self.delivery_mode {
            None | Some(Properties::TRANSIENT | Properties::PERSISTENT) => Ok(()),
            Some(other) => Err(Error::invalid_message(format_args!(
                "{{delivery_mode_unknown,{other}}}"
            ))),
        }
    }
}

/// Reads an expiration; refuses it in RabbitMQ's words.
fn parse_expiration(text: &str) -> Result<u64> {
    let refused = |reason: String| Err(Error::invalid_expiration(text, reason));
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = unsigned.len()
        - unsigned
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    let (number, rest) = unsigned.split_at(digits);
    if number.is_empty() {
        return refused("no_integer".to_owned());
    }
    if !rest.is_empty() {
        return refused(format!("{{leftover_string,{rest:?}}}"));
    }
    let significant = number.trim_start_matches('0');
    match significant.parse::<u64>() {
        _ if significant.is_empty() => Ok(0),
        _ if negative => refused(format!("{{value_negative,-{significant}}}")),
        Ok(millis) if millis <= MAX_EXPIRY_MILLIS => Ok(millis),
        _ => refused(format!("{{value_too_large,{significant}}}")),
    }
}

impl Deref for Properties {
    type Target = PropertyList;

    fn deref(&self) -> &PropertyList {
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

/// Changing a field of empty properties allocates the list.
impl DerefMut for Properties {
    fn deref_mut(&mut self) -> &mut PropertyList {
        self.0.get_or_insert_default()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Properties {
    fn eq(&self, other: &Properties) -> bool {
        **self == **other
    }
}

impl Eq for Properties {}

impl From<PropertyList> for Properties {
    fn from(list: PropertyList) -> Properties {
        Properties((list != EMPTY).then(|| Box::new(list)))
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Properties, D::Error> {
        PropertyList::deserialize(deserializer).map(Properties::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_properties_are_one_pointer_and_allocate_nothing() {
        assert_eq!(size_of::<Properties>(), size_of::<usize>());
        assert!(Properties::new().0.is_none());
        assert!(Properties::new().is_empty());
        assert!(
            serde_json::from_str::<Properties>("{}")
                .unwrap()
                .0
                .is_none()
        );
        assert!(!Properties::new().priority(0).is_empty());
    }

    #[test]
    fn properties_that_were_emptied_equal_empty_ones() {
        let mut properties = Properties::new().priority(1);
        properties.priority = None;
        assert_eq!(properties, Properties::new());
        assert!(properties.is_empty());
    }

    #[test]
    fn every_property_is_written_under_its_amqp_name_and_reads_back() {
        let properties = Properties::new()
            .content_type("a")
            .content_encoding("b")
            .headers(FieldTable::from([("k", 1)]))
            .persistent()
            .priority(3)
            .correlation_id("c")
            .reply_to("d")
            .expiration("4")
            .message_id("e")
            .timestamp(5)
            .message_type("f")
            .user_id("g")
            .app_id("h")
            .cluster_id("i");
        let json = serde_json::to_value(&properties).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "content_type": "a", "content_encoding": "b", "headers": {"k": 1}, "delivery_mode": 2, "priority": 3,
                "correlation_id": "c", "reply_to": "d", "expiration": "4", "message_id": "e", "timestamp": 5, "type": "f",
                "user_id": "g", "app_id": "h", "cluster_id": "i"
            })
        );
        assert_eq!(
            serde_json::from_value::<Properties>(json).unwrap(),
            properties
        );
        assert_eq!(serde_json::to_string(&Properties::new()).unwrap(), "{}");
    }

    #[test]
    fn an_expiration_is_a_number_of_milliseconds() {
        let millis = |text: &str| Properties::new().expiration(text).expiration_millis();
        assert_eq!(Properties::new().expiration_millis(), Ok(None));
        assert_eq!(millis("0"), Ok(Some(0)));
        assert_eq!(millis("60000"), Ok(Some(60_000)));
        assert_eq!(millis("000000000000000000000000000030"), Ok(Some(30)));
        assert_eq!(millis("+5"), Ok(Some(5)));
        assert_eq!(millis("-0"), Ok(Some(0)));
        assert_eq!(millis("315360000000"), Ok(Some(315_360_000_000)));
    }

    #[test]
    fn an_invalid_expiration_is_refused_in_rabbitmqs_words() {
        for (text, reason) in [
            ("", "no_integer"),
            ("x", "no_integer"),
            (" 5", "no_integer"),
            ("-", "no_integer"),
            ("5 ", "{leftover_string,\" \"}"),
            ("5.0", "{leftover_string,\".0\"}"),
            ("-1", "{value_negative,-1}"),
            ("315360000001", "{value_too_large,315360000001}"),
            (
                "99999999999999999999999",
                "{value_too_large,99999999999999999999999}",
            ),
        ] {
            let error = Properties::new()
                .expiration(text)
                .expiration_millis()
                .unwrap_err();
            assert_eq!(error.reply_code(), Some(406));
            assert_eq!(
                error.to_string(),
                format!("PRECONDITION_FAILED - invalid expiration '{text}': {reason}")
            );
        }
    }

    #[test]
    fn a_delivery_mode_is_one_or_two() {
        assert_eq!(Properties::new().validate(), Ok(()));
        assert_eq!(Properties::new().persistent().validate(), Ok(()));
        assert_eq!(Properties::new().delivery_mode(1).validate(), Ok(()));
        let error = Properties::new().delivery_mode(3).validate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}"
        );
    }
}
