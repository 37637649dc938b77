//! When a receiver that has worked through its run comes to the queue for the next one.
//!
//! Too soon, and it finds nothing, or a single message, and keeps its publishers waiting for the queue's lock; too late, and a
//! message waits. All that is kept here are hints: a wrong one costs time and nothing else. Knows nothing of queues.

use crate::runtime::{
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        thread,
    },
    waiter::spin_until,
};

/// How often it is looked into an empty inbox: for about what a contended lock costs.
const SPINS: u32 = 32;
/// A run of fewer messages was hardly worth the lock.
const SHORT_RUN: usize = 32;
/// A run of no more was not worth waiting for.
const SINGLE: usize = 2;
/// How often it gives way at a time.
const YIELDS: u32 = 3;
/// How often a receiver comes at once again after it has waited for more in vain.
const YIELD_COOLDOWN: u32 = 128;

/// Written by receivers, without order.
#[derive(Debug)]
pub(super) struct RecvBackoff {
    /// The last run was short.
    short: AtomicBool,
    /// It has given way for the run that it is coming for.
    gave_way: AtomicBool,
    /// How often it is not to give way.
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

    /// Waits a moment until `is_due`, that is until there is something to come for.
    pub(super) fn wait(&self, is_due: impl Fn() -> bool) {
        // Under shuttle each look would be one more step to explore, and show nothing that waiting does not.
        if cfg!(shuttle) {
            return;
        }
        if is_due() {
            return self.yield_for_batch();
        }
        spin_until(SPINS, is_due);
    }

    /// The inbox was filled again while a short run was worked through: its publisher is busy, and a receiver that comes for every
    /// single message only keeps it waiting for the lock. A moment later there is a run worth coming for, unless the
    /// publisher in turn waits for this receiver, as for a reply.
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

    /// It came, and took a run of so many messages.
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
