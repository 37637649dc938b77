//! The time at which a receiver whose run is empty takes the lock of the queue for the next run.
//!
//! If it is too early, the receiver finds no message or a single one, and publishers wait for the
//! lock. If it is too late, a message waits. All values here are hints: a wrong one costs time and
//! nothing else. This module does not know queues.

use crate::runtime::{
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        thread,
    },
    waiter::spin_until,
};

/// The number of looks into an empty inbox: together they cost about as much as a contended lock.
const SPINS: u32 = 32;
/// A shorter run is hardly worth the lock.
const SHORT_RUN: usize = 32;
/// A run of at most this length is not worth a wait.
const SINGLE: usize = 2;
/// The number of yields in one wait.
const YIELDS: u32 = 3;
/// The number of receives without a yield, after a yield without success.
const YIELD_COOLDOWN: u32 = 128;

/// Receivers write it, without any order between them.
#[derive(Debug)]
pub(super) struct RecvBackoff {
    /// The last run was short.
    short: AtomicBool,
    /// The receiver has yielded for the run that it is about to take.
    gave_way: AtomicBool,
    /// The number of receives that are still without a yield.
    punctual: AtomicU32,
}

impl RecvBackoff {
    pub(super) fn new() -> RecvBackoff {
        RecvBackoff {
            short: AtomicBool::new(true),
            gave_way: AtomicBool::new(false),
            punctual: AtomicU32::new(0),
        }
    }

    /// Waits a moment until `is_due`, which means that there is a message to take.
    pub(super) fn wait(&self, is_due: impl Fn() -> bool) {
        // With shuttle each look would be one more step to explore, and would show no more than a
        // wait does.
        if cfg!(shuttle) {
            return;
        }
        if is_due() {
            return self.yield_for_batch();
        }
        RecvBackoff::watch(is_due);
    }

    /// Waits a moment until `is_due`, without a yield.
    pub(super) fn watch(is_due: impl Fn() -> bool) {
        if !cfg!(shuttle) {
            spin_until(SPINS, is_due);
        }
    }

    /// Yields after a short run if the inbox is filled again already.
    ///
    /// Its publisher is busy, and a receiver that takes each single message only makes it wait for
    /// the lock. After a yield there is a run that is worth the lock. The exception is a publisher
    /// that waits for this receiver, as for a reply.
    fn yield_for_batch(&self) {
        if !self.short.load(Relaxed) {
            return;
        }
        match self.punctual.load(Relaxed) {
            0 => {
                self.gave_way.store(true, Relaxed);
                for _ in 0..YIELDS {
                    thread::yield_now();
                }
            }
            left => self.punctual.store(left - 1, Relaxed),
        }
    }

    /// Records that the receiver has taken a run of `messages` messages.
    pub(super) fn took(&self, messages: usize) {
        self.short.store(messages < SHORT_RUN, Relaxed);
        if self.gave_way.load(Relaxed) {
            self.gave_way.store(false, Relaxed);
            if messages <= SINGLE {
                self.punctual.store(YIELD_COOLDOWN, Relaxed);
            }
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_empty_inbox_is_watched_for_a_bounded_time() {
        let looks = Cell::new(0);
        RecvBackoff::new().wait(|| {
            looks.set(looks.get() + 1);
            false
        });
        assert_eq!(looks.get(), 1 + SPINS);
    }

    #[test]
    fn who_gave_way_in_vain_comes_at_once_for_a_while() {
        let pace = RecvBackoff::new();
        let gives_way = |taken| {
            pace.wait(|| true);
            let gave_way = pace.gave_way.load(Relaxed);
            pace.took(taken);
            gave_way
        };
        assert!(gives_way(10));
        assert!(gives_way(1));
        assert!((0..YIELD_COOLDOWN).all(|_| !gives_way(1)));
        assert!(gives_way(1));
    }

    #[test]
    fn after_a_long_run_nobody_gives_way() {
        let pace = RecvBackoff::new();
        pace.took(SHORT_RUN);
        pace.wait(|| true);
        assert!(!pace.gave_way.load(Relaxed));
    }
}
