//! The way of a channel's events into a stream: its own one, or that of its connection.

use std::sync::Arc;

use super::{ChannelState, Confirm, Event};
use crate::{
    model::error::CancelReason,
    runtime::waiter::Wake,
    session::{events::EventStream, unacked::DeliveryOrigin},
};

/// Plain data behind the lock of the channel.
pub(super) struct Outlet {
    number: u16,
    own: Arc<EventStream>,
    /// The stream of the connection, if the events go there.
    shared: Option<Arc<EventStream>>,
}

impl Outlet {
    pub(super) fn new(
        number: u16,
        own: Arc<EventStream>,
        shared: Option<Arc<EventStream>>,
    ) -> Outlet {
        Outlet {
            number,
            own,
            shared,
        }
    }

    fn stream(&self) -> &EventStream {
        self.shared.as_ref().unwrap_or(&self.own)
    }

    /// As [`EventStream::send_deliveries`].
    #[inline]
    pub(super) fn send_deliveries(
        &self,
        count: usize,
        origin: impl FnOnce() -> Arc<DeliveryOrigin>,
        wake: impl FnMut(Wake),
    ) -> bool {
        self.stream()
            .send_deliveries(self.number, count, origin, wake)
    }

    /// Ends the channel's own stream. Returns the readers to be woken.
    #[must_use = "woken after the lock is released"]
    pub(super) fn close(&mut self, reason: CancelReason) -> Vec<Wake> {
        self.own.end(reason)
    }

    /// The stream of the connection, if that goes on without this channel. Another channel may get
    /// the number.
    pub(super) fn left_stream(&self, reason: CancelReason) -> Option<Arc<EventStream>> {
        let goes_on = reason == CancelReason::ChannelClosed;
        self.shared.as_ref().filter(|_| goes_on).map(Arc::clone)
    }
}

impl ChannelState {
    /// Appends to the stream of events, and returns the reader to be woken. A closed channel has no
    /// more events; it gets no delivery either.
    #[must_use = "woken after the lock is released"]
    #[inline(always)]
    pub(super) fn send(&mut self, event: Event) -> Option<Wake> {
        match self.closed {
            None => self.outlet.stream().send(self.outlet.number, event),
            Some(_) => None,
        }
    }

    /// As [`send`](Self::send). `covers_all` tells that every earlier message is confirmed.
    #[must_use = "woken after the lock is released"]
    pub(super) fn send_confirm(&mut self, confirm: Confirm, covers_all: bool) -> Option<Wake> {
        match self.closed {
            None => self
                .outlet
                .stream()
                .confirm(self.outlet.number, confirm, covers_all),
            Some(_) => None,
        }
    }
}
