//! Taps: copies of the messages that are published and delivered, for readers who look on.
//!
//! The session shows each message to the taps while it holds no lock, since a copy is encoded by
//! user code. A tap whose line is full costs no copy.

mod filter;
mod tapped;

pub use self::{
    filter::TapFilter,
    tapped::{TapDirection, TappedMessage},
};

use std::sync::Arc;

use crate::{
    message::envelope::Envelope,
    model::name::Name,
    runtime::feed::{FeedLine, Feeds},
};

/// The taps of a broker.
pub(crate) type Taps = Feeds<TappedMessage, TapFilter>;

/// A message as it passes the taps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passing<'a> {
    pub(crate) direction: TapDirection,
    pub(crate) vhost: &'a Name,
    pub(crate) user: Option<&'a Name>,
    pub(crate) exchange: &'a Name,
    pub(crate) routing_key: &'a str,
    /// The queues of the route, or the queue that it is delivered from.
    pub(crate) queues: &'a [&'a Name],
    pub(crate) consumer_tag: Option<&'a Name>,
}

/// Shows a message to the taps that want it. Must be called without any lock held, since it encodes
/// the payload.
#[cold]
#[inline(never)]
pub(crate) fn show(taps: &Taps, passing: Passing<'_>, envelope: &Envelope) {
    let lines = taps.lines().into_iter();
    let wanting = lines.filter(|(filter, line)| filter.wants(&passing) && line.has_room());
    let mut wanting: Vec<Arc<FeedLine<TappedMessage>>> = wanting.map(|(_, line)| line).collect();
    let Some(last) = wanting.pop() else {
        return;
    };
    let tapped = TappedMessage::new(&passing, envelope);
    let others = wanting.into_iter().map(|line| (line, tapped.clone()));
    let others: Vec<_> = others.collect();
    for (line, tapped) in others.into_iter().chain([(last, tapped)]) {
        if let Ok(Some(wake)) = line.push(tapped) {
            wake.wake();
        }
    }
}
