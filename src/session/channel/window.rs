//! The window of a channel: how many deliveries may wait for its reader.
//!
//! A channel that does not read would otherwise take everything that its queues have. Neither their
//! limits nor their other consumers would see these messages again.

use crate::runtime::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

pub(super) struct Window {
    size: u64,
    unread: AtomicU64,
    /// A queue has found it full since it was last half empty.
    is_full: AtomicBool,
}

impl Window {
    /// `size` is at least 1.
    pub(super) fn new(size: u32) -> Window {
        Window {
            size: u64::from(size),
            unread: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    /// The size, and the number of unread deliveries.
    pub(super) fn view(&self) -> (u32, u64) {
        let size = u32::try_from(self.size).unwrap_or(u32::MAX);
        (size, self.unread.load(SeqCst))
    }

    /// How many more deliveries may be sent. Called under the lock of the channel. If none, the
    /// next [`read`](Self::read) that leaves the window half empty says so.
    pub(super) fn room(&self) -> usize {
        let room = || self.size.saturating_sub(self.unread.load(SeqCst)) as usize;
        match room() {
            0 => {
                self.is_full.store(true, SeqCst);
                // A reader that has not seen the flag has read before this line.
                room()
            }
            room => room,
        }
    }

    /// Counts deliveries that are sent.
    pub(super) fn add(&self, deliveries: u64) {
        self.unread.fetch_add(deliveries, SeqCst);
    }

    /// Counts deliveries that were read. Returns whether the queues that found it full may deliver
    /// again: once for half a window, since each time costs the lock of a queue.
    pub(super) fn read(&self, deliveries: u64) -> bool {
        let before = self.unread.fetch_sub(deliveries, SeqCst);
        before.saturating_sub(deliveries) <= self.size / 2
            && self.is_full.load(SeqCst)
            && self.is_full.swap(false, SeqCst)
    }
}
