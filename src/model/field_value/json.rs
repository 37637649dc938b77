//! Field values in JSON, and in any other self-describing format. The form is that of the
//! conformance recordings.
//!
//! A value is tagged if plain JSON would lose its type: `{"$type": "timestamp", "value": 5}`. The
//! tag stands first, so that the reader knows the type of the value behind it. A nested table with
//! a key `$type` is tagged as well.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeStruct},
};

use super::{FieldTable, FieldValue, decimal_text, hex_text};

/// The key that marks a tagged value.
const TAG: &str = "$type";

/// The key of the tagged value.
const TAGGED: &str = "value";

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
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
            FieldValue::Array(values) => serializer.collect_seq(values),
            FieldValue::Table(table) if table.contains_key(TAG) => {
                tagged(serializer, "table", table)
            }
            FieldValue::Table(table) => table.serialize(serializer),
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

impl Serialize for FieldTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for FieldTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldTable, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = FieldTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of field values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldTable, A::Error> {
        let mut table = FieldTable::new();
        while let Some((name, value)) = map.next_entry::<String, FieldValue>()? {
            table.insert(name, value);
        }
        Ok(table)
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldValue, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
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
        FieldValue::deserialize(deserializer)
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<FieldValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(FieldValue::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
        let mut table = FieldTable::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == TAG {
                if !table.is_empty() {
                    return Err(de::Error::custom(
                        "`$type` must come first in a tagged value; a table that holds it is {\"$type\": \"table\", \"value\": {..}}",
                    ));
                }
                return read_tagged(map).map_err(de::Error::custom);
            }
            table.insert(name, map.next_value::<FieldValue>()?);
        }
        Ok(FieldValue::Table(table))
    }
}

/// Reads the fields after the key `$type`.
fn read_tagged<'de, A: MapAccess<'de>>(mut map: A) -> Result<FieldValue, A::Error> {
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
        "array" => FieldValue::Array(map.next_value()?),
        "table" => FieldValue::Table(map.next_value()?),
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
mod tests {
    use super::*;

    fn read(json: &str) -> FieldValue {
        serde_json::from_str(json).unwrap()
    }

    fn write(value: &FieldValue) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn plain_json_becomes_the_field_types_that_a_client_would_send() {
        assert_eq!(read("5"), FieldValue::Int(5));
        assert_eq!(read("2147483648"), FieldValue::Long(2_147_483_648));
        assert_eq!(read("-2147483649"), FieldValue::Long(-2_147_483_649));
        assert_eq!(read("1.0"), FieldValue::Double(1.0));
        assert_eq!(read("null"), FieldValue::Void);
        assert_eq!(read("true"), FieldValue::Bool(true));
        assert_eq!(read("\"a\""), FieldValue::from("a"));
        assert_eq!(
            read("[1, \"a\"]"),
            FieldValue::Array(vec![1.into(), "a".into()])
        );
        assert_eq!(
            read("{\"k\": 1}"),
            FieldValue::Table(FieldTable::from([("k", 1)]))
        );
        assert!(serde_json::from_str::<FieldValue>("18446744073709551615").is_err());
    }

    #[test]
    fn every_type_is_written_so_that_it_reads_back() {
        let tagged = [
            (FieldValue::Octet(-1), r#"{"$type":"octet","value":-1}"#),
            (
                FieldValue::UnsignedOctet(1),
                r#"{"$type":"unsigned_octet","value":1}"#,
            ),
            (FieldValue::Short(-1), r#"{"$type":"short","value":-1}"#),
            (
                FieldValue::UnsignedShort(1),
                r#"{"$type":"unsigned_short","value":1}"#,
            ),
            (FieldValue::Int(1), "1"),
            (
                FieldValue::UnsignedInt(1),
                r#"{"$type":"unsigned_int","value":1}"#,
            ),
            (FieldValue::Long(1), r#"{"$type":"long","value":1}"#),
            (FieldValue::Long(i64::MIN), "-9223372036854775808"),
            (FieldValue::Float(1.5), r#"{"$type":"float","value":1.5}"#),
            (
                FieldValue::Float(f32::NAN),
                r#"{"$type":"float","value":"NaN"}"#,
            ),
            (FieldValue::Double(1.0), "1.0"),
            (
                FieldValue::Double(f64::NEG_INFINITY),
                r#"{"$type":"double","value":"-inf"}"#,
            ),
            (
                FieldValue::Decimal {
                    scale: 1,
                    value: 11,
                },
                r#"{"$type":"decimal","value":"1.1"}"#,
            ),
            (
                FieldValue::Decimal { scale: 2, value: 0 },
                r#"{"$type":"decimal","value":"0.00"}"#,
            ),
            (
                FieldValue::Bytes(vec![0, 255]),
                r#"{"$type":"bytes","value":"00ff"}"#,
            ),
            (
                FieldValue::Timestamp(u64::MAX),
                r#"{"$type":"timestamp","value":18446744073709551615}"#,
            ),
            (
                FieldValue::Table(FieldTable::new().with(TAG, "long").with(TAGGED, 5)),
                r#"{"$type":"table","value":{"$type":"long","value":5}}"#,
            ),
        ];
        for (value, json) in tagged {
            assert_eq!(write(&value), json);
            assert_eq!(read(json), value, "{json}");
        }
    }

    #[test]
    fn the_other_tags_of_the_recordings_are_read_too() {
        assert_eq!(read(r#"{"$type":"int","value":1}"#), FieldValue::Int(1));
        assert_eq!(read(r#"{"$type":"void"}"#), FieldValue::Void);
        assert_eq!(read(r#"{"$type":"void","value":null}"#), FieldValue::Void);
        assert_eq!(
            read(r#"{"$type":"bool","value":true}"#),
            FieldValue::Bool(true)
        );
        assert_eq!(
            read(r#"{"$type":"longstr","value":"a"}"#),
            FieldValue::from("a")
        );
        assert_eq!(
            read(r#"{"$type":"double","value":1}"#),
            FieldValue::Double(1.0)
        );
        assert_eq!(
            read(r#"{"$type":"decimal","value":"1"}"#),
            FieldValue::Decimal { scale: 0, value: 1 }
        );
        assert_eq!(
            read(r#"{"$type":"array","value":[1]}"#),
            FieldValue::Array(vec![1.into()])
        );
    }

    #[test]
    fn a_malformed_tagged_value_is_refused_with_a_reason() {
        for (json, reason) in [
            (r#"{"value":5,"$type":"long"}"#, "must come first"),
            (r#"{"$type":"long"}"#, "\"value\""),
            (r#"{"$type":"longish","value":5}"#, "unknown field type"),
            (r#"{"$type":"octet","value":128}"#, "128"),
            (r#"{"$type":"bytes","value":"0"}"#, "hexadecimal"),
            (r#"{"$type":"bytes","value":"+1"}"#, "hexadecimal"),
            (r#"{"$type":"decimal","value":"x"}"#, "decimal"),
            (r#"{"$type":"long","value":5,"more":1}"#, "more"),
        ] {
            let error = serde_json::from_str::<FieldValue>(json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn a_table_keeps_its_order_and_its_own_type_key() {
        let json = r#"{"b":1,"a":{"$type":"short","value":2},"$type":"x"}"#;
        let table: FieldTable = serde_json::from_str(json).unwrap();
        assert_eq!(
            table.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["b", "a", "$type"]
        );
        assert_eq!(serde_json::to_string(&table).unwrap(), json);
    }
}
