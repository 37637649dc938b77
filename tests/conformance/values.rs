//! AMQP values in the JSON of the scenarios: plain JSON, or `{"$type": .., "value": ..}` where the
//! type matters.

use leveret::{FieldTable, FieldValue};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Outcome;

/// The table that is sent for a JSON object. The crate reads AMQP values in the JSON form of the
/// scenarios.
pub fn table(map: Map<String, Value>) -> Outcome<FieldTable> {
    parse(Value::Object(map))
}

/// Parses a type that the crate reads from JSON.
pub fn parse<T: DeserializeOwned>(value: Value) -> Outcome<T> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Compares a value with its expectation. A plain JSON number matches any integer width, and `"*"`
/// matches any value. `{"$min": n}` matches any integer of at least `n`. A table must have at least
/// the named fields.
pub fn check(expected: &Value, actual: &FieldValue) -> Outcome {
    let fits = match expected {
        Value::String(text) if text == "*" => true,
        Value::String(text) => matches!(actual, FieldValue::LongString(actual) if actual == text),
        Value::Null => matches!(actual, FieldValue::Void),
        Value::Bool(flag) => matches!(actual, FieldValue::Bool(actual) if actual == flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => actual.as_i64() == Some(whole),
            (None, Some(fraction)) => match actual {
                FieldValue::Double(actual) => *actual == fraction,
                FieldValue::Float(actual) => *actual == fraction as f32,
                _ => false,
            },
            (None, None) => false,
        },
        Value::Array(expected) => return check_array(expected, actual),
        Value::Object(map) if !map.contains_key("$type") && !map.contains_key("$min") => {
            return check_table(map, actual);
        }
        Value::Object(map) if map.contains_key("$min") => {
            let least = map.get("$min").and_then(Value::as_i64);
            actual.as_i64().is_some_and(|actual| Some(actual) >= least)
        }
        Value::Object(map) => match (map.get("$type").and_then(Value::as_str), map.get("value")) {
            (Some("table"), Some(Value::Object(fields))) => return check_table(fields, actual),
            (Some("array"), Some(Value::Array(items))) => return check_array(items, actual),
            _ => *actual == parse::<FieldValue>(expected.clone())?,
        },
    };
    if fits {
        Ok(())
    } else {
        Err(format!("expected {expected}, not {actual:?}"))
    }
}

fn check_array(expected: &[Value], actual: &FieldValue) -> Outcome {
    match actual {
        FieldValue::Array(actual) if actual.len() == expected.len() => expected
            .iter()
            .zip(actual)
            .try_for_each(|(expected, actual)| check(expected, actual)),
        _ => Err(format!(
            "expected an array of {}, not {actual:?}",
            expected.len()
        )),
    }
}

fn check_table(expected: &Map<String, Value>, actual: &FieldValue) -> Outcome {
    match actual {
        FieldValue::Table(actual) => check_fields(expected, actual),
        _ => Err(format!("expected a table, not {actual:?}")),
    }
}

/// Compares the named fields of a table.
pub fn check_fields(expected: &Map<String, Value>, actual: &FieldTable) -> Outcome {
    for (key, expected) in expected {
        let actual = actual
            .get(key)
            .ok_or_else(|| format!("there is no '{key}'"))?;
        check(expected, actual).map_err(|problem| format!("'{key}': {problem}"))?;
    }
    Ok(())
}
