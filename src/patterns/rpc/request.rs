//! [`Request`], the payload of a request, and its [`Head`].

use std::{borrow::Cow, fmt, sync::Arc, time::Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{arriving::Arriving, call::AnyCall, wire::WireRequest};
use crate::{
    model::{field_value::FieldTable, version::Version},
    runtime::sync::atomic::{
        AtomicBool,
        Ordering::{Relaxed, Release},
    },
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
    /// The number of the call, if the engine is outside of this process. The request is encoded for
    /// it, and its replies come in messages.
    pub(super) id: Option<u64>,
}

/// The replies that the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
/// It carries its arguments and the slot for its replies, so that it never leaves its process. For
/// an engine outside it is encoded with the number of its call.
///
/// # If dropped
/// No server has it any more. A caller that still waits is told so.
pub(super) struct Request {
    call: Arc<dyn AnyCall>,
    /// Whether the caller waits for nothing more. Known here, the drop need not ask the caller's
    /// side.
    is_answered: AtomicBool,
}

impl Request {
    pub(super) fn new(call: Arc<dyn AnyCall>) -> Request {
        Request {
            call,
            is_answered: AtomicBool::new(false),
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
        // The engine outside carries the reply.
        if self.call.head().id.is_some() {
            return;
        }
        if !self.is_answered.load(Relaxed) || self.call.head().replies == Wanted::Many {
            self.call.end();
        }
    }
}

/// The error of everything that would take a request of the engine in this process out of it.
const STAYS: &str = "a request carries its caller's slot for the reply: it stays in its process";

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = self.call.head();
        let id = head.id.ok_or_else(|| ser::Error::custom(STAYS))?;
        let arguments = self.call.copy();
        let arguments = arguments.ok_or_else(|| ser::Error::custom("it has no arguments"))?;
        let arguments = arguments.map_err(ser::Error::custom)?;
        WireRequest::new(id, head, &arguments).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Request, D::Error> {
        let request = WireRequest::deserialize(deserializer)?;
        let (head, arguments) = request.open().map_err(de::Error::custom)?;
        Ok(Request::new(Arc::new(Arriving::new(head, arguments))))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(self.call.head()).finish()
    }
}
