//! The consumers of a queue that is paused: all of them are blocked.

use super::Consumers;

impl Consumers {
    pub(in crate::engine::queue) fn is_queue_paused(&self) -> bool {
        self.is_queue_paused
    }

    /// Blocks all consumers until the queue goes on, or has them take turns again.
    pub(in crate::engine::queue) fn set_queue_paused(&mut self, paused: bool) {
        self.is_queue_paused = paused;
        match paused {
            true => {
                self.blocked.extend(self.turns.drain());
            }
            false => {
                self.reconsider(None);
            }
        }
    }
}
