//! Payloads that change their message where it leaves the process.
//!
//! A request is such a payload. Within the process its caller waits at a slot that travels with it.
//! A program outside has no such slot. So it gets the arguments as octets, and properties that tell
//! where to reply.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use super::Body;
use crate::{
    message::{codec::Codec, properties::Properties},
    model::{
        bytes::Bytes,
        error::{Error, Result},
        name::Name,
    },
};

/// A payload that changes its message where that leaves the process.
pub trait Departing: Send + Sync {
    /// The message as a program outside sees it. `given` are the properties that it was published
    /// with. Runs user code. A second call returns the same message.
    ///
    /// # Errors
    /// The reason why the message stays in the process.
    fn depart(&self, given: &Properties, exit: &dyn Exit) -> Result<&Departed>;
}

/// A message as a program outside sees it.
#[derive(Debug)]
pub struct Departed {
    pub properties: Properties,
    pub body: Bytes,
    /// When its expiration is over. A message that waits before it leaves has less of it then.
    pub deadline: Option<Instant>,
}

/// The place where messages leave.
pub trait Exit {
    /// The time of the broker's clock.
    fn now(&self) -> Instant;

    /// Makes an address that leads replies to `taker`.
    ///
    /// # Errors
    /// The reason why there is none.
    fn reply_address(&self, taker: Weak<dyn ReplyTaker>) -> Result<Arc<dyn ReplyAddress>>;
}

/// An address for replies.
///
/// # If dropped
/// Replies to it are dropped.
pub trait ReplyAddress: Send + Sync {
    fn name(&self) -> &Name;

    /// The correlation id of replies to this address, which tells it from other addresses.
    fn key(&self) -> &str;

    /// Publishes a message without a body to another address, and does not wait.
    fn answer(&self, to: &Name, properties: Properties);
}

/// A caller who waits for a reply from outside.
pub trait ReplyTaker: Send + Sync {
    /// Takes a reply that comes `at` this time. `writer` is the codec of its producer. Runs user
    /// code of the producer, and wakers.
    fn take_reply(&self, at: Instant, properties: &Properties, body: &Body, writer: &dyn Codec);

    /// Replies do not come any more. Runs user code (wakers).
    fn no_reply(&self, error: Error);
}
