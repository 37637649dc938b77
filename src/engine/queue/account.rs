//! The account of one queue: the budgets that cover it, and the amount that it has paid to them.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::{
    blocked::{Place, WaitsFor},
    budget::BudgetCore,
    effects::Effects,
    line::LinePlace,
    outcome::PushError,
};
use crate::runtime::{
    sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    waiter::{WaitList, Wake},
};

/// One queue's account with the budgets that cover it.
#[derive(Debug)]
pub(crate) struct Account {
    /// The budgets that refuse publishers.
    refusing: Vec<Arc<BudgetCore>>,
    /// The budgets that make publishers wait, in the order of their lines.
    blocking: Vec<Arc<BudgetCore>>,
    /// All bytes that the queue has ever paid to each budget. Written under the queue's lock.
    paid: AtomicU64,
    /// Those of them that were refunded, or [`CLOSED`] and more after the queue is deleted, so that
    /// a later refund is not a second one. Written by the holders of deliveries, on a cache line of
    /// its own.
    refunded: CachePadded<AtomicU64>,
}

/// No account has as many bytes refunded.
const CLOSED: u64 = 1 << 63;

impl Account {
    /// `None` if no budget covers the queue. The budget that the queue names comes first, the
    /// others are in the same order for all queues.
    pub(crate) fn with(budgets: Vec<Arc<BudgetCore>>) -> Option<Arc<Account>> {
        if budgets.is_empty() {
            return None;
        }
        let (refusing, blocking) = budgets.into_iter().partition(|budget| budget.refuses());
        Some(Arc::new(Account {
            refusing,
            blocking,
            paid: AtomicU64::new(0),
            refunded: CachePadded::new(AtomicU64::new(0)),
        }))
    }

    fn budgets(&self) -> impl Iterator<Item = &Arc<BudgetCore>> {
        self.refusing.iter().chain(&self.blocking)
    }

    /// Whether `budget` covers the queue.
    pub(crate) fn is_with(&self, budget: &Arc<BudgetCore>) -> bool {
        self.budgets().any(|other| Arc::ptr_eq(other, budget))
    }

    /// Whether one budget covers the queue.
    pub(super) fn is_single(&self) -> bool {
        self.budgets().count() == 1
    }

    /// Pays for a new message if a [single](Self::is_single) budget has room for it and no
    /// publisher waits there. Called under the queue's lock.
    #[inline]
    pub(super) fn try_pay(account: Option<&Account>, bytes: u64) -> bool {
        let Some(account) = account else { return false };
        let is_paid = match (&*account.refusing, &*account.blocking) {
            ([budget], []) => budget.pay_within(bytes),
            ([], [budget]) => budget.try_pay(bytes),
            _ => false,
        };
        if is_paid {
            account.note_paid(bytes);
        }
        is_paid
    }

    /// Identifies the account in the lines of its budgets.
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether a budget that refuses publishers has no room for `bytes`.
    pub(super) fn refuses(&self, bytes: u64) -> bool {
        self.refusing.iter().any(|budget| !budget.has_room(bytes))
    }

    /// Whether a publisher of `bytes` would wait for a budget.
    pub(super) fn blocks(&self, bytes: u64) -> bool {
        self.blocking.iter().any(|budget| budget.blocks(bytes))
    }

    /// Pays for a new message of the broker itself, which is never refused. Called under the
    /// queue's lock, before any consumer can have the message.
    pub(super) fn charge(&self, bytes: u64) {
        self.budgets().for_each(|budget| budget.charge(bytes));
        self.note_paid(bytes);
    }

    /// As [`charge`](Self::charge) for a publisher's message, which may be refused. If a blocking
    /// budget has no room, a publisher with a place joins its line.
    pub(super) fn pay(
        &self,
        bytes: u64,
        mut place: Option<&mut Place>,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        if self.refuses(bytes) {
            return Err(PushError::Refused(None));
        }
        for (index, budget) in self.blocking.iter().enumerate() {
            let is_paid = match &mut place {
                None => budget.try_pay(bytes),
                Some(place) => {
                    place.waits_for = WaitsFor::Budget(index);
                    place.budgets.resize(self.blocking.len(), None);
                    let own = &mut place.budgets[index];
                    let (is_paid, wakes) = budget.pay_in_line(bytes, own, self.id());
                    wake_all(wakes, effects);
                    is_paid
                }
            };
            if !is_paid {
                if place.is_none() {
                    refund_to(&self.blocking[..index], bytes, effects);
                }
                return Err(PushError::Full);
            }
        }
        for (index, budget) in self.refusing.iter().enumerate() {
            if !budget.pay_within(bytes) {
                refund_to(&self.refusing[..index], bytes, effects);
                if place.is_none() {
                    refund_to(&self.blocking, bytes, effects);
                }
                return Err(PushError::Refused(None));
            }
        }
        self.note_paid(bytes);
        Ok(())
    }

    /// The queue's lock is held, so that this needs no atomic addition.
    fn note_paid(&self, bytes: u64) {
        self.paid.store(self.paid.load(Relaxed) + bytes, Relaxed);
    }

    /// Uses up what a publisher has paid in the lines, for its message.
    pub(super) fn spend(&self, places: &[Option<LinePlace>]) {
        for (budget, own) in self.blocking.iter().zip(places) {
            if let Some(own) = own {
                budget.spend(own);
            }
        }
    }

    /// Removes a publisher from the lines.
    pub(super) fn leave(&self, places: &[Option<LinePlace>], effects: &mut Effects) {
        for (budget, own) in self.blocking.iter().zip(places) {
            if let Some(own) = own {
                wake_all(budget.leave(own), effects);
            }
        }
    }

    /// Calls `f` with the list in which a publisher registers, if it waits in the line of the
    /// blocking budget with this index.
    pub(super) fn with_blocked(
        &self,
        place: &Place,
        index: usize,
        f: impl FnOnce(Option<&mut WaitList>),
    ) {
        match (self.blocking.get(index), place.budgets.get(index)) {
            (Some(budget), Some(Some(own))) => budget.with_blocked(own, f),
            _ => f(None),
        }
    }

    /// Refunds the bytes of a message that has left for good. Returns publishers to be woken
    /// without any lock.
    #[inline]
    #[must_use = "the returned waiters must be woken"]
    pub(crate) fn refund(&self, bytes: u64) -> Vec<Wake> {
        match self.refunded.fetch_add(bytes, SeqCst) < CLOSED {
            true => self.refund_all(bytes),
            false => Vec::new(),
        }
    }

    /// Refunds everything because the queue is deleted. Its publishers do not wait any more. Called
    /// under the queue's lock.
    #[must_use = "the returned waiters must be woken"]
    pub(super) fn close(&self) -> Vec<Wake> {
        let paid = self.paid.load(Relaxed);
        let left = match self.refunded.swap(CLOSED, SeqCst) {
            refunded if refunded < CLOSED => paid.saturating_sub(refunded),
            _ => 0,
        };
        let mut wakes = self.refund_all(left);
        for budget in &self.blocking {
            wakes.append(&mut budget.release(self.id()));
        }
        wakes
    }

    #[inline]
    fn refund_all(&self, bytes: u64) -> Vec<Wake> {
        // Most queues have one budget.
        match (&*self.refusing, &*self.blocking) {
            ([budget], []) | ([], [budget]) => budget.refund(bytes),
            _ => self.refund_to_each(bytes),
        }
    }

    #[inline(never)]
    fn refund_to_each(&self, bytes: u64) -> Vec<Wake> {
        let mut wakes = Vec::new();
        for budget in self.budgets() {
            wakes.append(&mut budget.refund(bytes));
        }
        wakes
    }
}

fn refund_to(budgets: &[Arc<BudgetCore>], bytes: u64, effects: &mut Effects) {
    for budget in budgets {
        wake_all(budget.refund(bytes), effects);
    }
}

fn wake_all(wakes: Vec<Wake>, effects: &mut Effects) {
    wakes.into_iter().for_each(|wake| effects.wake(Some(wake)));
}
