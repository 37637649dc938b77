//! Runs steps on a RabbitMQ. After each step it waits until the broker is idle. leveret's outcome
//! tells when that is.
//!
//! RabbitMQ answers after an unknown time. So the outcome of a step is collected until it equals
//! leveret's outcome. Then it is collected for a moment longer, to see events that leveret did not
//! have. If the outcomes do not become equal within the time limit, they differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use leveret::{FieldTable, Properties};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    client::{Address, Reply, Wire},
    outcome::{Depth, Outcome, Step},
    wire::{Reader, Writer},
};

/// The waiting times for RabbitMQ.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time limit in which an outcome must become equal to leveret's.
    pub patience: Duration,
    /// The moment for which more events are collected.
    pub settle: Duration,
    /// The permitted lead of the real time over the program's time. Programs choose times that
    /// allow for it.
    pub drift: Duration,
}

/// The time limit of an outcome in a program with expiry.
const BRIEF: Duration = Duration::from_millis(80);

/// The reason for which a step could not run.
#[derive(Debug)]
pub enum Trouble {
    /// The machine was too slow for a program with expiry.
    Late,
    /// The broker or its connection failed.
    Broken(String),
}

impl From<String> for Trouble {
    fn from(what: String) -> Trouble {
        Trouble::Broken(what)
    }
}

struct Connection {
    wire: Wire,
    /// The channel for queries.
    control: u16,
}

/// The connections and channels that one program has opened on the broker.
pub struct Rabbit {
    address: Address,
    pace: Pace,
    /// Whether messages or queues can expire in the program, and whether this has begun: before the
    /// first publish and the first lease nothing expires.
    may_expire: bool,
    timed: bool,
    started: Instant,
    slept: Duration,
    connections: BTreeMap<String, Connection>,
    lines: BTreeMap<String, (String, u16)>,
    closed: BTreeSet<String>,
    queues: BTreeSet<String>,
    exchanges: BTreeSet<String>,
}

fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("programs are well-formed")
}

impl Rabbit {
    pub fn new(address: &Address, pace: Pace, may_expire: bool) -> Result<Rabbit, Trouble> {
        let mut rabbit = Rabbit {
            address: address.clone(),
            pace,
            may_expire,
            timed: false,
            started: Instant::now(),
            slept: Duration::ZERO,
            connections: BTreeMap::new(),
            lines: BTreeMap::new(),
            closed: BTreeSet::new(),
            queues: BTreeSet::new(),
            exchanges: BTreeSet::new(),
        };
        rabbit.connection("c1")?;
        rabbit.started = Instant::now();
        Ok(rabbit)
    }

    fn connection(&mut self, name: &str) -> Result<&mut Connection, Trouble> {
        if !self.connections.contains_key(name) {
            let mut wire = Wire::connect(&self.address)?;
            let control = wire.open_channel()?;
            self.connections
                .insert(name.to_owned(), Connection { wire, control });
        }
        Ok(self.connections.get_mut(name).expect("it was just opened"))
    }

    /// Runs a step and collects its outcome.
    pub fn step(&mut self, step: &Value, expected: &Outcome) -> Result<Outcome, Trouble> {
        self.outcome(step, expected)
            .map_err(|trouble| match trouble {
                Trouble::Broken(what) => Trouble::Broken(format!("{what}, at {step}")),
                Trouble::Late => Trouble::Late,
            })
    }

    fn outcome(&mut self, step: &Value, expected: &Outcome) -> Result<Outcome, Trouble> {
        let reply = self.reply(step)?;
        let mut outcome = Outcome {
            reply,
            ..Outcome::default()
        };
        // In a timed program one step must not use the time that is allowed for all steps.
        let patience = match self.timed {
            true => self.pace.patience.min(BRIEF),
            false => self.pace.patience,
        };
        let until = Instant::now() + patience;
        let mut pause = Duration::from_micros(300);
        loop {
            self.gather(&mut outcome)?;
            outcome.depths = self.look(&expected.depths)?;
            if outcome == *expected {
                break;
            }
            if outcome.reply != expected.reply || Instant::now() > until {
                break;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(4));
        }
        if outcome == *expected {
            thread::sleep(self.pace.settle);
            self.gather(&mut outcome)?;
        }
        let is_lease = !step["arguments"]["x-expires"].is_null();
        if self.may_expire && !self.timed && (is_lease || step["op"] == "publish") {
            self.timed = true;
            if self.slept.is_zero() {
                // No time has counted so far.
                self.started = Instant::now();
            }
        }
        if self.timed && self.started.elapsed() > self.slept + self.pace.drift {
            return Err(Trouble::Late);
        }
        Ok(outcome)
    }

    fn reply(&mut self, step: &Value) -> Result<Value, Trouble> {
        let (op, ch, conn) = (step.text("op"), step.text("ch"), step.text("conn"));
        if op == "sleep" {
            self.slept += Duration::from_millis(step.number("ms"));
            thread::sleep((self.started + self.slept).saturating_duration_since(Instant::now()));
            return Ok(Value::Null);
        }
        if !self.lines.contains_key(ch) && !self.closed.contains(conn) {
            let number = self.connection(conn)?.wire.open_channel()?;
            self.lines.insert(ch.to_owned(), (conn.to_owned(), number));
        }
        let Some(number) = self.lines.get(ch).map(|(_, number)| *number) else {
            return Ok(Value::Null);
        };
        let wire = &mut self.connection(conn)?.wire;
        if wire.refusal(number).is_some() {
            return Ok(Value::Null);
        }
        let answered = match op {
            "close_channel" => {
                let close = Writer::default().u16(200).short_string("").u32(0);
                let answered = wire.call(number, (20, 40), close)?;
                wire.line(number).refused = Some(200);
                answered.map(|_| json!({"ok": {}}))
            }
            "close_connection" => {
                let close = Writer::default().u16(200).short_string("").u32(0);
                let answered = wire.call(0, (10, 50), close)?;
                wire.closed = Some(200);
                answered.map(|_| json!({"ok": {}}))
            }
            "publish" | "ack" | "nack" | "reject" => {
                asynchronous(wire, number, op, step)?;
                // The broker answers this after it has handled everything before.
                let question = Writer::default()
                    .u16(0)
                    .short_string("amq.direct")
                    .short_string("direct")
                    .bits(&[true])
                    .table(&FieldTable::new());
                let answered = wire.call(number, (40, 10), question)?;
                answered.map(|_| json!({"ok": {}}))
            }
            _ => {
                let (method, arguments) = synchronous(op, step);
                let answered = wire.call(number, method, arguments)?;
                if op == "confirm_select" && answered.is_ok() {
                    wire.line(number).confirming = true;
                }
                answered.map(answer)
            }
        };
        let of_connection = wire.closed.is_some();
        if of_connection {
            self.closed.insert(conn.to_owned());
        }
        match op {
            "queue_declare" => {
                self.queues.insert(step.text("queue").to_owned());
            }
            "exchange_declare" => {
                self.exchanges.insert(step.text("exchange").to_owned());
            }
            _ => {}
        }
        Ok(match answered {
            Ok(reply) => reply,
            Err(code) if of_connection => json!({"error": code, "level": "connection"}),
            Err(code) => json!({"error": code}),
        })
    }

    /// Adds the received events of the channels.
    fn gather(&mut self, outcome: &mut Outcome) -> Result<(), Trouble> {
        for connection in self.connections.values_mut() {
            while connection.wire.pump()? {}
        }
        for (name, (connection, number)) in &self.lines {
            let wire = &mut self
                .connections
                .get_mut(connection)
                .expect("its channel is known")
                .wire;
            let refused = wire.refusal(*number).is_some();
            let came = std::mem::take(&mut wire.line(*number).news);
            if refused || came.is_empty() {
                continue;
            }
            let news = outcome.news.entry(name.clone()).or_default();
            for (consumer, messages) in came.deliveries {
                news.deliveries
                    .entry(consumer)
                    .or_default()
                    .extend(messages);
            }
            news.returns.extend(came.returns);
            news.acks.extend(came.acks);
            news.nacks.extend(came.nacks);
            news.cancelled.extend(came.cancelled);
        }
        Ok(())
    }

    /// Queries the depths that are in leveret's outcome.
    fn look(
        &mut self,
        expected: &BTreeMap<String, Depth>,
    ) -> Result<BTreeMap<String, Depth>, Trouble> {
        let mut depths = BTreeMap::new();
        for (queue, depth) in expected {
            let asker = match depth {
                Depth::There { connection, .. } => connection.clone(),
                Depth::Gone => "control".to_owned(),
            };
            let connection = self.connection(&asker)?;
            let question = Writer::default()
                .u16(0)
                .short_string(queue)
                .bits(&[true])
                .table(&FieldTable::new());
            let control = connection.control;
            if connection.wire.closed.is_some() {
                continue;
            }
            match connection.wire.call(control, (50, 10), question)? {
                Ok(reply) => {
                    let mut reader = Reader(&reply.arguments);
                    reader.short_string();
                    depths.insert(
                        queue.clone(),
                        Depth::There {
                            connection: asker,
                            messages: reader.u32().into(),
                            consumers: reader.u32().into(),
                        },
                    );
                }
                Err(code) => {
                    if connection.wire.closed.is_none() {
                        connection.control = connection.wire.open_channel()?;
                    }
                    if code == 404 {
                        depths.insert(queue.clone(), Depth::Gone);
                    }
                }
            }
        }
        Ok(depths)
    }

    /// Deletes all entities that the program has declared.
    pub fn clean_up(mut self) -> Result<(), Trouble> {
        self.connections.retain(|name, connection| {
            if name != "control" && connection.wire.closed.is_none() {
                let close = Writer::default().u16(200).short_string("").u32(0);
                let _ = connection.wire.call(0, (10, 50), close);
            }
            name == "control"
        });
        let (queues, exchanges) = (self.queues.clone(), self.exchanges.clone());
        let Connection { wire, control } = self.connection("control")?;
        let mut control = *control;
        let no_conditions = |name: &str| Writer::default().u16(0).short_string(name).bits(&[]);
        let deletions = queues
            .iter()
            .map(|name| ((50, 40), no_conditions(name)))
            .chain(
                exchanges
                    .iter()
                    .filter(|name| !name.starts_with("amq."))
                    .map(|name| ((40, 20), no_conditions(name))),
            );
        for (method, arguments) in deletions {
            if wire.call(control, method, arguments)?.is_err() {
                control = wire.open_channel()?;
            }
        }
        let close = Writer::default().u16(200).short_string("").u32(0);
        let _ = wire.call(0, (10, 50), close);
        Ok(())
    }
}

/// The contents of a synchronous method's reply.
fn answer(reply: Reply) -> Value {
    let mut reader = Reader(&reply.arguments);
    match reply.method {
        (50, 11) => json!({"ok": {
            "queue": reader.short_string(),
            "message_count": reader.u32(),
            "consumer_count": reader.u32(),
        }}),
        (50, 31 | 41) => json!({"ok": {"message_count": reader.u32()}}),
        (60, 72) => json!({"empty": true}),
        (60, 71) => {
            let (tag, redelivered) = (reader.u64(), reader.u8() & 1 != 0);
            let (_, _) = (reader.short_string(), reader.short_string());
            let more = json!({
                "delivery_tag": tag,
                "redelivered": redelivered,
                "message_count": reader.u32(),
            });
            json!({"message": reply.message.map(|message| message.with(more))})
        }
        _ => json!({"ok": {}}),
    }
}

fn asynchronous(wire: &mut Wire, number: u16, op: &str, step: &Value) -> Result<(), Trouble> {
    let tag = Writer::default().u64(step.number("delivery_tag"));
    let (multiple, requeue) = (step.flag("multiple"), step["requeue"] != json!(false));
    match op {
        "ack" => wire.method(number, (60, 80), tag.bits(&[multiple]))?,
        "nack" => wire.method(number, (60, 120), tag.bits(&[multiple, requeue]))?,
        "reject" => wire.method(number, (60, 90), tag.bits(&[requeue]))?,
        _ => {
            let arguments = Writer::default()
                .u16(0)
                .short_string(step.text("exchange"))
                .short_string(step.text("routing_key"))
                .bits(&[step.flag("mandatory")]);
            let properties: Properties = parse(step.table("properties"));
            let line = wire.line(number);
            if line.confirming {
                line.unconfirmed.publish();
            }
            wire.publish(number, arguments, &properties, step.text("body").as_bytes())?;
        }
    }
    Ok(())
}

/// A method and its arguments.
fn synchronous(op: &str, step: &Value) -> ((u16, u16), Writer) {
    let arguments: FieldTable = parse(step.table("arguments"));
    let reserved = Writer::default().u16(0);
    let (queue, exchange) = (step.text("queue"), step.text("exchange"));
    let flag = |name| step.flag(name);
    match op {
        "exchange_declare" => {
            let flags = [
                flag("passive"),
                flag("durable"),
                flag("auto_delete"),
                flag("internal"),
            ];
            let names = reserved
                .short_string(exchange)
                .short_string(step.text("type"));
            ((40, 10), names.bits(&flags).table(&arguments))
        }
        "exchange_delete" => (
            (40, 20),
            reserved.short_string(exchange).bits(&[flag("if_unused")]),
        ),
        "exchange_bind" | "exchange_unbind" => {
            let names = reserved
                .short_string(step.text("destination"))
                .short_string(step.text("source"))
                .short_string(step.text("routing_key"));
            let method = if op == "exchange_bind" { 30 } else { 40 };
            ((40, method), names.bits(&[]).table(&arguments))
        }
        "queue_declare" => {
            let flags = [
                flag("passive"),
                flag("durable"),
                flag("exclusive"),
                flag("auto_delete"),
            ];
            let name = reserved.short_string(queue);
            ((50, 10), name.bits(&flags).table(&arguments))
        }
        "queue_bind" | "queue_unbind" => {
            let names = reserved
                .short_string(queue)
                .short_string(exchange)
                .short_string(step.text("routing_key"));
            if op == "queue_bind" {
                ((50, 20), names.bits(&[]).table(&arguments))
            } else {
                ((50, 50), names.table(&arguments))
            }
        }
        "queue_purge" => ((50, 30), reserved.short_string(queue).bits(&[])),
        "queue_delete" => {
            let flags = [flag("if_unused"), flag("if_empty")];
            ((50, 40), reserved.short_string(queue).bits(&flags))
        }
        "consume" => {
            let flags = [false, flag("auto_ack"), flag("exclusive")];
            let names = reserved
                .short_string(queue)
                .short_string(step.text("consumer"));
            ((60, 20), names.bits(&flags).table(&arguments))
        }
        "cancel" => (
            (60, 30),
            Writer::default()
                .short_string(step.text("consumer"))
                .bits(&[]),
        ),
        "qos" => {
            let count = u16::try_from(step.number("prefetch_count")).expect("it fits");
            let limits = Writer::default().u32(0).u16(count);
            ((60, 10), limits.bits(&[flag("global")]))
        }
        "recover" => ((60, 110), Writer::default().bits(&[true])),
        "get" => (
            (60, 70),
            reserved.short_string(queue).bits(&[flag("auto_ack")]),
        ),
        "confirm_select" => ((85, 10), Writer::default().bits(&[])),
        "tx_select" => ((90, 10), Writer::default()),
        "tx_commit" => ((90, 20), Writer::default()),
        "tx_rollback" => ((90, 30), Writer::default()),
        _ => panic!("there is no operation '{op}'"),
    }
}
