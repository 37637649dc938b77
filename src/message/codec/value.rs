//! The values that a codec encodes and decodes, without their types.
//!
//! The types of another crate stay behind them, so that its versions do not concern a program.

use std::fmt;

use serde::{Deserializer, Serialize, Serializer};

use crate::model::error::CodecError;

/// A value that a [`Codec`](super::Codec) encodes. It serializes as the value itself.
///
/// # Examples
/// ```
/// use leveret::codec::{Codec, Json, Value};
/// let octets = Json.encode(Value::new(&vec![1, 2]))?;
/// assert_eq!(octets, b"[1,2]");
/// # Ok::<(), leveret::CodecError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Value<'a>(&'a dyn erased_serde::Serialize);

impl<'a> Value<'a> {
    /// The value behind a reference.
    pub fn new<T: Serialize>(value: &'a T) -> Value<'a> {
        Value(value)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(self.0, serializer)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

/// Reads one value of a type that only it knows.
pub(super) type Read<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// Takes the value that a [`Codec`](super::Codec) decodes, which has an example.
pub struct Reader<'a> {
    content_type: &'a str,
    read: &'a mut Read<'a>,
}

impl<'a> Reader<'a> {
    /// A reader for a codec of this content type.
    pub(super) fn new(content_type: &'a str, read: &'a mut Read<'a>) -> Reader<'a> {
        Reader { content_type, read }
    }

    /// Reads the value from a deserializer of serde.
    ///
    /// # Errors
    /// If there is no value of the wanted type.
    pub fn read<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), CodecError> {
        let mut erased = <dyn erased_serde::Deserializer<'_>>::erase(deserializer);
        (self.read)(&mut erased).map_err(|error| CodecError::new(self.content_type, error))
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}
