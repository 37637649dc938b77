//! The basic properties of a message: the 14 optional properties of AMQP 0-9-1.
//!
//! Most messages have few or none. [`Properties`] is therefore a small handle, and empty properties
//! allocate nothing. Those that come from a program outside stay octets until they are looked at.
//! The values are those of the publisher. Other modules apply them: routing by headers, priority,
//! expiry. Only the checks that need no broker are here.

mod binary;
mod expiration;
mod list;
mod opaque;
mod routing;

use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::list::EMPTY;
pub use self::list::PropertyList;
pub(crate) use self::{
    opaque::{Asked, Opaque},
    routing::RoutingProperties,
};
use crate::model::{
    error::Result,
    field_value::{FieldTable, FieldValue},
    octets,
};

/// The basic properties of a message.
///
/// Setters make them, and can be chained. The fields of [`PropertyList`] read and change them. A
/// setter and its field have the same name.
///
/// A text that a program outside has sent need not be UTF-8. It has a [form as text](crate::octets)
/// here, and the same octets where it goes out again.
///
/// # RabbitMQ
/// The properties of class `basic` (AMQP 0-9-1).
///
/// # Examples
/// ```
/// use leveret::{FieldTable, FieldValue, Properties};
///
/// let properties = Properties::new()
///     .content_type("text/plain")
///     .priority(5)
///     .header("k", "v")
///     .persistent();
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
pub struct Properties(Kept);

/// The form in which properties are kept.
#[derive(Clone, Default)]
enum Kept {
    #[default]
    None,
    List(Box<PropertyList>),
    Octets(Arc<Opaque>),
}

/// The setters of text properties, which differ only in their names.
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

    /// Makes empty properties, without an allocation.
    pub const fn new() -> Properties {
        Properties(Kept::None)
    }

    text_setters! {
        /// Sets the MIME type of the body.
        ///
        /// # RabbitMQ
        /// The property `content-type`.
        content_type;
        /// Sets the MIME encoding of the body.
        ///
        /// # RabbitMQ
        /// The property `content-encoding`.
        content_encoding;
        /// Sets the id of the message that a reply answers.
        ///
        /// # RabbitMQ
        /// The property `correlation-id`.
        correlation_id;
        /// Sets the address for a reply.
        ///
        /// # RabbitMQ
        /// The property `reply-to`.
        reply_to;
        /// Sets the time that the message may wait in a queue: a number of milliseconds, as text.
        /// The publish checks it.
        ///
        /// # RabbitMQ
        /// The property `expiration`.
        expiration;
        /// Sets the application's id of the message.
        ///
        /// # RabbitMQ
        /// The property `message-id`.
        message_id;
        /// Sets the application's name for the kind of message.
        ///
        /// # RabbitMQ
        /// The property `type`.
        message_type;
        /// Sets the user who publishes the message. The publish compares it with the user of the
        /// connection.
        ///
        /// # RabbitMQ
        /// The property `user-id`.
        user_id;
        /// Sets the application that publishes the message.
        ///
        /// # RabbitMQ
        /// The property `app-id`.
        app_id;
        /// Sets the cluster id, which AMQP deprecates.
        ///
        /// # RabbitMQ
        /// The property `cluster-id`.
        cluster_id;
    }

    /// Sets all headers. They replace earlier ones.
    ///
    /// # RabbitMQ
    /// The property `headers`.
    #[must_use]
    pub fn headers(mut self, headers: FieldTable) -> Properties {
        self.headers = Some(headers);
        self
    }

    /// Sets one header.
    ///
    /// # RabbitMQ
    /// The property `headers`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Properties {
        self.headers_mut().insert(name, value);
        self
    }

    /// Sets the delivery mode: [`TRANSIENT`](Properties::TRANSIENT) or
    /// [`PERSISTENT`](Properties::PERSISTENT). Any other mode means transient.
    ///
    /// # RabbitMQ
    /// The property `delivery-mode`.
    #[must_use]
    pub fn delivery_mode(mut self, delivery_mode: u8) -> Properties {
        self.delivery_mode = Some(delivery_mode);
        self
    }

    /// Makes the message persistent.
    ///
    /// # RabbitMQ
    /// The property `delivery-mode` with the value 2.
    #[must_use]
    pub fn persistent(self) -> Properties {
        self.delivery_mode(Properties::PERSISTENT)
    }

    /// Sets the priority.
    ///
    /// # RabbitMQ
    /// The property `priority`.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Properties {
        self.priority = Some(priority);
        self
    }

    /// Sets the time of the message, in seconds since 1970-01-01 00:00 UTC.
    ///
    /// # RabbitMQ
    /// The property `timestamp`.
    #[must_use]
    pub fn timestamp(mut self, timestamp: u64) -> Properties {
        self.timestamp = Some(timestamp);
        self
    }

    /// The bytes that the properties take in AMQP 0-9-1: two of flags, and the values.
    pub(crate) fn encoded_len(&self) -> u64 {
        let list = match &self.0 {
            Kept::None => return 2,
            Kept::List(list) => list,
            Kept::Octets(opaque) => return opaque.octets().len() as u64,
        };
        let texts = list.texts().into_iter().flatten();
        let texts: u64 = texts.map(|text| 1 + octets::len_of(text) as u64).sum();
        let octets = [list.delivery_mode, list.priority].into_iter().flatten();
        let headers = list.headers.as_ref().map_or(0, FieldTable::encoded_len);
        let timestamp = list.timestamp.map_or(0, |_| 8);
        2 + texts + octets.count() as u64 + headers + timestamp
    }

    /// Whether there is no list of properties. It is a quick form of [`is_empty`](Self::is_empty).
    #[inline]
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.0, Kept::None)
    }

    /// Properties that a program outside has sent, as octets that were checked.
    #[cfg_attr(
        not(feature = "amqp"),
        expect(dead_code, reason = "for a wire protocol")
    )]
    pub(crate) fn opaque(opaque: Opaque) -> Properties {
        Properties(Kept::Octets(Arc::new(opaque)))
    }

    /// The octets of AMQP 0-9-1 in which they came, if nothing has changed them: the flags and the
    /// values.
    #[cfg_attr(
        not(feature = "amqp"),
        expect(dead_code, reason = "for a wire protocol")
    )]
    pub(crate) fn octets(&self) -> Option<&[u8]> {
        match &self.0 {
            Kept::None | Kept::List(_) => None,
            Kept::Octets(opaque) => Some(opaque.octets()),
        }
    }

    /// What the broker asks of every message, if that is known without decoding them.
    pub(crate) fn asked(&self) -> Option<Asked> {
        match &self.0 {
            Kept::None | Kept::List(_) => None,
            Kept::Octets(opaque) => Some(opaque.asked()),
        }
    }

    /// As [`PropertyList::is_persistent`].
    pub(crate) fn are_persistent(&self) -> bool {
        match self.asked() {
            Some(asked) => asked.delivery_mode == Some(Properties::PERSISTENT),
            None => self.is_persistent(),
        }
    }

    /// The priority, if there is one.
    pub(crate) fn given_priority(&self) -> Option<u8> {
        match self.asked() {
            Some(asked) => asked.priority,
            None => self.priority,
        }
    }

    /// The properties that are there. `None` if there are none.
    fn list(&self) -> Option<&PropertyList> {
        match &self.0 {
            Kept::None => None,
            Kept::List(list) => Some(list),
            Kept::Octets(opaque) => Some(opaque.list()),
        }
    }

    /// The properties, if they are kept as a list. Those that are octets have nothing that a
    /// publish checks or changes.
    #[inline]
    pub(crate) fn as_list(&self) -> Option<&PropertyList> {
        match &self.0 {
            Kept::None | Kept::Octets(_) => None,
            Kept::List(list) => Some(list),
        }
    }

    /// The properties as a list, which is the caller's alone if they are octets.
    pub(crate) fn to_list(&self) -> Cow<'_, PropertyList> {
        match &self.0 {
            Kept::None => Cow::Borrowed(&EMPTY),
            Kept::List(list) => Cow::Borrowed(list),
            Kept::Octets(opaque) => Cow::Owned(opaque.decode()),
        }
    }

    /// Whether no property is set.
    pub fn is_empty(&self) -> bool {
        self.is_absent() || **self == EMPTY
    }
}

impl Deref for Properties {
    type Target = PropertyList;

    fn deref(&self) -> &PropertyList {
        self.list().unwrap_or(&EMPTY)
    }
}

/// To change a field of empty properties allocates the list. So does a change of those that came as
/// octets, which are decoded.
impl DerefMut for Properties {
    fn deref_mut(&mut self) -> &mut PropertyList {
        loop {
            match self.0 {
                Kept::List(ref mut list) => return list,
                Kept::None => self.0 = Kept::List(Box::default()),
                Kept::Octets(ref opaque) => self.0 = Kept::List(Box::new(opaque.decode())),
            }
        }
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
        match list == EMPTY {
            true => Properties::new(),
            false => Properties(Kept::List(Box::new(list))),
        }
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
mod tests;
