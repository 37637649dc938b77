//! Writes a program step by step. It looks at leveret's outcomes of the earlier steps, so most of
//! its settlements name outstanding messages.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    line::Line,
    outcome::{Outcome, Step},
    random::Random,
    style::{GRID_MS, OPERATIONS, Style},
};

/// The generator of one program.
pub struct Generator {
    random: Random,
    style: Style,
    prefix: String,
    queues: Vec<String>,
    /// Whether each of the queues is a quorum queue.
    quorum: Vec<bool>,
    exchanges: Vec<(String, &'static str)>,
    keys: Vec<String>,
    lines: Vec<Line>,
    /// Steps that are already planned, with the next step last.
    planned: Vec<Value>,
    /// The number of remaining steps in the middle part.
    left: usize,
    bodies: usize,
    tags: usize,
    /// Steps since the last sleep.
    awake: usize,
    /// The queues that the end of the program still has to empty.
    draining: Option<Vec<String>>,
}

impl Generator {
    pub fn new(mut random: Random, prefix: &str) -> Generator {
        let style = Style::new(&mut random);
        let queues: Vec<String> = (1..=1 + random.below(4))
            .map(|number| format!("{prefix}q{number}"))
            .collect();
        let kinds = ["fanout", "direct", "topic", "headers"];
        let most = if style.one_copy() { 1 } else { 4 };
        let exchanges: Vec<(String, &'static str)> = (1..=random.below(most))
            .map(|number| (format!("{prefix}x{number}"), *random.pick(&kinds)))
            .collect();
        let quorum = queues.iter().map(|_| style.quorum && random.chance(60));
        let quorum = quorum.collect();
        let mut keys = queues.clone();
        keys.extend(["a", "a.b", "b"].map(str::to_owned));
        let left = 8 + random.below(28);
        let mut generator = Generator {
            random,
            style,
            prefix: prefix.to_owned(),
            queues,
            quorum,
            exchanges,
            keys,
            lines: Vec::new(),
            planned: Vec::new(),
            left,
            bodies: 0,
            tags: 0,
            awake: 0,
            draining: None,
        };
        generator.plan_topology();
        generator
    }

    fn plan_topology(&mut self) {
        let mut steps = Vec::new();
        for number in 1..=2 + self.random.below(2) {
            self.open_line(number, &mut steps);
        }
        for index in 0..self.exchanges.len() {
            steps.push(self.exchange_declare(index));
        }
        for index in 0..self.queues.len() {
            steps.push(self.queue_declare(index));
        }
        for _ in 0..self.exchanges.len() * 2 {
            steps.extend(self.bind("queue_bind"));
        }
        if self.exchanges.len() > 1 && self.random.chance(40) {
            steps.extend(self.bind("exchange_bind"));
        }
        if self.style.timed {
            // The steps before have taken some time. After this sleep the two clocks agree again.
            steps.push(json!({"op": "sleep", "ms": GRID_MS}));
        }
        steps.reverse();
        self.planned = steps;
    }

    fn open_line(&mut self, number: usize, steps: &mut Vec<Value>) {
        let line = Line {
            name: format!("{}", self.lines.len() + 1),
            connection: if number == 3 { "c2" } else { "c1" }.to_owned(),
            queue: self.random.pick(&self.queues).clone(),
            consumers: BTreeMap::new(),
            outstanding: Vec::new(),
            limited: false,
            // The first message of a commit may have died before the next one is published, or not.
            transactional: self.style.transactions
                && !self.style.dead_letters
                && self.random.chance(50),
            open: true,
        };
        let at = |op: &str| json!({"op": op, "conn": line.connection, "ch": line.name});
        if line.transactional {
            steps.push(at("tx_select"));
        } else if self.style.confirms && self.random.chance(60) {
            steps.push(at("confirm_select"));
        }
        if self.style.prefetch && self.random.chance(60) {
            let mut step = at("qos");
            step["prefetch_count"] = json!(1 + self.random.below(3));
            step["global"] = json!(self.random.chance(25));
            steps.push(step);
        }
        self.lines.push(line);
    }

    /// The next step. `None` at the end of the program.
    pub fn next(&mut self) -> Option<Value> {
        // Every step takes some time. The next sleep is shortened by it.
        self.awake += 1;
        if self.style.timed
            && self.awake > 10
            && self.draining.as_ref().is_none_or(|left| !left.is_empty())
        {
            self.awake = 0;
            return Some(json!({"op": "sleep", "ms": GRID_MS}));
        }
        let step = self.choose();
        if step.as_ref().is_some_and(|step| step["op"] == "sleep") {
            self.awake = 0;
        }
        step
    }

    fn choose(&mut self) -> Option<Value> {
        if let Some(step) = self.planned.pop() {
            return Some(step);
        }
        if self.left > 0 {
            self.left -= 1;
            for _ in 0..20 {
                let operation = OPERATIONS[self.random.weighted(&self.style.weights())];
                if let Some(step) = self.operation(operation) {
                    return Some(step);
                }
            }
        }
        self.ending()
    }

    /// Closes every channel, then empties every queue and checks every exchange.
    fn ending(&mut self) -> Option<Value> {
        self.left = 0;
        if let Some(line) = self.lines.iter_mut().find(|line| line.open) {
            line.open = false;
            return Some(json!({"op": "close_channel", "conn": line.connection, "ch": line.name}));
        }
        if self.draining.is_none() {
            self.draining = Some(self.queues.clone());
            for (name, kind) in &self.exchanges {
                self.planned.push(json!({
                    "op": "exchange_declare", "conn": "c1", "ch": format!("last {name}"),
                    "exchange": name, "type": kind, "passive": true,
                }));
            }
        }
        let queue = self.draining.as_ref()?.last()?.clone();
        Some(json!({
            "op": "get", "conn": "c1", "ch": format!("last {queue}"),
            "queue": queue, "auto_ack": true,
        }))
    }

    /// Records the outcome of a step.
    pub fn learn(&mut self, step: &Value, outcome: &Outcome) {
        let (op, ch) = (step.text("op"), step.text("ch"));
        if outcome.reply.get("message").is_none()
            && op == "get"
            && let Some(draining) = &mut self.draining
        {
            draining.pop();
        }
        if op == "close_connection" || outcome.reply.get("level").is_some() {
            for line in &mut self.lines {
                line.open &= line.connection != step.text("conn");
            }
        }
        if let Some(line) = self.lines.iter_mut().find(|line| line.name == ch) {
            line.learn(op, step, &outcome.reply);
        }
        for line in &mut self.lines {
            if let Some(news) = outcome.news.get(&line.name) {
                for consumer in &news.cancelled {
                    line.consumers.remove(consumer);
                }
                for (consumer, messages) in &news.deliveries {
                    if line.consumers.get(consumer) != Some(&false) {
                        let tags = messages
                            .iter()
                            .map(|message| message.number("delivery_tag"));
                        line.outstanding.extend(tags);
                    }
                }
            }
        }
    }

    /// Whether this is the name of a quorum queue.
    fn is_quorum(&self, queue: &str) -> bool {
        let mut queues = self.queues.iter().zip(&self.quorum);
        queues.any(|(name, quorum)| name == queue && *quorum)
    }

    /// A step with this operation on some channel. `None` if no channel allows it.
    fn operation(&mut self, op: &'static str) -> Option<Value> {
        let random = &mut self.random;
        let open: Vec<usize> = (0..self.lines.len())
            .filter(|index| self.lines[*index].open)
            .collect();
        if open.is_empty() || (open.len() == 1 && random.chance(20)) {
            let number = 1 + random.below(3);
            let mut steps = Vec::new();
            self.open_line(number, &mut steps);
            self.planned.extend(steps);
            return self.planned.pop();
        }
        let index = *random.pick(&open);
        let queue = random.pick(&self.queues).clone();
        let quorum = self.is_quorum(&queue);
        let serves_quorum = self.is_quorum(&self.lines[index].queue);
        // A broker closes the connection of the program because of this.
        let refuses = self.lines[index].limited && serves_quorum;
        // A RabbitMQ may keep a message for ever when a channel closes that has the active consumer
        // of a quorum queue and one that waits to take over.
        let equals = self.style.single_active && serves_quorum;
        let (random, line) = (&mut self.random, &self.lines[index]);
        let mut step = json!({"op": op, "conn": line.connection, "ch": line.name});
        match op {
            "publish" => return Some(self.publish(step)),
            "get" => {
                let auto_ack = random.chance(35);
                // Deliveries of two queues that return together race with the dead letters that
                // this causes.
                let one_queue = self.style.dead_letters && !auto_ack;
                step["queue"] = json!(if one_queue { &line.queue } else { &queue });
                step["auto_ack"] = json!(auto_ack);
            }
            "ack" | "nack" | "reject" => {
                // A commit to a quorum queue is a race of its publishes and its settlements.
                let races = line.transactional && self.quorum.contains(&true);
                if line.outstanding.is_empty() || races || (line.limited && op != "ack") {
                    return None;
                }
                step["delivery_tag"] = json!(random.pick(&line.outstanding));
                if op != "reject" && random.chance(30) {
                    step["multiple"] = json!(true);
                    if random.chance(15) {
                        step["delivery_tag"] = json!(0);
                    }
                }
                if op != "ack" {
                    step["requeue"] = json!(random.chance(50));
                }
            }
            "consume" => {
                if line.consumers.len() > 1 || refuses {
                    return None;
                }
                self.tags += 1;
                step["queue"] = json!(line.queue);
                step["consumer"] = json!(format!("t{}", self.tags));
                step["auto_ack"] = json!(random.chance(30));
                if random.chance(4) {
                    step["exclusive"] = json!(true);
                }
                if !equals && random.chance(20) {
                    step["arguments"] = json!({"x-priority": random.pick(&[-1, 3, 5])});
                }
            }
            "cancel" => {
                let tags: Vec<&String> = line.consumers.keys().collect();
                if tags.is_empty() {
                    return None;
                }
                step["consumer"] = json!(random.pick(&tags));
            }
            "qos" => {
                step["prefetch_count"] = json!(random.below(4));
                step["global"] = json!(random.chance(25));
            }
            "sleep" => return Some(json!({"op": op, "ms": GRID_MS * random.pick(&[1, 1, 2])})),
            "recover" if line.limited => return None,
            "tx_commit" | "tx_rollback" if !line.transactional => return None,
            "queue_purge" => step["queue"] = json!(queue),
            "queue_delete" => {
                step["queue"] = json!(queue);
                // And because of these on a quorum queue.
                step["if_empty"] = json!(!quorum && random.chance(20));
                step["if_unused"] = json!(!quorum && random.chance(20));
            }
            "queue_declare" => {
                let number = random.below(self.queues.len());
                return Some(self.queue_declare(number));
            }
            "exchange_declare" | "exchange_delete" => {
                if self.exchanges.is_empty() {
                    return None;
                }
                let number = random.below(self.exchanges.len());
                if op == "exchange_declare" {
                    return Some(self.exchange_declare(number));
                }
                step["exchange"] = json!(self.exchanges[number].0);
                step["if_unused"] = json!(random.chance(30));
            }
            "queue_bind" | "queue_unbind" | "exchange_bind" | "exchange_unbind" => {
                return self.bind(op);
            }
            "close_connection" => {
                return Some(json!({"op": op, "conn": "c2", "ch": "farewell"}));
            }
            "mistake" => return Some(self.mistake()),
            _ => {}
        }
        Some(step)
    }

    fn publish(&mut self, mut step: Value) -> Value {
        let random = &mut self.random;
        self.bodies += 1;
        let padding = if random.chance(20) { "......" } else { "" };
        step["body"] = json!(format!("m{}{padding}", self.bodies));
        if self.exchanges.is_empty() || random.chance(60) {
            step["exchange"] = json!("");
            step["routing_key"] = json!(random.pick(&self.queues));
        } else {
            step["exchange"] = json!(random.pick(&self.exchanges).0);
            step["routing_key"] = json!(random.pick(&self.keys));
        }
        if random.chance(12) {
            step["routing_key"] = json!(format!("{}nowhere", self.prefix));
        }
        step["mandatory"] = json!(random.chance(20));
        step["properties"] = self.style.properties(random, &self.keys);
        step
    }

    fn queue_declare(&mut self, index: usize) -> Value {
        let random = &mut self.random;
        let exchanges: Vec<String> = self
            .exchanges
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        let quorum = self.quorum[index];
        json!({
            "op": "queue_declare", "conn": "c1", "ch": format!("declare {}", self.queues[index]),
            "queue": self.queues[index],
            "durable": quorum || random.chance(15),
            "exclusive": !quorum && self.style.lifecycle && random.chance(10),
            "auto_delete": !quorum && self.style.lifecycle && random.chance(25),
            "arguments": self.style.arguments(random, &self.queues, &exchanges, quorum),
        })
    }

    fn exchange_declare(&mut self, index: usize) -> Value {
        let random = &mut self.random;
        let (name, kind) = &self.exchanges[index];
        let mut arguments = json!({});
        if random.chance(15) {
            arguments["alternate-exchange"] = json!(random.pick(&self.exchanges).0);
        }
        json!({
            "op": "exchange_declare", "conn": "c1", "ch": format!("declare {name}"),
            "exchange": name, "type": kind,
            "auto_delete": self.style.lifecycle && random.chance(25),
            "internal": random.chance(4),
            "arguments": arguments,
        })
    }

    fn bind(&mut self, op: &'static str) -> Option<Value> {
        if self.exchanges.is_empty() {
            return None;
        }
        let random = &mut self.random;
        let (source, kind) = random.pick(&self.exchanges).clone();
        let key = match kind {
            "topic" => random.pick(&["#", "*", "a.*", "*.b", "a"]).to_string(),
            _ => random.pick(&self.keys).clone(),
        };
        let ch = format!("declare {source}");
        let mut step = json!({"op": op, "conn": "c1", "ch": ch, "routing_key": key});
        if kind == "headers" {
            step["routing_key"] = json!("");
            step["arguments"] =
                json!({"x-match": random.pick(&["all", "any"]), "h": random.pick(&["a", "b"])});
        }
        if op.starts_with("queue") {
            step["exchange"] = json!(source);
            step["queue"] = json!(random.pick(&self.queues));
        } else {
            step["source"] = json!(source);
            step["destination"] = json!(random.pick(&self.exchanges).0);
        }
        Some(step)
    }

    /// A step that the broker refuses.
    fn mistake(&mut self) -> Value {
        let random = &mut self.random;
        self.tags += 1;
        let mut step = json!({"conn": "c1", "ch": format!("mistake {}", self.tags)});
        let queue = random.pick(&self.queues).clone();
        let conditional = !self.is_quorum(&queue);
        let random = &mut self.random;
        let missing = format!("{}missing", self.prefix);
        let (op, fields) = match random.below(9) {
            0 => ("get", json!({"queue": missing})),
            1 => (
                "publish",
                json!({"exchange": missing, "routing_key": "", "body": "m"}),
            ),
            2 => ("ack", json!({"delivery_tag": 7})),
            3 => (
                "queue_declare",
                json!({"queue": queue, "auto_delete": true, "durable": true}),
            ),
            4 => (
                "queue_bind",
                json!({"queue": missing, "exchange": "amq.direct"}),
            ),
            5 => ("queue_declare", json!({"queue": queue, "passive": true})),
            6 => ("tx_commit", json!({})),
            7 => (
                "publish",
                json!({
                    "exchange": "", "routing_key": queue,
                    "body": "m", "properties": {"expiration": "soon"},
                }),
            ),
            _ => (
                "queue_delete",
                json!({"queue": queue, "if_empty": conditional, "if_unused": conditional}),
            ),
        };
        step["op"] = json!(op);
        for (name, value) in fields.as_object().into_iter().flatten() {
            step[name] = value.clone();
        }
        step
    }
}
