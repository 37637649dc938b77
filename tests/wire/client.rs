//! A client of a `ServerConnection` in memory.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use leveret::{
    Broker, FieldTable, Properties,
    amqp::{ServerConfig, ServerConnection},
};

use super::{
    Arguments, Fields,
    codec::{HEADER, method},
};

/// A method that came, with its content if it has one.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub channel: u16,
    pub id: (u16, u16),
    fields: Vec<u8>,
    pub properties: Properties,
    pub body: Vec<u8>,
    missing: u64,
}

impl Incoming {
    pub fn fields(&self) -> Fields<'_> {
        Fields(&self.fields)
    }
}

/// A channel or a connection that the server has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub of_connection: bool,
    pub reply_code: u16,
    pub reply_text: String,
    pub method: (u16, u16),
}

impl Closed {
    /// The close of the connection in a method, if it is one.
    pub fn of_connection(incoming: &Incoming) -> Option<Closed> {
        Closed::of(incoming).filter(|closed| closed.of_connection)
    }

    /// The close in a method, if it is one.
    pub fn of(incoming: &Incoming) -> Option<Closed> {
        let of_connection = match incoming.id {
            (10, 50) => true,
            (20, 40) => false,
            _ => return None,
        };
        let mut fields = incoming.fields();
        Some(Closed {
            of_connection,
            reply_code: fields.short(),
            reply_text: fields.text(),
            method: (fields.short(), fields.short()),
        })
    }
}

/// The client's side of a connection.
pub struct Client {
    pub server: ServerConnection,
    /// Octets that are no whole frame yet.
    octets: Vec<u8>,
    /// Methods that have come.
    pub incoming: VecDeque<Incoming>,
    /// A method whose content is not whole.
    unfinished: Option<Incoming>,
    /// The server has nothing more to say.
    pub is_over: bool,
    /// Whether it keeps its socket after `connection.close-ok`.
    pub stays: bool,
    waker: Waker,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// How long a test waits for another thread, at most.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// A client that has sent nothing.
    pub fn new(broker: &Broker, config: ServerConfig) -> Client {
        Client {
            server: ServerConnection::new(broker, config),
            octets: Vec::new(),
            incoming: VecDeque::new(),
            unfinished: None,
            is_over: false,
            stays: false,
            waker: Waker::from(Arc::new(Unpark(thread::current()))),
        }
    }

    /// A client that has an open connection, as guest and with RabbitMQ's capabilities.
    pub fn open(broker: &Broker, config: ServerConfig) -> Client {
        let mut client = Client::new(broker, config);
        let opened = client.log_in("/", "guest", "guest", 0);
        opened.expect("a connection");
        client
    }

    /// Logs in by PLAIN and opens a virtual host.
    pub fn log_in(
        &mut self,
        vhost: &str,
        user: &str,
        password: &str,
        heartbeat: u16,
    ) -> Result<(), Closed> {
        self.send(HEADER);
        self.await_reply(0, &[(10, 10)])?;
        let capabilities = [
            "consumer_cancel_notify",
            "connection.blocked",
            "authentication_failure_close",
        ];
        let capabilities = FieldTable::from(capabilities.map(|name| (name, true)));
        let response = format!("\0{user}\0{password}");
        let start_ok = Arguments::new()
            .table(&FieldTable::from([("capabilities", capabilities)]))
            .text("PLAIN")
            .long_string(response.as_bytes())
            .text("en_US");
        let tune = self.call(0, (10, 11), start_ok, &[(10, 30)])?;
        let mut tune = tune.fields();
        let (channels, frames) = (tune.short(), tune.long());
        let tune_ok = Arguments::new()
            .short(channels)
            .long(frames)
            .short(heartbeat);
        self.send(&method(0, (10, 31), tune_ok));
        let open = Arguments::new().text(vhost).text("").octet(0);
        self.call(0, (10, 40), open, &[(10, 41)]).map(drop)
    }

    /// Opens a channel.
    pub fn open_channel(&mut self, number: u16) -> Result<(), Closed> {
        let open = Arguments::new().text("");
        self.call(number, (20, 10), open, &[(20, 11)]).map(drop)
    }

    /// Sends octets, of which the server must take all.
    pub fn send(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let taken = self.server.receive(rest);
            rest = &rest[taken..];
            self.pump();
            assert!(taken > 0 || rest.is_empty(), "the server takes nothing");
        }
    }

    /// Reads everything that the server has to say.
    pub fn pump(&mut self) {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        loop {
            match self.server.poll_output(&mut context, &mut self.octets) {
                Poll::Ready(Some(_)) => self.read(),
                Poll::Ready(None) => {
                    self.is_over = true;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    /// Reads until `is_there`, also what other threads lead to.
    pub fn pump_until(&mut self, mut is_there: impl FnMut(&VecDeque<Incoming>) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.pump();
            if is_there(&self.incoming) || self.is_over {
                return;
            }
            assert!(Instant::now() < end, "it did not come: {:?}", self.incoming);
            thread::park_timeout(end - Instant::now());
        }
    }

    fn read(&mut self) {
        let octets = std::mem::take(&mut self.octets);
        let mut rest = &octets[..];
        while rest.len() >= 7 {
            let mut fields = Fields(rest);
            let (kind, channel, size) = (fields.octet(), fields.short(), fields.long() as usize);
            if fields.0.len() <= size {
                break;
            }
            let payload = fields.octets(size);
            assert_eq!(fields.octet(), 0xce, "the end of a frame");
            rest = fields.0;
            self.frame(kind, channel, payload);
        }
        self.octets = rest.to_vec();
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let mut fields = Fields(payload);
        let incoming = match (kind, self.unfinished.take()) {
            (1, None) => Incoming {
                channel,
                id: (fields.short(), fields.short()),
                fields: fields.0.to_vec(),
                properties: Properties::new(),
                body: Vec::new(),
                missing: 0,
            },
            (2, Some(mut unfinished)) if unfinished.channel == channel => {
                assert_eq!((fields.short(), fields.short()), (60, 0), "the class");
                unfinished.missing = fields.longlong();
                unfinished.properties = fields.properties();
                unfinished
            }
            (3, Some(mut unfinished)) if unfinished.channel == channel => {
                unfinished.missing -= payload.len() as u64;
                unfinished.body.extend_from_slice(payload);
                unfinished
            }
            (8, None) => return,
            (kind, unfinished) => panic!("a frame of type {kind} after {unfinished:?}"),
        };
        if incoming.id == (10, 51) && !self.stays {
            self.server.handle_disconnect();
        }
        let has_content = matches!(incoming.id, (60, 50 | 60 | 71));
        match kind == 1 && has_content || incoming.missing > 0 {
            true => self.unfinished = Some(incoming),
            false => self.incoming.push_back(incoming),
        }
    }

    /// Sends a method, and waits for one of these answers.
    pub fn call(
        &mut self,
        channel: u16,
        id: (u16, u16),
        arguments: Arguments,
        answers: &[(u16, u16)],
    ) -> Result<Incoming, Closed> {
        self.send(&method(channel, id, arguments));
        self.await_reply(channel, answers)
    }

    /// Takes the first of these answers out of the methods that have come. The others stay.
    pub fn await_reply(
        &mut self,
        channel: u16,
        answers: &[(u16, u16)],
    ) -> Result<Incoming, Closed> {
        let is_it = |incoming: &Incoming| {
            let is_answer = incoming.channel == channel && answers.contains(&incoming.id);
            let closes = incoming.channel == channel && incoming.id == (20, 40);
            is_answer || closes || incoming.id == (10, 50)
        };
        self.pump_until(|incoming| incoming.iter().any(is_it));
        let at = self.incoming.iter().position(is_it);
        let Some(answer) = at.and_then(|at| self.incoming.remove(at)) else {
            panic!("the connection has ended: {:?}", self.server.close_reason());
        };
        match Closed::of(&answer) {
            Some(closed) if !answers.contains(&answer.id) => {
                let close_ok = match closed.of_connection {
                    true => (0, (10, 51)),
                    false => (channel, (20, 41)),
                };
                self.send(&method(close_ok.0, close_ok.1, Arguments::new()));
                Err(closed)
            }
            _ => Ok(answer),
        }
    }

    /// Publishes to a queue by the default exchange.
    pub fn publish(&mut self, channel: u16, queue: &str, body: &[u8]) {
        let publish = Arguments::new().short(0).text("").text(queue).octet(0);
        let properties = Arguments::new().properties(&Properties::new()).0;
        self.send(&method(channel, (60, 40), publish));
        self.send(&super::content(channel, &properties, body, 100_000));
    }

    /// Declares a queue that is neither durable nor anything else.
    pub fn declare(&mut self, channel: u16, queue: &str) -> Result<Incoming, Closed> {
        let declare = Arguments::new().short(0).text(queue).octet(0).long(0);
        self.call(channel, (50, 10), declare, &[(50, 11)])
    }

    /// Starts a consumer. The bits are no-local, no-ack, exclusive and no-wait.
    pub fn consume(
        &mut self,
        channel: u16,
        queue: &str,
        tag: &str,
        bits: [bool; 4],
    ) -> Result<Incoming, Closed> {
        let consume = Arguments::new()
            .short(0)
            .text(queue)
            .text(tag)
            .bits(bits)
            .long(0);
        self.call(channel, (60, 20), consume, &[(60, 21)])
    }

    /// The ids of the methods that have come, which are taken.
    pub fn take_ids(&mut self) -> Vec<(u16, u16)> {
        self.pump();
        self.incoming
            .drain(..)
            .map(|incoming| incoming.id)
            .collect()
    }
}
