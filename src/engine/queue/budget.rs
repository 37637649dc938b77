//! Byte budgets that queues share.
//!
//! A queue pays the bytes of a message when it arrives, under the queue's lock. The bytes are
//! refunded when the message leaves for good, with or without the lock, since an acknowledgement
//! uses only atomics. The two sides meet only where publishers wait.
//!
//! Knows nothing of messages, queues or virtual hosts. Its lock is a leaf.

use crossbeam_utils::CachePadded;

use super::line::{Line, LinePlace};
use crate::{
    model::{
        descriptions::{self, BudgetPolicy},
        name::Name,
    },
    runtime::{
        sync::{
            Mutex, MutexGuard,
            atomic::{
                AtomicBool, AtomicU64,
                Ordering::{Relaxed, SeqCst},
            },
        },
        waiter::{WaitList, Wake},
    },
};

/// A limit in bytes for all the queues that the budget covers.
#[derive(Debug)]
pub(crate) struct BudgetCore {
    name: Name,
    limit: u64,
    policy: BudgetPolicy,
    paid: CachePadded<Paid>,
    /// All bytes that were ever refunded. Written by those who settle messages.
    refunded: CachePadded<AtomicU64>,
    /// Whether a publisher waits. Written under the lock of `line`, read by threads that refund
    /// bytes and by publishers that need not wait.
    watched: AtomicBool,
    /// Publishers that wait for room.
    line: Mutex<Line>,
}

/// What publishers have paid. They write it, and those who settle messages write
/// [`BudgetCore::refunded`]. So neither side takes the other one's cache line at each message.
#[derive(Debug, Default)]
struct Paid {
    /// The bytes of all messages that were ever paid for, and of the publishers that were given
    /// room.
    bytes: AtomicU64,
    /// The refunded bytes as a publisher has seen them last, or fewer.
    seen_refunded: AtomicU64,
}

/// The paid bytes that are left after the refunds. Both sums only grow. If more is refunded, the
/// paid sum is one of before the refund, and nothing was left of it.
#[inline]
fn left(paid: u64, refunded: u64) -> u64 {
    (paid.wrapping_sub(refunded) as i64).max(0) as u64
}

impl BudgetCore {
    pub(crate) fn new(name: Name, description: &descriptions::Budget) -> BudgetCore {
        BudgetCore {
            name,
            limit: description.limit(),
            policy: description.policy(),
            paid: CachePadded::default(),
            refunded: CachePadded::default(),
            watched: AtomicBool::new(false),
            line: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn refuses(&self) -> bool {
        self.policy == BudgetPolicy::Reject
    }

    /// The bytes of all messages that are paid for now.
    pub(crate) fn used(&self) -> u64 {
        let line = self.line.lock();
        self.unrefunded().saturating_sub(line.granted().bytes)
    }

    /// The bytes that are paid and not refunded, at one moment of the call.
    fn unrefunded(&self) -> u64 {
        let mut paid = self.paid.bytes.load(SeqCst);
        loop {
            let refunded = self.refunded.load(SeqCst);
            // A sum that is still the same is that of the moment in between.
            match self.paid.bytes.load(SeqCst) {
                now if now == paid => return left(paid, refunded),
                now => paid = now,
            }
        }
    }

    /// How many publishers wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.line.lock().len()
    }

    /// Whether `bytes` fit now.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.fits(self.unrefunded(), bytes)
    }

    /// Whether a publisher of `bytes` would wait now.
    pub(super) fn blocks(&self, bytes: u64) -> bool {
        self.watched.load(SeqCst) || !self.has_room(bytes)
    }

    /// Whether `bytes` fit beside those that are used. A blocking budget lets the first message in,
    /// whatever its size, so that no publisher waits forever.
    fn fits(&self, used: u64, bytes: u64) -> bool {
        let is_first = used == 0 && !self.refuses();
        is_first || used.checked_add(bytes).is_some_and(|sum| sum <= self.limit)
    }

    /// Pays for a message that is never refused.
    pub(super) fn charge(&self, bytes: u64) {
        self.paid.bytes.fetch_add(bytes, SeqCst);
    }

    /// Pays `bytes`, unless that would cross the limit.
    #[inline]
    pub(super) fn pay_within(&self, bytes: u64) -> bool {
        let mut paid = self.paid.bytes.load(SeqCst);
        loop {
            let seen = self.paid.seen_refunded.load(Relaxed);
            if !self.fits(left(paid, seen), bytes) && !self.fits_now(paid, bytes) {
                // Only a sum that is still the same can tell that there is no room.
                match self.paid.bytes.load(SeqCst) {
                    now if now == paid => return false,
                    now => paid = now,
                }
                continue;
            }
            let more = paid.wrapping_add(bytes);
            match (self.paid.bytes).compare_exchange(paid, more, SeqCst, SeqCst) {
                Ok(_) => return true,
                Err(now) => paid = now,
            }
        }
    }

    /// As [`fits`](Self::fits), after a look at the refunds.
    #[inline(never)]
    fn fits_now(&self, paid: u64, bytes: u64) -> bool {
        let refunded = self.refunded.load(SeqCst);
        self.paid.seen_refunded.store(refunded, Relaxed);
        self.fits(left(paid, refunded), bytes)
    }

    /// Pays for a publisher that does not wait, unless another one waits.
    pub(super) fn try_pay(&self, bytes: u64) -> bool {
        // A publisher that begins to wait at this moment has come second.
        !self.watched.load(SeqCst) && self.pay_within(bytes)
    }

    /// Pays for a publisher that may wait. What it pays stays apart from the messages until it is
    /// [spent](Self::spend). If there is no room, the publisher is in line afterwards.
    pub(super) fn pay_in_line(
        &self,
        bytes: u64,
        own: &mut Option<LinePlace>,
        owner: usize,
    ) -> (bool, Vec<Wake>) {
        let mut line = self.line.lock();
        match own {
            Some(own) => return (!line.is_waiting(own), Vec::new()),
            None if line.is_empty() && self.pay_within(bytes) => {
                *own = Some(line.grant(bytes));
                return (true, Vec::new());
            }
            None => *own = Some(line.join(bytes, owner)),
        }
        // Pairs with `refund`: both write first and read second, so one of the two sees the other.
        //
        //   refund                           publisher, under the lock of the line
        //   refunded += bytes                watched = true
        //   reads watched: true -> serves    reads refunded: there is room, or it stays in line
        //
        // If either side read first, both could miss, and the publisher would wait forever.
        self.watched.store(true, SeqCst);
        let wakes = self.serve(&mut line);
        (false, wakes)
    }

    /// Gives the room that there is to the publishers that wait, in their order.
    #[must_use = "the returned waiters must be woken"]
    fn serve(&self, line: &mut MutexGuard<'_, Line>) -> Vec<Wake> {
        let mut wakes = Vec::new();
        while let Some(size) = line.first_size() {
            if !self.pay_within(size) {
                return wakes;
            }
            wakes.extend(line.grant_first());
        }
        self.watched.store(false, SeqCst);
        wakes
    }

    /// Refunds bytes. Returns the publishers that have room now, to be woken without any lock.
    #[inline]
    #[must_use = "the returned waiters must be woken"]
    pub(super) fn refund(&self, bytes: u64) -> Vec<Wake> {
        let refunded = self.refunded.fetch_add(bytes, SeqCst).wrapping_add(bytes);
        debug_assert!(
            self.paid.bytes.load(SeqCst).wrapping_sub(refunded) as i64 >= 0,
            "more is refunded than was paid"
        );
        match self.watched.load(SeqCst) {
            true => self.serve(&mut self.line.lock()),
            false => Vec::new(),
        }
    }

    /// Turns what a publisher has paid into the payment for its message.
    pub(super) fn spend(&self, own: &LinePlace) {
        self.line.lock().leave(own);
    }

    /// Removes a publisher from the line. Returns the publishers that have room now.
    #[must_use = "the returned waiters must be woken"]
    pub(super) fn leave(&self, own: &LinePlace) -> Vec<Wake> {
        let mut line = self.line.lock();
        if line.leave(own) {
            self.refunded.fetch_add(own.size(), SeqCst);
        }
        self.serve(&mut line)
    }

    /// Lets all publishers look again, because the broker drains. They stay in line.
    #[must_use = "the returned waiters must be woken"]
    pub(crate) fn wake_blocked(&self) -> Vec<Wake> {
        self.line.lock().wake_all()
    }

    /// Lets the publishers of `owner` look again, because their queue is deleted. They have room
    /// until they leave.
    #[must_use = "the returned waiters must be woken"]
    pub(super) fn release(&self, owner: usize) -> Vec<Wake> {
        let mut line = self.line.lock();
        let before = line.granted().bytes;
        let mut wakes = line.release(Some(owner));
        let released = line.granted().bytes.wrapping_sub(before);
        self.paid.bytes.fetch_add(released, SeqCst);
        wakes.append(&mut self.serve(&mut line));
        wakes
    }

    /// Calls `f` with the list in which the publisher registers, if it waits.
    pub(super) fn with_blocked(&self, own: &LinePlace, f: impl FnOnce(Option<&mut WaitList>)) {
        f(self.line.lock().waiters(own));
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_budget_to_which_too_much_was_refunded_is_empty_and_not_full_for_ever() {
        let description = descriptions::Budget::new("b", 10);
        let budget = BudgetCore::new(Name::empty(), &description);
        budget.charge(4);
        budget.refunded.fetch_add(6, SeqCst);
        assert_eq!(budget.used(), 0);
        assert!(budget.has_room(10) && !budget.has_room(11));
        assert!(budget.pay_within(10));
        assert!(
            !budget.pay_within(3),
            "the surplus of 2 is the most that it gives away"
        );
    }
}
