//! Prefetch credit: how many more messages a consumer may hold.
//!
//! The queue counts what it handed over, under its lock; whoever settles counts what came back, by an atomic and
//! without the lock. The two meet only when the queue ran out of credit: it then names the count at which it wants to
//! be told. Knows nothing of messages or consumers.

use crossbeam_utils::CachePadded;

use crate::model::message_totals::MessageTotals;
use crate::runtime::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, Release, SeqCst},
};

/// Nobody waits to be told.
const NO_NOTIFY: u64 = u64::MAX;

/// The half that the holders of deliveries write; one per consumer, shared with its deliveries.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Deliveries settled or returned so far. Written by settlers, read by the queue when its own figure runs out.
    settled: AtomicU64,
    /// The size that most of its messages have: their bytes need no counting.
    expected_size: u64,
    /// By how much the bytes of what was settled differ from that, wrapping round. Read only for the counts of a snapshot.
    size_excess: AtomicU64,
    /// The value of `settled` at which the queue must be told. Written under the queue's lock, read by settlers.
    notify_at: AtomicU64,
    /// The queue is deleted: what the consumer took and has not shown is deleted with it. Written once, by the queue.
    ended: AtomicBool,
    /// Something lies in the consumer's inbox, as far as is known without the queue's lock: a hint for receivers that would rather look
    /// here for a moment than ask for the lock again and again.
    ///
    /// The queue writes it, the holders of deliveries write all else: on a line of its own, neither takes the other's away.
    filled: CachePadded<AtomicBool>,
}

impl Credit {
    pub(crate) fn new(usual: u64) -> Credit {
        Credit {
            settled: AtomicU64::new(0),
            expected_size: usual,
            size_excess: AtomicU64::new(0),
            notify_at: AtomicU64::new(NO_NOTIFY),
            ended: AtomicBool::new(false),
            filled: CachePadded::new(AtomicBool::new(false)),
        }
    }

    /// Counts `messages` as settled; `true` if the queue waits to be told so.
    #[must_use]
    pub(crate) fn settle(&self, messages: u64, bytes: u64) -> bool {
        let unusual = bytes.wrapping_sub(messages.wrapping_mul(self.expected_size));
        if unusual != 0 {
            self.size_excess.fetch_add(unusual, SeqCst);
        }
        let settled = self.settled.fetch_add(messages, SeqCst) + messages;
        // Pairs with `arm_notify`: both write first and read second, so one of the two sees the other.
        //
        //   settler                          queue, under its lock
        //   settled += 1                     notify_at = n
        //   reads notify_at: n   -> tells      reads settled: counts it
        //
        // Were either to read first, both could miss: the last message would wait for ever.
        settled >= self.notify_at.load(SeqCst)
    }

    /// What was settled so far. A settlement under way may show in the bytes and not in the messages.
    pub(super) fn settled(&self) -> MessageTotals {
        let messages = self.settled.load(SeqCst);
        let bytes = messages
            .wrapping_mul(self.expected_size)
            .wrapping_add(self.size_excess.load(SeqCst));
        // One that is smaller than usual may take them below zero.
        MessageTotals::new(messages, (bytes as i64).max(0) as u64)
    }

    /// The queue has nothing more to hand over: it wants to be told when `at` deliveries are settled. Returns how many
    /// are now; if that is `at` already, nobody will tell.
    pub(crate) fn arm_notify(&self, at: u64) -> u64 {
        self.notify_at.store(at, SeqCst);
        self.settled.load(SeqCst)
    }

    /// The queue wants to be told when `at` deliveries are settled, unless it asked for fewer already.
    pub(crate) fn notify_no_later_than(&self, at: u64) {
        self.notify_at.fetch_min(at, SeqCst);
    }

    /// The queue has credit again.
    pub(crate) fn disarm_notify(&self) {
        self.notify_at.store(NO_NOTIFY, SeqCst);
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, SeqCst);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    pub(super) fn set_filled(&self, filled: bool) {
        self.filled.store(filled, Release);
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Relaxed)
    }
}
