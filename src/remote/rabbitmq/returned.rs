//! Which message a returned one is.
//!
//! The client gives a returned message to the next publish that is confirmed, which may be another
//! one. So it is found by its content.

use lapin::message::BasicReturnMessage;

use super::publishing::Publish;

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
                && returned.properties == publish.properties
        });
        place.map(|place| self.0.remove(place)).is_some()
    }
}
