//! Requests and replies as they travel to another process: JSON, whatever the arguments are.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    arguments::Octets,
    arriving::Arriving,
    foreign::ForeignCall,
    request::{Head, Wanted},
};
use crate::{
    message::properties::Properties,
    model::{
        bytes::Bytes,
        error::{CodecError, Error, RemoteError, RpcError},
        field_value::FieldTable,
        version::Version,
    },
    runtime::clock::{Clock, SystemClock},
};

/// The message type of a request in this form.
pub(super) const REQUEST: &str = "leveret.rpc.request";

/// A request.
#[derive(Serialize, Deserialize)]
pub(super) struct WireRequest {
    /// The number of the call at its caller.
    id: u64,
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    version: Version,
    /// How long the caller still waits. Clocks of two machines are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<FieldTable>,
    replies: Wanted,
    arguments: WireOctets,
}

impl WireRequest {
    pub(super) fn new(id: u64, head: &Head, arguments: &Octets) -> WireRequest {
        let left = |deadline: Instant| deadline.saturating_duration_since(SystemClock.now());
        WireRequest {
            id,
            method: head.method.to_string(),
            namespace: head.namespace.as_deref().map(str::to_owned),
            version: head.version,
            timeout_ms: head
                .deadline
                .map(|deadline| left(deadline).as_millis() as u64),
            context: head.context.as_deref().cloned(),
            replies: head.replies,
            arguments: WireOctets::new(arguments),
        }
    }

    /// The octets of the message.
    pub(super) fn encode(&self) -> Result<Bytes, CodecError> {
        let octets = serde_json::to_vec(self);
        octets
            .map(Bytes::from)
            .map_err(|error| CodecError::new("application/json", error))
    }

    /// The request of a message with these properties, if it has this form.
    pub(super) fn arriving(properties: &Properties, call: &ForeignCall) -> Option<Arriving> {
        if properties.message_type.as_deref() != Some(REQUEST) {
            return None;
        }
        let request: WireRequest = serde_json::from_slice(call.octets()).ok()?;
        let (head, arguments) = request.open().ok()?;
        Some(Arriving::new(head, arguments))
    }

    /// The head of the request here, and its arguments.
    pub(super) fn open(self) -> Result<(Head, Octets), CodecError> {
        let timeout = self.timeout_ms.map(Duration::from_millis);
        let head = Head {
            method: Cow::Owned(self.method),
            namespace: self.namespace.map(Arc::from),
            version: self.version,
            deadline: timeout.and_then(|timeout| SystemClock.now().checked_add(timeout)),
            context: self.context.map(Arc::new),
            replies: self.replies,
            id: Some(self.id),
        };
        Ok((head, self.arguments.open()?))
    }
}

/// Encoded arguments, or an encoded result. Text stays as it is.
#[derive(Serialize, Deserialize)]
struct WireOctets {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl WireOctets {
    fn new(octets: &Octets) -> WireOctets {
        let bytes = octets.octets();
        let text = bytes.as_str().ok().map(str::to_owned);
        WireOctets {
            content_type: octets.content_type().map(str::to_owned),
            content_encoding: octets.content_encoding().map(str::to_owned),
            base64: match text {
                Some(_) => None,
                None => Some(BASE64_STANDARD.encode(bytes.as_slice())),
            },
            text,
        }
    }

    fn open(self) -> Result<Octets, CodecError> {
        let bytes = match (self.text, self.base64) {
            (Some(text), _) => Bytes::from(text.into_bytes()),
            (None, Some(base64)) => match BASE64_STANDARD.decode(base64) {
                Ok(bytes) => Bytes::from(bytes),
                Err(error) => return Err(CodecError::new("base64", error)),
            },
            (None, None) => Bytes::default(),
        };
        let content_type = self.content_type.as_deref();
        Ok(Octets::new(
            bytes,
            content_type,
            self.content_encoding.as_deref(),
        ))
    }
}

/// A reply, or the end of replies.
#[derive(Serialize, Deserialize)]
pub(super) struct WireReply {
    /// The number of the call at its caller.
    pub(super) id: u64,
    /// The server sends no more.
    pub(super) is_last: bool,
    outcome: WireOutcome,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireOutcome {
    Value(WireOctets),
    Error(WireError),
    /// There is no reply with it.
    End,
}

/// What a reply says.
pub(super) enum Told {
    Value(Octets),
    Error(RpcError),
    End,
}

impl WireReply {
    pub(super) fn new(id: u64, is_last: bool, told: Told) -> WireReply {
        let outcome = match told {
            Told::Value(octets) => WireOutcome::Value(WireOctets::new(&octets)),
            Told::Error(error) => WireOutcome::Error(WireError::new(error)),
            Told::End => WireOutcome::End,
        };
        WireReply {
            id,
            is_last,
            outcome,
        }
    }

    pub(super) fn open(self) -> Told {
        match self.outcome {
            WireOutcome::Value(octets) => match octets.open() {
                Ok(octets) => Told::Value(octets),
                Err(error) => Told::Error(RpcError::BadReply(error)),
            },
            WireOutcome::Error(error) => Told::Error(error.open()),
            WireOutcome::End => Told::End,
        }
    }
}

/// The error of a server.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireError {
    Timeout,
    ServerGone,
    NoSuchMethod {
        method: String,
    },
    UnsupportedVersion {
        method: String,
        version: Version,
    },
    Denied {
        method: String,
    },
    BadArguments {
        content_type: String,
        message: String,
    },
    BadReply {
        content_type: String,
        message: String,
    },
    Remote {
        type_name: String,
        message: String,
    },
    Panicked {
        text: String,
    },
    MethodTimeout {
        method: String,
        limit: Duration,
    },
    Other {
        text: String,
    },
}

impl WireError {
    fn new(error: RpcError) -> WireError {
        let parts = |error: &CodecError| (error.content_type().into(), error.message().into());
        match error {
            RpcError::Timeout => WireError::Timeout,
            RpcError::ServerGone => WireError::ServerGone,
            RpcError::NoSuchMethod { method } => WireError::NoSuchMethod {
                method: method.to_string(),
            },
            RpcError::UnsupportedVersion { method, version } => WireError::UnsupportedVersion {
                method: method.to_string(),
                version,
            },
            RpcError::Denied { method } => WireError::Denied {
                method: method.to_string(),
            },
            RpcError::BadArguments(error) => {
                let (content_type, message) = parts(&error);
                WireError::BadArguments {
                    content_type,
                    message,
                }
            }
            RpcError::BadReply(error) => {
                let (content_type, message) = parts(&error);
                WireError::BadReply {
                    content_type,
                    message,
                }
            }
            RpcError::Remote(error) => WireError::Remote {
                type_name: error.type_name().into(),
                message: error.message().into(),
            },
            RpcError::Panicked(text) => WireError::Panicked {
                text: text.to_string(),
            },
            RpcError::MethodTimeout { method, limit } => WireError::MethodTimeout {
                method: method.to_string(),
                limit,
            },
            error => WireError::Other {
                text: error.to_string(),
            },
        }
    }

    fn open(self) -> RpcError {
        match self {
            WireError::Timeout => RpcError::Timeout,
            WireError::ServerGone => RpcError::ServerGone,
            WireError::NoSuchMethod { method } => RpcError::NoSuchMethod {
                method: method.into(),
            },
            WireError::UnsupportedVersion { method, version } => RpcError::UnsupportedVersion {
                method: method.into(),
                version,
            },
            WireError::Denied { method } => RpcError::Denied {
                method: method.into(),
            },
            WireError::BadArguments {
                content_type,
                message,
            } => RpcError::BadArguments(CodecError::new(content_type, message)),
            WireError::BadReply {
                content_type,
                message,
            } => RpcError::BadReply(CodecError::new(content_type, message)),
            WireError::Remote { type_name, message } => RpcError::Remote(
                RemoteError::of_another_process(type_name.into(), message.into()),
            ),
            WireError::Panicked { text } => RpcError::Panicked(text.into()),
            WireError::MethodTimeout { method, limit } => RpcError::MethodTimeout {
                method: method.into(),
                limit,
            },
            WireError::Other { text } => RpcError::Broker(Error::InternalError(text.into())),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn there_and_back(told: Told) -> Told {
        let text = serde_json::to_string(&WireReply::new(7, true, told)).unwrap();
        let reply: WireReply = serde_json::from_str(&text).unwrap();
        assert_eq!((reply.id, reply.is_last), (7, true));
        reply.open()
    }

    #[test]
    fn errors_and_octets_survive_the_way_there_and_back() {
        let codec = || CodecError::new("text/plain", "no number");
        for error in [
            RpcError::Timeout,
            RpcError::ServerGone,
            RpcError::NoSuchMethod { method: "m".into() },
            RpcError::UnsupportedVersion {
                method: "m".into(),
                version: Version::from((1, 9)),
            },
            RpcError::Denied { method: "m".into() },
            RpcError::BadArguments(codec()),
            RpcError::BadReply(codec()),
            RpcError::Remote(RemoteError::new("it broke".to_owned())),
            RpcError::Panicked("text".into()),
            RpcError::MethodTimeout {
                method: "m".into(),
                limit: Duration::from_millis(1500),
            },
        ] {
            match there_and_back(Told::Error(error.clone())) {
                Told::Error(back) => assert_eq!(back, error),
                _ => panic!("{error}"),
            }
        }
        for bytes in [&b"text"[..], &[0xFF, 0, 1], &[]] {
            let octets = Octets::new(Bytes::copy_from_slice(bytes), Some("a/b"), Some("gzip"));
            match there_and_back(Told::Value(octets)) {
                Told::Value(back) => {
                    assert_eq!(back.octets().as_slice(), bytes);
                    assert_eq!(back.content_type(), Some("a/b"));
                    assert_eq!(back.content_encoding(), Some("gzip"));
                }
                _ => panic!("{bytes:?}"),
            }
        }
        assert!(matches!(there_and_back(Told::End), Told::End));
    }
}
