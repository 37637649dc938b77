//! The only way to wait: blocked `recv`, time-outs, several sources at once, futures, blocked
//! publishers, confirm waits.
//!
//! This file has the [`Waiter`] and the [`Wake`] that wakes it. `list` has the waiters of one
//! source ([`WaitList`], inside that source's lock). `wait` has the two loops, for a thread
//! ([`wait`](wait()), [`wait_any`]) and for a task ([`Waiting`], [`TaskWait`]). They wait for any
//! [`Waitable`]. `turn` has the order in which several sources are tried ([`Turn`]).
//!
//! # Invariants
//! 1. A waiter is notified at most once per round. The notifier claims it first, by
//!    compare-and-swap.
//! 2. A source claims and removes its waiters under its own lock. A waiter registers under the same
//!    lock after it has found nothing. So no waiter misses a change.
//! 3. A waiter that a source has claimed tries that source again before anything else, or has that
//!    source notify another waiter in its place. So no notification is lost. It is enough to try
//!    and find nothing, since another thread or task has then taken the item. A source may rank
//!    behind others, which are tried before it ([`Waitable::rank`]).
//! 4. No waiter is woken under a lock: the [`Wake`] is taken out of the lock first.

mod list;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
mod wait;

use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Weak},
    task::Waker,
    time::{Duration, Instant},
};

pub(crate) use list::{SeldomWaitList, Ticket, WaitList};
pub(crate) use turn::Turn;
pub(crate) use wait::{TaskWait, Waitable, Waiting, WaitingAny, try_any, wait, wait_any};

use crate::runtime::{
    catch_panic::catch_panic,
    clock::{Deadline, TimerTarget},
    sync::{
        Mutex,
        atomic::{
            AtomicUsize,
            Ordering::{AcqRel, Acquire, Release},
        },
        thread::{self, Thread},
        thread_local,
    },
    user_drop::{self, drop_user_value},
};

/// Polls `is_due` up to `looks` times in a busy loop. Stops when it is `true`.
///
/// A poll costs nothing until another thread has written, because the cache line stays in this
/// processor's cache. So the polls are frequent and at even intervals.
pub(crate) fn spin_until(looks: u32, is_due: impl Fn() -> bool) -> bool {
    (0..looks).any(|_| {
        for _ in 0..PAUSES {
            std::hint::spin_loop();
        }
        is_due()
    })
}

/// The busy phase of a thread that is about to sleep: looks for a few microseconds whether it
/// `is_due` to go on.
pub(crate) fn busy_phase(is_due: impl Fn() -> bool) -> bool {
    // Under shuttle each poll would be one more step to explore, and would test nothing that
    // parking does not.
    if cfg!(shuttle) {
        return false;
    }
    if spin_until(SPINS, &is_due) {
        return true;
    }
    for _ in 0..YIELDS {
        if is_due() {
            return true;
        }
        thread::yield_now();
    }
    is_due()
}

/// A blocked thread or a pending task. Shared by the waiting side and each wait list it is
/// registered in.
#[derive(Clone)]
pub(crate) struct Waiter(Arc<WaiterInner>);

struct WaiterInner {
    /// One of the constants below, or `NOTIFIED + token`.
    ///
    /// Only the waiting side writes `WAITING` and `PARKED`. These change once in a round. The first
    /// of three changes them: a source (under its lock), the manual clock, or the waiting side when
    /// it gives up. `AcqRel` on both sides makes the claimant's view of `PARKED` exact. The
    /// source's lock publishes the awaited change, not this atomic.
    state: AtomicUsize,
    sleeper: Sleeper,
}

enum Sleeper {
    Thread(Thread),
    /// The waker of the latest poll. A leaf lock: wakers are cloned, called and dropped outside it.
    Task(Mutex<Option<Waker>>),
}

/// Registered or about to be, and awake. It can be woken without a system call.
const WAITING: usize = 0;
/// Registered, and asleep or about to sleep.
const PARKED: usize = 1;
/// Cannot be notified: it timed out, gave up, or does not wait.
const WITHDRAWN: usize = 2;
/// Notified by the source with token 0. Further tokens follow.
const NOTIFIED: usize = 3;

/// How often a waiting thread polls in its busy phase. The phase lasts some microseconds, less than
/// a wake-up costs. It is as long as that of a receiver of a plain channel. Of two threads that
/// answer each other, the first one to park makes the other park too.
const SPINS: u32 = 128;
/// The pauses of the processor before each poll.
const PAUSES: u32 = 2;
/// How often it then yields its processor before it parks. Only a few times: with more waiting
/// threads than processors every yield is wasted.
const YIELDS: u32 = 4;
/// How long a parked thread counts as busy. It wakes once after this time, calls `rest`, and parks
/// without this limit.
const SPIN_LIMIT: Duration = Duration::from_millis(1);

thread_local! {
    /// The waiter of this thread's latest wait, kept for the next one.
    static CACHED: Cell<Option<Waiter>> = const { Cell::new(None) };
}

impl Waiter {
    fn thread() -> Self {
        Waiter::with(Sleeper::Thread(thread::current()))
    }

    fn task() -> Self {
        Waiter::with(Sleeper::Task(Mutex::new(None)))
    }

    fn with(sleeper: Sleeper) -> Self {
        Waiter(Arc::new(WaiterInner {
            state: AtomicUsize::new(WITHDRAWN),
            sleeper,
        }))
    }

    /// Runs `f` with a waiter for the current thread.
    fn with_thread<R>(f: impl FnOnce(&Waiter) -> R) -> R {
        // Nested waits, and waits while the thread's locals are destroyed, get a waiter of their
        // own.
        let waiter = CACHED
            .try_with(Cell::take)
            .ok()
            .flatten()
            .unwrap_or_else(Waiter::thread);
        let result = f(&waiter);
        let _ = CACHED.try_with(|cached| cached.set(Some(waiter)));
        result
    }

    /// Begins a round: it can be notified from now on. It is in no list yet.
    fn begin(&self) {
        self.0.state.store(WAITING, Release);
    }

    /// Ends a round: it cannot be notified any more. Returns the token of the source that has
    /// notified it.
    fn withdraw(&self) -> Option<usize> {
        self.0.state.swap(WITHDRAWN, AcqRel).checked_sub(NOTIFIED)
    }

    /// Whether it was not notified in this round yet.
    fn is_waiting(&self) -> bool {
        self.0.state.load(Acquire) < WITHDRAWN
    }

    /// Claims it for the source with this token (Inv. 1). `None` if it was claimed before.
    fn notify(self, token: usize) -> Option<Wake> {
        let was = self.0.claim(NOTIFIED + token)?;
        Some(Wake {
            parked: was == PARKED,
            waiter: self,
        })
    }

    /// Sleeps until the waiter is claimed or the deadline has passed. Calls `rest` if that takes
    /// long.
    fn sleep(&self, deadline: Option<Deadline<'_>>, rest: impl FnOnce()) {
        if self.spin() {
            return;
        }
        match deadline.and_then(|deadline| Some((deadline.at(), deadline.manual()?))) {
            None => self.park(deadline, rest),
            // The clock wakes this thread, so the park itself has no time limit.
            Some((at, clock)) => {
                let inner: Weak<WaiterInner> = Arc::downgrade(&self.0);
                match clock.add_time_out(at, inner) {
                    Some(key) => {
                        self.park(None, rest);
                        clock.cancel(&key);
                    }
                    None => {
                        self.0.claim(WITHDRAWN);
                    }
                }
            }
        }
    }

    /// The busy phase. `true` if the waiter was claimed meanwhile.
    fn spin(&self) -> bool {
        busy_phase(|| !self.is_waiting())
    }

    fn park(&self, deadline: Option<Deadline<'_>>, rest: impl FnOnce()) {
        if self
            .0
            .state
            .compare_exchange(WAITING, PARKED, AcqRel, Acquire)
            .is_err()
        {
            return;
        }
        let mut rest = Some(rest);
        // A park may end spuriously, or by an unpark for an earlier wait of this thread.
        while self.is_waiting() {
            let left = deadline.map(|deadline| deadline.remaining());
            match (left, rest.take()) {
                (Some(None), _) => {
                    self.0.claim(WITHDRAWN);
                }
                (Some(Some(left)), None) => thread::park_timeout(left),
                (None, None) => thread::park(),
                // There is no time under shuttle, so `rest` is called at once.
                (_, Some(rest)) if cfg!(shuttle) => rest(),
                (left, Some(rest)) => {
                    thread::park_timeout(
                        left.flatten()
                            .map_or(SPIN_LIMIT, |left| left.min(SPIN_LIMIT)),
                    );
                    if self.is_waiting() {
                        rest();
                    }
                }
            }
        }
    }

    /// Stores the task's waker. Runs user code (`clone`, and the drop of the old waker), so this
    /// must not be called under a lock.
    fn set_waker(&self, waker: &Waker) {
        let Sleeper::Task(slot) = &self.0.sleeper else {
            return;
        };
        if slot.lock().as_ref().is_some_and(|old| old.will_wake(waker)) {
            return;
        }
        let new = waker.clone();
        let old = slot.lock().replace(new);
        drop(old);
    }

    fn is(&self, other: &Waiter) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The last holder may be a thread that notifies others, or that has just taken an item.
impl Drop for WaiterInner {
    fn drop(&mut self) {
        if let Sleeper::Task(slot) = &self.sleeper {
            let waker = slot.lock().take();
            if let Some(waker) = waker {
                drop_user_value(waker);
            }
        }
    }
}

impl WaiterInner {
    /// Moves the state from `WAITING` or `PARKED` to `to`, and returns which it was.
    fn claim(&self, to: usize) -> Option<usize> {
        self.state
            .fetch_update(AcqRel, Acquire, |state| (state < WITHDRAWN).then_some(to))
            .ok()
    }
}

impl TimerTarget for WaiterInner {
    /// Ends a wait whose deadline a manual clock has reached. The wait may be a later one of the
    /// same thread, so the loop in `wait` checks the clock again.
    fn fire(&self, _: Instant) {
        if self.claim(WITHDRAWN) == Some(PARKED)
            && let Sleeper::Thread(thread) = &self.sleeper
        {
            thread.unpark();
        }
    }
}

/// A claimed waiter, to be woken once no lock is held. If it were dropped, the waiter would stay
/// asleep.
#[must_use = "a waiter that was claimed must be woken"]
pub(crate) struct Wake {
    waiter: Waiter,
    parked: bool,
}

impl Wake {
    /// Wakes the task, or the thread if it is parked. Runs user code (a `Waker`), and contains its
    /// panics. On a timer thread, another thread runs it.
    pub(crate) fn wake(self) {
        match &self.waiter.0.sleeper {
            Sleeper::Thread(thread) => {
                if self.parked {
                    thread.unpark();
                }
            }
            Sleeper::Task(slot) => {
                let waker = slot.lock().take();
                if let Some(waker) = waker {
                    match user_drop::elsewhere() {
                        None => {
                            catch_panic(|| waker.wake());
                        }
                        Some(elsewhere) => elsewhere.wake(waker),
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match &self.0.sleeper {
            Sleeper::Thread(_) => "thread",
            Sleeper::Task(_) => "task",
        };
        f.debug_struct("Waiter")
            .field("who", &who)
            .field("state", &self.0.state.load(Acquire))
            .finish()
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wake").field(&self.waiter).finish()
    }
}
