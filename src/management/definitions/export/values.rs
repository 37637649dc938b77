//! Arguments as JSON: with their types in the own form, and as RabbitMQ writes them.

use std::borrow::Cow;

use super::super::json::{Entries, Json};
use crate::model::field_value::{FieldTable, FieldValue};

/// A table in the own form, sorted by name.
pub(super) fn own_table(table: &FieldTable) -> Json<'static> {
    let entries = table.iter();
    sorted(entries.map(|(name, value)| (name.to_owned().into(), own(value))))
}

fn own(value: &FieldValue) -> Json<'static> {
    match value {
        FieldValue::Void => Json::Null,
        FieldValue::Bool(value) => Json::Bool(*value),
        FieldValue::Int(value) => Json::Integer(i64::from(*value)),
        FieldValue::LongString(text) => Json::Text(text.clone().into()),
        FieldValue::Array(values) => Json::Array(values.iter().map(own).collect()),
        // The other types may have a tag. A table that was declared is not too deep.
        other => serde_json::to_value(other).map_or(Json::Null, |value| Json::from(&value)),
    }
}

/// A table as RabbitMQ writes it, sorted by name.
///
/// # Errors
/// The name of a value of which RabbitMQ would lose the type, and the type.
pub(super) fn plain_table(table: &FieldTable) -> Result<Json<'static>, String> {
    let mut entries = Entries::new();
    for (name, value) in table {
        let value = plain(value).map_err(|type_name| {
            format!("the argument '{name}' holds {type_name}, which JSON of RabbitMQ has not")
        })?;
        entries.push((name.to_owned().into(), value));
    }
    Ok(sorted(entries))
}

/// # Errors
/// The type that is lost.
fn plain(value: &FieldValue) -> Result<Json<'static>, &'static str> {
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
        FieldValue::LongString(text) => Json::Text(text.clone().into()),
        FieldValue::Array(values) => {
            Json::Array(values.iter().map(plain).collect::<Result<_, _>>()?)
        }
        FieldValue::Table(table) => {
            let entries = table.iter();
            let entries =
                entries.map(|(name, value)| Ok::<_, &str>((name.to_owned().into(), plain(value)?)));
            sorted(entries.collect::<Result<Entries<'_>, _>>()?)
        }
    })
}

fn sorted(entries: impl IntoIterator<Item = (Cow<'static, str>, Json<'static>)>) -> Json<'static> {
    let mut entries: Entries<'_> = entries.into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Json::Object(entries)
}
