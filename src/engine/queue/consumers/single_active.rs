//! Queues that serve one consumer at a time: which one, and when another one takes over.

use std::cmp::Reverse;

use super::{super::consumer_id::ConsumerId, Consumers};
use crate::engine::queue::consumer_state::ConsumerState;

/// Whether a queue serves one consumer at a time, and when another one takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SingleActive {
    /// It serves all consumers.
    #[default]
    No,
    /// Another consumer takes over when the active one is removed.
    UntilGone,
    /// A consumer of a higher priority also takes over once the active one holds nothing.
    ByPriority,
}

impl Consumers {
    /// The consumer of the highest priority becomes active, and among equals the one that has
    /// waited longest, or in a quorum queue first the one of the largest prefetch. None does if all
    /// are paused.
    pub(super) fn activate_next(&mut self) {
        self.active = match self.single_active {
            SingleActive::ByPriority => self.first_in_line().map(|(id, _)| id),
            _ => self.turns.first(),
        };
    }

    /// The consumer that a quorum queue would make active, with its priority. Its user has not
    /// paused it.
    fn first_in_line(&self) -> Option<(ConsumerId, i64)> {
        let slots = (0..).zip(&self.slots);
        let all = slots.filter_map(|(slot, entry)| {
            let (serial, consumer) = entry.as_ref()?;
            let id = ConsumerId {
                slot,
                serial: *serial,
            };
            (!consumer.pause().is_absence()).then_some((id, consumer))
        });
        let first = all.max_by_key(|(id, consumer)| {
            (consumer.priority, consumer.capacity(), Reverse(id.serial))
        })?;
        Some((first.0, first.1.priority))
    }

    /// The active consumer, if it may be served. A consumer of a higher priority takes over once it
    /// holds nothing; until then none is served.
    pub(super) fn active_consumer(&mut self) -> Option<ConsumerId> {
        let active = self.active?;
        if self.single_active == SingleActive::ByPriority {
            let (first, priority) = self.first_in_line()?;
            let holder = self.get_mut(active)?;
            if first != active && priority > holder.priority {
                if !holder.is_settled() {
                    return None;
                }
                self.active = Some(first);
            }
        }
        self.active.filter(|id| !self.blocked.contains(id))
    }

    /// The number of consumers as a declaration tells it. A quorum queue does not count those that
    /// wait to be active.
    pub(in crate::engine::queue) fn counted(&self) -> usize {
        match self.single_active {
            SingleActive::ByPriority => {
                let overdue = |consumer: &&ConsumerState| consumer.overdue.taken_back() > 0;
                usize::from(self.active.is_some()) + self.iter().filter(overdue).count()
            }
            _ => self.len(),
        }
    }
}
