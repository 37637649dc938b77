//! What a channel and the deliveries to its consumers share for their readers.
//!
//! A reader takes over deliveries, and notes each that it reads. It needs nothing else of the
//! channel for that. So it writes no reference count, which the queues write too.

use std::sync::Weak;

use super::{ChannelCore, ChannelState, Window};
use crate::{
    runtime::sync::Mutex,
    session::{
        events::{ChannelDelivery, DeliveryReader},
        holding::Holders,
    },
};

pub(super) struct Reading {
    channel: Weak<ChannelCore>,
    /// Unsettled deliveries and consumers have handles to this. Both are taken out when the channel
    /// closes.
    pub(super) state: Mutex<ChannelState>,
    /// Who holds the unsettled deliveries of the channel.
    pub(super) holders: Holders,
    /// The limit of unread deliveries, if there is one.
    pub(super) window: Option<Window>,
}

impl Reading {
    pub(super) fn new(channel: &Weak<ChannelCore>, window: u32, state: ChannelState) -> Reading {
        Reading {
            channel: Weak::clone(channel),
            state: Mutex::new(state),
            holders: Holders::new(false),
            window: (window > 0).then(|| Window::new(window)),
        }
    }
}

impl DeliveryReader for Reading {
    #[inline]
    fn note_read(&self, deliveries: u64) {
        let is_known = self.holders.is_last_receiver();
        let window = self.window.as_ref();
        let is_relieved = window.is_some_and(|window| window.read(deliveries));
        if is_known && !is_relieved {
            return;
        }
        let Some(channel) = self.channel.upgrade() else {
            return;
        };
        channel.note_receiver();
        if is_relieved {
            let queues = channel.lock().ledger.take_limited();
            channel.resume(queues);
        }
    }

    fn open_deliveries(&self, count: usize, each: &mut dyn FnMut(ChannelDelivery)) {
        self.state.lock().ledger.open_deliveries(count, each);
    }
}
