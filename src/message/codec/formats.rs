//! The codecs of this crate.
//!
//! Strings, `Vec<u8>` and [`Bytes`] are sent and received unchanged, without a codec. [`Text`] and
//! [`Raw`] decode such messages into a consumer's own types (a newtype of a string, an enum of
//! plain words), and encode those types.

use super::{Codec, Reader, Value, failure};
use crate::model::{bytes::Bytes, error::CodecError};
use serde::{
    Deserializer,
    de::{
        Visitor,
        value::{Error, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use std::str;

/// JSON, `application/json`: the default.
///
/// # Examples
/// ```
/// use leveret::codec::{Codec, Json, Value};
/// assert_eq!(Json.encode(Value::new(&vec![1, 2]))?, b"[1,2]");
/// assert_eq!((Json.name(), Json.content_type()), ("json", "application/json"));
/// # Ok::<(), leveret::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn content_type(&self) -> &str {
        "application/json"
    }

    fn content_encoding(&self) -> Option<&str> {
        Some("utf-8")
    }

    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
        serde_json::to_vec(&value).map_err(|error| failure(self, error))
    }

    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(octets);
        reader.read(&mut json)?;
        json.end().map_err(|error| failure(self, error))
    }
}

/// Plain text, `text/plain`, for types that serialize as one string: a newtype of `String`, or an
/// enum without fields.
/// ```
/// use leveret::codec::{Codec, Codecs, Text, Value};
///
/// #[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
/// #[serde(rename_all = "lowercase")]
/// enum Colour { Red, Green }
///
/// assert_eq!(Text.encode(Value::new(&Colour::Red))?, b"red");
/// assert_eq!(Codecs::default().decode::<Colour>(b"green", Some("text/plain"))?, Colour::Green);
/// # Ok::<(), leveret::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text;

impl Codec for Text {
    fn content_type(&self) -> &str {
        "text/plain"
    }

    fn content_encoding(&self) -> Option<&str> {
        Some("utf-8")
    }

    fn name(&self) -> &str {
        "text"
    }

    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
        match serde_json::to_value(value).map_err(|error| failure(self, error))? {
            serde_json::Value::String(text) => Ok(text.into_bytes()),
            _ => Err(CodecError::new(
                self.content_type(),
                "only a value that serializes as one string is text",
            )),
        }
    }

    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let text = str::from_utf8(octets).map_err(|error| failure(self, error))?;
        let text = serde_json::Value::String(text.to_owned());
        reader.read(text)
    }
}

/// Octets, `application/octet-stream`, for types that serialize as bytes or as a sequence of bytes:
/// a newtype of `Vec<u8>`.
///
/// # Examples
/// ```
/// use leveret::codec::{Codec, Codecs, Raw, Value};
/// assert_eq!(Raw.encode(Value::new(&vec![1_u8, 2]))?, [1, 2]);
/// let octets: Vec<u8> = Codecs::default().decode(&[1, 2], Some("application/octet-stream"))?;
/// assert_eq!(octets, [1, 2]);
/// # Ok::<(), leveret::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec for Raw {
    fn content_type(&self) -> &str {
        "application/octet-stream"
    }

    fn content_encoding(&self) -> Option<&str> {
        Some("binary")
    }

    fn name(&self) -> &str {
        "raw"
    }

    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
        let value = serde_json::to_value(value).map_err(|error| failure(self, error))?;
        match serde_json::from_value::<Bytes>(value) {
            Ok(octets) => Ok(octets.to_vec()),
            Err(_) => Err(CodecError::new(
                self.content_type(),
                "only a value that serializes as octets is raw",
            )),
        }
    }

    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
        reader.read(Octets(octets))
    }
}

/// Octets as a deserializer: bytes for a type that asks for bytes, and a sequence of numbers for
/// other types.
struct Octets<'de>(&'de [u8]);

impl<'de> Deserializer<'de> for Octets<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        SeqDeserializer::new(self.0.iter().copied()).deserialize_any(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        option unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
