//! Deliveries that consumers have not settled in time. The queue takes them back.

use super::{super::consumer_id::ConsumerId, Consumers, Timeout};
use crate::{
    engine::queue::effects::Effects,
    message::envelope::{Envelope, NEVER},
};

impl Consumers {
    /// When a delivery may be due next, and none before.
    #[inline]
    pub(in crate::engine::queue) fn next_overdue(&self) -> u64 {
        self.next_overdue
    }

    /// Records that a delivery may be due at `due`.
    pub(in crate::engine::queue) fn expect_overdue(&mut self, due: u64) {
        self.next_overdue = self.next_overdue.min(due);
    }

    /// Sets how long a delivery may stay unsettled where the consumer does not say.
    pub(in crate::engine::queue) fn set_timeout(&mut self, timeout: Timeout) {
        self.timeout = (timeout != Timeout::default()).then(|| Box::new(timeout));
        self.iter_mut().for_each(|one| one.set_timeout(timeout));
    }

    /// Takes back the deliveries that the consumers have not settled in time. Those consumers get
    /// nothing until they have settled them.
    pub(in crate::engine::queue) fn take_overdue(
        &mut self,
        now: u64,
        effects: &mut Effects,
    ) -> Vec<(ConsumerId, Vec<Envelope>)> {
        let mut overdue = Vec::new();
        self.next_overdue = NEVER;
        for id in self.ids() {
            let Some(consumer) = self.get_mut(id) else {
                continue;
            };
            let taken = consumer.take_overdue(now, effects);
            let next = consumer.overdue.next();
            self.next_overdue = self.next_overdue.min(next);
            if taken.is_empty() {
                continue;
            }
            self.blocked.retain(|blocked| *blocked != id);
            self.block(id);
            if self.active == Some(id) {
                self.activate_next();
            }
            overdue.push((id, taken));
        }
        overdue
    }

    /// Records that a consumer has settled deliveries that were taken back. Whether it has settled
    /// all of them.
    pub(in crate::engine::queue) fn settled_late(
        &mut self,
        id: ConsumerId,
        deliveries: u64,
    ) -> bool {
        let Some(consumer) = self.get_mut(id) else {
            return false;
        };
        consumer.overdue.settle(deliveries) == 0
    }
}
