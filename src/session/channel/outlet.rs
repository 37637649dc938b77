//! The way of a channel's events into a stream: its own one, or that of its connection.

use std::sync::Arc;

use super::{ChannelState, Confirm, Event};
use crate::{model::error::CancelReason, runtime::waiter::Wake, session::events::EventStream};

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

    /// Appends many events to the stream, which is locked until this is dropped.
    pub(super) fn sender(&self) -> impl FnMut(Event) -> Option<Wake> {
        self.stream().sender(self.number)
    }

    /// Ends the channel's own stream. Returns the readers to be woken.
    #[must_use = "woken after the lock is released"]
    pub(super) fn close(&mut self, reason: CancelReason) -> Vec<Wake> {
        self.own.end(reason)
    }

    /// Takes the unread events out of the stream of a connection that goes on. Another channel may
    /// get the number.
    #[must_use = "dropped after the lock is released"]
    pub(super) fn take_unread(&mut self, reason: CancelReason) -> Vec<Event> {
        match &self.shared {
            Some(shared) if reason == CancelReason::ChannelClosed => shared.take_of(self.number),
            _ => Vec::new(),
        }
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
