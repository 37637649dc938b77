//! The frames of an open connection, and the methods on the connection itself.

use super::{
    CloseReason, Phase, ServerConnection,
    fault::{self, Fault},
    timing,
};
use crate::protocol::amqp::codec::{
    Method,
    frame::{self, Frame},
};

impl ServerConnection {
    /// A frame of an open connection.
    #[inline]
    pub(super) fn running(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        match (frame.kind, frame.channel) {
            (frame::METHOD | frame::HEADER | frame::BODY, 1..) => match &mut self.session {
                Some(session) => session.frame(frame, &mut self.output),
                None => Ok(()),
            },
            (frame::METHOD, 0) => {
                if let Some(session) = &mut self.session {
                    session.tell_awaiting();
                }
                let method = Method::read(frame.payload)
                    .map_err(|malformed| fault::no_method(malformed, frame.payload))?;
                self.connection_method(method)
            }
            (frame::HEARTBEAT, 0) if frame.payload.is_empty() => Ok(()),
            (frame::HEADER | frame::BODY, 0) => Err(Fault::unexpected(frame)),
            (frame::HEARTBEAT, _) if frame.payload.is_empty() => Err(Fault::unexpected(frame)),
            _ => Err(Fault::unknown_frame(frame)),
        }
    }

    /// A method on channel 0.
    pub(super) fn connection_method(&mut self, method: Method<'_>) -> Result<(), Fault> {
        match method {
            Method::ConnectionClose {
                reply_code,
                reply_text,
                ..
            } => {
                // Confirms come before the answer, and what belongs to the connection is gone then.
                if let Some(session) = &mut self.session {
                    session.drain(&mut self.output);
                }
                self.output.method(0, &Method::ConnectionCloseOk {});
                self.end(CloseReason::Peer {
                    reply_code,
                    reply_text: reply_text.to_owned(),
                });
                // As RabbitMQ it lets the peer close the socket: a peer whose threads close at the
                // same time may send more, and takes an earlier end for a failure.
                self.phase = Phase::Closed;
                self.deadline = self.time.now().checked_add(timing::CLOSING);
                Ok(())
            }
            // The passwords of this broker do not expire.
            Method::ConnectionUpdateSecret { .. } => {
                self.output.method(0, &Method::ConnectionUpdateSecretOk {});
                Ok(())
            }
            other => {
                let text = "unexpected method in connection state running";
                Err(Fault::of_connection(504, text).with(other.id()))
            }
        }
    }
}
