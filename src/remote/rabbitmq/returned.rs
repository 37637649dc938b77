//! Which message a returned one is.
//!
//! The client gives a returned message to the next publish that is confirmed, which may be another
//! one. So it is found by its content.

use lapin::{BasicProperties, message::BasicReturnMessage};

use super::publishing::Publish;
use crate::session::backend::REPLY_TO;

/// The returned messages whose publishes have not been found yet.
#[derive(Default)]
pub(super) struct Returned(Vec<BasicReturnMessage>);

impl Returned {
    pub(super) fn extend(&mut self, message: Option<BasicReturnMessage>) {
        self.0.extend(message);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the message of a publish was returned. Of two equal messages it does not matter
    /// which.
    pub(super) fn take(&mut self, publish: &Publish) -> bool {
        let message = &publish.message;
        let place = self.0.iter().position(|returned| {
            let returned = &returned.delivery;
            returned.exchange.as_str() == message.exchange.as_str()
                && returned.routing_key.as_str() == message.routing_key.as_str()
                && *returned.data == *message.body
                && as_published(&returned.properties, publish) == publish.properties
        });
        place.map(|place| self.0.remove(place)).is_some()
    }
}

/// The properties without what the server changes: the address of direct replies.
fn as_published(returned: &BasicProperties, publish: &Publish) -> BasicProperties {
    let asks_for_replies = publish.message.properties.reply_to.as_deref() == Some(REPLY_TO);
    match asks_for_replies {
        true => returned.clone().with_reply_to(REPLY_TO.into()),
        false => returned.clone(),
    }
}
