//! [`ForeignCall`], a call of a program outside of this process.

use std::{
    any::Any,
    borrow::Cow,
    sync::{Arc, OnceLock, Weak},
    task::Poll,
    time::{Duration, Instant},
};

use super::{
    answer::{MORE, NO_MORE, REPLY},
    any_call::{AnyCall, Delivered, Reply},
    arguments::{Arguments, Octets},
    fault,
    leaving::{MANY, NAMESPACE, OWN, REPLIES, VERSION},
    request::{Head, Wanted},
    window::Window,
};
use crate::{
    handles::producer::Producer,
    message::{
        codec::Codec,
        headers::cc_bcc::CC,
        outgoing::Message,
        payload::{Body, ReplyAddress, ReplyTaker},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{CodecError, Error, RpcError},
        field_value::FieldTable,
        version::Version,
    },
    patterns::worker,
    runtime::{
        clock::TimerTarget,
        signal::Signal,
        sync::atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire, Release},
        },
        time_out::Alarm,
        waiter::{Ticket, WaitList},
    },
    session::connection::Connection,
};

/// How long a stream without any limit of its time waits for credit.
const SILENCE: Duration = Duration::from_secs(300);

/// A call of a program outside of this process. Its request is a message, and so is each reply.
pub(super) struct ForeignCall {
    arguments: Octets,
    head: Head,
    reply_to: Option<String>,
    correlation_id: Option<String>,
    /// Known when a server takes the request.
    back: OnceLock<Back>,
    /// The caller has its last reply.
    is_answered: AtomicBool,
    /// Set when the caller waits no more.
    cancelled: OnceLock<Arc<Signal>>,
    /// Made for the first of several replies.
    stream: OnceLock<Stream>,
}

/// The way back to the caller.
struct Back {
    connection: Connection,
    /// Publishes the replies, on behalf of the request.
    producer: Producer<Bytes>,
    /// When the caller stops waiting.
    patience: Option<Instant>,
    /// The same, or the end of the time of the method, whichever is first.
    deadline: Option<Instant>,
}

/// Several replies to one request.
struct Stream {
    window: Arc<Window>,
    /// Where the caller gives credit.
    address: Arc<dyn ReplyAddress>,
}

impl ForeignCall {
    /// A call whose message has only a body.
    pub(super) fn new(arguments: Octets) -> ForeignCall {
        ForeignCall {
            arguments,
            head: Head {
                method: Cow::Borrowed(""),
                namespace: None,
                version: Version::default(),
                deadline: None,
                context: None,
                replies: Wanted::None,
            },
            reply_to: None,
            correlation_id: None,
            back: OnceLock::new(),
            is_answered: AtomicBool::new(false),
            cancelled: OnceLock::new(),
            stream: OnceLock::new(),
        }
    }

    /// The same call, of a message with these properties.
    pub(super) fn of(&self, properties: &Properties) -> ForeignCall {
        let text = |name| properties.header_value(name)?.as_str();
        let mut context = FieldTable::new();
        for (name, value) in properties.headers.iter().flatten() {
            if !name.starts_with(OWN) && name != CC {
                context.insert(name, value.clone());
            }
        }
        ForeignCall {
            head: Head {
                method: properties
                    .message_type
                    .clone()
                    .map_or(Cow::Borrowed(""), Cow::Owned),
                namespace: text(NAMESPACE).map(Arc::from),
                version: text(VERSION)
                    .and_then(|version| version.parse().ok())
                    .unwrap_or_default(),
                deadline: None,
                context: (!context.is_empty()).then(|| Arc::new(context)),
                replies: match properties.reply_to {
                    None => Wanted::None,
                    Some(_) if text(REPLIES) == Some(MANY) => Wanted::Many,
                    Some(_) => Wanted::One,
                },
            },
            reply_to: properties.reply_to.clone(),
            correlation_id: properties.correlation_id.clone(),
            ..ForeignCall::new(self.arguments.clone())
        }
    }

    /// A server takes the request. Its replies are published by `producer`, and its method may take
    /// as long as `limit`. Only the first server counts.
    pub(super) fn taken_by(
        &self,
        worker: &worker::Context<'_>,
        producer: &Producer<Bytes>,
        limit: Option<Duration>,
    ) {
        if self.back.get().is_some() {
            return;
        }
        let patience = worker.info().expires_at();
        let limit = limit.and_then(|limit| worker.now().checked_add(limit));
        let _ = self.back.set(Back {
            connection: worker.connection().clone(),
            producer: worker.producer(producer),
            patience,
            deadline: patience.into_iter().chain(limit).min(),
        });
    }

    fn is_late(&self) -> bool {
        let Some(back) = self.back.get() else {
            return false;
        };
        let patience = back.patience;
        patience.is_some_and(|end| end <= back.connection.time().now())
    }

    /// Has `target` called when the caller has gone, or the time of the method is over.
    fn fire_at_end(&self, target: Weak<dyn TimerTarget>) {
        if let Some(Back {
            connection,
            deadline: Some(deadline),
            ..
        }) = self.back.get()
        {
            connection.fire_at(*deadline, target);
        }
    }

    /// Limits a wait for room, if nothing else does: a caller that gives no credit for [`SILENCE`]
    /// has gone.
    pub(super) fn limit_silence(&self) -> Option<Alarm<'_>> {
        let back = self.back.get().filter(|back| back.deadline.is_none())?;
        let window: Weak<Window> = Arc::downgrade(&self.stream.get()?.window);
        back.connection.alarm(SILENCE, window)
    }

    /// Several replies come. `None` if their caller could give no credit for them.
    fn stream(&self, back: &Back) -> Option<&Stream> {
        if self.stream.get().is_none() {
            let window = Arc::new(Window::default());
            let taker: Weak<dyn ReplyTaker> = Arc::downgrade(&window) as _;
            let address = back.connection.gate().exit().reply_address(taker).ok()?;
            let target = Arc::downgrade(&window);
            // Another thread may be faster.
            if self.stream.set(Stream { window, address }).is_ok() {
                self.fire_at_end(target);
            }
        }
        self.stream.get()
    }

    /// Sends a reply to the default exchange. It waits for nothing, since a reply that is lost is
    /// one that is not waited for.
    fn send(&self, mut properties: Properties, octets: Bytes, is_last: bool) -> Delivered {
        let (Some(reply_to), Some(back)) = (&self.reply_to, self.back.get()) else {
            return Delivered::Late;
        };
        properties.correlation_id.clone_from(&self.correlation_id);
        let stream = match is_last {
            true => self.stream.get(),
            false => self.stream(back),
        };
        if !is_last {
            properties.headers_mut().insert(REPLY, MORE);
        }
        if let Some(stream) = stream {
            properties.reply_to = Some(stream.address.name().to_string());
            properties.message_id = Some(stream.address.key().to_owned());
            stream.window.count(&mut properties);
        }
        let message = Message::new(octets).properties(properties);
        let message = message.routing_key(reply_to.as_str()).mandatory();
        match back.producer.send_off(message) {
            Ok(()) if !self.is_late() => Delivered::Yes,
            _ => Delivered::Late,
        }
    }

    /// A reply, by the codec of the request.
    fn encode(&self, body: &Body) -> Result<(Properties, Bytes), CodecError> {
        let codec = self.arguments.codec();
        let mut properties = Properties::new();
        properties.content_type = body.content_type(codec).map(str::to_owned);
        Ok((properties, body.encode(codec)?))
    }
}

impl AnyCall for ForeignCall {
    fn head(&self) -> &Head {
        &self.head
    }

    fn as_foreign(&self) -> Option<&ForeignCall> {
        Some(self)
    }

    fn deadline(&self) -> Option<Instant> {
        self.back.get()?.deadline
    }

    fn leaves(&self, _: Arc<dyn ReplyAddress>) {}

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn take(&self) -> Arguments<Body> {
        Arguments::Octets(self.arguments.clone())
    }

    fn show(&self, _: &mut dyn FnMut(&dyn Any) -> bool) -> Option<Octets> {
        Some(self.arguments.clone())
    }

    fn copy(&self) -> Option<Result<Octets, CodecError>> {
        Some(Ok(self.arguments.clone()))
    }

    /// A caller who waits for one reply gets the first one of a stream.
    fn reply(&self, reply: Reply<Body>, is_last: bool) -> Delivered {
        let is_last = is_last || self.head.replies == Wanted::One;
        match self.head.replies {
            Wanted::None if matches!(reply, Err(RpcError::BadArguments(_))) => {
                return Delivered::Undecoded;
            }
            Wanted::None => return Delivered::Unwanted,
            Wanted::One | Wanted::Many if self.is_answered.load(Acquire) => {
                return Delivered::Unwanted;
            }
            Wanted::One if self.is_answered.swap(true, AcqRel) => return Delivered::Unwanted,
            Wanted::One => {}
            Wanted::Many if is_last => self.is_answered.store(true, Release),
            Wanted::Many => {}
        }
        let encoded = reply.and_then(|body| self.encode(&body).map_err(RpcError::BadReply));
        let (properties, octets) = encoded.unwrap_or_else(|error| fault::tell(&error));
        self.send(properties, octets, is_last)
    }

    fn finish(&self) -> Delivered {
        match self.head.replies {
            Wanted::Many if !self.is_answered.swap(true, AcqRel) => {
                let properties = Properties::new().header(REPLY, NO_MORE);
                self.send(properties, Bytes::default(), true)
            }
            _ => Delivered::Yes,
        }
    }

    /// The message returns to its queue, or goes where its queue says.
    fn end(&self) {}

    fn is_abandoned(&self) -> bool {
        let stream = self.stream.get();
        self.is_late() || stream.is_some_and(|stream| stream.window.is_over())
    }

    fn cancelled(&self) -> Arc<Signal> {
        let signal = self.cancelled.get_or_init(|| {
            let signal = Arc::new(Signal::default());
            self.fire_at_end(Arc::downgrade(&signal) as _);
            signal
        });
        Arc::clone(signal)
    }

    fn room(&self, ticket: Option<Ticket<'_>>) -> Poll<bool> {
        let has_last = self.is_answered.load(Acquire);
        match (self.head.replies, self.stream.get()) {
            (Wanted::None, _) => Poll::Ready(true),
            _ if has_last || self.is_late() => Poll::Ready(false),
            (_, Some(stream)) => stream.window.room(ticket),
            (_, None) => Poll::Ready(true),
        }
    }

    fn with_senders(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self.stream.get() {
            Some(stream) => stream.window.with_senders(f),
            None => f(&mut WaitList::default()),
        }
    }
}

/// A call of this kind never leaves the process again.
impl ReplyTaker for ForeignCall {
    fn take_reply(&self, _: Instant, _: &Properties, _: &Body, _: &dyn Codec) {}

    fn no_reply(&self, _: Error) {}
}
