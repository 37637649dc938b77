//! What a queue would do with a message of a publisher, without one there.

use super::{effects::Effects, state::QueueState};
use crate::model::{
    descriptions::Overflow, explanation::QueueOutlook, message_totals::MessageTotals,
};

/// The size of the message, in bytes. A budget that is spent to the last byte has no room for it.
const SIZE: u64 = 1;

impl QueueState {
    /// What the queue would do with a message of [`SIZE`] bytes, after all settlements so far are
    /// applied. It is decided as for a publish (`admit`), and nothing is reserved.
    pub(crate) fn outlook(&mut self, now: u64, effects: &mut Effects) -> QueueOutlook {
        if self.deleted {
            return QueueOutlook::Deleted;
        }
        self.apply_settlements(now, effects);
        let overflow = self.overflow();
        let account = self.account.clone();
        let account = account.as_deref();
        match overflow {
            Overflow::RejectPublish if self.refuses_more(SIZE) => QueueOutlook::Refuse,
            Overflow::RejectPublishDlx if self.refuses_more(SIZE) => {
                match self.settings.dead_letter_exchange {
                    Some(_) => QueueOutlook::DeadLetter,
                    None => QueueOutlook::Refuse,
                }
            }
            _ if account.is_some_and(|account| account.refuses(SIZE)) => {
                QueueOutlook::RefuseForBudget
            }
            Overflow::Block if !self.has_room_now() => QueueOutlook::Block,
            _ if account.is_some_and(|account| account.blocks(SIZE)) => {
                QueueOutlook::BlockForBudget
            }
            Overflow::DropHead if self.drops_head() => QueueOutlook::DropHead,
            _ => QueueOutlook::Take,
        }
    }

    fn has_room_now(&self) -> bool {
        self.line.is_empty()
            && !self.timing.delayed.has_overdue()
            && self.has_room_beside(self.line.granted(), SIZE)
    }

    /// Whether one more message would push the oldest one out: the queue is full, and no consumer
    /// could have the new one at once.
    fn drops_head(&mut self) -> bool {
        if self.kind.is_stream()
            || self.ready.is_empty() && self.consumers.next_consumer().is_some()
        {
            return false;
        }
        let mut limited = self.limited();
        limited += MessageTotals::new(1, SIZE);
        self.is_over_by(limited)
    }
}
