//! The consumers of a queue that have a policy for being slow.

use std::collections::VecDeque;

use super::{super::consumer_id::ConsumerId, Consumers, SingleActive};
use crate::{
    engine::queue::{consumer_state::DeliveryTarget, inbox::Pause},
    message::envelope::Envelope,
    model::slow_consumer::SlowConsumerPolicy,
};

impl Consumers {
    /// Whether a consumer has a policy other than to wait.
    pub(in crate::engine::queue) fn has_slow_policy(&self) -> bool {
        self.slow_policies > 0
    }

    /// Counts a consumer that comes, or that goes.
    pub(super) fn count_slow_policy(&mut self, on_slow: SlowConsumerPolicy, comes: bool) {
        if on_slow != SlowConsumerPolicy::Wait {
            match comes {
                true => self.slow_policies += 1,
                false => self.slow_policies -= 1,
            }
        }
    }

    /// The first of the consumers that hold their whole prefetch and have a policy for that, in the
    /// order of their subscriptions.
    pub(in crate::engine::queue) fn first_slow(
        &mut self,
    ) -> Option<(ConsumerId, SlowConsumerPolicy)> {
        if self.is_queue_paused {
            return None;
        }
        let (single, active) = (self.single_active != SingleActive::No, self.active);
        self.ids().into_iter().find_map(|id| {
            let consumer = self.get_mut(id)?;
            let policy = consumer.on_slow;
            let is_slow = policy != SlowConsumerPolicy::Wait
                && consumer.pause() == Pause::None
                && !consumer.has_credit(false);
            let is_served = !single || active == Some(id);
            (is_slow && is_served).then_some((id, policy))
        })
    }

    /// The policy of a consumer is carried out, and is not again.
    pub(in crate::engine::queue) fn forget_slow_policy(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.get_mut(id) {
            let before = std::mem::take(&mut consumer.on_slow);
            self.count_slow_policy(before, false);
        }
    }

    /// Takes out the oldest message that a consumer has in advance.
    pub(in crate::engine::queue) fn take_oldest_unseen(
        &mut self,
        id: ConsumerId,
    ) -> Option<Envelope> {
        let mut removed = Vec::new();
        let consumer = self.get_mut(id)?;
        consumer.remove_from_inbox(&mut removed, |inbox, removed| {
            let mut first = VecDeque::new();
            inbox.take_first(&mut first);
            removed.extend(first);
        });
        removed.pop()
    }

    /// Counts a message that a consumer has missed.
    pub(in crate::engine::queue) fn count_missed(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.get_mut(id)
            && let DeliveryTarget::Inbox(_) = &consumer.target
        {
            consumer.credit.count_missed();
        }
    }
}
