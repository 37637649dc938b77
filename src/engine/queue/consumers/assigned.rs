//! Messages that a quorum queue assigns to consumers of channels before it delivers them.

use super::{super::consumer_id::ConsumerId, Consumers, NextConsumer, SingleActive};
use crate::{engine::queue::effects::Effects, message::envelope::Envelope};

impl Consumers {
    /// Counts a message of `size` bytes as delivered to a consumer of a channel, for
    /// [`deliver_assigned`](Self::deliver_assigned). Returns when it must be settled. `None` if
    /// it is a typed consumer, which counts nothing.
    pub(in crate::engine::queue) fn assign(
        &mut self,
        next: NextConsumer,
        size: u64,
        now: u64,
    ) -> Option<u64> {
        let due = self.get_mut(next.id)?.assign(size, now)?;
        self.next_overdue = self.next_overdue.min(due);
        if self.single_active == SingleActive::No {
            self.end_turn(next.id);
        }
        Some(due)
    }

    /// Delivers a message that was assigned. Gives it back if the channel does not take it. It
    /// counts as not delivered then.
    pub(in crate::engine::queue) fn deliver_assigned(
        &mut self,
        id: ConsumerId,
        envelope: Envelope,
        due: u64,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        let Some(consumer) = self.get_mut(id) else {
            return Some(envelope);
        };
        let refused = consumer.deliver_assigned(envelope, due, effects);
        if refused.is_some() {
            let group = consumer.group;
            self.suspended.add(group);
        }
        refused
    }
}
