//! Runs programs on both brokers, compares the outcomes, and shrinks a program whose outcomes
//! differ.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    client::Address,
    generator::Generator,
    ours::Ours,
    outcome::{Depth, Outcome, Step},
    rabbit::{Pace, Rabbit, Trouble},
    random::Random,
};

/// Steps, with leveret's outcome of each.
#[derive(Clone)]
pub struct Program {
    pub steps: Vec<Value>,
    pub outcomes: Vec<Outcome>,
}

/// A step with another outcome on RabbitMQ.
pub struct Difference {
    /// The index of the step.
    pub index: usize,
    /// RabbitMQ's outcome of the step.
    pub real: Outcome,
    /// RabbitMQ's outcomes of the steps before.
    pub before: Vec<Outcome>,
}

/// The prefix of all names in a program.
pub fn prefix(number: u64) -> String {
    format!("differential-{}-{number}-", std::process::id())
}

impl Program {
    /// Generates the program with this seed and number.
    pub fn generate(seed: u64, number: u64) -> Program {
        let mut generator = Generator::new(Random::new(seed, number), &prefix(number));
        let mut ours = Ours::new();
        let mut program = Program {
            steps: Vec::new(),
            outcomes: Vec::new(),
        };
        while let Some(step) = generator.next() {
            let outcome = ours.step(&step);
            generator.learn(&step, &outcome);
            program.steps.push(step);
            program.outcomes.push(outcome);
        }
        program
    }

    /// The program with these steps.
    pub fn of(steps: Vec<Value>) -> Program {
        let mut ours = Ours::new();
        let outcomes = steps.iter().map(|step| ours.step(step)).collect();
        Program { steps, outcomes }
    }

    /// The number of quorum queues in the program.
    pub fn quorum_queues(&self) -> usize {
        let declared = self
            .steps
            .iter()
            .filter(|step| step["arguments"]["x-queue-type"] == "quorum");
        declared
            .map(|step| step.text("queue"))
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Runs the program on RabbitMQ, up to the first difference.
    pub fn compare(&self, address: &Address, pace: Pace) -> Result<Option<Difference>, Trouble> {
        let may_expire = self.steps.iter().any(|step| {
            step["op"] == "sleep"
                || step["properties"]["expiration"]
                    .as_str()
                    .is_some_and(|text| text.parse::<u32>().is_ok())
                || !step["arguments"]["x-message-ttl"].is_null()
                || !step["arguments"]["x-expires"].is_null()
        });
        let mut rabbit = Rabbit::new(address, pace, may_expire)?;
        let mut before = Vec::new();
        let mut verdict = Ok(None);
        for (index, (step, expected)) in self.steps.iter().zip(&self.outcomes).enumerate() {
            match rabbit.step(step, expected) {
                Ok(real) if real == *expected => before.push(real),
                Ok(real) => {
                    verdict = Ok(Some(Difference {
                        index,
                        real,
                        before,
                    }));
                    break;
                }
                Err(trouble) => {
                    verdict = Err(trouble);
                    break;
                }
            }
        }
        let cleaned = rabbit.clean_up();
        // The trouble of a step says more than that of the end.
        let verdict = verdict?;
        cleaned.map(|()| verdict)
    }

    /// Removes steps as long as `differs` still finds a difference.
    pub fn shrink(
        mut self,
        mut found: Difference,
        mut differs: impl FnMut(&Program) -> Option<Difference>,
    ) -> (Program, Difference) {
        self.steps.truncate(found.index + 1);
        let mut chunk = self.steps.len() / 2;
        while chunk > 0 {
            let mut start = 0;
            while start < self.steps.len() {
                let mut steps = self.steps.clone();
                steps.drain(start..(start + chunk).min(self.steps.len()));
                let smaller = Program::of(steps);
                if let Some(difference) = differs(&smaller) {
                    self = smaller;
                    self.steps.truncate(difference.index + 1);
                    found = difference;
                } else {
                    start += chunk;
                }
            }
            chunk /= 2;
        }
        (Program::of(self.steps), found)
    }

    /// The program as a conformance scenario with the outcomes of RabbitMQ.
    pub fn scenario(&self, id: &str, prefix: &str, difference: &Difference) -> String {
        let mut steps = Vec::new();
        let mut depths = std::collections::BTreeMap::new();
        let outcomes = difference.before.iter().chain([&difference.real]);
        for (step, outcome) in self.steps.iter().zip(outcomes) {
            let asynchronous = ["publish", "ack", "nack", "reject"]
                .contains(&step["op"].as_str().unwrap_or_default());
            let site = |op: &str, ch: &str| match &step["conn"] {
                Value::Null => json!({"op": op, "ch": ch}),
                _ if step["ch"] == ch => json!({"op": op, "conn": step["conn"], "ch": ch}),
                _ => json!({"op": op, "ch": ch}),
            };
            let mut written = step.clone();
            if !asynchronous && !outcome.reply.is_null() && outcome.reply != json!({"ok": {}}) {
                written["expect"] = outcome.reply.clone();
            }
            steps.push(written);
            if asynchronous && outcome.reply.get("error").is_some() {
                let mut closed = site(
                    "expect_channel_closed",
                    step["ch"].as_str().unwrap_or_default(),
                );
                closed["code"] = outcome.reply["error"].clone();
                steps.push(closed);
            }
            for (ch, news) in &outcome.news {
                for (consumer, messages) in &news.deliveries {
                    let mut expected = site("expect_deliveries", ch);
                    expected["consumer"] = json!(consumer);
                    expected["messages"] = json!(messages);
                    steps.push(expected);
                }
                for message in &news.returns {
                    let mut message = message.clone();
                    let mut expected = site("expect_return", ch);
                    if let Some(fields) = message.as_object_mut() {
                        expected["reply_code"] = fields.remove("reply_code").unwrap_or_default();
                    }
                    expected["message"] = message;
                    steps.push(expected);
                }
                if !news.acks.is_empty() || !news.nacks.is_empty() {
                    let mut expected = site("expect_confirms", ch);
                    expected["acks"] = json!(news.acks);
                    expected["nacks"] = json!(news.nacks);
                    steps.push(expected);
                }
                for consumer in &news.cancelled {
                    let mut expected = site("expect_cancelled", ch);
                    expected["consumer"] = json!(consumer);
                    steps.push(expected);
                }
            }
            for (queue, depth) in &outcome.depths {
                if depths.get(queue) == Some(depth) {
                    continue;
                }
                depths.insert(queue.clone(), depth.clone());
                steps.push(match depth {
                    Depth::There {
                        connection,
                        messages,
                        consumers,
                    } => json!({
                        "op": "expect_depth",
                        "conn": connection, "ch": format!("look {connection}"),
                        "queue": queue, "message_count": messages, "consumer_count": consumers,
                    }),
                    Depth::Gone => json!({"op": "expect_gone", "queue": queue}),
                });
            }
        }
        let steps: Vec<String> = steps.iter().map(|step| format!("    {step}")).collect();
        let text = format!(
            "  {{\"id\": \"{id}\", \"title\": \"?\", \"steps\": [\n{}\n  ]}}",
            steps.join(",\n")
        );
        text.replace(prefix, "")
    }
}
