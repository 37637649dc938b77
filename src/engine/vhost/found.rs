//! The destinations that a message has found.

use std::{sync::Arc, time::Duration};

use super::{history::History, replies::Reply};
use crate::engine::queue::{QueueCore, after};

/// The destinations of a message.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) queues: Vec<Arc<QueueCore>>,
    /// The delay queues of delayed exchanges that keep it.
    pub(crate) delay_queues: Vec<Arc<QueueCore>>,
    /// Its delay there.
    pub(crate) delay: Duration,
    /// The ways to requesters, if it is a direct reply.
    pub(crate) replies: Vec<Reply>,
    /// The histories that keep it.
    pub(super) histories: Vec<Arc<History>>,
}

impl Found {
    pub(crate) fn len(&self) -> usize {
        self.queues.len() + self.delay_queues.len() + self.replies.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it leads to queues only.
    pub(super) fn is_plain(&self) -> bool {
        self.delay_queues.is_empty() && self.replies.is_empty() && self.histories.is_empty()
    }

    /// Adds the destinations of another way.
    pub(super) fn join(&mut self, other: Found) {
        self.queues.extend(other.queues);
        for queue in other.delay_queues {
            if !self.delay_queues.contains(&queue) {
                self.delay_queues.push(queue);
            }
        }
        for history in other.histories {
            if !self
                .histories
                .iter()
                .any(|mine| Arc::ptr_eq(mine, &history))
            {
                self.histories.push(history);
            }
        }
        self.delay = self.delay.max(other.delay);
    }

    /// The queues, and after them the delay queues with the time at which the message is due.
    pub(crate) fn into_targets(
        self,
        now: u64,
    ) -> impl Iterator<Item = (Arc<QueueCore>, Option<u64>)> {
        let due = after(now, self.delay);
        let queues = self.queues.into_iter().map(|queue| (queue, None));
        queues.chain(
            self.delay_queues
                .into_iter()
                .map(move |queue| (queue, Some(due))),
        )
    }
}
