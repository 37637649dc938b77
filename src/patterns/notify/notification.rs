//! [`Notification`], the message of a notifier.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Priority;
use crate::model::name::Name;

/// Something that has happened, with a payload.
///
/// It travels as it is, as every value. Its JSON is that of the fields.
///
/// # Examples
/// ```
/// use leveret::notify::{Notification, Priority};
///
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<u32>("stock").build()?;
/// let listener = broker.listener::<u32>().on(Priority::Info, |it, _| {
///     assert_eq!((&*it.publisher_id, &*it.event_type, it.payload), ("stock", "sold", 7));
/// });
/// let listener = listener.spawn()?;
/// notifier.info("sold", 7)?;
/// # listener.stop_and_drain(std::time::Duration::from_secs(10));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notification<T> {
    /// A number of its own.
    pub message_id: NotificationId,
    /// The program or the part of it that has sent the notification.
    pub publisher_id: Name,
    /// The kind of the event, such as `order.paid`.
    pub event_type: Cow<'static, str>,
    /// The importance.
    pub priority: Priority,
    /// The wall-clock time of the broker's clock at the sending.
    pub timestamp: SystemTime,
    /// The facts.
    pub payload: T,
}

/// The number of a [`Notification`]: unlike that of any other, also of other processes. Its text
/// has 32 hexadecimal digits.
///
/// # Examples
/// ```
/// use leveret::notify::NotificationId;
///
/// let text = "00000000000000070000000000000008";
/// let id: NotificationId = text.parse().unwrap();
/// assert_eq!(id.to_string(), text);
/// assert!("seven".parse::<NotificationId>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NotificationId {
    source: u64,
    number: u64,
}

/// A text is no [`NotificationId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no id of a notification: 32 hexadecimal digits")]
pub struct InvalidNotificationId(pub String);

/// Makes the ids of one notifier.
#[derive(Debug)]
pub(super) struct IdSource {
    /// At random.
    source: u64,
    last: AtomicU64,
}

impl IdSource {
    pub(super) fn new() -> IdSource {
        IdSource {
            // The keys of a new state are random.
            source: RandomState::new().hash_one(0),
            last: AtomicU64::new(0),
        }
    }

    pub(super) fn next_id(&self) -> NotificationId {
        NotificationId {
            source: self.source,
            number: self.last.fetch_add(1, Relaxed) + 1,
        }
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.source, self.number)
    }
}

impl FromStr for NotificationId {
    type Err = InvalidNotificationId;

    fn from_str(text: &str) -> Result<NotificationId, InvalidNotificationId> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let read = || {
            let (source, number_of) = text.split_at(16);
            Some(NotificationId {
                source: number(source)?,
                number: number(number_of)?,
            })
        };
        let id = is_hex.then(read).flatten();
        id.ok_or_else(|| InvalidNotificationId(text.to_owned()))
    }
}

impl Serialize for NotificationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NotificationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NotificationId, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
