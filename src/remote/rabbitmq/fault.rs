//! Errors of the server and of lapin, as those of this crate.

use std::{fmt::Display, sync::Arc};

use lapin::{Error as LapinError, ErrorKind, protocol::AMQPErrorKind};

use crate::model::{
    error::{EntityKind, Error, Precondition},
    field_value::FieldValue,
    name::Name,
};

/// Whether the server has closed the connection because of what this program asked for. To ask
/// again would be in vain.
pub(super) fn is_own_fault(error: &LapinError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(_) => true,
            // The server closes its connections when it stops.
            AMQPErrorKind::Hard(_) => error.get_id() != 320,
        },
        ErrorKind::ChannelsLimitReached | ErrorKind::SerialisationError(_) => true,
        _ => false,
    }
}

/// The error of an operation on an open connection.
pub(super) fn of_operation(error: &LapinError, address: &Arc<str>) -> Error {
    match error.kind() {
        ErrorKind::ProtocolError(error) if error.get_id() != 320 => {
            of_reply(error.get_id(), error.get_message().as_str())
        }
        ErrorKind::ChannelsLimitReached => {
            Error::ResourceError("all channels of the connection are open".into())
        }
        _ => lost(address, error),
    }
}

/// The error of an attempt to connect.
pub(super) fn of_connect(error: &LapinError, address: &Arc<str>) -> Error {
    match error.kind() {
        // A server that stops is not there.
        ErrorKind::ProtocolError(error) if !matches!(error.get_id(), 320 | 541) => {
            of_reply(error.get_id(), error.get_message().as_str())
        }
        ErrorKind::IOError(error) => connect_failed(address, error),
        _ => connect_failed(address, error),
    }
}

fn connect_failed(address: &Arc<str>, fault: impl Display) -> Error {
    Error::ConnectFailed {
        address: Arc::clone(address),
        fault: fault.to_string().into(),
    }
}

pub(super) fn lost(address: &Arc<str>, fault: impl Display) -> Error {
    Error::ConnectionLost {
        address: Arc::clone(address),
        fault: fault.to_string().into(),
    }
}

/// The error for a reply code and its text, as the engine in this process has it.
pub(super) fn of_reply(code: u16, text: &str) -> Error {
    let reason = text.split_once(" - ").map_or(text, |(_, reason)| reason);
    let parsed = match code {
        403 if reason.starts_with("Login was refused") => Some(Error::login_refused("PLAIN")),
        404 if reason == "no previously declared queue" => Some(Error::NoDeclaredQueue),
        404 => reason.strip_prefix("no ").and_then(resource).map(not_found),
        405 => resource_locked(reason),
        406 => inequivalent(reason),
        _ => None,
    };
    let text = || Arc::from(reason);
    parsed.unwrap_or_else(|| match code {
        403 => Error::AccessRefused(text()),
        406 => Precondition::Server(reason.to_owned()).into(),
        504 => Error::ChannelError(text()),
        506 => Error::ResourceError(text()),
        530 => Error::NotAllowed(text()),
        540 => Error::NotImplemented(text()),
        541 => Error::InternalError(text()),
        code => Error::InternalError(format!("reply code {code}: {reason}").into()),
    })
}

/// Reads `queue 'q' in vhost '/'` at the start of a text.
fn resource(text: &str) -> Option<(EntityKind, Name, Name)> {
    let (kind, rest) = text.split_once(" '")?;
    let kind = match kind {
        "queue" => EntityKind::Queue,
        "exchange" => EntityKind::Exchange,
        _ => return None,
    };
    let (name, rest) = rest.split_once("' in vhost '")?;
    let (vhost, _) = rest.split_once('\'')?;
    Some((kind, Name::new(name).ok()?, Name::new(vhost).ok()?))
}

fn not_found((entity, name, vhost): (EntityKind, Name, Name)) -> Error {
    Error::not_found(entity, &name, &vhost)
}

fn resource_locked(reason: &str) -> Option<Error> {
    let rest = reason.strip_prefix("cannot obtain exclusive access to locked ")?;
    let (entity, name, vhost) = resource(rest)?;
    Some(Error::ResourceLocked {
        entity,
        name,
        vhost,
    })
}

/// Reads `inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is
/// 'false'`.
fn inequivalent(reason: &str) -> Option<Error> {
    let rest = reason.strip_prefix("inequivalent arg '")?;
    let (field, rest) = rest.split_once("' for ")?;
    let (entity, name, vhost) = resource(rest)?;
    let (received, current) = rest
        .split_once(": received ")?
        .1
        .split_once(" but current is ")?;
    Some(Error::inequivalent(
        field,
        entity,
        &name,
        &vhost,
        value(received),
        value(current),
    ))
}

/// Reads `'true'`, `none`, or `the value '7' of type 'long'`. A text that was cut off has no value.
fn value(text: &str) -> Option<FieldValue> {
    let (text, kind) = match text.strip_prefix("the value ") {
        None => (text, None),
        Some(rest) => {
            let (text, kind) = rest.rsplit_once(" of type ")?;
            (text, Some(kind.trim_matches('\'')))
        }
    };
    let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let is_text = kind == Some("longstr");
    Some(match (text, text.parse::<i64>()) {
        _ if is_text => text.into(),
        ("true", _) => true.into(),
        ("false", _) => false.into(),
        (_, Ok(number)) => number.into(),
        (text, Err(_)) => text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_the_errors_that_they_are_in_this_process() {
        let locked = "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally \
         declared on another connection or the exclusive property value does not match that of the original declaration.";
        for (code, text) in [
            (404, "NOT_FOUND - no queue 'it's' in vhost '/'"),
            (404, "NOT_FOUND - no exchange 'x' in vhost 'v'"),
            (404, "NOT_FOUND - no previously declared queue"),
            (405, &*format!("RESOURCE_LOCKED - {locked}")),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
            ),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'fanout'",
            ),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '7' of type 'long'",
            ),
            (406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use"),
            (
                403,
                "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'ada'",
            ),
            (
                403,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
            ),
            (530, "NOT_ALLOWED - vhost nowhere not found"),
            (540, "NOT_IMPLEMENTED - immediate=true"),
            (541, "INTERNAL_ERROR - it broke"),
            (506, "RESOURCE_ERROR - too many"),
            (504, "CHANNEL_ERROR - second"),
        ] {
            let error = of_reply(code, text);
            assert_eq!(
                (error.reply_code(), &*error.to_string()),
                (Some(code), text)
            );
        }
        let error = of_reply(
            406,
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '8' but current is '7'",
        );
        let Error::Inequivalent(difference) = error else {
            panic!("{error:?}");
        };
        assert_eq!(difference.received, Some(8_i64.into()));
        assert_eq!(difference.current, Some(7_i64.into()));
        let cut = of_reply(
            406,
            "PRECONDITION_FAILED - inequivalent arg 'x' for queue 'q",
        );
        assert!(matches!(cut, Error::PreconditionFailed(why)
            if matches!(&*why, Precondition::Server(_))));
        assert!(of_reply(999, "odd").to_string().contains("999"));
    }
}
