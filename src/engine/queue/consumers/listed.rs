//! The consumers of a queue as plain values, for those who look at them.

use std::sync::Arc;

use super::{Consumers, SingleActive};
use crate::{
    engine::queue::{ConsumerId, QueueCore, SubscribedBy, inbox::Pause},
    model::{message_totals::MessageTotals, name::Name},
};

/// One consumer of a queue.
#[derive(Clone, Debug)]
pub(crate) struct ListedConsumer {
    pub(crate) tag: Name,
    pub(crate) by: Arc<SubscribedBy>,
    pub(crate) auto_ack: bool,
    pub(crate) exclusive: bool,
    /// 0 means no limit.
    pub(crate) prefetch: u32,
    pub(crate) priority: i64,
    /// Whether it may get messages: it is not paused, and not behind a single active consumer.
    pub(crate) active: bool,
    /// Deliveries so far, those that wait in its inbox among them.
    pub(crate) delivered: MessageTotals,
    /// Of these, those that are settled.
    pub(crate) settled: MessageTotals,
    /// Deliveries that wait in its inbox.
    pub(crate) in_inbox: u64,
}

impl Consumers {
    /// All consumers, in the order of their subscriptions.
    pub(in crate::engine::queue) fn list(&self) -> Vec<ListedConsumer> {
        let slots = (0..).zip(&self.slots);
        let mut listed: Vec<_> = slots
            .filter_map(|(slot, entry)| {
                let (serial, consumer) = entry.as_ref()?;
                let id = ConsumerId {
                    serial: *serial,
                    slot,
                };
                let is_served = match self.single_active {
                    SingleActive::No => true,
                    _ => self.active == Some(id),
                };
                let listed = ListedConsumer {
                    tag: consumer.tag.clone(),
                    by: Arc::clone(&consumer.by),
                    auto_ack: consumer.auto_ack,
                    exclusive: consumer.exclusive,
                    prefetch: consumer.prefetch,
                    priority: consumer.priority,
                    active: is_served && consumer.pause() == Pause::None,
                    delivered: consumer.delivered.totals,
                    settled: consumer.credit.settled(),
                    in_inbox: consumer.inbox_len(),
                };
                Some((id, listed))
            })
            .collect();
        listed.sort_by_key(|(id, _)| *id);
        listed.into_iter().map(|(_, consumer)| consumer).collect()
    }
}

impl QueueCore {
    /// The consumers, in the order of their subscriptions.
    pub(crate) fn list_consumers(&self) -> Vec<ListedConsumer> {
        self.lock().consumers.list()
    }

    /// Has all consumers show their messages to the taps.
    pub(crate) fn note_taps(&self) {
        let state = self.lock();
        let consumers = state.consumers.iter();
        consumers.for_each(|consumer| consumer.credit.set_tapped(true));
    }
}
