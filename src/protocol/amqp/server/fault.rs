//! Faults: the reasons why a channel or the connection is closed, as the peer is told.

use crate::{
    model::{
        error::{Error, Scope},
        field_value::ErlangBinary,
    },
    protocol::amqp::codec::{
        Malformed, MethodFault, MethodId,
        frame::{Frame, FrameFault, OVERHEAD},
    },
};

/// What `channel.close` and `connection.close` tell the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) is_of_channel: bool,
    pub(super) reply_code: u16,
    pub(super) reply_text: String,
    pub(super) method: MethodId,
}

/// No method.
const NONE: MethodId = (0, 0);

impl Fault {
    /// A fault that ends the connection. The text begins with AMQP's name of the code.
    pub(super) fn of_connection(reply_code: u16, text: impl std::fmt::Display) -> Fault {
        let name = match reply_code {
            320 => "CONNECTION_FORCED",
            403 => "ACCESS_REFUSED",
            501 => "FRAME_ERROR",
            502 => "SYNTAX_ERROR",
            503 => "COMMAND_INVALID",
            504 => "CHANNEL_ERROR",
            505 => "UNEXPECTED_FRAME",
            506 => "RESOURCE_ERROR",
            530 => "NOT_ALLOWED",
            540 => "NOT_IMPLEMENTED",
            _ => "INTERNAL_ERROR",
        };
        Fault {
            is_of_channel: false,
            reply_code,
            reply_text: format!("{name} - {text}"),
            method: NONE,
        }
    }

    /// The fault of a method that failed.
    pub(super) fn of(error: &Error, method: MethodId) -> Fault {
        let fault = match error.reply_code() {
            Some(reply_code) => Fault {
                is_of_channel: error.scope() == Scope::Channel,
                reply_code,
                reply_text: error.to_string(),
                method,
            },
            None if error.is_closed() => Fault::of_connection(320, error),
            None => Fault::of_connection(541, error),
        };
        fault.with(method)
    }

    pub(super) fn with(mut self, method: MethodId) -> Fault {
        self.method = method;
        self
    }

    /// A body that is larger than the connection takes.
    pub(super) fn too_large(size: u64, most: u64, method: MethodId) -> Fault {
        Fault {
            is_of_channel: true,
            reply_code: 311,
            reply_text: format!(
                "CONTENT_TOO_LARGE - message size {size} is larger than configured max size {most}"
            ),
            method,
        }
    }

    /// A frame at a place where no such frame may be.
    pub(super) fn unexpected(frame: Frame<'_>) -> Fault {
        Fault::of_connection(505, snippet(frame.kind, frame.payload))
    }

    /// A frame of a type that does not exist.
    pub(super) fn unknown_frame(frame: Frame<'_>) -> Fault {
        let snippet = snippet(frame.kind, frame.payload);
        Fault::of_connection(501, format_args!("{snippet}: unknown_frame"))
    }
}

impl From<FrameFault<'_>> for Fault {
    fn from(fault: FrameFault<'_>) -> Fault {
        let text = match fault {
            FrameFault::End { frame, marker } => {
                let snippet = snippet(frame.kind, frame.payload);
                format!("{snippet}: {{invalid_frame_end_marker,{marker}}}")
            }
            FrameFault::TooLarge { kind, size, most } => {
                let most = most as usize - OVERHEAD;
                format!("{}: {{frame_too_large,{size},{most}}}", snippet(kind, &[]))
            }
        };
        Fault::of_connection(501, text)
    }
}

/// A frame as RabbitMQ shows it.
fn snippet(kind: u8, payload: &[u8]) -> String {
    let (which, shown) = match payload.get(..16) {
        Some(first) if payload.len() > 16 => ("first 16", first),
        _ => ("all", payload),
    };
    format!("type {kind}, {which} octets = {}", ErlangBinary(shown))
}

/// The fault of octets that cannot be read. `fields` are those of the method.
pub(super) fn malformed(fault: Malformed, fields: &[u8], method: MethodId) -> Fault {
    let reply_code = fault.reply_code();
    let fault = match fault {
        Malformed::Length => {
            Fault::of_connection(reply_code, format_args!("{fault} {}", ErlangBinary(fields)))
        }
        _ => Fault::of_connection(reply_code, fault),
    };
    fault.with(method)
}

/// The fault of a method frame that is no method.
pub(super) fn no_method(fault: MethodFault, payload: &[u8]) -> Fault {
    match fault {
        MethodFault::Unknown(method @ (class, number)) => {
            let text = format_args!("no method {number} of class {class}");
            Fault::of_connection(540, text).with(method)
        }
        MethodFault::Malformed(method, fault) => {
            malformed(fault, payload.get(4..).unwrap_or_default(), method)
        }
        MethodFault::NoId => malformed(Malformed::Length, payload, NONE),
    }
}
