//! A message as a store keeps it: one byte for the version, the head, and the body.

use serde::{Deserialize, Serialize};

use crate::{
    message::properties::Properties,
    model::{bytes::Bytes, name::Name},
};

/// The version of the form. A later version may add fields to the head without a new number.
const VERSION: u8 = 1;

/// Everything of a message but its body and its [`Mark`](super::Mark).
///
/// The names of its fields are short, since they are written with each message. Times are
/// milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MessageHead {
    #[serde(rename = "e", default, skip_serializing_if = "is_empty")]
    pub(crate) exchange: Name,
    #[serde(rename = "k", default, skip_serializing_if = "is_empty")]
    pub(crate) routing_key: Name,
    #[serde(rename = "p", default, skip_serializing_if = "has_none")]
    pub(crate) properties: Properties,
    /// The size for limits, if it is not that of the body.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) bcc: Vec<String>,
    /// When it expires.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    /// The encoded length of its properties before its first death, if it has died. The broker has
    /// written its `x-death` header then.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(crate) len_before_deaths: Option<u64>,
    /// Whether a dead letter routing key has replaced its own keys.
    #[serde(rename = "r", default, skip_serializing_if = "is_false")]
    pub(crate) is_rerouted: bool,
    /// When it is due, if it was published with a delay.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<u64>,
    /// The number of its body, if that is kept by itself.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<u64>,
    /// The failed deliveries in queues that it was in before.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub(crate) failed: u32,
}

fn is_empty(name: &Name) -> bool {
    name.is_empty()
}

fn has_none(properties: &Properties) -> bool {
    properties.is_empty()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A message as bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredMessage {
    bytes: Bytes,
    /// The number of its body, if that is kept by itself.
    body: Option<u64>,
}

impl StoredMessage {
    /// # Errors
    /// Those of a head that cannot be written: its headers are nested too deeply.
    pub(crate) fn new(head: &MessageHead, body: &[u8]) -> Result<StoredMessage, serde_json::Error> {
        let mut bytes = Vec::with_capacity(body.len() + 128);
        bytes.push(VERSION);
        bytes.extend([0; 4]);
        serde_json::to_writer(&mut bytes, head)?;
        let length = (bytes.len() - 5) as u32;
        bytes[1..5].copy_from_slice(&length.to_le_bytes());
        if head.body.is_none() {
            bytes.extend_from_slice(body);
        }
        Ok(StoredMessage {
            bytes: bytes.into(),
            body: head.body,
        })
    }

    /// The bytes, and the number of the body if that is kept by itself.
    pub(crate) fn into_parts(self) -> (Bytes, Option<u64>) {
        (self.bytes, self.body)
    }

    /// The head and the body of a kept message.
    ///
    /// # Errors
    /// The reason why these are not the bytes of a message.
    pub(crate) fn read(bytes: &[u8]) -> Result<(MessageHead, &[u8]), String> {
        let Some((version, rest)) = bytes.split_first() else {
            return Err("a message has no bytes".to_owned());
        };
        if *version != VERSION {
            return Err(format!("a message has the unknown version {version}"));
        }
        let (length, rest) = rest
            .split_first_chunk()
            .ok_or("a message ends in the length of its head")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (head, body) = rest
            .split_at_checked(length)
            .ok_or("a message ends in its head")?;
        let head = serde_json::from_slice(head).map_err(|error| error.to_string())?;
        Ok((head, body))
    }
}
