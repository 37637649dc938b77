//! A client of a scenario over the wire.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use leveret::{
    Broker, Exchange, FieldTable, Queue, Requeue, Scope,
    amqp::ServerConfig,
    channel::{AckMode, ConfirmOutcome, IfEmpty, IfUnused, Multiple},
};

use crate::{
    inbox::{Entry, Inbox},
    message::Received,
    peer::{Consume, Declared, Error, Publish, Result},
    wire::{Arguments, Client, Closed, Incoming, content, method},
};

impl From<Closed> for Error {
    fn from(closed: Closed) -> Error {
        Error {
            reply_code: Some(closed.reply_code),
            scope: match closed.of_connection {
                true => Scope::Connection,
                false => Scope::Channel,
            },
            text: closed.reply_text,
            is_closed: false,
        }
    }
}

fn closed_before() -> Error {
    Error {
        reply_code: None,
        scope: Scope::Operation,
        text: "it was closed before".to_owned(),
        is_closed: true,
    }
}

/// A connection.
pub struct Connection(Rc<Shared>);

struct Shared {
    client: RefCell<Client>,
    /// The number of the latest channel.
    last: RefCell<u16>,
}

impl Connection {
    pub fn open(broker: &Broker, vhost: &str, user: &str, password: &str) -> Result<Connection> {
        let mut client = Client::new(broker, ServerConfig::new());
        client.log_in(vhost, user, password, 0)?;
        Ok(Connection(Rc::new(Shared {
            client: RefCell::new(client),
            last: RefCell::new(0),
        })))
    }

    pub fn open_channel(&self) -> Result<Channel> {
        let mut client = self.0.client.borrow_mut();
        client.pump();
        // The server may have closed the connection before.
        if let Some(closed) = client.incoming.iter().find_map(Closed::of_connection) {
            let closed = client.await_reply(0, &[]).err().unwrap_or(closed);
            return Err(closed.into());
        }
        if client.is_over {
            return Err(closed_before());
        }
        let number = *self.0.last.borrow() + 1;
        *self.0.last.borrow_mut() = number;
        client.open_channel(number)?;
        Ok(Channel {
            shared: Rc::clone(&self.0),
            number,
            state: RefCell::default(),
        })
    }

    pub fn close(&self) -> Result {
        let mut client = self.0.client.borrow_mut();
        if client.is_over {
            return Ok(());
        }
        let close = Arguments::new().short(200).text("").short(0).short(0);
        client.call(0, (10, 50), close, &[(10, 51)])?;
        Ok(())
    }
}

/// A channel.
pub struct Channel {
    shared: Rc<Shared>,
    number: u16,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    confirming: bool,
    published: u64,
    unconfirmed: BTreeSet<u64>,
    /// The server has closed the channel.
    is_closed: bool,
}

impl Channel {
    /// Sends a method and waits for its answer.
    fn call(&self, id: (u16, u16), arguments: Arguments, answers: &[u16]) -> Result<Incoming> {
        let answers: Vec<(u16, u16)> = answers.iter().map(|number| (id.0, *number)).collect();
        let mut client = self.shared.client.borrow_mut();
        let answer = client.call(self.number, id, arguments, &answers);
        self.state.borrow_mut().is_closed |= answer.is_err();
        Ok(answer?)
    }

    /// Sends a method that has no answer, and finds out whether it failed.
    fn cast(&self, octets: &[u8]) -> Result {
        let mut client = self.shared.client.borrow_mut();
        client.send(octets);
        client.pump();
        let closes = |incoming: &Incoming| {
            let is_own = incoming.channel == self.number && incoming.id == (20, 40);
            is_own || incoming.id == (10, 50)
        };
        match client.incoming.iter().any(closes) {
            false => Ok(()),
            true => {
                self.state.borrow_mut().is_closed = true;
                client.await_reply(self.number, &[])?;
                Ok(())
            }
        }
    }

    pub fn exchange_declare(&self, exchange: &Exchange, passive: bool) -> Result {
        let bits = [
            passive,
            exchange.is_durable(),
            exchange.is_auto_delete(),
            exchange.is_internal(),
            false,
        ];
        let arguments = named(exchange.name())
            .text(exchange.kind())
            .bits(bits)
            .table(exchange.argument_table());
        self.call((40, 10), arguments, &[11]).map(drop)
    }

    pub fn exchange_delete(&self, exchange: &str, unused: IfUnused) -> Result {
        let arguments = named(exchange).bits([unused == IfUnused::Yes, false]);
        self.call((40, 20), arguments, &[21]).map(drop)
    }

    pub fn bind(
        &self,
        op: &str,
        destination: &str,
        source: &str,
        key: &str,
        table: FieldTable,
    ) -> Result {
        let arguments = named(destination).text(source).text(key);
        let (id, has_no_wait, answer) = match op {
            "exchange_bind" => ((40, 30), true, 31),
            "exchange_unbind" => ((40, 40), true, 51),
            "queue_bind" => ((50, 20), true, 21),
            _ => ((50, 50), false, 51),
        };
        let arguments = match has_no_wait {
            true => arguments.octet(0),
            false => arguments,
        };
        self.call(id, arguments.table(&table), &[answer]).map(drop)
    }

    pub fn queue_declare(&self, queue: &Queue, passive: bool) -> Result<Declared> {
        let bits = [
            passive,
            queue.is_durable(),
            queue.is_exclusive(),
            queue.is_auto_delete(),
            false,
        ];
        let arguments = named(queue.name()).bits(bits).table(queue.argument_table());
        let answer = self.call((50, 10), arguments, &[11])?;
        let mut fields = answer.fields();
        Ok(Declared {
            name: fields.text(),
            message_count: fields.long().into(),
            consumer_count: fields.long().into(),
        })
    }

    pub fn queue_purge(&self, queue: &str) -> Result<u64> {
        let answer = self.call((50, 30), named(queue).octet(0), &[31])?;
        Ok(answer.fields().long().into())
    }

    pub fn queue_delete(&self, queue: &str, unused: IfUnused, empty: IfEmpty) -> Result<u64> {
        let bits = [unused == IfUnused::Yes, empty == IfEmpty::Yes, false];
        let answer = self.call((50, 40), named(queue).bits(bits), &[41])?;
        Ok(answer.fields().long().into())
    }

    pub fn basic_consume(&self, queue: &str, consume: Consume) -> Result<String> {
        let bits = [consume.no_local, consume.auto_ack, consume.exclusive, false];
        let arguments = named(queue)
            .text(&consume.tag)
            .bits(bits)
            .table(&consume.arguments);
        let answer = self.call((60, 20), arguments, &[21])?;
        Ok(answer.fields().text())
    }

    pub fn basic_cancel(&self, tag: &str) -> Result {
        let arguments = Arguments::new().text(tag).octet(0);
        self.call((60, 30), arguments, &[31]).map(drop)
    }

    pub fn basic_qos(&self, size: u32, count: u16, global: bool) -> Result {
        let arguments = Arguments::new().long(size).short(count).bits([global]);
        self.call((60, 10), arguments, &[11]).map(drop)
    }

    pub fn basic_recover(&self, requeue: Requeue) -> Result {
        let arguments = Arguments::new().bits([requeue == Requeue::Yes]);
        self.call((60, 110), arguments, &[111]).map(drop)
    }

    pub fn basic_get(&self, queue: &str, ack: AckMode) -> Result<Option<Received>> {
        let arguments = named(queue).bits([ack == AckMode::Auto]);
        let answer = self.call((60, 70), arguments, &[71, 72])?;
        if answer.id == (60, 72) {
            return Ok(None);
        }
        let mut fields = answer.fields();
        let (tag, redelivered) = (fields.longlong(), fields.octet() == 1);
        let (exchange, routing_key) = (fields.text(), fields.text());
        let mut got = received(&answer, exchange, routing_key);
        got.delivery_tag = Some(tag);
        got.redelivered = Some(redelivered);
        got.message_count = Some(fields.long().into());
        Ok(Some(got))
    }

    pub fn confirm_select(&self) -> Result {
        self.call((85, 10), Arguments::new().octet(0), &[11])?;
        self.state.borrow_mut().confirming = true;
        Ok(())
    }

    pub fn tx(&self, op: &str) -> Result {
        let number = match op {
            "tx_select" => 10,
            "tx_commit" => 20,
            _ => 30,
        };
        let answer = self.call((90, number), Arguments::new(), &[number + 1]);
        answer.map(drop)
    }

    pub fn basic_publish(&self, publish: Publish<'_>) -> Result {
        let arguments = named(publish.exchange)
            .text(publish.routing_key)
            .bits([publish.mandatory, publish.immediate]);
        let properties = Arguments::new().properties(&publish.properties).0;
        let body = publish.body.as_bytes();
        let mut octets = method(self.number, (60, 40), arguments);
        octets.extend(content(self.number, &properties, body, 131_064));
        let mut state = self.state.borrow_mut();
        if state.confirming {
            state.published += 1;
            let number = state.published;
            state.unconfirmed.insert(number);
        }
        drop(state);
        self.cast(&octets)
    }

    /// Waits until all messages are confirmed. The confirms stay for the inbox.
    pub fn wait_for_confirms(&self) -> Result {
        let mut state = self.state.borrow_mut();
        let mut client = self.shared.client.borrow_mut();
        client.pump_until(|incoming| {
            for incoming in incoming.iter().filter(|it| it.channel == self.number) {
                if let Some((tag, multiple, _)) = confirm(incoming) {
                    state.unconfirmed.retain(|other| match multiple {
                        true => *other > tag,
                        false => *other != tag,
                    });
                }
            }
            state.unconfirmed.is_empty()
        });
        Ok(())
    }

    pub fn settle(&self, op: &str, tag: u64, multiple: Multiple, requeue: Requeue) -> Result {
        let multiple = multiple == Multiple::Yes;
        let requeue = requeue == Requeue::Yes;
        let arguments = Arguments::new().longlong(tag);
        let (number, arguments) = match op {
            "ack" => (80, arguments.bits([multiple])),
            "nack" => (120, arguments.bits([multiple, requeue])),
            _ => (90, arguments.bits([requeue])),
        };
        self.cast(&method(self.number, (60, number), arguments))
    }

    pub fn close(&self) -> Result {
        if self.state.borrow().is_closed {
            return Ok(());
        }
        let close = Arguments::new().short(200).text("").short(0).short(0);
        self.call((20, 40), close, &[41]).map(drop)
    }

    /// Moves all received events into the inbox.
    pub fn receive(&self, inbox: &mut Inbox) {
        let mut client = self.shared.client.borrow_mut();
        client.pump();
        let all = std::mem::take(&mut client.incoming);
        for incoming in all {
            if incoming.channel != self.number {
                client.incoming.push_back(incoming);
            } else if let Some((tag, multiple, outcome)) = confirm(&incoming) {
                inbox.expand(tag, multiple, outcome);
            } else {
                inbox.push(entry(&incoming));
            }
        }
    }
}

/// The arguments of a method that begins with the name of a queue or an exchange.
fn named(name: &str) -> Arguments {
    Arguments::new().short(0).text(name)
}

fn confirm(incoming: &Incoming) -> Option<(u64, bool, ConfirmOutcome)> {
    let outcome = match incoming.id {
        (60, 80) => ConfirmOutcome::Ack,
        (60, 120) => ConfirmOutcome::Nack,
        _ => return None,
    };
    let mut fields = incoming.fields();
    Some((fields.longlong(), fields.octet() & 1 == 1, outcome))
}

fn entry(incoming: &Incoming) -> Entry {
    let mut fields = incoming.fields();
    match incoming.id {
        (60, 60) => {
            let consumer = fields.text();
            let (tag, redelivered) = (fields.longlong(), fields.octet() == 1);
            let mut message = received(incoming, fields.text(), fields.text());
            message.delivery_tag = Some(tag);
            message.redelivered = Some(redelivered);
            Entry::Delivery { consumer, message }
        }
        (60, 50) => {
            let reply_code = fields.short();
            assert_eq!(fields.text(), "NO_ROUTE");
            let message = received(incoming, fields.text(), fields.text());
            Entry::Return {
                reply_code,
                message,
            }
        }
        (60, 30) => Entry::Cancelled(fields.text()),
        other => panic!("the replayer does not know this method: {other:?}"),
    }
}

fn received(incoming: &Incoming, exchange: String, routing_key: String) -> Received {
    Received {
        body: String::from_utf8_lossy(&incoming.body).into_owned(),
        exchange,
        routing_key,
        properties: incoming.properties.clone(),
        redelivered: None,
        delivery_tag: None,
        message_count: None,
    }
}
