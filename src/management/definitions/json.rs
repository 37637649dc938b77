//! A JSON value that keeps the order of its keys, and keys that come twice.
//!
//! A value that is read borrows its text from the file. Only text with escapes is copied.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::Value;

use crate::model::{
    error::DefinitionsError,
    field_value::{FieldTable, FieldValue},
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer above the largest `i64`.
    Unsigned(u64),
    /// A number with a fraction or an exponent, or an integer of more than 64 bits.
    Real(f64),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Entries<'a>),
}

pub(super) type Entries<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

impl<'a> Json<'a> {
    /// Reads a file. It may begin with a byte order mark.
    ///
    /// # Errors
    /// The file is not JSON.
    pub(super) fn read(file: &'a [u8]) -> Result<Json<'a>, DefinitionsError> {
        let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
        serde_json::from_slice(file).map_err(|error| {
            let text = error.to_string();
            // The position is shown by itself.
            let reason = text.rsplit_once(" at line ").map(|(reason, _)| reason);
            DefinitionsError {
                position: Some((error.line(), error.column())),
                ..DefinitionsError::new("$", reason.unwrap_or(&text))
            }
        })
    }

    /// What it is, with an article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Integer(_) | Json::Unsigned(_) | Json::Real(_) => "a number",
            Json::Text(_) => "a string",
            Json::Array(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    /// The value as an argument. `is_own` allows null, and values with their types.
    ///
    /// # Errors
    /// The reason why it is no argument.
    pub(super) fn field_value(&self, is_own: bool) -> Result<FieldValue, String> {
        Ok(match self {
            Json::Null if is_own => FieldValue::Void,
            Json::Null => return Err("null_not_allowed: an argument cannot be null".to_owned()),
            Json::Bool(value) => FieldValue::Bool(*value),
            Json::Integer(value) => match i32::try_from(*value) {
                Ok(value) => FieldValue::Int(value),
                Err(_) => FieldValue::Long(*value),
            },
            Json::Unsigned(value) => FieldValue::Double(*value as f64),
            Json::Real(value) => FieldValue::Double(*value),
            Json::Text(text) => FieldValue::LongString(text.to_string()),
            Json::Array(values) => {
                let values = values.iter().map(|value| value.field_value(is_own));
                FieldValue::Array(values.collect::<Result<_, _>>()?)
            }
            Json::Object(entries) if is_own && entries.iter().any(|(key, _)| key == "$type") => {
                serde_json::from_value(self.plain()).map_err(|error| error.to_string())?
            }
            Json::Object(entries) => {
                let mut table = FieldTable::new();
                for (name, value) in entries {
                    table.insert(&**name, value.field_value(is_own)?);
                }
                FieldValue::Table(table)
            }
        })
    }

    /// The value without the order of its keys. Of keys that come twice the last one counts.
    pub(super) fn plain(&self) -> Value {
        match self {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::from(*value),
            Json::Integer(value) => Value::from(*value),
            Json::Unsigned(value) => Value::from(*value),
            Json::Real(value) => Value::from(*value),
            Json::Text(text) => Value::from(&**text),
            Json::Array(values) => values.iter().map(Json::plain).collect(),
            Json::Object(entries) => {
                let entries = entries.iter();
                Value::Object(
                    entries
                        .map(|(key, value)| (key.to_string(), value.plain()))
                        .collect(),
                )
            }
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Unsigned(value), Json::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Real(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Json<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = array.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            entries.push((key, map.next_value()?));
        }
        Ok(Json::Object(entries))
    }
}

/// Reads a key. That of `Cow` copies it.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Integer(value) => serializer.serialize_i64(*value),
            Json::Unsigned(value) => serializer.serialize_u64(*value),
            Json::Real(value) => serializer.serialize_f64(*value),
            Json::Text(text) => serializer.serialize_str(text),
            Json::Array(values) => serializer.collect_seq(values),
            Json::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl From<&Value> for Json<'static> {
    fn from(value: &Value) -> Json<'static> {
        match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Json::Integer(value),
                (None, Some(value)) => Json::Unsigned(value),
                (None, None) => Json::Real(number.as_f64().unwrap_or(f64::MAX)),
            },
            Value::String(text) => Json::Text(Cow::Owned(text.clone())),
            Value::Array(values) => Json::Array(values.iter().map(Json::from).collect()),
            Value::Object(entries) => {
                let entries = entries.iter();
                Json::Object(
                    entries
                        .map(|(key, value)| (Cow::Owned(key.clone()), Json::from(value)))
                        .collect(),
                )
            }
        }
    }
}

impl From<&str> for Json<'static> {
    fn from(text: &str) -> Json<'static> {
        Json::Text(Cow::Owned(text.to_owned()))
    }
}

impl From<bool> for Json<'static> {
    fn from(value: bool) -> Json<'static> {
        Json::Bool(value)
    }
}

impl From<i64> for Json<'static> {
    fn from(value: i64) -> Json<'static> {
        Json::Integer(value)
    }
}

/// An object with these entries, in this order.
pub(super) fn object<const N: usize>(entries: [(&'static str, Json<'static>); N]) -> Json<'static> {
    Json::Object(entries.map(|(key, value)| (key.into(), value)).into())
}
