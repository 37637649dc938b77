//! The values of a table as plain JSON, without their types.

use serde_json::Value;

use super::super::{
    FieldTable, FieldValue,
    text::{decimal_text, hex_text},
};

/// The values of a table: each number is a number, a timestamp is its seconds since 1970, and bytes
/// are a text of hexadecimal digits. `None` if the table is nested too deep.
pub(crate) fn plain_json(table: &FieldTable) -> Option<Value> {
    table.check_depth().ok().map(|()| of_table(table))
}

fn of_table(table: &FieldTable) -> Value {
    let entries = table.iter();
    Value::Object(
        entries
            .map(|(name, value)| (name.to_owned(), of(value)))
            .collect(),
    )
}

fn of(value: &FieldValue) -> Value {
    match value {
        FieldValue::Void => Value::Null,
        FieldValue::Bool(value) => Value::from(*value),
        FieldValue::Octet(value) => Value::from(*value),
        FieldValue::UnsignedOctet(value) => Value::from(*value),
        FieldValue::Short(value) => Value::from(*value),
        FieldValue::UnsignedShort(value) => Value::from(*value),
        FieldValue::Int(value) => Value::from(*value),
        FieldValue::UnsignedInt(value) => Value::from(*value),
        FieldValue::Long(value) => Value::from(*value),
        FieldValue::Timestamp(seconds) => Value::from(*seconds),
        FieldValue::Float(value) => Value::from(*value),
        FieldValue::Double(value) => Value::from(*value),
        FieldValue::Decimal { scale, value } => {
            let number = decimal_text(*scale, *value).parse::<f64>();
            number.map_or(Value::Null, Value::from)
        }
        FieldValue::LongString(text) => Value::from(&**text),
        FieldValue::Bytes(bytes) => Value::from(hex_text(bytes)),
        FieldValue::Array(values) => values.iter().map(of).collect(),
        FieldValue::Table(table) => of_table(table),
    }
}
