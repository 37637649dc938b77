//! [`Serializable`], the payloads that become octets.

use serde::{Serialize, de::DeserializeOwned};

/// A [`Payload`](crate::Payload) that serde can serialize and deserialize (without borrowing).
///
/// The [notifications](crate::notify) and the [commands](crate::control) need it: their payloads
/// are parts of larger messages, and those must have a JSON. It has a blanket implementation, and
/// so no other one.
///
/// # Examples
/// ```
/// use leveret::{Payload, Serializable};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Task { id: u64 }
///
/// fn json<T: Serializable>(value: &T) -> String {
///     serde_json::to_string(value).unwrap()
/// }
/// assert_eq!(json(&Task { id: 7 }), r#"{"id":7}"#);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be serialized and deserialized",
    note = "`Serializable` is `Serialize + DeserializeOwned + Send + Sync + 'static`"
)]
pub trait Serializable: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Serializable for T {}
