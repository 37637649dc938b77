//! The server's side of a connection: a state machine without a socket, a thread or a clock.
//!
//! - `handshake`: the methods before the connection is open.
//! - `running`: frames of an open connection, and its own methods.
//! - `session`: the channels of an open connection. `events` has what the broker tells them.
//! - `channel`: one channel and its methods. `content` has a message that has begun, and
//!   `publisher` publishes it.
//! - `timing`: time-outs. `heartbeat` has the heartbeats.
//! - `output`: octets for the peer.
//! - `external`: logins that the program decides.
//! - `fault`: the reasons for closing, as the peer is told.

mod channel;
mod close_reason;
mod config;
mod content;
mod events;
mod external;
mod fault;
mod handshake;
mod heartbeat;
mod output;
mod publisher;
mod running;
mod session;
mod timing;

use std::{
    fmt,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Instant,
};

pub use self::{close_reason::CloseReason, config::ServerConfig, external::ExternalLogin};

use self::{fault::Fault, heartbeat::Heartbeat, output::Output, session::Session};
use super::codec::{
    Method,
    frame::{self, Frame, PROTOCOL_HEADER},
};
use crate::{
    handles::broker::Broker,
    model::field_value::FieldTable,
    runtime::clock::Time,
    session::broker_core::{AuthenticatedUser, BrokerCore},
};

/// The server's side of an AMQP 0-9-1 connection.
///
/// It has no socket, no thread and no runtime. A driver hands it the octets that the peer has sent,
/// and writes to the peer the octets that it makes of them. [The module](super) has an example.
///
/// It does not keep the broker alive.
///
/// # If dropped
/// The connection ends as by the loss of the peer. Its exclusive queues are deleted, and its
/// unsettled deliveries return to their queues.
///
/// # RabbitMQ
/// The reader, the writer and the channels of a connection of RabbitMQ 4.3. Unlike a
/// [`Channel`](crate::Channel), it closes the channel or the connection by an error, as
/// [`Error::scope`](crate::Error::scope) says.
pub struct ServerConnection {
    broker: Weak<BrokerCore>,
    time: Time,
    config: ServerConfig,
    phase: Phase,
    /// When the phase ends, if it has to.
    deadline: Option<Instant>,
    heartbeat: Option<Heartbeat>,
    /// The largest frame.
    frame_max: u32,
    /// The beginning of a frame that is not whole.
    input: Vec<u8>,
    output: Output,
    client_properties: FieldTable,
    /// Once the connection is open.
    session: Option<Session>,
    reason: Option<CloseReason>,
    output_waker: Option<Waker>,
    input_waker: Option<Waker>,
}

#[derive(Debug)]
enum Phase {
    /// The protocol header is to come.
    Header,
    /// `connection.start-ok` is to come.
    Start,
    /// `connection.tune-ok` is to come.
    Tune(AuthenticatedUser),
    /// `connection.open` is to come.
    Open(AuthenticatedUser),
    Running,
    /// The login was refused, and the peer is kept waiting before the connection ends.
    Refused,
    /// `connection.close-ok` is to come.
    Closing,
    /// The peer has closed the connection, and was answered. The end of its socket is to come.
    Closed,
    /// Nothing is to come.
    Ended,
}

/// The largest frame of the handshake, in octets, as in RabbitMQ.
const HANDSHAKE_FRAME: u32 = 8192;

/// The capacity for an unfinished frame that an idle connection keeps.
const IDLE_INPUT: usize = 4 << 10;

impl ServerConnection {
    /// Begins a connection to `broker`, with a peer that has sent nothing yet.
    ///
    /// # Examples
    /// ```
    /// use leveret::{amqp::{ServerConfig, ServerConnection}, Broker};
    /// let connection = ServerConnection::new(&Broker::new(), ServerConfig::new());
    /// assert!(!connection.is_ended());
    /// ```
    #[must_use]
    pub fn new(broker: &Broker, config: ServerConfig) -> ServerConnection {
        let core = broker.core();
        let time = core.time().clone();
        let deadline = time.now().checked_add(config.handshake_timeout);
        ServerConnection {
            broker: Arc::downgrade(core),
            time,
            config,
            phase: Phase::Header,
            deadline,
            heartbeat: None,
            frame_max: HANDSHAKE_FRAME,
            input: Vec::new(),
            output: Output::default(),
            client_properties: FieldTable::new(),
            session: None,
            reason: None,
            output_waker: None,
            input_waker: None,
        }
    }

    /// Takes octets that the peer has sent, and acts on the frames in them. Returns how many octets
    /// it took.
    ///
    /// It takes all of them with two exceptions:
    ///
    /// - The connection is not [ready](Self::poll_ready): a publish or a commit waits, or the peer
    ///   does not read.
    /// - There were 96 acknowledgements. Their next deliveries can be sent while the rest is acted
    ///   on.
    ///
    /// The driver then keeps the rest, sends what there is, hands over the rest when the connection
    /// is ready, and reads nothing more from the peer before. The task of
    /// [`poll_output`](Self::poll_output) is woken if there is an answer.
    ///
    /// # Examples
    /// ```
    /// use leveret::{amqp::{ServerConfig, ServerConnection}, Broker};
    /// # use std::task::{Context, Poll, Waker};
    /// let broker = Broker::new();
    /// let mut connection = ServerConnection::new(&broker, ServerConfig::new());
    /// assert_eq!(connection.receive(b"AMQP\x00\x00\x09\x01"), 8);
    /// let (mut context, mut output) = (Context::from_waker(Waker::noop()), Vec::new());
    /// assert!(matches!(connection.poll_output(&mut context, &mut output), Poll::Ready(Some(_))));
    /// assert_eq!(output[7..11], [0, 10, 0, 10]); // connection.start
    /// ```
    pub fn receive(&mut self, octets: &[u8]) -> usize {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.received |= !octets.is_empty();
        }
        let deadline = self.deadline;
        let mut taken = 0;
        while taken < octets.len() && self.is_ready() && !self.should_send() {
            taken += self.receive_frame(&octets[taken..]);
        }
        if let Some(session) = &mut self.session {
            session.tell_awaiting();
        }
        // The driver waits for the end of another phase.
        if self.has_output() || self.deadline != deadline {
            self.wake_output();
        }
        taken
    }

    /// Ready when [`receive`](Self::receive) takes octets.
    ///
    /// The task is woken when that changes. Only the last task is.
    ///
    /// # Examples
    /// ```
    /// use leveret::{amqp::{ServerConfig, ServerConnection}, Broker};
    /// use std::task::{Context, Waker};
    /// let mut connection = ServerConnection::new(&Broker::new(), ServerConfig::new());
    /// let mut context = Context::from_waker(Waker::noop()); // a driver has a real waker
    /// assert!(connection.poll_ready(&mut context).is_ready());
    /// ```
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.input_waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Moves octets for the peer to the end of `buffer`, and returns how many there are. `None` at
    /// the end: the driver closes the socket when it has written everything. A peer that has closed
    /// the connection closes its socket too, or is waited for half a minute.
    ///
    /// If there are none the task is woken when there are some, and also when the time of the next
    /// time-out changes. Only the last task is.
    ///
    /// Messages are taken from their queues as the driver takes octets. If the peer does not read,
    /// the driver does not either, and so about 64 KiB are ready, and no more than one message
    /// beyond that.
    ///
    /// [`receive`](Self::receive) has an example.
    pub fn poll_output(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<Option<usize>> {
        self.output.swap_empty(buffer);
        self.advance(context);
        if self.output.len() == 0 {
            self.output.swap_empty(buffer);
            if matches!(self.phase, Phase::Ended) {
                return Poll::Ready(None);
            }
            self.output.trim();
            self.output_waker = Some(context.waker().clone());
            self.wake_input();
            return Poll::Pending;
        }
        let count = self.output.take(buffer);
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.sent = true;
        }
        self.wake_input();
        Poll::Ready(Some(count))
    }

    /// Closes the connection with the code 320 and this text. The peer is told, and the connection
    /// ends when it has answered, or half a minute later.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl close_connection`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{amqp::{ServerConfig, ServerConnection}, Broker};
    /// let mut connection = ServerConnection::new(&Broker::new(), ServerConfig::new());
    /// connection.close("maintenance"); // the peer has said nothing yet, and is told nothing
    /// assert!(connection.is_ended());
    /// let reason = connection.close_reason().expect("it has ended").to_string();
    /// assert_eq!(reason, "closed: 320 CONNECTION_FORCED - maintenance");
    /// assert!(connection.client_properties().is_empty());
    /// ```
    pub fn close(&mut self, text: &str) {
        match self.phase {
            Phase::Closing | Phase::Ended | Phase::Refused => return,
            Phase::Closed => self.finish(),
            Phase::Header => self.end(CloseReason::Server {
                reply_code: 320,
                reply_text: format!("CONNECTION_FORCED - {text}"),
            }),
            _ => self.close_by(Fault::of_connection(320, text)),
        }
        self.wake_output();
    }

    /// Whether the connection has ended. The last octets may still be there.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// The reason why the connection ends or has ended.
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.reason.as_ref()
    }

    /// The properties that the peer has sent with its login, such as `product` and
    /// `connection_name`. They are empty before.
    pub fn client_properties(&self) -> &FieldTable {
        &self.client_properties
    }
}

impl ServerConnection {
    fn is_ready(&self) -> bool {
        !self.output.is_full() && !self.session.as_ref().is_some_and(Session::is_waiting)
    }

    fn should_send(&self) -> bool {
        self.session.as_ref().is_some_and(Session::should_send)
    }

    /// Whether [`poll_output`](Self::poll_output) has something to do.
    fn has_output(&self) -> bool {
        self.output.len() > 0
            || matches!(self.phase, Phase::Ended)
            || self.session.as_ref().is_some_and(Session::wants_poll)
    }

    fn wake_output(&mut self) {
        if let Some(waker) = self.output_waker.take() {
            waker.wake();
        }
    }

    fn wake_input(&mut self) {
        if self.is_ready()
            && let Some(waker) = self.input_waker.take()
        {
            waker.wake();
        }
    }

    /// Takes the octets of one frame, or of a part of it, and returns how many these are.
    fn receive_frame(&mut self, octets: &[u8]) -> usize {
        match self.phase {
            Phase::Header => return self.receive_header(octets),
            Phase::Refused | Phase::Closed | Phase::Ended => return octets.len(),
            _ => {}
        }
        if self.input.is_empty() {
            return match frame::split(octets, self.frame_max) {
                Ok(Some((frame, length))) => {
                    self.frame(frame);
                    length
                }
                Ok(None) => {
                    self.input.extend_from_slice(octets);
                    octets.len()
                }
                Err(fault) => {
                    self.close_by(fault.into());
                    octets.len()
                }
            };
        }
        // The peer cannot make this longer than its frame.
        let wanted = frame::length(&self.input, self.frame_max).unwrap_or(0);
        let missing = wanted.saturating_sub(self.input.len()).min(octets.len());
        self.input.extend_from_slice(&octets[..missing]);
        let mut input = std::mem::take(&mut self.input);
        match frame::split(&input, self.frame_max) {
            Ok(Some((frame, _))) => {
                self.frame(frame);
                input.clear();
            }
            Ok(None) => {}
            Err(fault) => {
                self.close_by(fault.into());
                input.clear();
            }
        }
        if !input.is_empty() || input.capacity() <= IDLE_INPUT {
            self.input = input;
        }
        missing
    }

    fn receive_header(&mut self, octets: &[u8]) -> usize {
        let missing = (PROTOCOL_HEADER.len() - self.input.len()).min(octets.len());
        self.input.extend_from_slice(&octets[..missing]);
        if !PROTOCOL_HEADER.starts_with(&self.input) {
            self.output.octets(&PROTOCOL_HEADER);
            self.end(CloseReason::ProtocolHeader);
        } else if self.input.len() == PROTOCOL_HEADER.len() {
            self.input.clear();
            self.start();
        }
        missing
    }

    fn frame(&mut self, frame: Frame<'_>) {
        let done = match self.phase {
            Phase::Running => self.running(frame),
            Phase::Closing => {
                self.closing(frame);
                Ok(())
            }
            _ => self.handshake(frame),
        };
        if let Err(fault) = done {
            self.fail(frame.channel, fault);
        }
    }

    /// Closes the channel or the connection, as the fault says.
    fn fail(&mut self, channel: u16, fault: Fault) {
        let session = self.session.as_mut();
        match session.filter(|_| fault.is_of_channel) {
            Some(session) => session.close_channel(channel, &fault, &mut self.output),
            None => self.close_by(fault),
        }
    }

    /// Ends the session, and tells the peer why the connection is closed.
    fn close_by(&mut self, fault: Fault) {
        if matches!(self.phase, Phase::Closing) && self.reason.is_some() {
            // The peer was told to close, and sends what is no AMQP.
            return self.finish();
        }
        self.session = None;
        let (class_id, method_id) = fault.method;
        let close = Method::ConnectionClose {
            reply_code: fault.reply_code,
            reply_text: &fault.reply_text,
            class_id,
            method_id,
        };
        self.output.method(0, &close);
        self.phase = Phase::Closing;
        self.deadline = self.time.now().checked_add(timing::CLOSING);
        self.reason = Some(CloseReason::Server {
            reply_code: fault.reply_code,
            reply_text: fault.reply_text,
        });
    }

    /// A frame after `connection.close` was sent. The peer may close at the same time.
    fn closing(&mut self, frame: Frame<'_>) {
        if (frame.kind, frame.channel) != (frame::METHOD, 0) {
            return;
        }
        match Method::read(frame.payload) {
            Ok(Method::ConnectionClose { .. }) => {
                self.output.method(0, &Method::ConnectionCloseOk {});
            }
            Ok(Method::ConnectionCloseOk {}) => self.finish(),
            _ => {}
        }
    }

    fn end(&mut self, reason: CloseReason) {
        self.reason = Some(reason);
        self.finish();
    }

    fn finish(&mut self) {
        self.session = None;
        self.input = Vec::new();
        self.phase = Phase::Ended;
        self.deadline = None;
        self.heartbeat = None;
    }

    /// Goes on with what waits, and takes events of the broker while there is room.
    fn advance(&mut self, context: &mut Context<'_>) {
        let Some(session) = &mut self.session else {
            return;
        };
        if let Err((channel, fault)) = session.advance(context, &mut self.output) {
            self.fail(channel, fault);
        }
    }
}

impl fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection")
            .field("phase", &self.phase)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
