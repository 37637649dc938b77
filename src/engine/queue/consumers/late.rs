//! Whether a channel may notify the queue late of its settlements.

use super::Consumers;
use crate::engine::queue::consumer_state::ConsumerState;

impl Consumers {
    /// The queue is a classic one without priorities.
    pub(in crate::engine::queue) fn note_order(&mut self) {
        self.is_in_order = true;
    }

    /// Whether it makes no difference when a channel gets its messages: there is no other consumer,
    /// and no later message comes before them.
    #[inline]
    pub(super) fn may_notify_late(&self) -> bool {
        self.is_in_order && self.count == 1
    }

    /// Whether a consumer may have settled deliveries and not notified the queue.
    #[inline]
    pub(in crate::engine::queue) fn may_have_late_settlements(&self) -> bool {
        self.may_notify_late()
            && !self.blocked.is_empty()
            && self.iter().any(ConsumerState::is_of_channel)
    }
}
