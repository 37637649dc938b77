//! Field values in JSON, and in any other self-describing format. The form is that of the
//! conformance recordings.
//!
//! A value is tagged if plain JSON would lose its type: `{"$type": "timestamp", "value": 5}`. The
//! tag stands first, so that the reader knows the type of the value behind it. A nested table with
//! a key `$type` is tagged as well.

mod plain;

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
    ser::{self, SerializeMap, SerializeStruct},
};

pub(crate) use self::plain::plain_json;
use super::{
    FieldTable, FieldValue, TableTooDeep,
    text::{decimal_text, hex_text},
};

/// The key that marks a tagged value.
const TAG: &str = "$type";

/// The key of the tagged value.
const TAGGED: &str = "value";

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_depth().map_err(ser::Error::custom)?;
        Checked(self).serialize(serializer)
    }
}

impl Serialize for FieldTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_depth().map_err(ser::Error::custom)?;
        Checked(self).serialize(serializer)
    }
}

/// A value or a table of which the depth has been checked.
struct Checked<'a, T>(&'a T);

impl Serialize for Checked<'_, FieldValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FieldValue::Void => serializer.serialize_unit(),
            FieldValue::Bool(value) => serializer.serialize_bool(*value),
            FieldValue::Octet(value) => tagged(serializer, "octet", value),
            FieldValue::UnsignedOctet(value) => tagged(serializer, "unsigned_octet", value),
            FieldValue::Short(value) => tagged(serializer, "short", value),
            FieldValue::UnsignedShort(value) => tagged(serializer, "unsigned_short", value),
            FieldValue::Int(value) => serializer.serialize_i32(*value),
            FieldValue::UnsignedInt(value) => tagged(serializer, "unsigned_int", value),
            // Plain if it does not fit into an `Int`. A plain integer that fits is read as an
            // `Int`.
            FieldValue::Long(value) if i32::try_from(*value).is_err() => {
                serializer.serialize_i64(*value)
            }
            FieldValue::Long(value) => tagged(serializer, "long", value),
            FieldValue::Float(value) if value.is_finite() => tagged(serializer, "float", value),
            FieldValue::Float(value) => tagged(serializer, "float", &value.to_string()),
            FieldValue::Double(value) if value.is_finite() => serializer.serialize_f64(*value),
            FieldValue::Double(value) => tagged(serializer, "double", &value.to_string()),
            FieldValue::Decimal { scale, value } => {
                tagged(serializer, "decimal", &decimal_text(*scale, *value))
            }
            FieldValue::LongString(text) => serializer.serialize_str(text),
            FieldValue::Bytes(bytes) => tagged(serializer, "bytes", &hex_text(bytes)),
            FieldValue::Timestamp(seconds) => tagged(serializer, "timestamp", seconds),
            FieldValue::Array(values) => serializer.collect_seq(values.iter().map(Checked)),
            FieldValue::Table(table) if table.contains_key(TAG) => {
                tagged(serializer, "table", &Checked(table))
            }
            FieldValue::Table(table) => Checked(table).serialize(serializer),
        }
    }
}

fn tagged<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    tag: &'static str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_struct("FieldValue", 2)?;
    map.serialize_field(TAG, tag)?;
    map.serialize_field(TAGGED, value)?;
    map.end()
}

impl Serialize for Checked<'_, FieldTable> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Checked(value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for FieldTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldTable, D::Error> {
        TableReader(Depth::OUTERMOST).deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldValue, D::Error> {
        ValueReader(Depth::OUTERMOST).deserialize(deserializer)
    }
}

/// How many arrays and tables are around a value that is read.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    const OUTERMOST: Depth = Depth(0);

    /// The depth inside an array or a table of this depth.
    fn inside<E: de::Error>(self) -> Result<Depth, E> {
        match self.0 < FieldTable::MAX_DEPTH {
            true => Ok(Depth(self.0 + 1)),
            false => Err(E::custom(TableTooDeep)),
        }
    }
}

struct TableReader(Depth);

impl<'de> DeserializeSeed<'de> for TableReader {
    type Value = FieldTable;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldTable, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TableReader {
    type Value = FieldTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of field values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldTable, A::Error> {
        let inside = self.0.inside()?;
        let mut table = FieldTable::new();
        while let Some(name) = map.next_key::<String>()? {
            table.insert(name, map.next_value_seed(ValueReader(inside))?);
        }
        Ok(table)
    }
}

/// Reads the elements of a tagged array.
struct ArrayReader(Depth);

impl<'de> DeserializeSeed<'de> for ArrayReader {
    type Value = Vec<FieldValue>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Vec<FieldValue>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ArrayReader {
    type Value = Vec<FieldValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of field values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<FieldValue>, A::Error> {
        let inside = self.0.inside()?;
        let mut values = Vec::new();
        while let Some(value) = array.next_element_seed(ValueReader(inside))? {
            values.push(value);
        }
        Ok(values)
    }
}

struct ValueReader(Depth);

impl<'de> DeserializeSeed<'de> for ValueReader {
    type Value = FieldValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<FieldValue, E> {
        Ok(FieldValue::Void)
    }

    fn visit_none<E: de::Error>(self) -> Result<FieldValue, E> {
        Ok(FieldValue::Void)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldValue, D::Error> {
        DeserializeSeed::deserialize(self, deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<FieldValue, E> {
        Ok(FieldValue::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<FieldValue, E> {
        Ok(i32::try_from(value).map_or(FieldValue::Long(value), FieldValue::Int))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<FieldValue, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::custom(format_args!(
                "{value} does not fit a signed 64-bit integer, AMQP's widest"
            ))),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<FieldValue, E> {
        Ok(FieldValue::Double(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldValue, E> {
        Ok(FieldValue::LongString(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<FieldValue, E> {
        Ok(FieldValue::LongString(text))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<FieldValue, E> {
        Ok(FieldValue::Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<FieldValue, A::Error> {
        ArrayReader(self.0).visit_seq(array).map(FieldValue::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
        let inside = self.0.inside()?;
        let mut table = FieldTable::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == TAG {
                if !table.is_empty() {
                    return Err(de::Error::custom(
                        "`$type` must come first in a tagged value; a table that holds it is {\"$type\": \"table\", \"value\": {..}}",
                    ));
                }
                return read_tagged(map, self.0).map_err(de::Error::custom);
            }
            table.insert(name, map.next_value_seed(ValueReader(inside))?);
        }
        Ok(FieldValue::Table(table))
    }
}

/// Reads the fields after the key `$type` of a value at this depth.
fn read_tagged<'de, A: MapAccess<'de>>(mut map: A, depth: Depth) -> Result<FieldValue, A::Error> {
    let tag = map.next_value::<String>()?;
    match map.next_key::<String>()? {
        Some(key) if key == TAGGED => {}
        // `{"$type": "void"}` needs no value.
        None if tag == "void" => return Ok(FieldValue::Void),
        _ => {
            return Err(de::Error::custom(
                "a tagged value is {\"$type\": .., \"value\": ..}",
            ));
        }
    }
    let value = match tag.as_str() {
        "void" => map.next_value::<()>().map(|()| FieldValue::Void)?,
        "bool" => FieldValue::Bool(map.next_value()?),
        "octet" => FieldValue::Octet(map.next_value()?),
        "unsigned_octet" => FieldValue::UnsignedOctet(map.next_value()?),
        "short" => FieldValue::Short(map.next_value()?),
        "unsigned_short" => FieldValue::UnsignedShort(map.next_value()?),
        "int" => FieldValue::Int(map.next_value()?),
        "unsigned_int" => FieldValue::UnsignedInt(map.next_value()?),
        "long" => FieldValue::Long(map.next_value()?),
        "float" => match map.next_value::<Real>()? {
            Real::Finite(value) => FieldValue::Float(value as f32),
            Real::Text(text) => FieldValue::Float(text.parse().map_err(de::Error::custom)?),
        },
        "double" => match map.next_value::<Real>()? {
            Real::Finite(value) => FieldValue::Double(value),
            Real::Text(text) => FieldValue::Double(text.parse().map_err(de::Error::custom)?),
        },
        "decimal" => {
            let text = map.next_value::<String>()?;
            parse_decimal(&text).ok_or_else(|| {
                de::Error::custom(format_args!("'{text}' is not a decimal such as '1.25'"))
            })?
        }
        "longstr" => FieldValue::LongString(map.next_value()?),
        "bytes" => {
            let text = map.next_value::<String>()?;
            parse_hex(&text).map(FieldValue::Bytes).ok_or_else(|| {
                de::Error::custom(format_args!(
                    "'{text}' is not an even number of hexadecimal digits"
                ))
            })?
        }
        "timestamp" => FieldValue::Timestamp(map.next_value()?),
        "array" => FieldValue::Array(map.next_value_seed(ArrayReader(depth))?),
        "table" => FieldValue::Table(map.next_value_seed(TableReader(depth))?),
        unknown => {
            return Err(de::Error::custom(format_args!(
                "unknown field type '{unknown}'; expected void, bool, octet, unsigned_octet, short, unsigned_short, int, \
                 unsigned_int, long, float, double, decimal, longstr, bytes, timestamp, array or table"
            )));
        }
    };
    match map.next_key::<String>()? {
        None => Ok(value),
        Some(key) => Err(de::Error::custom(format_args!(
            "a tagged value has no '{key}'"
        ))),
    }
}

/// A floating-point number. A number without digits in JSON is text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Real {
    Finite(f64),
    Text(String),
}

/// Reads the output of [`decimal_text`].
fn parse_decimal(text: &str) -> Option<FieldValue> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = u8::try_from(fraction.len()).ok()?;
    let value = format!("{whole}{fraction}").parse().ok()?;
    Some(FieldValue::Decimal { scale, value })
}

/// Reads the output of [`hex_text`].
fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?))
        .collect()
}

#[cfg(test)]
mod tests;
