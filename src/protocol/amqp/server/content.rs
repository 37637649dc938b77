//! A message that the peer has begun to publish: a method, a header, and the parts of the body.

use super::fault::{self, Fault};
use crate::{
    message::properties::Properties,
    model::bytes::Bytes,
    protocol::amqp::codec::{
        BASIC, ContentHeader, MethodId,
        frame::{self, Frame},
    },
    session::channel::PublishOptions,
};

/// The method that is followed by a content.
pub(super) const PUBLISH: MethodId = (60, 40);

/// The message of a channel that is not whole.
#[derive(Default)]
pub(super) struct Content {
    expects: Expects,
    /// The octets of the last `basic.publish`.
    method: Vec<u8>,
    exchange: String,
    routing_key: String,
    options: PublishOptions,
    properties: Properties,
    body_size: u64,
    body: Vec<u8>,
}

/// How many times the first part of a body is the room that is made for all of it.
const AHEAD: usize = 8;

/// The frame that is to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expects {
    #[default]
    Method,
    Header,
    Body,
}

/// The properties and the body of a whole message. Its address stays with the [`Content`].
pub(super) type Whole = (Properties, Bytes);

impl Content {
    #[inline]
    pub(super) fn expects(&self) -> Expects {
        self.expects
    }

    /// The octets of the body so far.
    pub(super) fn len(&self) -> u64 {
        self.body.len() as u64
    }

    /// The exchange and the routing key of the last message, and its options.
    #[inline]
    pub(super) fn address(&self) -> (&str, &str, PublishOptions) {
        (&self.exchange, &self.routing_key, self.options)
    }

    /// Begins a message, if its method has the octets of the one before. Most have one address.
    #[inline]
    pub(super) fn begin_again(&mut self, method: &[u8]) -> bool {
        let is_same = self.method == method && !method.is_empty();
        if is_same {
            self.expects = Expects::Header;
        }
        is_same
    }

    /// Begins a message. `method` has the octets of its method.
    pub(super) fn begin(
        &mut self,
        method: &[u8],
        exchange: &str,
        routing_key: &str,
        [mandatory, immediate]: [bool; 2],
    ) {
        // All messages use the memory of the one before.
        method.clone_into(&mut self.method);
        exchange.clone_into(&mut self.exchange);
        routing_key.clone_into(&mut self.routing_key);
        let mut options = PublishOptions::new();
        if mandatory {
            options = options.mandatory();
        }
        if immediate {
            options = options.immediate();
        }
        self.options = options;
        self.expects = Expects::Header;
    }

    /// Takes the header. Returns the message if its body is empty. A body has at most `most`
    /// octets.
    pub(super) fn header(&mut self, frame: Frame<'_>, most: u64) -> Result<Option<Whole>, Fault> {
        let expected = format_args!("expected content header for class {BASIC}");
        let unexpected = |got: std::fmt::Arguments<'_>| {
            Fault::of_connection(505, format_args!("{expected}, got {got} instead")).with(PUBLISH)
        };
        if frame.kind != frame::HEADER {
            return Err(unexpected(format_args!("non content header frame")));
        }
        let malformed = |malformed| fault::malformed(malformed, frame.payload, PUBLISH);
        let header = ContentHeader::read(frame.payload).map_err(malformed)?;
        if header.class != BASIC {
            return Err(unexpected(format_args!("one for class {}", header.class)));
        }
        if header.weight != 0 {
            return Err(unexpected(format_args!("non content header frame")));
        }
        if header.body_size > most {
            return Err(Fault::too_large(header.body_size, most, PUBLISH));
        }
        self.properties = header.properties().map_err(malformed)?;
        self.body_size = header.body_size;
        match header.body_size {
            0 => Ok(Some(self.take(Bytes::default()))),
            _ => {
                self.expects = Expects::Body;
                Ok(None)
            }
        }
    }

    /// Takes a part of the body. Returns the message if it is whole.
    #[inline]
    pub(super) fn body(&mut self, frame: Frame<'_>) -> Result<Option<Whole>, Fault> {
        let expected = "expected content body, got";
        if frame.kind != frame::BODY {
            let text = format_args!("{expected} non content body frame instead");
            return Err(Fault::of_connection(505, text).with(PUBLISH));
        }
        let length = self.len() + frame.payload.len() as u64;
        if length > self.body_size {
            let text = format_args!("{expected} {length} octets instead of {}", self.body_size);
            return Err(Fault::of_connection(505, text).with(PUBLISH));
        }
        if length < self.body_size {
            if self.body.is_empty() {
                // Most bodies fit, and are not moved as they grow. An announcement alone costs
                // nothing.
                let first = frame.payload.len().saturating_mul(AHEAD) as u64;
                self.body.reserve_exact(self.body_size.min(first) as usize);
            }
            self.body.extend_from_slice(frame.payload);
            return Ok(None);
        }
        let body = match self.body.is_empty() {
            true => Bytes::copy_from_slice(frame.payload),
            false => {
                let mut body = std::mem::take(&mut self.body);
                body.extend_from_slice(frame.payload);
                Bytes::from(body)
            }
        };
        Ok(Some(self.take(body)))
    }

    fn take(&mut self, body: Bytes) -> Whole {
        self.expects = Expects::Method;
        (std::mem::take(&mut self.properties), body)
    }
}
