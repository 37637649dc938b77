//! When a batch is left to its consumers for a moment, because they settle what it would write.
//!
//! A message that is settled before its batch is written never reaches the disk. A consumer that
//! keeps up is a few messages behind its publishers, and needs some microseconds for these. A
//! commit takes many more. So the thread of the journal looks again, as long as the consumers come
//! on, if that may save the commit. It never does so unless a consumer has kept up just before.

use std::time::{Duration, Instant};

use super::batch::Batch;

/// How often the thread looks in vain before it takes the batch.
const LOOKS: u32 = 16;

/// The patience of the thread.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Whether messages of the last batch were settled before it was taken.
    kept_up: bool,
    /// How long the last commit took.
    commit: Duration,
    /// Until when this batch may wait.
    until: Option<Instant>,
    /// How many operations of this batch were undone at the last look.
    undone: usize,
    /// How many looks were in vain since then.
    looks: u32,
}

impl Patience {
    /// Whether a batch that is due waits for its consumers.
    pub(super) fn waits_for(&mut self, batch: &Batch, now: Instant) -> bool {
        let undone = batch.undone();
        if batch.is_empty() || undone == 0 && !self.kept_up {
            return false;
        }
        let until = *self.until.get_or_insert(now + self.commit);
        self.looks = match undone > self.undone {
            true => 0,
            false => self.looks + 1,
        };
        self.undone = undone;
        self.looks < LOOKS && now < until
    }

    /// The batch is taken.
    pub(super) fn take(&mut self, batch: &Batch) {
        *self = Patience {
            kept_up: batch.undone() > 0,
            commit: self.commit,
            ..Patience::default()
        };
    }

    /// Commits the batch.
    pub(super) fn time<R>(&mut self, commit: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let committed = commit();
        self.commit = began.elapsed();
        committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::store::Operation, model::bytes::Bytes};

    const COMMIT: Duration = Duration::from_micros(100);

    fn put(position: u64) -> Operation {
        Operation::Put {
            queue: 1,
            position,
            message: Bytes::default(),
            body: None,
        }
    }

    fn settle(position: u64) -> Operation {
        Operation::Settle { queue: 1, position }
    }

    fn batch(operations: impl IntoIterator<Item = Operation>) -> Batch {
        let mut batch = Batch::default();
        operations.into_iter().for_each(|it| batch.add(it));
        batch
    }

    fn after_a_commit() -> Patience {
        Patience {
            commit: COMMIT,
            ..Patience::default()
        }
    }

    #[test]
    fn a_batch_waits_for_consumers_that_come_on_until_they_have_settled_everything() {
        let (mut patience, now) = (after_a_commit(), Instant::now());
        let mut batch = batch((0..50).map(put));
        batch.add(settle(0));
        for position in 1..50 {
            for look in 0..LOOKS {
                let waits = patience.waits_for(&batch, now);
                assert!(waits, "look {look} before the message {position}");
            }
            batch.add(settle(position));
        }
        assert!(!patience.waits_for(&batch, now));
    }

    #[test]
    fn a_batch_of_consumers_that_have_stopped_is_taken_after_some_looks() {
        let (mut patience, now) = (after_a_commit(), Instant::now());
        let batch = batch([put(1), put(2), settle(1)]);
        let looks = (0..99).take_while(|_| patience.waits_for(&batch, now));
        assert_eq!(looks.count() as u32, LOOKS);
    }

    #[test]
    fn a_batch_waits_no_longer_than_the_last_commit_took() {
        let (mut patience, now) = (after_a_commit(), Instant::now());
        let batch = batch([put(1), put(2), settle(1)]);
        assert!(patience.waits_for(&batch, now));
        assert!(!patience.waits_for(&batch, now + COMMIT));
    }

    #[test]
    fn a_batch_without_a_settlement_waits_only_if_consumers_kept_up_with_the_last_one() {
        let (mut patience, now) = (after_a_commit(), Instant::now());
        let fresh = batch([put(1), put(2)]);
        assert!(!patience.waits_for(&fresh, now));
        patience.take(&batch([put(0), settle(0)]));
        assert!(patience.waits_for(&fresh, now));
        patience.take(&fresh);
        assert!(!patience.waits_for(&fresh, now));
    }
}
