//! The reason why a connection has ended.

use std::fmt;

/// The reason why a [`ServerConnection`](super::ServerConnection) has ended.
///
/// # Examples
/// ```
/// use leveret::amqp::CloseReason;
/// let reason = CloseReason::Peer { reply_code: 200, reply_text: "Goodbye".to_owned() };
/// assert_eq!(reason.to_string(), "closed by the peer: 200 Goodbye");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer has closed the connection by `connection.close`.
    Peer {
        /// The peer's reply code: 200 for an orderly end.
        reply_code: u16,
        /// The peer's reply text.
        reply_text: String,
    },
    /// This side has closed the connection: by an error, on request, or as its virtual host, its
    /// user or the broker ended.
    Server {
        /// AMQP's reply code.
        reply_code: u16,
        /// The reply text.
        reply_text: String,
    },
    /// The peer speaks another protocol, and was told the one of this side.
    ProtocolHeader,
    /// The login was refused, and the peer does not know how to be told.
    LoginRefused,
    /// The peer is gone without a word.
    Disconnected,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The peer has missed its heartbeats.
    HeartbeatTimeout,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Peer {
                reply_code,
                reply_text,
            } => write!(f, "closed by the peer: {reply_code} {reply_text}"),
            CloseReason::Server {
                reply_code,
                reply_text,
            } => write!(f, "closed: {reply_code} {reply_text}"),
            CloseReason::ProtocolHeader => f.write_str("the peer does not speak AMQP 0-9-1"),
            CloseReason::LoginRefused => f.write_str("the login was refused"),
            CloseReason::Disconnected => f.write_str("the peer is gone"),
            CloseReason::HandshakeTimeout => f.write_str("the handshake took too long"),
            CloseReason::HeartbeatTimeout => f.write_str("the peer has missed its heartbeats"),
        }
    }
}
