//! Properties and tables, in the form of this crate and in that of lapin.

use lapin::{
    BasicProperties,
    types::{AMQPValue, DecimalValue, FieldTable as LapinTable, ShortString},
};

use crate::{
    message::properties::{Properties, PropertyList},
    model::{
        error::{Error, Result},
        field_value::{FieldTable, FieldValue},
        name::NameTooLong,
    },
};

/// A name or a text. The client has text where AMQP has octets, and counts its bytes.
///
/// # Errors
/// [`Error::InvalidName`] for a text over 255 bytes.
pub(super) fn checked(text: &str) -> Result<ShortString> {
    ShortString::try_new(text).map_err(|_| Error::from(NameTooLong::of(text)))
}

/// # Errors
/// [`Error::InvalidName`] for a name of a field over 255 bytes.
pub(super) fn to_table(table: &FieldTable) -> Result<LapinTable> {
    let mut fields = LapinTable::default();
    for (name, value) in table {
        fields.insert(checked(name)?, to_value(value)?);
    }
    Ok(fields)
}

fn to_value(value: &FieldValue) -> Result<AMQPValue> {
    Ok(match value {
        FieldValue::Void => AMQPValue::Void,
        FieldValue::Bool(value) => AMQPValue::Boolean(*value),
        FieldValue::Octet(value) => AMQPValue::ShortShortInt(*value),
        FieldValue::UnsignedOctet(value) => AMQPValue::ShortShortUInt(*value),
        FieldValue::Short(value) => AMQPValue::ShortInt(*value),
        FieldValue::UnsignedShort(value) => AMQPValue::ShortUInt(*value),
        FieldValue::Int(value) => AMQPValue::LongInt(*value),
        FieldValue::UnsignedInt(value) => AMQPValue::LongUInt(*value),
        FieldValue::Long(value) => AMQPValue::LongLongInt(*value),
        FieldValue::Float(value) => AMQPValue::Float(*value),
        FieldValue::Double(value) => AMQPValue::Double(*value),
        FieldValue::Decimal { scale, value } => AMQPValue::DecimalValue(DecimalValue {
            scale: *scale,
            // The same octets. The client takes them as a number without a sign.
            value: *value as u32,
        }),
        FieldValue::LongString(text) => AMQPValue::LongString(text.as_bytes().into()),
        FieldValue::Bytes(bytes) => AMQPValue::ByteArray(bytes.as_slice().into()),
        FieldValue::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        FieldValue::Array(values) => {
            let values: Result<Vec<AMQPValue>> = values.iter().map(to_value).collect();
            AMQPValue::FieldArray(values?.into())
        }
        FieldValue::Table(table) => AMQPValue::FieldTable(to_table(table)?),
    })
}

pub(super) fn of_table(fields: &LapinTable) -> FieldTable {
    let fields = fields.inner().iter();
    fields
        .map(|(name, value)| (name.as_str().to_owned(), of_value(value)))
        .collect()
}

fn of_value(value: &AMQPValue) -> FieldValue {
    match value {
        AMQPValue::Void => FieldValue::Void,
        AMQPValue::Boolean(value) => FieldValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => FieldValue::Octet(*value),
        AMQPValue::ShortShortUInt(value) => FieldValue::UnsignedOctet(*value),
        AMQPValue::ShortInt(value) => FieldValue::Short(*value),
        AMQPValue::ShortUInt(value) => FieldValue::UnsignedShort(*value),
        AMQPValue::LongInt(value) => FieldValue::Int(*value),
        AMQPValue::LongUInt(value) => FieldValue::UnsignedInt(*value),
        AMQPValue::LongLongInt(value) => FieldValue::Long(*value),
        AMQPValue::Float(value) => FieldValue::Float(*value),
        AMQPValue::Double(value) => FieldValue::Double(*value),
        AMQPValue::DecimalValue(DecimalValue { scale, value }) => FieldValue::Decimal {
            scale: *scale,
            value: *value as i32,
        },
        AMQPValue::ShortString(text) => FieldValue::LongString(text.as_str().to_owned()),
        // A text of AMQP may be any octets. Texts of this crate are UTF-8.
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => FieldValue::LongString(text.to_owned()),
            Err(_) => FieldValue::Bytes(text.as_bytes().to_vec()),
        },
        AMQPValue::ByteArray(bytes) => FieldValue::Bytes(bytes.as_slice().to_vec()),
        AMQPValue::Timestamp(seconds) => FieldValue::Timestamp(*seconds),
        AMQPValue::FieldArray(values) => {
            FieldValue::Array(values.as_slice().iter().map(of_value).collect())
        }
        AMQPValue::FieldTable(table) => FieldValue::Table(of_table(table)),
    }
}

/// # Errors
/// [`Error::InvalidName`] for a text over 255 bytes.
pub(super) fn to_properties(properties: &Properties) -> Result<BasicProperties> {
    let mut to = BasicProperties::default();
    if properties.is_empty() {
        return Ok(to);
    }
    let PropertyList {
        content_type,
        content_encoding,
        headers,
        delivery_mode,
        priority,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        timestamp,
        message_type,
        user_id,
        app_id,
        cluster_id,
    } = &**properties;
    type Setter = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<String>, Setter); 10] = [
        (content_type, BasicProperties::with_content_type),
        (content_encoding, BasicProperties::with_content_encoding),
        (correlation_id, BasicProperties::with_correlation_id),
        (reply_to, BasicProperties::with_reply_to),
        (expiration, BasicProperties::with_expiration),
        (message_id, BasicProperties::with_message_id),
        (message_type, BasicProperties::with_type),
        (user_id, BasicProperties::with_user_id),
        (app_id, BasicProperties::with_app_id),
        (cluster_id, BasicProperties::with_cluster_id),
    ];
    for (text, set) in texts {
        if let Some(text) = text {
            to = set(to, checked(text)?);
        }
    }
    if let Some(headers) = headers {
        to = to.with_headers(to_table(headers)?);
    }
    if let Some(delivery_mode) = delivery_mode {
        to = to.with_delivery_mode(*delivery_mode);
    }
    if let Some(priority) = priority {
        to = to.with_priority(*priority);
    }
    if let Some(timestamp) = timestamp {
        to = to.with_timestamp(*timestamp);
    }
    Ok(to)
}

pub(super) fn of_properties(from: &BasicProperties) -> Properties {
    let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
    Properties::from(PropertyList {
        content_type: text(from.content_type()),
        content_encoding: text(from.content_encoding()),
        headers: from.headers().as_ref().map(of_table),
        delivery_mode: *from.delivery_mode(),
        priority: *from.priority(),
        correlation_id: text(from.correlation_id()),
        reply_to: text(from.reply_to()),
        expiration: text(from.expiration()),
        message_id: text(from.message_id()),
        timestamp: *from.timestamp(),
        message_type: text(from.kind()),
        user_id: text(from.user_id()),
        app_id: text(from.app_id()),
        cluster_id: text(from.cluster_id()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_survive_the_way_there_and_back() {
        let inner = FieldTable::from([("k", FieldValue::Double(1.5))]);
        let values = vec![
            FieldValue::Void,
            FieldValue::Bool(true),
            FieldValue::Octet(-1),
            FieldValue::UnsignedOctet(2),
            FieldValue::Short(-3),
            FieldValue::UnsignedShort(4),
            FieldValue::Int(-5),
            FieldValue::UnsignedInt(6),
            FieldValue::Long(-7),
            FieldValue::Float(0.5),
            FieldValue::Decimal {
                scale: 2,
                value: -150,
            },
            FieldValue::LongString("text".to_owned()),
            FieldValue::Bytes(vec![0xFF, 0]),
            FieldValue::Timestamp(9),
            FieldValue::Table(inner),
        ];
        let properties = Properties::new()
            .content_type("a/b")
            .content_encoding("utf-8")
            .header("all", values)
            .persistent()
            .priority(5)
            .correlation_id("c")
            .reply_to("r")
            .expiration("1000")
            .message_id("m")
            .timestamp(7)
            .message_type("t")
            .user_id("u")
            .app_id("a")
            .cluster_id("x");
        let there = to_properties(&properties).unwrap();
        assert_eq!(of_properties(&there), properties);
        let none = to_properties(&Properties::new()).unwrap();
        assert!(of_properties(&none).is_empty());
        let long = Properties::new().app_id("x".repeat(256));
        assert_eq!(to_properties(&long).unwrap_err().reply_code(), Some(502));
        // Characters that stand for octets are three bytes each to the client.
        let octets = Properties::new().app_id("\u{efff}".repeat(86));
        assert_eq!(to_properties(&octets).unwrap_err().reply_code(), Some(502));
    }
}
