//! Which message a returned one is.
//!
//! The client gives a returned message to the next publish that is confirmed, which may be another
//! one. So it is found by its content.

use std::collections::BTreeMap;

use lapin::{BasicProperties, message::BasicReturnMessage, types::ShortString};

use super::publishing::{Head, Publish};
use crate::{engine::vhost::REPLY_TO, message::headers::cc_bcc::BCC};

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
        if self.0.is_empty() {
            return false;
        }
        let Ok(Head { properties, .. }) = Head::of(message) else {
            return false;
        };
        let renewed = message.expires.is_some();
        let place = self.0.iter().position(|returned| {
            let returned = &returned.delivery;
            returned.exchange.as_str() == message.exchange.as_str()
                && returned.routing_key.as_str() == message.routing_key.as_str()
                && *returned.data == *message.body
                && as_returned(&returned.properties, renewed) == as_returned(&properties, renewed)
        });
        place.map(|place| self.0.remove(place)).is_some()
    }
}

/// The properties without what the server changes: it takes out the header BCC, and gives direct
/// replies an address. A `renewed` expiration is another one by now.
fn as_returned(properties: &BasicProperties, renewed: bool) -> BasicProperties {
    let mut kept = properties.clone();
    if renewed {
        kept = kept.with_expiration(ShortString::default());
    }
    let is_direct = |address: &ShortString| address.as_str().starts_with(REPLY_TO);
    if properties.reply_to().as_ref().is_some_and(is_direct) {
        kept = kept.with_reply_to(REPLY_TO.into());
    }
    if let Some(headers) = properties.headers() {
        let others = headers
            .inner()
            .iter()
            .filter(|(name, _)| name.as_str() != BCC);
        let others = others.map(|(name, value)| (name.clone(), value.clone()));
        kept = kept.with_headers(others.collect::<BTreeMap<_, _>>().into());
    }
    kept
}
