//! What is compared: the answer to a step, everything that came to the channels until the broker was at rest, and the depth of every queue.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// One step's outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// `{"ok": {..}}`, `{"error": code}`, `{"empty": true}`, `{"message": {..}}`, or null if the step's channel was closed before.
    pub reply: Value,
    /// What came, by channel; channels to which nothing came are left out.
    pub news: BTreeMap<String, News>,
    /// The queues there are, by name.
    pub depths: BTreeMap<String, Depth>,
}

/// What a passive declare says of a queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Depth {
    /// How many messages are ready and how many consumers there are; `connection` is the one that may ask.
    There {
        connection: String,
        messages: u64,
        consumers: u64,
    },
    /// It was there before this step.
    Gone,
}

/// What came to one channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// By consumer, in order.
    pub deliveries: BTreeMap<String, Vec<Value>>,
    /// In order.
    pub returns: Vec<Value>,
    pub acks: BTreeSet<u64>,
    pub nacks: BTreeSet<u64>,
    pub cancelled: BTreeSet<String>,
}

impl News {
    pub fn is_empty(&self) -> bool {
        *self == News::default()
    }
}

/// A message as the scenarios write it. What differs from run to run is replaced by `"*"`.
pub struct Message {
    pub body: String,
    pub exchange: String,
    pub routing_key: String,
    pub properties: Map<String, Value>,
}

impl Message {
    /// With the fields that only some of the ways to get a message have.
    pub fn with(self, more: Value) -> Value {
        let mut properties = self.properties;
        let mut headers = properties.remove("headers");
        if let Some(Value::Array(deaths)) = headers.as_mut().and_then(|all| all.get_mut("x-death"))
        {
            for death in deaths {
                if let Some(time) = death.get_mut("time") {
                    *time = json!("*");
                }
            }
        }
        let mut message = json!({
            "body": self.body,
            "exchange": self.exchange,
            "routing_key": self.routing_key,
        });
        let fields = message.as_object_mut().expect("it was just made");
        if let Value::Object(more) = more {
            fields.extend(more);
        }
        if !properties.is_empty() {
            fields.insert("properties".to_owned(), properties.into());
        }
        if let Some(headers) = headers {
            fields.insert("headers".to_owned(), headers);
        }
        message
    }
}

/// Publishes that wait for their confirm, to expand what confirms several.
#[derive(Default)]
pub struct Unconfirmed {
    published: u64,
    numbers: BTreeSet<u64>,
}

impl Unconfirmed {
    pub fn publish(&mut self) {
        self.published += 1;
        self.numbers.insert(self.published);
    }

    /// The publishes that a confirm is about.
    pub fn confirm(&mut self, number: u64, multiple: bool) -> Vec<u64> {
        let confirmed: Vec<u64> = if multiple {
            self.numbers.range(..=number).copied().collect()
        } else {
            vec![number]
        };
        for number in &confirmed {
            self.numbers.remove(number);
        }
        confirmed
    }
}

/// Reading a step.
pub trait Step {
    /// A text, or the empty one.
    fn text(&self, name: &str) -> &str;
    /// A flag, or false.
    fn flag(&self, name: &str) -> bool;
    /// A number, or 0.
    fn number(&self, name: &str) -> u64;
    /// A table, or the empty one.
    fn table(&self, name: &str) -> Value;
}

impl Step for Value {
    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self[name].as_bool().unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self[name].as_u64().unwrap_or_default()
    }

    fn table(&self, name: &str) -> Value {
        match &self[name] {
            Value::Object(table) => Value::Object(table.clone()),
            _ => json!({}),
        }
    }
}
