//! Byte budgets that queues share, and the amount that each queue has paid into them.
//!
//! A queue pays the bytes of a message when it arrives, under the queue's lock. The bytes are
//! refunded when the message leaves for good, with or without the lock, since an acknowledgement
//! uses only atomics. The two sides meet only where publishers wait.
//!
//! Knows nothing of messages, queues or virtual hosts. Its lock is a leaf.

use std::{sync::Arc, task::Poll};

use super::outcome::PushedBy;
use crate::{
    model::{
        descriptions::{self, BudgetPolicy},
        name::Name,
    },
    runtime::{
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        },
        waiter::{Ticket, WaitList, Wake},
    },
};

/// A limit in bytes for all the queues that the budget covers.
#[derive(Debug)]
pub(crate) struct BudgetCore {
    name: Name,
    limit: u64,
    policy: BudgetPolicy,
    used: AtomicU64,
    /// Whether a publisher waits, or is about to. Written under the lock of `waiters`, read by
    /// threads that refund bytes.
    watched: AtomicBool,
    /// Publishers that wait for capacity.
    waiters: Mutex<WaitList>,
}

impl BudgetCore {
    pub(crate) fn new(name: Name, description: &descriptions::Budget) -> BudgetCore {
        BudgetCore {
            name,
            limit: description.limit(),
            policy: description.policy(),
            used: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            waiters: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The bytes of all messages that are paid for now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(SeqCst)
    }

    /// How many publishers wait for capacity.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.lock().len()
    }

    fn has_capacity(&self) -> bool {
        self.used() < self.limit
    }

    /// Pays `bytes`, unless that would cross the limit.
    fn try_pay(&self, bytes: u64) -> bool {
        let within = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(SeqCst, SeqCst, within).is_ok()
    }

    /// Refunds bytes. Returns the publishers that waited for them, to be woken without any lock.
    #[must_use = "the returned waiters must be woken"]
    fn refund(&self, bytes: u64) -> Vec<Wake> {
        let used = self.used.fetch_sub(bytes, SeqCst).wrapping_sub(bytes);
        // Pairs with `attempt`: both write first and read second, so one of the two sees the other.
        //
        //   refund                           publisher, under the lock of the waiters
        //   used -= bytes                    watched = true
        //   reads watched: true -> wakes     reads used: has capacity, or registers before unlock
        //
        // If either side read first, both could miss, and the publisher would wait forever.
        if used < self.limit && self.watched.load(SeqCst) {
            return self.take_waiters();
        }
        Vec::new()
    }

    /// Takes all waiters, to be woken without any lock.
    #[must_use = "the returned waiters must be woken"]
    pub(crate) fn take_waiters(&self) -> Vec<Wake> {
        let mut waiters = self.waiters.lock();
        self.watched.store(false, SeqCst);
        waiters.take_all()
    }

    /// Ready if there is capacity, or if the target of the publisher's wait is `gone`. Otherwise
    /// registers the publisher with the ticket.
    fn attempt(&self, ticket: Option<Ticket<'_>>, gone: impl FnOnce() -> bool) -> Poll<()> {
        let mut waiters = self.waiters.lock();
        self.watched.store(true, SeqCst);
        let poll = match self.has_capacity() || gone() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        if let (Poll::Pending, Some(ticket)) = (poll, ticket) {
            waiters.register(ticket);
        }
        self.watched.store(!waiters.is_empty(), SeqCst);
        poll
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        let mut waiters = self.waiters.lock();
        f(&mut waiters);
        self.watched.store(!waiters.is_empty(), SeqCst);
    }
}

/// One queue's account with the budgets that cover it.
#[derive(Debug)]
pub(crate) struct Account {
    /// The budgets that refuse come first.
    budgets: Vec<Arc<BudgetCore>>,
    /// The bytes that the queue has paid to each budget and that were not refunded. It is 0 after
    /// the queue is deleted, so that a later refund is not a second one.
    paid: AtomicU64,
    /// The queue is deleted. Written once, under its lock.
    closed: AtomicBool,
}

impl Account {
    /// `None` if no budget covers the queue.
    pub(crate) fn with(mut budgets: Vec<Arc<BudgetCore>>) -> Option<Arc<Account>> {
        budgets.sort_by_key(|budget| budget.policy != BudgetPolicy::Reject);
        (!budgets.is_empty()).then(|| {
            Arc::new(Account {
                budgets,
                paid: AtomicU64::new(0),
                closed: AtomicBool::new(false),
            })
        })
    }

    /// Whether `budget` covers the queue.
    pub(crate) fn is_with(&self, budget: &Arc<BudgetCore>) -> bool {
        self.budgets.iter().any(|other| Arc::ptr_eq(other, budget))
    }

    /// Pays for a new message. If a budget refuses its publisher, pays nothing and returns `false`.
    /// Messages of the broker itself are never refused. Called under the queue's lock, before any
    /// consumer can have the message.
    pub(super) fn pay(&self, bytes: u64, by: PushedBy) -> bool {
        for (index, budget) in self.budgets.iter().enumerate() {
            if by == PushedBy::Publisher && budget.policy == BudgetPolicy::Reject {
                if !budget.try_pay(bytes) {
                    // No publisher waits for the budgets that refuse, and only those were paid so
                    // far.
                    for paid in &self.budgets[..index] {
                        paid.used.fetch_sub(bytes, SeqCst);
                    }
                    return false;
                }
            } else {
                budget.used.fetch_add(bytes, SeqCst);
            }
        }
        self.paid.fetch_add(bytes, SeqCst);
        true
    }

    /// Refunds the bytes of a message that has left for good. Returns publishers to be woken
    /// without any lock.
    #[must_use = "the returned waiters must be woken"]
    pub(crate) fn refund(&self, bytes: u64) -> Vec<Wake> {
        let less = |paid: u64| Some(paid.saturating_sub(bytes));
        let paid = match self.paid.fetch_update(SeqCst, SeqCst, less) {
            Ok(paid) | Err(paid) => paid,
        };
        self.refund_all(bytes.min(paid))
    }

    /// Refunds everything because the queue is deleted. Publishers do not wait for capacity in it
    /// any more.
    #[must_use = "the returned waiters must be woken"]
    pub(super) fn close(&self) -> Vec<Wake> {
        self.closed.store(true, SeqCst);
        let mut wakes = self.refund_all(self.paid.swap(0, SeqCst));
        for budget in &self.budgets {
            wakes.append(&mut budget.take_waiters());
        }
        wakes
    }

    fn refund_all(&self, bytes: u64) -> Vec<Wake> {
        let mut wakes = Vec::new();
        if bytes > 0 {
            for budget in &self.budgets {
                wakes.append(&mut budget.refund(bytes));
            }
        }
        wakes
    }

    /// Whether publishers may have to wait.
    pub(crate) fn blocks(&self) -> bool {
        let mut budgets = self.budgets.iter();
        budgets.any(|budget| budget.policy == BudgetPolicy::Block)
    }

    /// The capacity that a publisher must wait for, if a budget makes it wait. A deleted queue
    /// makes no publisher wait.
    pub(crate) fn lacking(self: &Arc<Self>) -> Option<BudgetCapacity> {
        let mut blocking = self.budgets.iter();
        let spent = blocking
            .find(|budget| budget.policy == BudgetPolicy::Block && !budget.has_capacity())
            .filter(|_| !self.closed.load(SeqCst))?;
        Some(BudgetCapacity {
            account: Arc::clone(self),
            budget: Arc::clone(spent),
        })
    }
}

/// Capacity in one budget that a publisher to one queue waits for.
#[derive(Clone, Debug)]
pub(crate) struct BudgetCapacity {
    account: Arc<Account>,
    budget: Arc<BudgetCore>,
}

impl BudgetCapacity {
    /// Ready if the budget has capacity, the queue is deleted, or `over` returns `true`.
    pub(crate) fn attempt(
        &self,
        ticket: Option<Ticket<'_>>,
        over: impl FnOnce() -> bool,
    ) -> Poll<()> {
        // A thread that makes one of these true takes the lock afterwards. They are read under that
        // lock here.
        self.budget
            .attempt(ticket, || self.account.closed.load(SeqCst) || over())
    }

    pub(crate) fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.budget.with_waiters(f);
    }
}
