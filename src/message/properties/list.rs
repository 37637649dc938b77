//! [`PropertyList`]: the properties of a message, one field for each.

use serde::{Deserialize, Serialize};

use super::{Properties, expiration::parse_expiration};
use crate::model::{
    error::Result,
    field_value::{FieldTable, FieldValue},
};

/// The fields of [`Properties`]. A field that is `None` is absent from the message.
///
/// [`Properties`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PropertyList {
    /// The MIME type of the body (`content-type`). If it is absent, the publish sets it from the
    /// payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The MIME encoding of the body (`content-encoding`), such as `gzip`. The broker ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Named values (`headers`). Headers exchanges compare them, `CC` and `BCC` add routing keys,
    /// and the broker adds some, such as `x-death`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<FieldTable>,
    /// 1 for a transient message, 2 for a persistent one (`delivery-mode`). An absent value and any
    /// other value mean transient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<u8>,
    /// The priority in a queue with priorities (`priority`). An absent value means 0. A priority
    /// above the maximum of the queue counts as that maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// The id of the message that a reply answers (`correlation-id`): by convention that of the
    /// request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The address for a reply (`reply-to`): by convention the name of a queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The time that the message may wait in a queue (`expiration`): a number of milliseconds, as
    /// text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// The application's id of the message (`message-id`). The broker ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The time of the message (`timestamp`), in seconds since 1970-01-01 00:00 UTC. The broker
    /// ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The application's name for the kind of message (`type`, which is a keyword of Rust).
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// The user who published the message (`user-id`). If present, it must be the user of the
    /// connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The application that published the message (`app-id`). The broker ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// The cluster id (`cluster-id`), which AMQP deprecates. The broker ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

/// The fields of empty properties.
pub(super) static EMPTY: PropertyList = PropertyList {
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

impl PropertyList {
    /// Whether the delivery mode is that of a persistent message.
    pub fn is_persistent(&self) -> bool {
        self.delivery_mode == Some(Properties::PERSISTENT)
    }

    /// The header of that name, if there is one.
    pub fn header_value(&self, name: &str) -> Option<&FieldValue> {
        self.headers.as_ref()?.get(name)
    }

    /// The headers, to be changed. If there are none, empty ones are made.
    pub fn headers_mut(&mut self) -> &mut FieldTable {
        self.headers.get_or_insert_default()
    }

    /// The expiration in milliseconds, if there is one.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406) if it is not a whole
    /// number from 0 to 4,294,967,295 in decimal digits.
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

    /// Checks the properties that need no broker.
    pub(crate) fn validate(&self) -> Result {
        self.headers
            .as_ref()
            .map_or(Ok(()), FieldTable::check_depth)?;
        self.expiration_millis().map(drop)
    }
}
