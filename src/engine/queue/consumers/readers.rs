//! Consumers that take no turns: each one gets what it reads.

use super::{super::consumer_id::ConsumerId, Consumers, Pause};
use crate::{engine::queue::effects::Effects, message::envelope::Envelope};

impl Consumers {
    /// Whether a consumer may get a message now. If not, it waits for that among the blocked ones.
    pub(in crate::engine::queue) fn may_read(&mut self, id: ConsumerId) -> bool {
        let paused = self.get_mut(id).is_none_or(|it| it.pause() != Pause::None);
        let may = !paused && self.can_take(id);
        if !may && !self.blocked.contains(&id) {
            self.block(id);
        }
        may
    }

    /// Delivers a message of `size` bytes to a consumer that [may read](Self::may_read). `false` if
    /// its channel does not take it.
    pub(in crate::engine::queue) fn deliver_to(
        &mut self,
        id: ConsumerId,
        message: &mut Option<Envelope>,
        size: u64,
        now: u64,
        effects: &mut Effects,
    ) -> bool {
        let taken = self.try_deliver(id, message, size, now, effects);
        if !taken {
            self.block(id);
        }
        taken
    }
}
