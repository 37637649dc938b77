//! Errors on their way between processes: a text, and headers that tell its kind.

use std::{sync::Arc, time::Duration};

use super::request::Head;
use crate::{
    message::properties::Properties,
    model::{
        bytes::Bytes,
        error::{CodecError, RemoteError, RpcError},
    },
};

/// The header of a reply that is an error: its kind.
const ERROR: &str = "x-rpc-error";
/// The header with the type of an error that a method has returned.
const ERROR_TYPE: &str = "x-rpc-error-type";
/// The header with the time limit of a method that was cut off, in milliseconds.
const LIMIT: &str = "x-rpc-error-limit";

/// The message that tells an error.
pub(super) fn tell(error: &RpcError) -> (Properties, Bytes) {
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
    match error {
        RpcError::Remote(error) => {
            properties = properties.header(ERROR_TYPE, error.type_name());
        }
        RpcError::MethodTimeout { limit, .. } => {
            let millis = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
            properties = properties.header(LIMIT, millis);
        }
        _ => {}
    }
    (properties, Bytes::from(error.to_string()))
}

/// The error that a message tells to the caller of a request. `None` if it tells none.
pub(super) fn told(properties: &Properties, octets: &Bytes, head: &Head) -> Option<RpcError> {
    let header = |name| properties.header_value(name);
    let kind = header(ERROR)?.as_str()?;
    let text = String::from_utf8_lossy(octets);
    let method = || Arc::from(&*head.method);
    Some(match kind {
        "Timeout" => RpcError::Timeout,
        "ServerGone" => RpcError::ServerGone,
        "NoSuchMethod" => RpcError::NoSuchMethod { method: method() },
        "UnsupportedVersion" => RpcError::UnsupportedVersion {
            method: method(),
            version: head.version,
        },
        "Denied" => RpcError::Denied { method: method() },
        "BadArguments" => RpcError::BadArguments(codec_error(&text, RpcError::BadArguments)),
        "BadReply" => RpcError::BadReply(codec_error(&text, RpcError::BadReply)),
        "Panicked" => {
            let beginning = RpcError::Panicked("".into()).to_string();
            RpcError::Panicked(text.strip_prefix(&beginning).unwrap_or(&text).into())
        }
        "MethodTimeout" => {
            let millis = header(LIMIT).and_then(|limit| limit.as_i64()).unwrap_or(0);
            RpcError::MethodTimeout {
                method: method(),
                limit: Duration::from_millis(millis.try_into().unwrap_or(0)),
            }
        }
        kind => {
            let type_name = header(ERROR_TYPE).and_then(|name| name.as_str());
            RpcError::Remote(RemoteError::told(type_name.unwrap_or(kind), &text))
        }
    })
}

/// Takes the text of a codec's error apart.
fn codec_error(text: &str, whole: impl Fn(CodecError) -> RpcError) -> CodecError {
    let beginning = whole(CodecError::new("", "")).to_string();
    let beginning = beginning.trim_end_matches(": ");
    let rest = text.strip_prefix(beginning).unwrap_or(text);
    let rest = rest.trim_start_matches(": ");
    match rest.split_once(": ") {
        Some((content_type, message)) => CodecError::new(content_type, message),
        None => CodecError::new("", rest),
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::{
        model::version::Version,
        patterns::rpc::request::{Head, Wanted},
    };

    #[test]
    fn errors_survive_the_way_there_and_back() {
        let version = Version::from((1, 9));
        let head = Head {
            method: "m".into(),
            namespace: None,
            version,
            deadline: None,
            context: None,
            replies: Wanted::One,
        };
        let codec = || CodecError::new("text/plain", "no number: 7: none");
        for error in [
            RpcError::Timeout,
            RpcError::ServerGone,
            RpcError::NoSuchMethod { method: "m".into() },
            RpcError::UnsupportedVersion {
                method: "m".into(),
                version,
            },
            RpcError::Denied { method: "m".into() },
            RpcError::BadArguments(codec()),
            RpcError::BadReply(codec()),
            RpcError::BadReply(CodecError::new("", "it has none")),
            RpcError::Remote(RemoteError::new("it broke".to_owned())),
            RpcError::Panicked("text: more".into()),
            RpcError::MethodTimeout {
                method: "m".into(),
                limit: Duration::from_millis(1500),
            },
        ] {
            let (properties, octets) = tell(&error);
            assert_eq!(told(&properties, &octets, &head), Some(error));
        }
        let (none, octets) = (Properties::new(), Bytes::from("7"));
        assert_eq!(told(&none, &octets, &head), None);
        let other = Properties::new().header(ERROR, "KeyError");
        let Some(RpcError::Remote(error)) = told(&other, &octets, &head) else {
            panic!("it is an error");
        };
        assert_eq!((error.type_name(), error.message()), ("KeyError", "7"));
    }
}
