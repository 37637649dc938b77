//! [`Request`], the payload of a request, and its [`Head`].

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
    time::Instant,
};

use super::{any_call::AnyCall, arguments::Octets, foreign::ForeignCall, leaving};
use crate::{
    message::{
        codec::{Codec, Codecs},
        payload::{Body, Departed, Departing, Exit, Payload, SealedPayload},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{CodecError, Error},
        field_value::FieldTable,
        version::Version,
    },
    runtime::sync::atomic::{AtomicBool, Ordering::Release},
};

/// Everything about a request besides its arguments.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: Cow<'static, str>,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) version: Version,
    /// From this instant on the method is not called any more.
    pub(super) deadline: Option<Instant>,
    /// The request context.
    pub(super) context: Option<Arc<FieldTable>>,
    pub(super) replies: Wanted,
}

/// The replies that the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// None: it is a cast.
    None,
    /// One.
    One,
    /// Any number, of one server or of several ones.
    Many,
}

/// A request in a queue. The queues of a fanout share it.
///
/// It carries its arguments and the slot for its replies. Outside of its process it is a message
/// with the encoded arguments, and the replies are messages too. A request of a program outside is
/// made of such a message.
///
/// # If dropped
/// No server has it any more. A caller that still waits is told so, unless the request has left the
/// process.
pub(super) struct Request {
    call: Arc<dyn AnyCall>,
    /// Whether the caller waits for nothing more. Known here, the drop need not ask the caller's
    /// side.
    is_answered: AtomicBool,
    /// The message that has left the process.
    departed: OnceLock<Box<Departed>>,
}

impl Request {
    pub(super) fn new(call: Arc<dyn AnyCall>) -> Request {
        Request {
            call,
            is_answered: AtomicBool::new(false),
            departed: OnceLock::new(),
        }
    }

    pub(super) fn call(&self) -> &Arc<dyn AnyCall> {
        &self.call
    }

    /// Notes that the caller has the reply, if it wants just one.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Release);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let is_answered = *self.is_answered.get_mut() && self.call.head().replies != Wanted::Many;
        if !is_answered && self.departed.get().is_none() {
            self.call.end();
        }
    }
}

impl Departing for Request {
    fn depart(&self, given: &Properties, exit: &dyn Exit) -> Result<&Departed, Error> {
        let deadline = self.call.head().deadline;
        if self.call.is_abandoned() || deadline.is_some_and(|deadline| deadline <= exit.now()) {
            return Err(Error::Timeout);
        }
        if let Some(departed) = self.departed.get() {
            return Ok(departed);
        }
        let (departed, mut replies) = leaving::departed(&self.call, given, exit)?;
        // Another thread may be faster. Then replies come to its address, and this one goes.
        Ok(self.departed.get_or_init(|| {
            if let Some(address) = replies.take() {
                self.call.leaves(address);
            }
            Box::new(departed)
        }))
    }
}

/// The error of everything that would take the slot of a request out of its process.
const STAYS: &str = "a request carries its caller's slot for the reply: it stays in its process";

impl Payload for Request {}

impl SealedPayload for Request {
    #[inline(always)]
    fn into_body(self) -> Body {
        Body::native(self)
    }

    fn size(&self) -> usize {
        size_of::<Request>()
    }

    fn content_type(codec: &dyn Codec) -> Option<&str> {
        Some(codec.content_type())
    }

    fn open(
        body: &Body,
        writer: &dyn Codec,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        _: &Codecs,
    ) -> Result<Option<Box<Request>>, CodecError> {
        if body.holds::<Request>() {
            return Ok(None);
        }
        let octets = Octets::new(body.encode(writer)?, content_type, content_encoding);
        Ok(Some(Box::new(Request::new(Arc::new(ForeignCall::new(
            octets,
        ))))))
    }

    fn decode(octets: &[u8], content_type: Option<&str>, _: &Codecs) -> Result<Self, CodecError> {
        let octets = Octets::new(Bytes::from(octets), content_type, None);
        Ok(Request::new(Arc::new(ForeignCall::new(octets))))
    }

    fn arrived(&mut self, properties: &Properties) {
        let Some(call) = self.call.as_foreign() else {
            return;
        };
        self.call = Arc::new(call.of(properties));
    }

    fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        Err(CodecError::new(codec.content_type(), STAYS))
    }

    fn departing(&self) -> Option<&dyn Departing> {
        Some(self)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(self.call.head()).finish()
    }
}
