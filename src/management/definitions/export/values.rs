//! Arguments as JSON: with their types in the own form, and as RabbitMQ writes them.

use super::super::json::{Entries, Json};
use crate::model::field_value::{FieldTable, FieldValue};

/// A table in the own form, sorted by name.
pub(super) fn own_table(table: &FieldTable) -> Json {
    let entries = table.iter();
    sorted(entries.map(|(name, value)| (name.to_owned(), own(value))))
}

fn own(value: &FieldValue) -> Json {
    match value {
        FieldValue::Void => Json::Null,
        FieldValue::Bool(value) => Json::Bool(*value),
        FieldValue::Int(value) => Json::Integer(i64::from(*value)),
        FieldValue::LongString(text) => Json::Text(text.clone()),
        FieldValue::Array(values) => Json::Array(values.iter().map(own).collect()),
        // The other types may have a tag. A table that was declared is not too deep.
        other => serde_json::to_value(other).map_or(Json::Null, |value| Json::from(&value)),
    }
}

/// A table as RabbitMQ writes it, sorted by name.
///
/// # Errors
/// The name of a value of which RabbitMQ would lose the type, and the type.
pub(super) fn plain_table(table: &FieldTable) -> Result<Json, String> {
    let mut entries = Entries::new();
    for (name, value) in table {
        let value = plain(value).map_err(|type_name| {
            format!("the argument '{name}' holds {type_name}, which JSON of RabbitMQ has not")
        })?;
        entries.push((name.to_owned(), value));
    }
    Ok(sorted(entries))
}

/// # Errors
/// The type that is lost.
fn plain(value: &FieldValue) -> Result<Json, &'static str> {
    Ok(match value {
        FieldValue::Void => return Err("void"),
        FieldValue::Decimal { .. } => return Err("a decimal"),
        FieldValue::Bytes(_) => return Err("bytes"),
        FieldValue::Timestamp(_) => return Err("a timestamp"),
        FieldValue::Bool(value) => Json::Bool(*value),
        FieldValue::Octet(value) => Json::Integer(i64::from(*value)),
        FieldValue::UnsignedOctet(value) => Json::Integer(i64::from(*value)),
        FieldValue::Short(value) => Json::Integer(i64::from(*value)),
        FieldValue::UnsignedShort(value) => Json::Integer(i64::from(*value)),
        FieldValue::Int(value) => Json::Integer(i64::from(*value)),
        FieldValue::UnsignedInt(value) => Json::Integer(i64::from(*value)),
        FieldValue::Long(value) => Json::Integer(*value),
        FieldValue::Float(value) if value.is_finite() => Json::Real(f64::from(*value)),
        FieldValue::Double(value) if value.is_finite() => Json::Real(*value),
        FieldValue::Float(_) | FieldValue::Double(_) => return Err("a number without digits"),
        FieldValue::LongString(text) => Json::Text(text.clone()),
        FieldValue::Array(values) => {
            Json::Array(values.iter().map(plain).collect::<Result<_, _>>()?)
        }
        FieldValue::Table(table) => {
            let entries = table.iter();
            let entries =
                entries.map(|(name, value)| Ok::<_, &str>((name.to_owned(), plain(value)?)));
            sorted(entries.collect::<Result<Entries, _>>()?)
        }
    })
}

fn sorted(entries: impl IntoIterator<Item = (String, Json)>) -> Json {
    let mut entries: Entries = entries.into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Json::Object(entries)
}
