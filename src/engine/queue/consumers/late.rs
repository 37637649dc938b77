//! Whether a channel may be served late.

use super::Consumers;
use crate::engine::queue::consumer_state::ConsumerState;

impl Consumers {
    /// Allows that a channel is served late, or not. Returns whether it was allowed.
    pub(in crate::engine::queue) fn allow_late(&mut self, allowed: bool) -> bool {
        std::mem::replace(&mut self.is_late_allowed, allowed)
    }

    /// Whether a channel may be served late: there is no other consumer, and no later message comes
    /// before those that it waits for.
    #[inline]
    pub(super) fn may_be_late(&self) -> bool {
        self.is_late_allowed && self.count == 1
    }

    /// Whether a channel may have a right to ready messages.
    #[inline]
    pub(in crate::engine::queue) fn may_have_late_channel(&self) -> bool {
        self.may_be_late()
            && !self.blocked.is_empty()
            && self.iter().any(ConsumerState::may_be_late)
    }
}
