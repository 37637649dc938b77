//! The parts of a received message that the replay compares.

use std::{collections::BTreeMap, fmt};

use leveret::{
    Properties,
    channel::{ChannelDelivery, Returned},
};
use serde_json::Value;

use crate::{Outcome, fields::Fields, values};

/// The names that a scenario has saved (`$q`), with their values.
pub type Saved = BTreeMap<String, String>;

/// A message that the replay received by a delivery, a get or a return.
pub struct Received {
    pub body: String,
    pub exchange: String,
    pub routing_key: String,
    pub properties: Properties,
    pub redelivered: Option<bool>,
    pub delivery_tag: Option<u64>,
    pub message_count: Option<u64>,
}

impl Received {
    /// A message from a delivery.
    pub fn delivered(delivery: &ChannelDelivery) -> Received {
        Received {
            body: match delivery.body() {
                Ok(body) => String::from_utf8_lossy(&body).into_owned(),
                Err(error) => format!("(no body: {error})"),
            },
            exchange: delivery.exchange().to_string(),
            routing_key: delivery.routing_key().to_string(),
            properties: delivery.properties().clone(),
            redelivered: Some(delivery.redelivered()),
            delivery_tag: Some(delivery.delivery_tag()),
            message_count: None,
        }
    }

    /// A message from a get. It also has the number of ready messages.
    pub fn fetched(delivery: &ChannelDelivery) -> Received {
        Received {
            message_count: Some(delivery.message_count()),
            ..Received::delivered(delivery)
        }
    }

    /// A returned message.
    pub fn returned(returned: &Returned) -> Received {
        Received {
            body: String::from_utf8_lossy(&returned.body).into_owned(),
            exchange: returned.exchange.to_string(),
            routing_key: returned.routing_key.to_string(),
            properties: returned.properties.clone(),
            redelivered: None,
            delivery_tag: None,
            message_count: None,
        }
    }

    /// Compares the fields that the expectation names, and saves the values that it asks for.
    pub fn check(&self, expected: &Value, saved: &mut Saved) -> Outcome {
        let mut fields = Fields::new(expected)?;
        expect_equal("body", fields.take("body"), Some(self.body.as_str()))?;
        expect_equal(
            "exchange",
            fields.take("exchange"),
            Some(self.exchange.as_str()),
        )?;
        expect_equal(
            "routing_key",
            fields.take("routing_key"),
            Some(self.routing_key.as_str()),
        )?;
        expect_equal("redelivered", fields.take("redelivered"), self.redelivered)?;
        expect_equal(
            "delivery_tag",
            fields.take("delivery_tag"),
            self.delivery_tag,
        )?;
        expect_equal(
            "message_count",
            fields.take("message_count"),
            self.message_count,
        )?;

        let present = serde_json::to_value(&self.properties).map_err(|error| error.to_string())?;
        for (name, expected) in fields.table("properties")? {
            if !PROPERTIES.contains(&name.as_str()) {
                return Err(format!("there is no property called '{name}'"));
            }
            let actual = present.get(&name).unwrap_or(&Value::Null);
            if *actual != expected && (expected != "*" || actual.is_null()) {
                return Err(format!(
                    "property '{name}': expected {expected}, not {actual}"
                ));
            }
        }
        let headers = self.properties.headers.as_ref();
        if let Some(expected) = fields.take("headers") {
            let expected = expected
                .as_object()
                .ok_or_else(|| format!("not a table: {expected}"))?;
            match headers {
                Some(headers) => values::check_fields(expected, headers)
                    .map_err(|problem| format!("headers: {problem}"))?,
                None if expected.is_empty() => {}
                None => return Err("there are no headers".to_owned()),
            }
        }
        for absent in fields.list("headers_absent")? {
            let name = absent
                .as_str()
                .ok_or_else(|| format!("not a header's name: {absent}"))?;
            if headers.is_some_and(|headers| headers.contains_key(name)) {
                return Err(format!("the header '{name}' is there"));
            }
        }
        if let Some(name) = fields.optional_text("save_reply_to")? {
            let reply_to = self
                .properties
                .reply_to
                .clone()
                .ok_or("there is no reply_to to save")?;
            saved.insert(name, reply_to);
        }
        fields.finish()
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' from exchange '{}' with key '{}'",
            self.body, self.exchange, self.routing_key
        )?;
        if let Some(tag) = self.delivery_tag {
            write!(f, ", tag {tag}")?;
        }
        if self.redelivered == Some(true) {
            write!(f, ", redelivered")?;
        }
        if let Some(count) = self.message_count {
            write!(f, ", {count} left")?;
        }
        match &self.properties.headers {
            Some(headers) if !headers.is_empty() => write!(f, ", headers {headers:?}"),
            _ => Ok(()),
        }
    }
}

/// Compares one field if the expectation names it.
fn expect_equal<T>(name: &str, expected: Option<Value>, actual: Option<T>) -> Outcome
where
    Value: From<Option<T>>,
{
    let Some(expected) = expected else {
        return Ok(());
    };
    let actual = Value::from(actual);
    if expected == actual {
        Ok(())
    } else {
        Err(format!("{name}: expected {expected}, not {actual}"))
    }
}

/// The properties that an expectation may name. The headers are a separate field.
const PROPERTIES: [&str; 13] = [
    "content_type",
    "content_encoding",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
];
