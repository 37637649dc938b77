//! The things that came and went in a virtual host: totals that never fall.

use crate::{
    engine::queue::Counts,
    model::arguments::QueueType,
    runtime::sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use super::publish_counts::PublishCounts;

/// How often connections, channels and queues were opened, declared, created and deleted.
#[derive(Debug, Default)]
pub(crate) struct Churn {
    pub(crate) connections_opened: Total,
    pub(crate) connections_closed: Total,
    pub(crate) channels_opened: Total,
    pub(crate) channels_closed: Total,
    /// Publishers. Clones count once.
    pub(crate) publishers_opened: Total,
    pub(crate) publishers_closed: Total,
    /// Declarations of queues, also of those that were there.
    pub(crate) queues_declared: Total,
    /// Messages that closed channels have published in confirm mode.
    pub(crate) published_to_confirm: Total,
    /// Confirms of closed channels.
    pub(crate) confirmed: Total,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Total(AtomicU64);

impl Total {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// The counts of the queues and exchanges that were deleted. Behind the topology lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departed {
    queues: [Counts; 3],
    pub(crate) exchanges: PublishCounts,
    pub(crate) queues_created: u64,
    pub(crate) queues_deleted: u64,
}

impl Departed {
    /// Adds the counts of a queue that is deleted.
    pub(super) fn add_queue(&mut self, queue_type: QueueType, counts: &Counts) {
        self.queues[queue_type as usize].add_past(counts);
        self.queues_deleted += 1;
    }

    /// This number of queues was created and deleted by a change that is undone.
    pub(super) fn forget_queues(&mut self, queues: u64) {
        self.queues_created = self.queues_created.saturating_sub(queues);
        self.queues_deleted = self.queues_deleted.saturating_sub(queues);
    }

    /// The counts of all queues of a type that were deleted.
    pub(crate) fn of_type(&self, queue_type: QueueType) -> Counts {
        self.queues[queue_type as usize]
    }
}
