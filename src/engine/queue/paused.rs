//! A paused queue: publishing goes on, and delivery stops.

use std::sync::Arc;

use super::{QueueCore, effects::Effects, inbox::InboxOwner, state::QueueState};

impl QueueState {
    /// Pauses all typed consumers that do not wait for a message, and returns those that are still
    /// there.
    pub(crate) fn pause_inboxes(&mut self) -> Vec<Arc<dyn InboxOwner>> {
        let mut owners = Vec::new();
        for id in self.consumers.ids() {
            self.consumers.pause_until_receive(id);
            let inbox = self.consumers.inbox(id);
            owners.extend(inbox.and_then(|inbox| inbox.owner()));
        }
        owners
    }

    /// Whether the queue delivers nothing, neither to consumers nor by gets.
    pub(crate) fn is_paused(&self) -> bool {
        self.consumers.is_queue_paused()
    }

    /// Pauses the queue, or ends its pause.
    pub(crate) fn set_queue_paused(&mut self, paused: bool, now: u64, effects: &mut Effects) {
        if self.deleted || self.is_paused() == paused {
            return;
        }
        self.consumers.set_queue_paused(paused);
        match paused {
            // A waiter for an idle queue does not wait for messages that stay.
            true => self.wake_idle_waiters(effects),
            false => {
                self.tally.rare().again_ready += 1;
                self.settle_ready(now, effects);
            }
        }
    }

    /// The consumers that have messages in advance.
    fn owners(&mut self) -> Vec<Arc<dyn InboxOwner>> {
        let ids = self.consumers.ids().into_iter();
        ids.filter_map(|id| self.consumers.inbox(id)?.owner())
            .collect()
    }
}

impl QueueCore {
    /// Whether the queue delivers nothing.
    pub(crate) fn is_paused(&self) -> bool {
        self.lock().is_paused()
    }

    /// Takes back what the typed consumers have in advance, after the queue was paused.
    pub(crate) fn return_all_unseen(&self) -> u64 {
        let owners = self.lock().owners();
        owners.iter().map(|owner| owner.return_unseen()).sum()
    }
}
