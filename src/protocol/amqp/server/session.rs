//! An open connection: its channels, the message that waits, and the events of the broker.

use std::{
    collections::{BTreeMap, VecDeque},
    task::{Context, Poll, Waker},
};

use super::{
    channel::{self, ServerChannel},
    config::ServerConfig,
    content::{Content, Expects, PUBLISH},
    fault::{self, Fault},
    output::Output,
};
use crate::{
    model::{error::Result, field_value::FieldTable},
    protocol::amqp::codec::{
        Method, MethodId,
        frame::{self, Frame},
    },
    session::{
        channel::{AckMode, Awaiting, ChannelOptions, Event, Events, Multiple},
        connection::Connection,
    },
};

/// The capabilities of a peer that change what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) authentication_failure_close: bool,
    pub(super) consumer_cancel_notify: bool,
    pub(super) connection_blocked: bool,
}

impl Capabilities {
    /// `properties` are those that the peer sent with its login.
    pub(super) fn of(properties: &FieldTable) -> Capabilities {
        let capabilities = properties.get("capabilities");
        let capabilities = capabilities.and_then(|table| table.as_table());
        let has = |name| {
            let capability = capabilities.and_then(|table| table.get(name));
            capability.and_then(|it| it.as_bool()) == Some(true)
        };
        Capabilities {
            authentication_failure_close: has("authentication_failure_close"),
            consumer_cancel_notify: has("consumer_cancel_notify"),
            connection_blocked: has("connection.blocked"),
        }
    }
}

pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) capabilities: Capabilities,
    channel_max: u16,
    max_message_size: u64,
    pub(super) channels: BTreeMap<u16, Slot>,
    events: Events<(u16, Event)>,
    /// Events that were taken from the stream together.
    pub(super) taken: VecDeque<(u16, Event)>,
    /// The channel whose publish waits for room, or whose commit waits for the disk. Nothing else
    /// is done before it.
    waiting: Option<u16>,
    /// The queue that is told of the last acknowledgements before anything else is done.
    awaiting: Awaiting,
    /// How many acknowledgements came since anything else was done.
    acknowledged: u32,
    /// The octets of bodies that are not whole.
    unfinished: u64,
    /// The waker of the driver has to be registered again.
    wants_poll: bool,
}

pub(super) enum Slot {
    Open(Box<ServerChannel>),
    /// `channel.close` was sent, and its answer is to come. Other frames are ignored.
    Closing,
}

/// How many deliveries of a channel may wait until the peer reads, as in RabbitMQ.
const WINDOW: u32 = 200;

/// After this number of acknowledgements it is time to send the deliveries that follow from them. A
/// peer that acknowledges many messages at a time then works on the first of the next ones while
/// the others are made.
const TOGETHER: u32 = 96;

/// The method that acknowledges deliveries.
const ACK: MethodId = (60, 80);

/// The method whose answer waits for the disk.
const COMMIT: MethodId = (90, 20);

/// How many of the largest bodies may be unfinished at a time.
const UNFINISHED: u64 = 4;

/// A fault, and the channel that it came from.
type FaultOn = (u16, Fault);

impl Session {
    pub(super) fn new(
        connection: Connection,
        capabilities: Capabilities,
        config: &ServerConfig,
    ) -> Session {
        Session {
            events: connection.events(),
            taken: VecDeque::new(),
            connection,
            capabilities,
            channel_max: config.channel_max,
            max_message_size: config.max_message_size,
            channels: BTreeMap::new(),
            waiting: None,
            awaiting: Awaiting::default(),
            acknowledged: 0,
            unfinished: 0,
            wants_poll: false,
        }
    }

    /// Whether a publish or a commit waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether deliveries should be sent before more frames are taken.
    #[inline]
    pub(super) fn should_send(&self) -> bool {
        self.acknowledged >= TOGETHER
    }

    /// Whether the driver has to poll, since its waker is registered nowhere.
    pub(super) fn wants_poll(&self) -> bool {
        self.wants_poll
    }

    /// A frame of a channel.
    #[inline]
    pub(super) fn frame(&mut self, frame: Frame<'_>, output: &mut Output) -> Result<(), Fault> {
        if self.acknowledge(frame)? {
            return Ok(());
        }
        self.tell_awaiting();
        let channel = match self.channels.get_mut(&frame.channel) {
            Some(Slot::Open(channel)) => channel,
            Some(Slot::Closing) => {
                self.closing(frame, output);
                return Ok(());
            }
            None => return self.open(frame, output),
        };
        let before = channel.content.len();
        let whole = match channel.content.expects() {
            Expects::Header => channel.content.header(frame, self.max_message_size)?,
            Expects::Body => channel.content.body(frame)?,
            Expects::Method => {
                let is_method = frame.kind == frame::METHOD;
                if is_method && channel.content.begin_again(frame.payload) {
                    return Ok(());
                }
                let method = method(frame)?;
                if let Method::BasicPublish {
                    exchange,
                    routing_key: key,
                    mandatory_immediate: bits,
                    ..
                } = &method
                {
                    let content = &mut channel.content;
                    content.begin(frame.payload, exchange, &key.0, *bits);
                    return Ok(());
                }
                channel.last_route = None;
                return self.method(frame.channel, method, output);
            }
        };
        match whole {
            Some(message) => {
                self.unfinished -= before;
                match channel.publish(message) {
                    true => Ok(()),
                    false => self.go_on(frame.channel, &mut noop(), output),
                }
            }
            None => {
                self.unfinished += channel.content.len() - before;
                let most = self.max_message_size.saturating_mul(UNFINISHED);
                match self.unfinished > most {
                    true => Err(Fault::of_connection(
                        506,
                        format_args!(
                            "the unfinished messages of the connection exceed {most} octets"
                        ),
                    )),
                    false => Ok(()),
                }
            }
        }
    }

    /// Acts on an acknowledgement. `false` if the frame is another one.
    #[inline]
    fn acknowledge(&mut self, frame: Frame<'_>) -> Result<bool, Fault> {
        // The tag 0 has meanings of its own.
        let Some((tag @ 1.., multiple)) = Method::read_ack(frame.payload) else {
            return Ok(false);
        };
        let channel = match self.channels.get_mut(&frame.channel) {
            Some(Slot::Open(channel)) if frame.kind == frame::METHOD => channel,
            _ => return Ok(false),
        };
        if channel.content.expects() != Expects::Method {
            return Ok(false);
        }
        let acked = match multiple {
            true => {
                self.awaiting.tell();
                channel.channel.basic_ack(tag, Multiple::Yes)
            }
            false => channel.channel.ack_ahead(tag, &mut self.awaiting),
        };
        acked.map_err(|error| {
            self.awaiting.tell();
            Fault::of(&error, ACK)
        })?;
        self.acknowledged += 1;
        Ok(true)
    }

    /// Tells the queue of acknowledgements that waits for them.
    #[inline]
    pub(super) fn tell_awaiting(&mut self) {
        self.acknowledged = 0;
        self.awaiting.tell();
    }

    /// A frame on a channel that is not open.
    fn open(&mut self, frame: Frame<'_>, output: &mut Output) -> Result<(), Fault> {
        let method = method(frame)?;
        let Method::ChannelOpen { .. } = method else {
            let fault = Fault::of_connection(504, "expected 'channel.open'");
            return Err(fault.with(method.id()));
        };
        let (open, most) = (self.channels.len(), self.channel_max);
        if open >= usize::from(most) {
            let text = format_args!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({most})"
            );
            return Err(Fault::of_connection(530, text));
        }
        let number = frame.channel;
        let options = ChannelOptions::new().number(number).window(WINDOW);
        let opened = self
            .connection
            .open_channel_with(options.events_to_connection());
        let channel = opened.map_err(|error| Fault::of(&error, method.id()))?;
        let channel = ServerChannel {
            number,
            channel,
            content: Content::default(),
            last_route: None,
            publisher: None,
            commit: None,
            last_sent: 0,
        };
        self.channels.insert(number, Slot::Open(Box::new(channel)));
        output.method(number, &Method::ChannelOpenOk { channel_id: &[] });
        Ok(())
    }

    /// A frame on a channel whose close the peer has not confirmed.
    fn closing(&mut self, frame: Frame<'_>, output: &mut Output) {
        match method(frame) {
            Ok(Method::ChannelCloseOk {}) => {
                self.channels.remove(&frame.channel);
            }
            Ok(Method::ChannelClose { .. }) => {
                output.method(frame.channel, &Method::ChannelCloseOk {});
            }
            _ => {}
        }
    }

    /// Closes a channel by a fault, and tells the peer. It does nothing if the channel is not open.
    pub(super) fn close_channel(&mut self, number: u16, fault: &Fault, output: &mut Output) {
        if !self.end_channel(number) {
            return;
        }
        self.channels.insert(number, Slot::Closing);
        let (class_id, method_id) = fault.method;
        let close = Method::ChannelClose {
            reply_code: fault.reply_code,
            reply_text: &fault.reply_text,
            class_id,
            method_id,
        };
        output.method(number, &close);
    }

    /// Ends an open channel. Its consumers go, and its unsettled deliveries return.
    fn end_channel(&mut self, number: u16) -> bool {
        if !matches!(self.channels.get(&number), Some(Slot::Open(_))) {
            return false;
        }
        if let Some(Slot::Open(channel)) = self.channels.remove(&number) {
            self.unfinished -= channel.content.len();
            self.waiting.take_if(|waiting| *waiting == number);
            self.taken.retain(|(other, _)| *other != number);
            // It may have ended already, with the broker for example.
            let _ = channel.channel.close();
        }
        true
    }

    /// A method of an open channel.
    #[inline]
    fn method(
        &mut self,
        number: u16,
        method: Method<'_>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(Slot::Open(channel)) = self.channels.get_mut(&number) else {
            return Ok(());
        };
        let id = method.id();
        let failed = |error| Fault::of(&error, id);
        match method {
            Method::BasicGet { queue, no_ack, .. } => {
                let mode = match no_ack {
                    true => AckMode::Auto,
                    false => AckMode::Manual,
                };
                let got = channel.channel.basic_get(queue, mode).map_err(failed)?;
                self.answer_get(number, got.as_ref(), output);
                Ok(())
            }
            // The deliveries up to now come before the answer.
            Method::BasicCancel {
                consumer_tag,
                no_wait,
            } => {
                let cancelled = channel.channel.basic_cancel(consumer_tag);
                cancelled.map_err(failed)?;
                self.drain(output);
                output.answer(number, no_wait, &Method::BasicCancelOk { consumer_tag });
                Ok(())
            }
            Method::TxCommit {} => {
                let committing = channel.channel.clone();
                let commit = async move { committing.tx_commit_async().await };
                channel.commit = Some(Box::pin(commit));
                self.go_on(number, &mut noop(), output)
            }
            // The peer has seen the deliveries that return.
            Method::BasicRecover { requeue } | Method::BasicRecoverAsync { requeue } => {
                let is_async = matches!(method, Method::BasicRecoverAsync { .. });
                channel.channel.serve_consumers();
                self.drain(output);
                let Some(Slot::Open(channel)) = self.channels.get(&number) else {
                    return Ok(());
                };
                let requeue = channel::requeue(requeue);
                channel.channel.basic_recover(requeue).map_err(failed)?;
                output.answer(number, is_async, &Method::BasicRecoverOk {});
                Ok(())
            }
            Method::ChannelClose { .. } => {
                channel.channel.serve_consumers();
                self.drain(output);
                self.end_channel(number);
                output.method(number, &Method::ChannelCloseOk {});
                Ok(())
            }
            // It stands for the deliveries that the peer may have seen.
            Method::BasicAck {
                delivery_tag: 0,
                multiple: true,
            } => {
                let acked = channel.channel.ack_all_up_to(channel.last_sent);
                acked.map_err(failed)
            }
            Method::BasicNack {
                delivery_tag: 0,
                multiple_requeue: [true, again],
            } => {
                let again = channel::requeue(again);
                let nacked = channel.channel.nack_all_up_to(channel.last_sent, again);
                nacked.map_err(failed)
            }
            other => channel.method(other, output),
        }
    }

    /// Goes on with the publish or the commit of a channel. All input waits for its end.
    fn go_on(
        &mut self,
        number: u16,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(Slot::Open(channel)) = self.channels.get_mut(&number) else {
            self.waiting = None;
            return Ok(());
        };
        let (id, polled) = match (&mut channel.commit, &mut channel.publisher) {
            (Some(commit), _) => (COMMIT, commit.as_mut().poll(context)),
            (None, Some(publisher)) => (PUBLISH, publisher.poll(context)),
            (None, None) => return Ok(()),
        };
        let Poll::Ready(done) = polled else {
            self.wants_poll = self.waiting.is_none();
            self.waiting = Some(number);
            return Ok(());
        };
        self.waiting = None;
        if channel.commit.take().is_some() && done.is_ok() {
            // The messages that are returned come before the answer.
            self.drain(output);
            output.method(number, &Method::TxCommitOk {});
        }
        done.map_err(|error| Fault::of(&error, id))
    }

    /// The number of events that the peer has not been told of.
    pub(super) fn untold(&self) -> usize {
        self.taken.len() + self.events.unread()
    }

    /// The next event, if it is there.
    pub(super) fn next_event(&mut self) -> Option<(u16, Event)> {
        if self.taken.is_empty() {
            self.events.take_run(&mut self.taken);
        }
        let (number, event) = self.taken.pop_front()?;
        if let Event::Delivery(delivery) = &event {
            delivery.note_read();
        }
        Some((number, event))
    }

    /// Goes on with what waits, and sends events while there is room.
    pub(super) fn advance(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Result<(), FaultOn> {
        self.wants_poll = false;
        if let Some(number) = self.waiting {
            let gone_on = self.go_on(number, context, output);
            gone_on.map_err(|fault| (number, fault))?;
        }
        while !output.is_full() {
            if self.taken.is_empty() {
                self.events.take_run(&mut self.taken);
            }
            if !self.taken.is_empty() {
                self.tell_taken(output);
                continue;
            }
            match self.events.poll_recv(context) {
                Poll::Ready(Ok((number, event))) => self.event(number, &event, output),
                Poll::Ready(Err(error)) => return Err((0, Fault::of(&self.end(&error), (0, 0)))),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The connection may have ended already, with the broker for example.
        let _ = self.connection.close();
    }
}

/// The context of a first try. What waits is polled again, with the waker of the driver.
fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The method in a frame.
#[inline]
fn method(frame: Frame<'_>) -> Result<Method<'_>, Fault> {
    if frame.kind != frame::METHOD {
        let text = "expected method frame, got non method frame instead";
        return Err(Fault::of_connection(505, text));
    }
    Method::read(frame.payload).map_err(|malformed| fault::no_method(malformed, frame.payload))
}
