//! [`ForeignCall`], the call of a program outside of this process, and the replies of such
//! programs.

use std::{
    any::Any,
    borrow::Cow,
    sync::{Arc, OnceLock},
    task::Poll,
};

use super::{
    any_call::{AnyCall, Delivered, Reply},
    arguments::{Arguments, Octets},
    request::{Head, Wanted},
};
use crate::{
    handles::producer::Producer,
    message::{
        codec::Codec,
        outgoing::Message,
        payload::{Body, Payload, ReplyAddress, ReplyTaker},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{CodecError, RemoteError, RpcError},
        field_value::FieldTable,
        version::Version,
    },
    runtime::{
        signal::Signal,
        sync::atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire},
        },
        waiter::{Ticket, WaitList},
    },
};

/// The header with the namespace of a request.
pub(super) const NAMESPACE: &str = "x-rpc-namespace";
/// The header with the version that a request needs.
pub(super) const VERSION: &str = "x-rpc-version";
/// The header of a reply that is an error: its kind.
const ERROR: &str = "x-rpc-error";
/// The header with the type of an error that a method has returned.
const ERROR_TYPE: &str = "x-rpc-error-type";
/// The beginning of the names of all these headers. The others are the request context.
const OWN: &str = "x-rpc-";

/// A call of a program outside of this process. Its request is a message, and so is the reply.
pub(super) struct ForeignCall {
    arguments: Octets,
    head: Head,
    reply_to: Option<String>,
    correlation_id: Option<String>,
    /// Publishes the reply, on behalf of the request.
    replies: OnceLock<Producer<Bytes>>,
    is_answered: AtomicBool,
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
                id: None,
            },
            reply_to: None,
            correlation_id: None,
            replies: OnceLock::new(),
            is_answered: AtomicBool::new(false),
        }
    }

    /// The octets of the message.
    pub(super) fn octets(&self) -> &Bytes {
        self.arguments.octets()
    }

    /// The same call, of a message with these properties.
    pub(super) fn of(&self, properties: &Properties) -> ForeignCall {
        let text = |name| properties.header_value(name)?.as_str();
        let mut context = FieldTable::new();
        for (name, value) in properties.headers.iter().flatten() {
            if !name.starts_with(OWN) {
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
                    Some(_) => Wanted::One,
                    None => Wanted::None,
                },
                id: None,
            },
            reply_to: properties.reply_to.clone(),
            correlation_id: properties.correlation_id.clone(),
            ..ForeignCall::new(self.arguments.clone())
        }
    }

    /// Lets the reply be published by `producer`. Only the first one counts.
    pub(super) fn answer_by(&self, producer: Producer<Bytes>) {
        let _ = self.replies.set(producer);
    }

    /// Publishes a reply to the default exchange.
    fn publish(&self, reply: Reply<Body>) -> Delivered {
        let (Some(reply_to), Some(producer)) = (&self.reply_to, self.replies.get()) else {
            return Delivered::Late;
        };
        let encoded = reply.and_then(|body| self.encode(&body).map_err(RpcError::BadReply));
        let (mut properties, octets) = encoded.unwrap_or_else(|error| failure(&error));
        properties.correlation_id.clone_from(&self.correlation_id);
        let message = Message::new(octets).properties(properties);
        let message = message.routing_key(reply_to.as_str()).mandatory();
        // A caller whose queue is gone or full does not hold the server up.
        match producer.try_publish_message(message) {
            Ok(_) => Delivered::Yes,
            Err(_) => Delivered::Late,
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

    fn leaves(&self, _: Box<dyn ReplyAddress>) {}

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

    /// The caller waits for one reply: the first one of a stream.
    fn reply(&self, reply: Reply<Body>, _is_last: bool) -> Delivered {
        match reply {
            Err(RpcError::BadArguments(_)) if self.head.replies == Wanted::None => {
                Delivered::Undecoded
            }
            _ if self.head.replies == Wanted::None => Delivered::Unwanted,
            _ if self.is_answered.swap(true, AcqRel) => Delivered::Unwanted,
            reply => self.publish(reply),
        }
    }

    /// Replies of other processes come to callers.
    fn reply_octets(&self, _: Octets, _: bool) -> Delivered {
        Delivered::Unwanted
    }

    fn finish(&self) -> Delivered {
        Delivered::Yes
    }

    /// The message returns to its queue, or goes where its queue says.
    fn end(&self) {}

    fn is_abandoned(&self) -> bool {
        false
    }

    fn cancelled(&self) -> Arc<Signal> {
        Arc::default()
    }

    fn room(&self, _: Option<Ticket<'_>>) -> Poll<bool> {
        let is_answered = self.is_answered.load(Acquire);
        Poll::Ready(self.head.replies == Wanted::None || !is_answered)
    }

    fn with_senders(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut WaitList::default());
    }
}

/// A call of this kind never leaves the process again.
impl ReplyTaker for ForeignCall {
    fn take_reply(&self, _: &Properties, _: &Body, _: &dyn Codec) {}
}

/// The message that tells an error.
fn failure(error: &RpcError) -> (Properties, Bytes) {
    let kind = match error {
        RpcError::Timeout => "Timeout",
        RpcError::NoServer { .. } => "NoServer",
        RpcError::ServerGone => "ServerGone",
        RpcError::NoSuchMethod { .. } => "NoSuchMethod",
        RpcError::UnsupportedVersion { .. } => "UnsupportedVersion",
        RpcError::VersionCap { .. } => "VersionCap",
        RpcError::Denied { .. } => "Denied",
        RpcError::BadArguments(_) => "BadArguments",
        RpcError::BadReply(_) => "BadReply",
        RpcError::Remote(_) => "Remote",
        RpcError::Panicked(_) => "Panicked",
        RpcError::MethodTimeout { .. } => "MethodTimeout",
        RpcError::InvalidTarget(_) => "InvalidTarget",
        RpcError::DuplicateMethod { .. } => "DuplicateMethod",
        RpcError::Broker(_) => "Broker",
    };
    let mut properties = Properties::new()
        .content_type("text/plain")
        .content_encoding("utf-8")
        .header(ERROR, kind);
    if let RpcError::Remote(error) = error {
        properties = properties.header(ERROR_TYPE, error.type_name());
    }
    (properties, Bytes::from(error.to_string()))
}

/// The reply that a message from outside has. Runs user code.
pub(super) fn reply<R: Payload>(
    properties: &Properties,
    body: &Body,
    writer: &dyn Codec,
) -> Reply<R> {
    let octets = body.encode(writer).map_err(RpcError::BadReply)?;
    let text = |name| properties.header_value(name)?.as_str();
    if let Some(kind) = text(ERROR) {
        let message = String::from_utf8_lossy(&octets);
        let type_name = text(ERROR_TYPE).unwrap_or(kind);
        return Err(RpcError::Remote(RemoteError::told(type_name, &message)));
    }
    let content_type = properties.content_type.as_deref();
    let octets = Octets::new(octets, content_type, properties.content_encoding.as_deref());
    octets.decode().map_err(RpcError::BadReply)
}
