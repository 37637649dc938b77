//! The compared outcome of a step: its answer, all events on the channels until the broker was
//! idle, and the depth of every queue.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The outcome of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// `{"ok": {..}}`, `{"error": code}`, `{"empty": true}` or `{"message": {..}}`. It is null if
    /// the step's channel was closed before.
    pub reply: Value,
    /// The received events by channel. Channels without events are left out.
    pub news: BTreeMap<String, News>,
    /// The existing queues, by name.
    pub depths: BTreeMap<String, Depth>,
}

/// The answer of a passive declare for a queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Depth {
    /// The numbers of ready messages and of consumers. `connection` is the connection that may
    /// query them.
    There {
        connection: String,
        messages: u64,
        consumers: u64,
    },
    /// The queue existed before this step and does not exist any more.
    Gone,
}

/// The received events of one channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// Deliveries by consumer, in order.
    pub deliveries: BTreeMap<String, Vec<Value>>,
    /// Returned messages, in order.
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

/// A message in the form of the scenarios. `"*"` replaces values that differ from run to run.
pub struct Message {
    pub body: String,
    pub exchange: String,
    pub routing_key: String,
    pub properties: Map<String, Value>,
}

impl Message {
    /// Adds the fields that only some ways of receiving have.
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

/// The publishes that are not confirmed yet. They are needed to expand a confirm with `multiple`.
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

    /// The publishes that a confirm covers.
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
    /// A text. A missing field is the empty text.
    fn text(&self, name: &str) -> &str;
    /// A flag. A missing field is `false`.
    fn flag(&self, name: &str) -> bool;
    /// A number. A missing field is 0.
    fn number(&self, name: &str) -> u64;
    /// A table. A missing field is the empty table.
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
