//! Runs steps on leveret. leveret never closes a channel or connection by itself, so this module
//! closes them where AMQP does.

use std::{collections::BTreeMap, time::Duration};

use leveret::{
    Broker, Channel, Connection, Credentials, Error, Exchange, FieldTable, ManualClock, Properties,
    Queue, Requeue, Scope,
    channel::{
        AckMode, ChannelDelivery, ConfirmOutcome as Confirmed, ConsumeOptions, Event, Events,
        IfEmpty, IfUnused, PublishOptions,
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::outcome::{Depth, Message, News, Outcome, Step, Unconfirmed};

struct Line {
    /// `None` after the close.
    open: Option<(Channel, Events)>,
    connection: String,
    confirming: bool,
    unconfirmed: Unconfirmed,
}

/// A broker, with the connections and channels that one program has opened.
pub struct Ours {
    clock: ManualClock,
    broker: Broker,
    /// The connections, each with a channel for queries. `None` after the close.
    connections: BTreeMap<String, Option<(Connection, Channel)>>,
    lines: BTreeMap<String, Line>,
    /// The queues whose depth may be queried, with the connection that may do it.
    queues: BTreeMap<String, String>,
    depths: BTreeMap<String, Depth>,
}

fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("programs are well-formed")
}

fn done(result: Result<(), Error>) -> Result<Value, Error> {
    result.map(|()| json!({"ok": {}}))
}

fn counted(result: Result<u64, Error>) -> Result<Value, Error> {
    result.map(|count| json!({"ok": {"message_count": count}}))
}

fn requeue(step: &Value) -> Requeue {
    if step["requeue"] == json!(false) {
        Requeue::No
    } else {
        Requeue::Yes
    }
}

fn if_unused(step: &Value) -> IfUnused {
    if step.flag("if_unused") {
        IfUnused::Yes
    } else {
        IfUnused::No
    }
}

fn message(body: &[u8], exchange: &str, routing_key: &str, properties: &Properties) -> Message {
    let properties = serde_json::to_value(properties).expect("properties have a JSON form");
    Message {
        body: String::from_utf8_lossy(body).into_owned(),
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        properties: properties.as_object().cloned().unwrap_or_default(),
    }
}

fn delivered(delivery: &ChannelDelivery, more: Map<String, Value>) -> Value {
    let mut fields = json!({
        "delivery_tag": delivery.delivery_tag(),
        "redelivered": delivery.redelivered(),
    });
    fields.as_object_mut().expect("an object").extend(more);
    let body = delivery.body().expect("what was published as bytes");
    message(
        &body,
        &delivery.exchange(),
        delivery.routing_key(),
        delivery.properties(),
    )
    .with(fields)
}

/// Opens a connection with a channel for queries.
fn connect(broker: &Broker) -> Option<(Connection, Channel)> {
    let opened = broker.connect("/", Credentials::guest()).ok()?;
    let control = opened.open_channel().ok()?;
    Some((opened, control))
}

impl Ours {
    pub fn new() -> Ours {
        let clock = ManualClock::new();
        Ours {
            broker: Broker::builder().clock(clock.clone()).build(),
            clock,
            connections: BTreeMap::new(),
            lines: BTreeMap::new(),
            queues: BTreeMap::new(),
            depths: BTreeMap::new(),
        }
    }

    /// Runs a step and all its effects.
    pub fn step(&mut self, step: &Value) -> Outcome {
        let (op, ch) = (step.text("op"), step.text("ch"));
        let reply = match op {
            "sleep" => {
                self.clock.advance(Duration::from_millis(step.number("ms")));
                Value::Null
            }
            _ if !self.open(step.text("conn"), ch) => Value::Null,
            "close_channel" => {
                self.lines.get_mut(ch).expect("it is open").open = None;
                json!({"ok": {}})
            }
            "close_connection" => {
                self.close_connection(step.text("conn"));
                json!({"ok": {}})
            }
            _ => match self.call(op, step) {
                Ok(reply) => reply,
                Err(error) => self.refuse(step, &error),
            },
        };
        let mut news = BTreeMap::new();
        for (name, line) in &mut self.lines {
            let came = line.news();
            if !came.is_empty() {
                news.insert(name.clone(), came);
            }
        }
        Outcome {
            reply,
            news,
            depths: self.look(),
        }
    }

    /// Opens the channel on first use. Returns whether it is open.
    fn open(&mut self, connection: &str, ch: &str) -> bool {
        let opened = self
            .connections
            .entry(connection.to_owned())
            .or_insert_with(|| connect(&self.broker));
        let Some((opened, _)) = opened else {
            return false;
        };
        if !self.lines.contains_key(ch) {
            let channel = opened.open_channel().expect("the connection is open");
            let events = channel.events();
            self.lines.insert(
                ch.to_owned(),
                Line {
                    open: Some((channel, events)),
                    connection: connection.to_owned(),
                    confirming: false,
                    unconfirmed: Unconfirmed::default(),
                },
            );
        }
        self.lines[ch].open.is_some()
    }

    fn close_connection(&mut self, name: &str) {
        for line in self.lines.values_mut() {
            if line.connection == name {
                line.open = None;
            }
        }
        self.connections.insert(name.to_owned(), None);
    }

    /// Closes the channel or connection, as AMQP does after an error.
    fn refuse(&mut self, step: &Value, error: &Error) -> Value {
        let code = error.reply_code();
        if matches!(error.scope(), Scope::Connection) {
            self.close_connection(step.text("conn"));
            return json!({"error": code, "level": "connection"});
        }
        let line = self.lines.get_mut(step.text("ch")).expect("it is open");
        line.open = None;
        json!({"error": code})
    }

    /// The depth of every queue, and the deleted queues.
    fn look(&mut self) -> BTreeMap<String, Depth> {
        let mut depths = BTreeMap::new();
        for (queue, connection) in &self.queues {
            // After a close another connection asks. An exclusive queue is gone then.
            let connection = match self.connections[connection] {
                Some(_) => connection.as_str(),
                None => "control",
            };
            let asked = self
                .connections
                .entry(connection.to_owned())
                .or_insert_with(|| connect(&self.broker))
                .as_ref()
                .and_then(|(_, control)| control.queue_declare_passive(queue).ok());
            if let Some(ok) = asked {
                depths.insert(
                    queue.clone(),
                    Depth::There {
                        connection: connection.to_owned(),
                        messages: ok.message_count,
                        consumers: ok.consumer_count,
                    },
                );
            } else if matches!(self.depths.get(queue), Some(Depth::There { .. })) {
                depths.insert(queue.clone(), Depth::Gone);
            }
        }
        self.depths = depths.clone();
        depths
    }

    fn call(&mut self, op: &str, step: &Value) -> Result<Value, Error> {
        let line = self.lines.get_mut(step.text("ch")).expect("it is open");
        let (channel, _) = line.open.as_ref().expect("it is open");
        let (queue, exchange) = (step.text("queue"), step.text("exchange"));
        let key = step.text("routing_key");
        let arguments: FieldTable = parse(step.table("arguments"));
        match op {
            "exchange_declare" if step.flag("passive") => {
                done(channel.exchange_declare_passive(exchange))
            }
            "exchange_declare" => {
                let mut declared = Exchange::new(exchange, step.text("type")).arguments(arguments);
                if step.flag("durable") {
                    declared = declared.durable();
                }
                if step.flag("auto_delete") {
                    declared = declared.auto_delete();
                }
                if step.flag("internal") {
                    declared = declared.internal();
                }
                done(channel.exchange_declare(&declared))
            }
            "exchange_delete" => done(channel.exchange_delete(exchange, if_unused(step))),
            "exchange_bind" => done(channel.exchange_bind(
                step.text("destination"),
                step.text("source"),
                key,
                arguments,
            )),
            "exchange_unbind" => done(channel.exchange_unbind(
                step.text("destination"),
                step.text("source"),
                key,
                arguments,
            )),
            "queue_bind" => done(channel.queue_bind(queue, exchange, key, arguments)),
            "queue_unbind" => done(channel.queue_unbind(queue, exchange, key, arguments)),
            "queue_declare" => {
                // A query for the depth would renew the queue's `x-expires` time.
                let leased = arguments.contains_key("x-expires");
                let mut declared = Queue::new(queue).arguments(arguments);
                if step.flag("durable") {
                    declared = declared.durable();
                }
                if step.flag("exclusive") {
                    declared = declared.exclusive_flag();
                }
                if step.flag("auto_delete") {
                    declared = declared.auto_delete();
                }
                let ok = if step.flag("passive") {
                    channel.queue_declare_passive(queue)
                } else {
                    channel.queue_declare(&declared)
                }?;
                if !leased
                    && !step.flag("passive")
                    && !matches!(self.depths.get(queue), Some(Depth::There { .. }))
                {
                    self.queues
                        .insert(queue.to_owned(), step.text("conn").to_owned());
                }
                Ok(json!({"ok": {
                    "queue": ok.name.as_str(),
                    "message_count": ok.message_count,
                    "consumer_count": ok.consumer_count,
                }}))
            }
            "queue_purge" => counted(channel.queue_purge(queue)),
            "queue_delete" => {
                let if_empty = if step.flag("if_empty") {
                    IfEmpty::Yes
                } else {
                    IfEmpty::No
                };
                counted(channel.queue_delete(queue, if_unused(step), if_empty))
            }
            "consume" => {
                let mut options = ConsumeOptions::new()
                    .tag(step.text("consumer"))
                    .arguments(arguments);
                if step.flag("auto_ack") {
                    options = options.auto_ack();
                }
                if step.flag("exclusive") {
                    options = options.exclusive();
                }
                channel
                    .basic_consume(queue, options)
                    .map(|_| json!({"ok": {}}))
            }
            "cancel" => done(channel.basic_cancel(step.text("consumer"))),
            "qos" => {
                let count = u16::try_from(step.number("prefetch_count")).expect("it fits");
                done(channel.basic_qos(0, count, step.flag("global").into()))
            }
            "recover" => done(channel.basic_recover(Requeue::Yes)),
            "get" => {
                let mode = if step.flag("auto_ack") {
                    AckMode::Auto
                } else {
                    AckMode::Manual
                };
                Ok(match channel.basic_get(queue, mode)? {
                    None => json!({"empty": true}),
                    Some(delivery) => {
                        let more = Map::from_iter([(
                            "message_count".to_owned(),
                            delivery.message_count().into(),
                        )]);
                        json!({"message": delivered(&delivery, more)})
                    }
                })
            }
            "confirm_select" => {
                channel.confirm_select()?;
                line.confirming = true;
                Ok(json!({"ok": {}}))
            }
            "tx_select" => done(channel.tx_select()),
            "tx_commit" => done(channel.tx_commit()),
            "tx_rollback" => done(channel.tx_rollback()),
            "publish" => {
                let mut options = PublishOptions::new();
                if step.flag("mandatory") {
                    options = options.mandatory();
                }
                let properties: Properties = parse(step.table("properties"));
                let body = step.text("body").to_owned();
                channel.basic_publish(exchange, key, body, properties, options)?;
                if line.confirming {
                    line.unconfirmed.publish();
                }
                Ok(json!({"ok": {}}))
            }
            "ack" => {
                done(channel.basic_ack(step.number("delivery_tag"), step.flag("multiple").into()))
            }
            "nack" => done(channel.basic_nack(
                step.number("delivery_tag"),
                step.flag("multiple").into(),
                requeue(step),
            )),
            "reject" => done(channel.basic_reject(step.number("delivery_tag"), requeue(step))),
            _ => panic!("there is no operation '{op}'"),
        }
    }
}

impl Line {
    /// All events since the last call.
    fn news(&mut self) -> News {
        let mut news = News::default();
        let Some((_, events)) = &self.open else {
            return news;
        };
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Delivery(delivery) => news
                    .deliveries
                    .entry(delivery.consumer_tag().to_string())
                    .or_default()
                    .push(delivered(&delivery, Map::new())),
                Event::Return(returned) => {
                    let message = message(
                        &returned.body,
                        &returned.exchange,
                        &returned.routing_key,
                        &returned.properties,
                    );
                    news.returns
                        .push(message.with(json!({"reply_code": returned.reply_code})));
                }
                Event::Confirm(confirm) => {
                    let numbers = self
                        .unconfirmed
                        .confirm(confirm.delivery_tag, confirm.multiple);
                    match confirm.outcome {
                        Confirmed::Ack => news.acks.extend(numbers),
                        _ => news.nacks.extend(numbers),
                    }
                }
                Event::Cancelled { consumer_tag, .. } => {
                    news.cancelled.insert(consumer_tag.to_string());
                }
                other => panic!("no such event is known: {other:?}"),
            }
        }
        news
    }
}
