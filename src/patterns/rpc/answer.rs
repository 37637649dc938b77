//! [`Answer`], a reply of another process before its caller decodes it.

use super::{any_call::Reply, arguments::Octets, fault, request::Head, window::CREDIT};
use crate::{
    message::{
        codec::Codec,
        payload::{Body, Payload, ReplyAddress},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{Error, RpcError},
        name::Name,
    },
};

/// The header of a reply that is not the last one of its server.
pub(super) const REPLY: &str = "x-rpc-reply";
/// More replies follow.
pub(super) const MORE: &str = "more";
/// It is no reply, and none follows.
pub(super) const NO_MORE: &str = "end";

/// A reply of another process.
pub(super) struct Answer {
    properties: Properties,
    /// Or the reason why there is no reply.
    octets: Result<Bytes, RpcError>,
}

/// A stream of replies: where its server waits for credit.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct StreamAddress {
    to: Name,
    key: String,
}

impl Answer {
    /// A reply as its message has it. `writer` is the codec of its producer, whose code runs if the
    /// reply is a value.
    pub(super) fn new(properties: &Properties, body: &Body, writer: &dyn Codec) -> Answer {
        Answer {
            properties: properties.clone(),
            octets: body.encode(writer).map_err(RpcError::BadReply),
        }
    }

    /// In place of the replies that do not come.
    pub(super) fn lost(error: Error) -> Answer {
        Answer {
            properties: Properties::new(),
            octets: Err(RpcError::Broker(error)),
        }
    }

    /// The key of the call that it is a reply to.
    pub(super) fn key(&self) -> Option<&str> {
        self.properties.correlation_id.as_deref()
    }

    fn mark(&self) -> Option<&str> {
        self.properties.header_value(REPLY)?.as_str()
    }

    /// Whether its server sends no more.
    pub(super) fn is_last(&self) -> bool {
        self.mark() != Some(MORE)
    }

    /// Whether there is no reply in it.
    pub(super) fn is_empty(&self) -> bool {
        self.mark() == Some(NO_MORE)
    }

    /// The stream that it belongs to.
    pub(super) fn stream(&self) -> Option<StreamAddress> {
        let to = Name::new(self.properties.reply_to.as_deref()?).ok()?;
        let key = self.properties.message_id.clone()?;
        Some(StreamAddress { to, key })
    }

    /// The credit that its server wants when the caller has taken it.
    pub(super) fn credit(&self) -> Option<(StreamAddress, i64)> {
        let credit = self.properties.header_value(CREDIT)?.as_i64()?;
        Some((self.stream()?, credit))
    }

    /// The reply to a request. Runs user code.
    pub(super) fn open<R: Payload>(self, head: &Head) -> Reply<R> {
        let Answer { properties, octets } = self;
        let octets = octets?;
        if let Some(error) = fault::told(&properties, &octets, head) {
            return Err(error);
        }
        let content_type = properties.content_type.as_deref();
        let octets = Octets::new(octets, content_type, properties.content_encoding.as_deref());
        octets.decode().map_err(RpcError::BadReply)
    }
}

impl StreamAddress {
    /// Lets the stream send a number of replies more. 0 ends it: its caller has gone.
    pub(super) fn give(self, from: &dyn ReplyAddress, credit: i64) {
        let properties = Properties::new()
            .correlation_id(self.key)
            .header(CREDIT, credit);
        from.answer(&self.to, properties);
    }
}
