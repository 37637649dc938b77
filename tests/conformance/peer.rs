//! The client of a scenario: in the program, by `Connection` and `Channel`, or over the wire.
//!
//! `LEVERET_CONFORMANCE_WIRE=1` chooses the wire. Its results are the same, and errors close there.

use std::fmt;

use leveret::{
    Broker, Credentials, Exchange, FieldTable, Properties, Queue, Requeue, Scope,
    channel::{AckMode, ConsumeOptions, Events, IfEmpty, IfUnused, Multiple, PublishOptions},
};

#[cfg(feature = "amqp")]
use crate::over_wire;
use crate::{inbox::Inbox, message::Received};

/// Whether the clients are on the wire.
pub fn is_on_wire() -> bool {
    std::env::var_os("LEVERET_CONFORMANCE_WIRE").is_some()
}

/// An error, as a client sees it.
#[derive(Clone, Debug)]
pub struct Error {
    pub reply_code: Option<u16>,
    pub scope: Scope,
    pub text: String,
    pub is_closed: bool,
}

pub type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    pub fn reply_code(&self) -> Option<u16> {
        self.reply_code
    }

    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether the channel or the connection was closed before.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<leveret::Error> for Error {
    fn from(error: leveret::Error) -> Error {
        Error {
            reply_code: error.reply_code(),
            scope: error.scope(),
            text: error.to_string(),
            is_closed: error.is_closed(),
        }
    }
}

/// The answer to the declaration of a queue.
pub struct Declared {
    pub name: String,
    pub message_count: u64,
    pub consumer_count: u64,
}

/// The arguments of `basic.consume`.
#[derive(Clone, Debug, Default)]
pub struct Consume {
    pub tag: String,
    pub auto_ack: bool,
    pub exclusive: bool,
    pub no_local: bool,
    pub arguments: FieldTable,
}

/// A message to be published.
#[derive(Clone, Debug)]
pub struct Publish<'a> {
    pub exchange: &'a str,
    pub routing_key: &'a str,
    pub body: String,
    pub properties: Properties,
    pub mandatory: bool,
    pub immediate: bool,
}

/// A connection of the scenario.
pub enum Connection {
    InProgram(leveret::Connection),
    #[cfg(feature = "amqp")]
    OnWire(over_wire::Connection),
}

impl Connection {
    pub fn open(broker: &Broker, vhost: &str, user: &str, password: &str) -> Result<Connection> {
        #[cfg(feature = "amqp")]
        if is_on_wire() {
            let opened = over_wire::Connection::open(broker, vhost, user, password);
            return opened.map(Connection::OnWire);
        }
        let opened = broker.connect(vhost, Credentials::new(user, password));
        Ok(Connection::InProgram(opened?))
    }

    pub fn open_channel(&self) -> Result<Channel> {
        match self {
            Connection::InProgram(connection) => {
                let channel = connection.open_channel()?;
                let events = channel.events();
                Ok(Channel::InProgram(channel, events))
            }
            #[cfg(feature = "amqp")]
            Connection::OnWire(connection) => connection.open_channel().map(Channel::OnWire),
        }
    }

    pub fn close(&self) -> Result {
        match self {
            Connection::InProgram(connection) => Ok(connection.close()?),
            #[cfg(feature = "amqp")]
            Connection::OnWire(connection) => connection.close(),
        }
    }
}

/// A channel of the scenario.
pub enum Channel {
    InProgram(leveret::Channel, Events),
    #[cfg(feature = "amqp")]
    OnWire(over_wire::Channel),
}

/// A method that both kinds of channels have.
macro_rules! method {
    ($name:ident($($argument:ident: $type:ty),*) -> $answer:ty, |$channel:ident| $call:expr) => {
        pub fn $name(&self, $($argument: $type),*) -> Result<$answer> {
            match self {
                Channel::InProgram($channel, _) => Ok($call?),
                #[cfg(feature = "amqp")]
                Channel::OnWire(channel) => channel.$name($($argument),*),
            }
        }
    };
}

impl Channel {
    method!(exchange_declare(exchange: &Exchange, passive: bool) -> (), |channel| match passive {
        true => channel.exchange_declare_passive(exchange.name()),
        false => channel.exchange_declare(exchange),
    });
    method!(exchange_delete(exchange: &str, unused: IfUnused) -> (), |channel| {
        channel.exchange_delete(exchange, unused)
    });
    method!(bind(
        op: &str, destination: &str, source: &str, key: &str, arguments: FieldTable
    ) -> (), |channel| match op {
        "exchange_bind" => channel.exchange_bind(destination, source, key, arguments),
        "exchange_unbind" => channel.exchange_unbind(destination, source, key, arguments),
        "queue_bind" => channel.queue_bind(destination, source, key, arguments),
        _ => channel.queue_unbind(destination, source, key, arguments),
    });
    method!(queue_declare(queue: &Queue, passive: bool) -> Declared, |channel| {
        let declared = match passive {
            true => channel.queue_declare_passive(queue.name()),
            false => channel.queue_declare(queue),
        };
        declared.map(|declared| Declared {
            name: declared.name.to_string(),
            message_count: declared.message_count,
            consumer_count: declared.consumer_count,
        })
    });
    method!(queue_purge(queue: &str) -> u64, |channel| channel.queue_purge(queue));
    method!(queue_delete(
        queue: &str, unused: IfUnused, empty: IfEmpty
    ) -> u64, |channel| channel.queue_delete(queue, unused, empty));
    method!(basic_consume(queue: &str, consume: Consume) -> String, |channel| {
        let mut options = ConsumeOptions::new().tag(consume.tag).arguments(consume.arguments);
        if consume.auto_ack {
            options = options.auto_ack();
        }
        if consume.exclusive {
            options = options.exclusive();
        }
        if consume.no_local {
            options = options.no_local();
        }
        channel.basic_consume(queue, options).map(|tag| tag.to_string())
    });
    method!(basic_cancel(tag: &str) -> (), |channel| channel.basic_cancel(tag));
    method!(basic_qos(size: u32, count: u16, global: bool) -> (), |channel| {
        channel.basic_qos(size, count, global.into())
    });
    method!(basic_recover(requeue: Requeue) -> (), |channel| channel.basic_recover(requeue));
    method!(basic_get(queue: &str, ack: AckMode) -> Option<Received>, |channel| {
        let got = channel.basic_get(queue, ack);
        got.map(|got| got.as_ref().map(Received::fetched))
    });
    method!(confirm_select() -> (), |channel| channel.confirm_select());
    method!(tx(op: &str) -> (), |channel| match op {
        "tx_select" => channel.tx_select(),
        "tx_commit" => channel.tx_commit(),
        _ => channel.tx_rollback(),
    });
    method!(basic_publish(publish: Publish<'_>) -> (), |channel| {
        let mut options = PublishOptions::new();
        if publish.mandatory {
            options = options.mandatory();
        }
        if publish.immediate {
            options = options.immediate();
        }
        let Publish { exchange, routing_key, body, properties, .. } = publish;
        let published = channel.basic_publish(exchange, routing_key, body, properties, options);
        published.map(drop)
    });
    method!(wait_for_confirms() -> (), |channel| channel.wait_for_confirms().map(drop));
    method!(settle(op: &str, tag: u64, multiple: Multiple, requeue: Requeue) -> (), |channel| {
        match op {
            "ack" => channel.basic_ack(tag, multiple),
            "nack" => channel.basic_nack(tag, multiple, requeue),
            _ => channel.basic_reject(tag, requeue),
        }
    });
    method!(close() -> (), |channel| channel.close());

    /// Moves all received events into the inbox.
    pub fn receive(&self, inbox: &mut Inbox) {
        match self {
            Channel::InProgram(_, events) => inbox.fill(events),
            #[cfg(feature = "amqp")]
            Channel::OnWire(channel) => channel.receive(inbox),
        }
    }
}
