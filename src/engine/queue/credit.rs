//! Prefetch credit: how many more messages a consumer may hold.
//!
//! The queue counts deliveries under its lock. A settlement is counted by an atomic, without the
//! lock. The two sides meet only when the consumer is out of credit. The queue then sets the count
//! of settlements at which it must be notified.
//!
//! Knows nothing of consumers.

use super::deadlines::Deadlines;
use crate::model::message_totals::MessageTotals;
use crate::runtime::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Relaxed, Release, SeqCst},
};

/// The queue is deleted, and so are the messages that the consumer took and has not shown. The
/// queue marks that once.
const ENDED: u8 = 1;

/// A message that is shown is acknowledged by that, or may have to be settled in time.
const SPECIAL: u8 = 2;

/// A message that is shown may have to be shown to a tap.
const TAPPED: u8 = 4;

/// A message that is shown has a span.
#[cfg(feature = "tracing")]
const TRACED: u8 = 8;

/// A message that the consumer has in its run may expire there.
const EXPIRES: u8 = 16;

/// The consumer is never served late: its channel has other consumers too, or confirms, or several
/// readers that wait.
const AT_ONCE: u8 = 32;

/// The queue waits until the readers of a channel have read everything.
const LATE: u8 = 64;

/// No notification is requested.
const NO_NOTIFY: u64 = u64::MAX;

/// The half of the credit that the holders of deliveries write. There is one for each consumer,
/// shared with its deliveries.
///
/// The order of the fields is that in memory: the queue writes the first one, and settlers the last
/// ones. The fields between keep them on different cache lines.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Credit {
    /// Whether the consumer's inbox has messages, as far as is known without the queue's lock. A
    /// hint for receivers, which poll it for a moment instead of taking the lock again and again.
    filled: AtomicBool,
    /// The messages that the consumer has missed, since it was too slow.
    missed: AtomicU64,
    /// The deliveries that must be settled in time, of a typed consumer.
    pub(crate) deadlines: Deadlines,
    _apart: [u64; 4],
    /// Deliveries settled or returned so far. Written by settlers. Read by the queue when its own
    /// count shows no credit.
    settled: AtomicU64,
    /// The size of most of the consumer's messages. The bytes of such messages need no counting.
    expected_size: u32,
    /// The deliveries that readers of a channel have read so far, wrapping.
    read: AtomicU32,
    /// The settled bytes beyond `settled * expected_size`, wrapping. Read only for the counts of a
    /// snapshot.
    size_excess: AtomicU64,
    /// The value of `settled` at which the queue must be notified. Written under the queue's lock,
    /// read by settlers.
    notify_at: AtomicU64,
    /// The value of `read` at which the queue must be notified, if it waits for that.
    /// Written under the queue's lock, read by readers.
    notify_at_read: AtomicU32,
    /// [`ENDED`], [`SPECIAL`], [`TAPPED`], `TRACED`, [`EXPIRES`], [`AT_ONCE`] and [`LATE`], or 0. A
    /// receiver finds all in one look.
    marks: AtomicU8,
}

impl Credit {
    pub(crate) fn new(expected_size: u64) -> Credit {
        Credit {
            filled: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            deadlines: Deadlines::default(),
            _apart: [0; 4],
            settled: AtomicU64::new(0),
            expected_size: u32::try_from(expected_size).unwrap_or(u32::MAX),
            read: AtomicU32::new(0),
            size_excess: AtomicU64::new(0),
            notify_at: AtomicU64::new(NO_NOTIFY),
            notify_at_read: AtomicU32::new(0),
            marks: AtomicU8::new(0),
        }
    }

    /// Counts `messages` as settled. `true` if the queue must be notified.
    #[must_use]
    pub(crate) fn settle(&self, messages: u64, bytes: u64) -> bool {
        let excess = bytes.wrapping_sub(messages.wrapping_mul(self.expected_size.into()));
        if excess != 0 {
            self.size_excess.fetch_add(excess, SeqCst);
        }
        let settled = self.settled.fetch_add(messages, SeqCst) + messages;
        // Pairs with `arm_notify`: both write first and read second, so one of the two sees the
        // other.
        //
        //   settler                          queue, under its lock
        //   settled += 1                     notify_at = n
        //   reads notify_at: n -> notifies   reads settled: counts it
        //
        // If either side read first, both could miss, and the last message would wait forever.
        settled >= self.notify_at.load(SeqCst)
    }

    /// The settlements so far. A settlement under way may be in the bytes and not yet in the
    /// messages.
    pub(super) fn settled(&self) -> MessageTotals {
        let messages = self.settled.load(SeqCst);
        let bytes = messages
            .wrapping_mul(self.expected_size.into())
            .wrapping_add(self.size_excess.load(SeqCst));
        // A message smaller than `expected_size` may take them below zero.
        MessageTotals::new(messages, (bytes as i64).max(0) as u64)
    }

    /// The deliveries settled so far.
    pub(super) fn settled_messages(&self) -> u64 {
        self.settled.load(SeqCst)
    }

    /// Requests a notification when `at` deliveries are settled, because no credit is left. Returns
    /// how many are settled now. If there are `at` already, no notification comes.
    pub(crate) fn arm_notify(&self, at: u64) -> u64 {
        self.notify_at.store(at, SeqCst);
        self.settled.load(SeqCst)
    }

    /// Requests a notification when the readers of a channel have read all of the `handed`
    /// deliveries. `false` if they have already; no notification comes then. It is apart from the
    /// notification of settlements, which others request too.
    #[inline]
    pub(crate) fn waits_for_readers(&self, handed: u64) -> bool {
        let handed = handed as u32;
        let marks = self.marks.load(SeqCst);
        if marks & AT_ONCE == 0 && self.read.load(SeqCst) != handed {
            self.notify_at_read.store(handed, SeqCst);
            if marks & LATE == 0 {
                // Pairs with `read`, as `arm_notify` does with `settle`.
                self.marks.fetch_or(LATE, SeqCst);
            }
            if self.read.load(SeqCst) != handed {
                return true;
            }
        }
        if self.is_waiting_for_readers() {
            self.marks.fetch_and(!LATE, SeqCst);
        }
        false
    }

    /// From now on the consumer is not served late.
    pub(crate) fn serve_at_once(&self) {
        if self.marks.load(SeqCst) & AT_ONCE == 0 {
            self.marks.fetch_or(AT_ONCE, SeqCst);
        }
    }

    /// Whether the queue waits for the readers of a channel.
    pub(crate) fn is_waiting_for_readers(&self) -> bool {
        self.marks.load(SeqCst) & LATE != 0
    }

    /// Counts deliveries to a channel as read. `true` if the queue must be notified: it waits for
    /// the last of them.
    #[must_use]
    pub(crate) fn read(&self, deliveries: u64) -> bool {
        let before = self.read.fetch_add(deliveries as u32, SeqCst);
        let read = before.wrapping_add(deliveries as u32);
        self.is_waiting_for_readers() && read == self.notify_at_read.load(SeqCst)
    }

    /// Requests a notification when `at` deliveries are settled, unless a smaller number was
    /// requested before.
    pub(crate) fn notify_no_later_than(&self, at: u64) {
        self.notify_at.fetch_min(at, SeqCst);
    }

    /// Cancels the notification, because the consumer has credit again. A settler that has not seen
    /// it notifies the queue once more, which does no harm.
    pub(crate) fn disarm_notify(&self) {
        self.notify_at.store(NO_NOTIFY, Release);
    }

    pub(crate) fn end(&self) {
        self.marks.fetch_or(ENDED, SeqCst);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.marks.load(SeqCst) & ENDED != 0
    }

    /// From now on a message that is shown is acknowledged by that, or has to be settled in time.
    pub(crate) fn show_specially(&self) {
        self.marks.fetch_or(SPECIAL, SeqCst);
    }

    /// Whether messages that are shown are shown to taps too.
    pub(crate) fn set_tapped(&self, tapped: bool) {
        match tapped {
            true => self.marks.fetch_or(TAPPED, SeqCst),
            false => self.marks.fetch_and(!TAPPED, SeqCst),
        };
    }

    /// Whether messages that are shown may have to be shown to taps.
    #[inline]
    pub(crate) fn is_tapped(&self) -> bool {
        self.marks.load(SeqCst) & TAPPED != 0
    }

    /// From now on a message that is shown has a span.
    #[cfg(feature = "tracing")]
    pub(crate) fn trace(&self) {
        self.marks.fetch_or(TRACED, SeqCst);
    }

    /// Whether messages that are shown have spans.
    #[cfg(feature = "tracing")]
    pub(crate) fn is_traced(&self) -> bool {
        self.marks.load(SeqCst) & TRACED != 0
    }

    /// Whether a message is just shown, and the consumer has not ended.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.marks.load(SeqCst) & !EXPIRES == 0
    }

    /// From now on the consumer may have messages in its run that expire.
    pub(super) fn note_expiring(&self) {
        self.marks.fetch_or(EXPIRES, SeqCst);
    }

    /// As [`is_plain`](Self::is_plain), and no message of the run expires.
    #[inline]
    pub(crate) fn has_plain_run(&self) -> bool {
        self.marks.load(SeqCst) == 0
    }

    pub(super) fn count_missed(&self) {
        self.missed.fetch_add(1, SeqCst);
    }

    /// The number of messages that the consumer has missed.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(SeqCst)
    }

    pub(super) fn set_filled(&self, filled: bool) {
        self.filled.store(filled, Release);
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Relaxed)
    }
}
