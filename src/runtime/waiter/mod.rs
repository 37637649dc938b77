//! The one way to wait: blocked `recv`, time-outs, several sources at once, futures, blocked publishers, confirm waits.
//!
//! Here: who waits ([`Waiter`]), what wakes it ([`Wake`]); in `list`: the waiters of one source ([`WaitList`], inside that source's lock); in
//! `wait`: the two loops, for a thread ([`wait`](wait()), [`wait_any`]) and for a task ([`Waiting`], [`TaskWait`]), over anything that is a [`Waitable`].
//!
//! # Invariants
//! 1. A waiter is notified at most once a round: whoever notifies it claims it first, by compare-and-swap.
//! 2. A source claims and removes its waiters under its own lock, the lock under which they looked and found nothing: so none misses a change.
//! 3. A waiter that was claimed by a source looks at that source again before it does anything else, or has that source notify another one
//!    in its place: so no notification is lost. (To look and find nothing is enough: then somebody else took what it was notified of.)
//! 4. Nobody is woken under a lock: a [`Wake`] leaves the lock first.

mod list;
#[cfg(test)]
mod tests;
mod wait;

use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Weak},
    task::Waker,
    time::{Duration, Instant},
};

pub(crate) use list::{Ticket, WaitList};
pub(crate) use wait::{TaskWait, Waitable, Waiting, wait, wait_any};

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
};

/// Looks so many times, busily, whether something `is_due`; stops when it is.
///
/// A look costs nothing until somebody has written, since the line stays in this processor's cache: so it looks evenly, and often.
pub(crate) fn spin_until(looks: u32, is_due: impl Fn() -> bool) -> bool {
    (0..looks).any(|_| {
        for _ in 0..PAUSES {
            std::hint::spin_loop();
        }
        is_due()
    })
}

/// One who waits, a thread or a task; shared between the waiting side and the lists in which it is entered.
#[derive(Clone)]
pub(crate) struct Waiter(Arc<WaiterInner>);

struct WaiterInner {
    /// One of the constants below, or `NOTIFIED + token`.
    ///
    /// `WAITING` and `PARKED` are written by the waiting side only, and turn into something else once, by whoever comes first: a source (under
    /// its lock), the manual clock, or the waiting side when it gives up. `AcqRel` on both sides makes the claimant's view of `PARKED`
    /// exact; what was waited for is published by the source's lock, not by this.
    state: AtomicUsize,
    sleeper: Sleeper,
}

enum Sleeper {
    Thread(Thread),
    /// The waker of the latest poll. A leaf; wakers are cloned, called and dropped outside it.
    Task(Mutex<Option<Waker>>),
}

/// Registered or about to be, and awake: needs no system call to be woken.
const WAITING: usize = 0;
/// Registered, and asleep or about to be.
const PARKED: usize = 1;
/// Not to be notified: its time is over, or it gave up, or it does not wait.
const WITHDRAWN: usize = 2;
/// Notified by the source with token 0; further tokens follow.
const NOTIFIED: usize = 3;

/// How often a sleeping thread looks in its busy phase, some microseconds long, less than a wake-up costs. As long as a receiver of a bare
/// channel looks: of two that answer each other, the one that sleeps first puts the other to sleep too.
const SPINS: u32 = 128;
/// The pauses of the processor before a look.
const PAUSES: u32 = 2;
/// How often it then offers its processor to others before it parks. A few: with more waiting threads than processors every yield is wasted.
const YIELDS: u32 = 4;
/// So long a thread that sleeps may soon have much to do again. It wakes once after it, and then sleeps for good.
const SPIN_LIMIT: Duration = Duration::from_millis(1);

thread_local! {
    /// The waiter of this thread's latest wait, to be used again.
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
        // Nested waits, and waits while the thread's locals are destroyed, get one of their own.
        let waiter = CACHED
            .try_with(Cell::take)
            .ok()
            .flatten()
            .unwrap_or_else(Waiter::thread);
        let result = f(&waiter);
        let _ = CACHED.try_with(|cached| cached.set(Some(waiter)));
        result
    }

    /// Begins a round: from now on it can be notified. It is in no list.
    fn begin(&self) {
        self.0.state.store(WAITING, Release);
    }

    /// Ends a round: from now on it cannot be notified. Returns the token of the source that has notified it.
    fn withdraw(&self) -> Option<usize> {
        self.0.state.swap(WITHDRAWN, AcqRel).checked_sub(NOTIFIED)
    }

    /// Whether nobody has notified it in this round yet.
    fn is_waiting(&self) -> bool {
        self.0.state.load(Acquire) < WITHDRAWN
    }

    /// Claims it for the source with this token (Inv. 1); `None` if somebody else came first.
    fn notify(self, token: usize) -> Option<Wake> {
        let was = self.0.claim(NOTIFIED + token)?;
        Some(Wake {
            parked: was == PARKED,
            waiter: self,
        })
    }

    /// Sleeps until somebody has claimed it, or the deadline has come; `rest` is called once that takes long.
    fn sleep(&self, deadline: Option<Deadline<'_>>, rest: impl FnOnce()) {
        if self.spin() {
            return;
        }
        match deadline.and_then(|deadline| Some((deadline.at(), deadline.manual()?))) {
            None => self.park(deadline, rest),
            // The clock wakes us, so the sleep itself has no end.
            Some((at, clock)) => {
                let inner: Weak<WaiterInner> = Arc::downgrade(&self.0);
                match clock.add_time_out(at, inner) {
                    Some(appointment) => {
                        self.park(None, rest);
                        clock.cancel(&appointment);
                    }
                    None => {
                        self.0.claim(WITHDRAWN);
                    }
                }
            }
        }
    }

    /// The busy phase; whether somebody has claimed it meanwhile.
    fn spin(&self) -> bool {
        // Under shuttle each look would be one more step to explore, and show nothing that parking does not.
        if cfg!(shuttle) {
            return false;
        }
        if spin_until(SPINS, || !self.is_waiting()) {
            return true;
        }
        for _ in 0..YIELDS {
            if !self.is_waiting() {
                return true;
            }
            thread::yield_now();
        }
        !self.is_waiting()
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
        // A park may end without reason, and by an unpark that was meant for an earlier wait of this thread.
        while self.is_waiting() {
            let left = deadline.map(|deadline| deadline.remaining());
            match (left, rest.take()) {
                (Some(None), _) => {
                    self.0.claim(WITHDRAWN);
                }
                (Some(Some(left)), None) => thread::park_timeout(left),
                (None, None) => thread::park(),
                // Under shuttle there is no time: at once.
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

    /// Stores the task's waker. User code is called (`clone`, and the old one's drop): never under a lock.
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

impl WaiterInner {
    /// Moves the state from `WAITING` or `PARKED` to `to`, and returns which it was.
    fn claim(&self, to: usize) -> Option<usize> {
        self.state
            .fetch_update(AcqRel, Acquire, |state| (state < WITHDRAWN).then_some(to))
            .ok()
    }
}

impl TimerTarget for WaiterInner {
    /// A manual clock has reached the deadline of a wait. It may be an earlier wait of the same thread: the loop in `wait` looks at the clock again.
    fn fire(&self, _: Instant) {
        if self.claim(WITHDRAWN) == Some(PARKED) {
            if let Sleeper::Thread(thread) = &self.sleeper {
                thread.unpark();
            }
        }
    }
}

/// A waiter that has been claimed and is to be woken, once no lock is held any more. Dropping it instead would leave the waiter asleep.
#[must_use = "a waiter that was claimed must be woken"]
pub(crate) struct Wake {
    waiter: Waiter,
    parked: bool,
}

impl Wake {
    /// Wakes the thread, if it really sleeps, or the task. Runs user code (a `Waker`), a panic of which ends here.
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
                    catch_panic(|| waker.wake());
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
