//! A publish that waits for room, as the connection tells it.

use super::prepared::Prepared;
use crate::session::events::{Blocked, BlockedReason};

impl<'a> Prepared<'a> {
    /// Tells the connection that the publish waits, until the result is dropped: for room in a
    /// queue or a budget, or else on the disk.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_blocked(&self) -> Blocked<'a> {
        let reason = match &self.blocked {
            Some(blocked) if blocked.waits_for_budget() => BlockedReason::Budget,
            Some(_) => BlockedReason::QueueFull,
            None => BlockedReason::LowDisk,
        };
        let publisher = self.publisher;
        Blocked::new(publisher.config.gate.events(), reason)
    }
}
