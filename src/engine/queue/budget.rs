//! Byte budgets that queues share, and what each queue has paid into them.
//!
//! Bytes are paid when a message arrives, under its queue's lock, and given back when it leaves for good, with the lock or
//! without: an acknowledgement counts by atomics alone. The two sides meet only where publishers wait. Knows nothing of
//! messages, queues or virtual hosts. Its lock is a leaf.

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

/// So many bytes for all the queues that it covers.
#[derive(Debug)]
pub(crate) struct BudgetCore {
    name: Name,
    limit: u64,
    policy: BudgetPolicy,
    used: AtomicU64,
    /// Whether somebody waits, or is about to. Written under the lock of `waiters`, read by whoever gives bytes back.
    watched: AtomicBool,
    /// Publishers that wait for room.
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

    /// The bytes of everything that is paid for now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(SeqCst)
    }

    /// How many publishers wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.lock().len()
    }

    fn has_capacity(&self) -> bool {
        self.used() < self.limit
    }

    /// Pays, unless the limit would be crossed.
    fn try_pay(&self, bytes: u64) -> bool {
        let within = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(SeqCst, SeqCst, within).is_ok()
    }

    /// Gives bytes back; returns those who waited for that, to be woken without any lock.
    #[must_use = "who waited must be woken"]
    fn refund(&self, bytes: u64) -> Vec<Wake> {
        let used = self.used.fetch_sub(bytes, SeqCst).wrapping_sub(bytes);
        // Pairs with `attempt`: both write first and read second, so one of the two sees the other.
        //
        //   whoever gives back               publisher, under the lock of the waiters
        //   used -= bytes                    watched = true
        //   reads watched: true -> wakes     reads used: has room, or registers before the lock is free
        //
        // Were either to read first, both could miss: the publisher would wait for ever.
        if used < self.limit && self.watched.load(SeqCst) {
            return self.take_waiters();
        }
        Vec::new()
    }

    /// Those who wait, to be woken without any lock.
    #[must_use = "who waited must be woken"]
    pub(crate) fn take_waiters(&self) -> Vec<Wake> {
        let mut waiters = self.waiters.lock();
        self.watched.store(false, SeqCst);
        waiters.take_all()
    }

    /// Looks for room; if there is none, the publisher with the ticket is registered, unless what it waits for is `gone`.
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
    /// Those that refuse come first.
    budgets: Vec<Arc<BudgetCore>>,
    /// What the queue has paid to each of them and not got back. What comes back after the queue's end finds 0 here, and
    /// so nothing is given back twice.
    paid: AtomicU64,
    /// The queue is deleted. Written once, under its lock.
    closed: AtomicBool,
}

impl Account {
    /// `None` if nothing covers the queue.
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

    /// Pays for a newcomer; `false`, and nothing is paid, if a budget refuses its publisher. What the broker itself brings
    /// is never refused. Called under the queue's lock, before anybody can have the message.
    pub(super) fn pay(&self, bytes: u64, by: PushedBy) -> bool {
        for (index, budget) in self.budgets.iter().enumerate() {
            if by == PushedBy::Publisher && budget.policy == BudgetPolicy::Reject {
                if !budget.try_pay(bytes) {
                    // Nobody waits for those that refuse, and only they were paid so far.
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

    /// A message has left for good. Returns publishers to be woken without any lock.
    #[must_use = "who waited must be woken"]
    pub(crate) fn refund(&self, bytes: u64) -> Vec<Wake> {
        let less = |paid: u64| Some(paid.saturating_sub(bytes));
        let paid = match self.paid.fetch_update(SeqCst, SeqCst, less) {
            Ok(paid) | Err(paid) => paid,
        };
        self.refund_all(bytes.min(paid))
    }

    /// The queue is deleted: everything comes back, and nobody waits for room in it any more.
    #[must_use = "who waited must be woken"]
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

    /// What a publisher must wait for, if a budget has it wait. Nobody waits for a queue that is deleted.
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

/// Room in one budget, needed by a publisher to one queue.
#[derive(Clone, Debug)]
pub(crate) struct BudgetCapacity {
    account: Arc<Account>,
    budget: Arc<BudgetCore>,
}

impl BudgetCapacity {
    /// Ready if there is room, the queue is deleted, or all is `over`.
    pub(crate) fn attempt(
        &self,
        ticket: Option<Ticket<'_>>,
        over: impl FnOnce() -> bool,
    ) -> Poll<()> {
        // Whoever makes one of these true takes the lock after it, under which they are read here.
        self.budget
            .attempt(ticket, || self.account.closed.load(SeqCst) || over())
    }

    pub(crate) fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.budget.with_waiters(f);
    }
}
