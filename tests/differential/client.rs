//! A small AMQP client over a socket: one connection, its channels, and the frames received on each
//! channel, in the order of the broker.
//!
//! Only `wait` blocks. If it times out, the caller reports the missing frame.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use leveret::{FieldTable, FieldValue, Properties};
use serde_json::{Value, json};

use crate::{
    outcome::{Message, News, Unconfirmed},
    wire::{Reader, Writer},
};

/// The time limit for the answer to a synchronous method.
const PATIENCE: Duration = Duration::from_secs(20);

/// The address of the broker, and the credentials.
#[derive(Clone, Debug)]
pub struct Address {
    pub host: String,
    pub user: String,
    pub password: String,
    pub vhost: String,
}

impl Address {
    /// Reads `amqp://user:password@host:port[/vhost]`.
    pub fn parse(url: &str) -> Option<Address> {
        let (credentials, place) = url.strip_prefix("amqp://")?.split_once('@')?;
        let (user, password) = credentials.split_once(':')?;
        let (host, vhost) = place.split_once('/').unwrap_or((place, ""));
        Some(Address {
            host: host.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            vhost: if vhost.is_empty() { "/" } else { vhost }.to_owned(),
        })
    }
}

/// The method with which the broker answered.
pub struct Reply {
    pub method: (u16, u16),
    pub arguments: Vec<u8>,
    /// The message of a get.
    pub message: Option<Message>,
}

/// One channel.
#[derive(Default)]
pub struct Line {
    replies: VecDeque<Reply>,
    pub news: News,
    /// The reply code with which the broker closed the channel.
    pub refused: Option<u16>,
    /// A message whose frames have not all arrived.
    partial: Option<Partial>,
    pub confirming: bool,
    pub unconfirmed: Unconfirmed,
}

struct Partial {
    method: (u16, u16),
    arguments: Vec<u8>,
    header: Option<(u64, serde_json::Map<String, Value>)>,
    body: Vec<u8>,
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    pub lines: BTreeMap<u16, Line>,
    /// The reply code with which the broker closed the connection.
    pub closed: Option<u16>,
    /// The version of the broker, as it tells it.
    pub version: String,
}

type Said<T = ()> = Result<T, String>;

fn io(error: std::io::Error) -> String {
    format!("the connection to RabbitMQ: {error}")
}

impl Wire {
    pub fn connect(address: &Address) -> Said<Wire> {
        let stream = TcpStream::connect(&address.host).map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        stream.set_nonblocking(true).map_err(io)?;
        let mut wire = Wire {
            stream,
            buffer: Vec::new(),
            lines: BTreeMap::from([(0, Line::default())]),
            closed: None,
            version: String::new(),
        };
        wire.send(b"AMQP\x00\x00\x09\x01")?;
        let start = wire.expect(0, (10, 10))?;
        let mut start = Reader(&start.arguments);
        // Behind the two numbers of the protocol's version.
        start.u16();
        let server = start.table();
        let version = server.get("version").and_then(FieldValue::as_str);
        wire.version = version.unwrap_or_default().to_owned();
        let mut capabilities = FieldTable::new();
        for name in [
            "basic.nack",
            "consumer_cancel_notify",
            "exchange_exchange_bindings",
            "publisher_confirms",
        ] {
            capabilities.insert(name, true);
        }
        let mut client = FieldTable::new();
        client.insert("capabilities", FieldValue::Table(capabilities));
        let plain = format!("\0{}\0{}", address.user, address.password);
        let start = Writer::default()
            .table(&client)
            .short_string("PLAIN")
            .long_string(plain.as_bytes())
            .short_string("en_US");
        wire.method(0, (10, 11), start)?;
        let tune = wire.expect(0, (10, 30))?;
        let mut tune = Reader(&tune.arguments);
        let (channels, frame) = (tune.u16(), tune.u32());
        wire.method(
            0,
            (10, 31),
            Writer::default().u16(channels).u32(frame).u16(0),
        )?;
        let open = Writer::default()
            .short_string(&address.vhost)
            .short_string("")
            .u8(0);
        wire.method(0, (10, 40), open)?;
        wire.expect(0, (10, 41))?;
        Ok(wire)
    }

    /// Opens one more channel.
    pub fn open_channel(&mut self) -> Said<u16> {
        let number = u16::try_from(self.lines.len()).map_err(|error| error.to_string())?;
        self.lines.insert(number, Line::default());
        self.method(number, (20, 10), Writer::default().short_string(""))?;
        self.expect(number, (20, 11))?;
        Ok(number)
    }

    fn send(&mut self, mut bytes: &[u8]) -> Said {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_micros(200));
                }
                // The broker has closed the connection. Its close frame is still to be read.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Writer {
        Writer::default()
            .u8(kind)
            .u16(channel)
            .long_string(payload)
            .u8(0xCE)
    }

    /// Sends a method.
    pub fn method(&mut self, channel: u16, method: (u16, u16), arguments: Writer) -> Said {
        let payload = Writer::default()
            .u16(method.0)
            .u16(method.1)
            .raw(&arguments.0);
        self.send(&Wire::frame(1, channel, &payload.0).0)
    }

    /// Sends a message.
    pub fn publish(
        &mut self,
        channel: u16,
        arguments: Writer,
        properties: &Properties,
        body: &[u8],
    ) -> Said {
        let header = Writer::default()
            .u16(60)
            .u16(0)
            .u64(body.len() as u64)
            .properties(properties);
        let payload = Writer::default().u16(60).u16(40).raw(&arguments.0);
        let mut frames =
            Wire::frame(1, channel, &payload.0).raw(&Wire::frame(2, channel, &header.0).0);
        if !body.is_empty() {
            frames = frames.raw(&Wire::frame(3, channel, body).0);
        }
        self.send(&frames.0)
    }

    /// Sends a synchronous method. Returns the reply code if the broker refuses it.
    pub fn call(
        &mut self,
        channel: u16,
        method: (u16, u16),
        arguments: Writer,
    ) -> Said<Result<Reply, u16>> {
        if let Some(code) = self.refusal(channel) {
            return Ok(Err(code));
        }
        self.method(channel, method, arguments)?;
        self.answer(channel)
    }

    /// The reply code for which the channel is closed.
    pub fn refusal(&self, channel: u16) -> Option<u16> {
        self.closed.or(self.lines[&channel].refused)
    }

    fn answer(&mut self, channel: u16) -> Said<Result<Reply, u16>> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(reply) = self.line(channel).replies.pop_front() {
                return Ok(Ok(reply));
            }
            if let Some(code) = self.refusal(channel) {
                return Ok(Err(code));
            }
            if Instant::now() > until {
                return Err("RabbitMQ does not answer".to_owned());
            }
            if !self.pump()? {
                thread::sleep(Duration::from_micros(150));
            }
        }
    }

    fn expect(&mut self, channel: u16, method: (u16, u16)) -> Said<Reply> {
        match self.answer(channel)? {
            Ok(reply) if reply.method == method => Ok(reply),
            Ok(reply) => Err(format!(
                "expected method {method:?}, not {:?}",
                reply.method
            )),
            Err(code) => Err(format!("expected method {method:?}, not error {code}")),
        }
    }

    pub fn line(&mut self, channel: u16) -> &mut Line {
        self.lines.entry(channel).or_default()
    }

    /// Reads the received bytes. Returns whether there were any.
    pub fn pump(&mut self) -> Said<bool> {
        let mut chunk = [0; 16384];
        let count = match self.stream.read(&mut chunk) {
            Ok(0) => {
                self.closed.get_or_insert(320);
                return Ok(false);
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(_) => {
                self.closed.get_or_insert(320);
                return Ok(false);
            }
        };
        self.buffer.extend(&chunk[..count]);
        while self.buffer.len() >= 7 {
            let mut reader = Reader(&self.buffer);
            let (kind, channel, size) = (reader.u8(), reader.u16(), reader.u32() as usize);
            if self.buffer.len() < size + 8 {
                break;
            }
            let payload = self.buffer[7..7 + size].to_vec();
            self.buffer.drain(..size + 8);
            self.on_frame(kind, channel, &payload)?;
        }
        Ok(true)
    }

    fn on_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) -> Said {
        let mut reader = Reader(payload);
        match kind {
            1 => {
                let method = (reader.u16(), reader.u16());
                self.on_method(channel, method, reader.0.to_vec())?;
            }
            2 => {
                reader.u32();
                let size = reader.u64();
                let properties = reader.properties();
                if let Some(partial) = &mut self.line(channel).partial {
                    partial.header = Some((size, properties));
                }
            }
            3 => {
                if let Some(partial) = &mut self.line(channel).partial {
                    partial.body.extend(payload);
                }
            }
            _ => {}
        }
        self.line(channel).on_content();
        Ok(())
    }

    fn on_method(&mut self, channel: u16, method: (u16, u16), arguments: Vec<u8>) -> Said {
        let mut reader = Reader(&arguments);
        match method {
            (10, 50) => {
                self.closed = Some(reader.u16());
                self.method(0, (10, 51), Writer::default())
            }
            (20, 40) => {
                self.line(channel).refused = Some(reader.u16());
                self.method(channel, (20, 41), Writer::default())
            }
            _ => {
                self.line(channel).on_method(method, arguments);
                Ok(())
            }
        }
    }
}

impl Line {
    fn on_method(&mut self, method: (u16, u16), arguments: Vec<u8>) {
        let mut reader = Reader(&arguments);
        match method {
            // After return, deliver and get-ok the message follows.
            (60, 50 | 60 | 71) => {
                self.partial = Some(Partial {
                    method,
                    arguments,
                    header: None,
                    body: Vec::new(),
                });
            }
            (60, 30) => {
                self.news.cancelled.insert(reader.short_string());
            }
            (60, 80 | 120) => {
                let numbers = self.unconfirmed.confirm(reader.u64(), reader.u8() & 1 != 0);
                if method.1 == 80 {
                    self.news.acks.extend(numbers);
                } else {
                    self.news.nacks.extend(numbers);
                }
            }
            _ => self.replies.push_back(Reply {
                method,
                arguments,
                message: None,
            }),
        }
    }

    /// Stores the message when all its frames have arrived.
    fn on_content(&mut self) {
        let whole = self.partial.as_ref().is_some_and(|partial| {
            partial
                .header
                .as_ref()
                .is_some_and(|(size, _)| partial.body.len() as u64 >= *size)
        });
        let Some(partial) = self.partial.take_if(|_| whole) else {
            return;
        };
        let mut reader = Reader(&partial.arguments);
        let mut consumer = String::new();
        let mut more = json!({});
        match partial.method.1 {
            50 => {
                more["reply_code"] = reader.u16().into();
                reader.short_string();
            }
            kind => {
                if kind == 60 {
                    consumer = reader.short_string();
                }
                more["delivery_tag"] = reader.u64().into();
                more["redelivered"] = (reader.u8() & 1 != 0).into();
            }
        }
        let message = Message {
            exchange: reader.short_string(),
            routing_key: reader.short_string(),
            body: String::from_utf8_lossy(&partial.body).into_owned(),
            properties: partial
                .header
                .map(|(_, properties)| properties)
                .unwrap_or_default(),
        };
        match partial.method.1 {
            50 => self.news.returns.push(message.with(more)),
            60 => self
                .news
                .deliveries
                .entry(consumer)
                .or_default()
                .push(message.with(more)),
            _ => self.replies.push_back(Reply {
                method: partial.method,
                arguments: partial.arguments.clone(),
                message: Some(message),
            }),
        }
    }
}
