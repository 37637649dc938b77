//! Replays a distribution: the bindings of one exchange, and the queues that many messages reach.

use std::collections::{BTreeMap, BTreeSet};

use leveret::{
    Broker, Credentials,
    channel::{AckMode, ChannelDelivery},
};
use serde_json::{Value, json};

use crate::{Outcome, expectation::describe, fields::Fields, home::Home, replay::Replay};

/// The distribution of many messages by an exchange with the name `x`.
pub struct Distribution {
    exchange_type: String,
    arguments: Value,
    bindings: Vec<Value>,
    messages: Messages,
    phases: Vec<Phase>,
}

/// The messages of each phase.
struct Messages {
    prefix: String,
    count: u64,
    /// How they differ, if not by their routing keys.
    differ_by: Option<String>,
}

/// Steps, and the result of publishing all messages after them.
struct Phase {
    steps: Vec<Value>,
    counts: BTreeMap<String, usize>,
    /// The queue of each of the first messages.
    first: Vec<String>,
}

impl Distribution {
    /// Takes the fields of a distribution.
    pub fn take(fields: &mut Fields) -> Outcome<Distribution> {
        let mut exchange = Fields::new(&fields.required("exchange")?)?;
        let mut keys = Fields::new(&fields.required("keys")?)?;
        let mut phases = vec![Phase::take(fields)?];
        for phase in fields.list("then")? {
            let mut fields = Fields::new(&phase)?;
            phases.push(Phase::take(&mut fields)?);
            fields.finish()?;
        }
        let distribution = Distribution {
            exchange_type: exchange.text("type")?,
            arguments: exchange.table("arguments")?.into(),
            bindings: fields.list("bindings")?,
            messages: Messages {
                prefix: keys.text("prefix")?,
                count: keys.number("count")?,
                differ_by: fields.optional_text("messages")?,
            },
            phases,
        };
        exchange.finish()?;
        keys.finish()?;
        Ok(distribution)
    }

    /// Replays all phases. The error names the failed phase and the difference.
    pub fn run(&self, home: Home) -> Outcome {
        let mut replay = Replay::new(home)?;
        let (kind, arguments) = (&self.exchange_type, &self.arguments);
        replay.step(&json!({
            "op": "exchange_declare", "exchange": "x", "type": kind, "arguments": arguments
        }))?;
        let mut queues = BTreeSet::new();
        for binding in &self.bindings {
            let mut bind = binding.clone();
            bind["op"] = "queue_bind".into();
            bind["exchange"] = "x".into();
            replay.step(&json!({ "op": "queue_declare", "queue": binding["queue"] }))?;
            replay.step(&bind)?;
            queues.extend(binding["queue"].as_str().map(str::to_owned));
        }
        for (number, phase) in self.phases.iter().enumerate() {
            queues.extend(phase.counts.keys().cloned());
            for step in &phase.steps {
                replay.step(step)?;
            }
            for number in 0..self.messages.count {
                replay.step(&self.messages.publish(number)?)?;
            }
            let arrived = arrivals(&replay.broker, &queues)?;
            phase
                .check(&arrived)
                .map_err(|problem| format!("phase {}: {problem}", number + 1))?;
        }
        Ok(())
    }
}

impl Messages {
    /// The step that publishes one of them. Its body is its number.
    fn publish(&self, number: u64) -> Outcome<Value> {
        let key = format!("{}{number}", self.prefix);
        let by = self.differ_by.as_deref().unwrap_or_default();
        let part = by.split(',').next().unwrap_or_default();
        let properties = match part {
            "" | "no property" => json!({}),
            "only another header is set" => json!({ "headers": { "other": key } }),
            "header h = the string k<i>" => json!({ "headers": { "h": key } }),
            "header h = the 32-bit integer i" => json!({ "headers": { "h": number } }),
            "timestamp = i" => json!({ "timestamp": number }),
            "message_id = k<i>" => json!({ "message_id": key }),
            "correlation_id = k<i>" => json!({ "correlation_id": key }),
            other => return Err(format!("messages do not differ by '{other}'")),
        };
        let key = if by.is_empty() {
            key.as_str()
        } else {
            "constant"
        };
        Ok(json!({
            "op": "publish", "exchange": "x", "routing_key": key,
            "body": number.to_string(), "properties": properties
        }))
    }
}

impl Phase {
    fn take(fields: &mut Fields) -> Outcome<Phase> {
        let mut counts = BTreeMap::new();
        for (queue, count) in fields.table("counts")? {
            let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
            counts.insert(queue, count.ok_or("a count is a number")?);
        }
        let mut first = Vec::new();
        for queue in fields.list("first_200")? {
            first.push(queue.as_str().ok_or("a queue's name is a text")?.to_owned());
        }
        Ok(Phase {
            steps: fields.list("steps")?,
            counts,
            first,
        })
    }

    /// Compares the queue of each message with the recording.
    fn check(&self, arrived: &BTreeMap<usize, String>) -> Outcome {
        let mut counts = BTreeMap::new();
        for queue in arrived.values() {
            *counts.entry(queue.clone()).or_insert(0) += 1;
        }
        for (number, expected) in self.first.iter().enumerate() {
            let queue = arrived.get(&number);
            if queue != Some(expected) {
                return Err(format!(
                    "message {number} is in {queue:?}, not '{expected}'"
                ));
            }
        }
        match counts == self.counts {
            true => Ok(()),
            false => Err(format!("expected {:?}, not {counts:?}", self.counts)),
        }
    }
}

/// Takes all messages, and returns the queue of each.
fn arrivals(broker: &Broker, queues: &BTreeSet<String>) -> Outcome<BTreeMap<usize, String>> {
    let number = |delivery: &ChannelDelivery| -> Outcome<usize> {
        let body = delivery.body().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&body);
        text.parse().map_err(|_| format!("a body is '{text}'"))
    };
    let connection = broker.connect("/", Credentials::guest());
    let channel = connection.and_then(|connection| connection.open_channel());
    let channel = channel.map_err(|error| describe(&error))?;
    let mut arrived = BTreeMap::new();
    for queue in queues {
        loop {
            let got = match channel.basic_get(queue, AckMode::Auto) {
                Ok(Some(got)) => got,
                Ok(None) => break,
                // The steps have deleted it.
                Err(error) if error.reply_code() == Some(404) => break,
                Err(error) => return Err(describe(&error)),
            };
            let number = number(&got)?;
            if let Some(other) = arrived.insert(number, queue.clone()) {
                return Err(format!("message {number} is in '{other}' and in '{queue}'"));
            }
        }
    }
    Ok(arrived)
}
