//! The threads for the user code that is due on a broker's timer thread.
//!
//! The timer thread runs no user code but the clock. Such code may be slow, or wait for a lock that
//! the thread holds which ends the broker. So the wakers of tasks and the values to be dropped go
//! to two other threads, one for each kind: a drop that takes long keeps no task asleep. Each
//! thread starts when it is first needed, and is parked while it has nothing to do. The timer
//! thread itself wakes parked threads, since that runs no user code.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    task::{Poll, Waker},
};

use crate::runtime::{
    catch_panic::catch_panic,
    sync::{
        Mutex,
        thread::{self, JoinHandle},
    },
    user_drop::{Elsewhere, drop_user_value},
    waiter::{Ticket, WaitList, Waitable},
};

/// The threads of a broker for user code that is due on its timer thread.
///
/// # If dropped
/// As [`stop`](Self::stop).
#[derive(Debug)]
pub(crate) struct UserCode {
    wakers: Arc<UserThread>,
    drops: Arc<UserThread>,
}

impl UserCode {
    pub(crate) fn new() -> UserCode {
        UserCode {
            wakers: Arc::new(UserThread::new("leveret-wakers")),
            drops: Arc::new(UserThread::new("leveret-drops")),
        }
    }

    pub(crate) fn threads(&self) -> [Arc<UserThread>; 2] {
        [Arc::clone(&self.wakers), Arc::clone(&self.drops)]
    }

    /// Ends the threads once they have run what they have. Does not wait for that.
    pub(crate) fn stop(&self) {
        self.wakers.stop();
        self.drops.stop();
    }
}

impl Elsewhere for UserCode {
    fn wake(&self, waker: Waker) {
        self.wakers.add(Box::new(move || {
            catch_panic(|| waker.wake());
        }));
    }

    fn drop_value(&self, value: Box<dyn Send>) {
        self.drops.add(Box::new(move || drop_user_value(value)));
    }
}

impl Drop for UserCode {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A thread for user code, first come first served. It can be waited for: it is ready when it has
/// run all that it has.
pub(crate) struct UserThread {
    name: &'static str,
    // A leaf: while it is held, no user code runs and no other lock is taken.
    state: Mutex<UserThreadState>,
}

#[derive(Default)]
struct UserThreadState {
    work: VecDeque<Box<dyn FnOnce() + Send>>,
    is_running: bool,
    /// The thread that takes the work. It removes itself when it ends.
    thread: Option<JoinHandle<()>>,
    stopped: bool,
    waiting: WaitList,
}

impl UserThreadState {
    fn is_idle(&self) -> bool {
        self.work.is_empty() && !self.is_running
    }

    fn is_current(&self) -> bool {
        let current = |thread: &JoinHandle<()>| thread.thread().id() == thread::current().id();
        self.thread.as_ref().is_some_and(current)
    }
}

impl UserThread {
    fn new(name: &'static str) -> UserThread {
        UserThread {
            name,
            state: Mutex::default(),
        }
    }

    /// Adds work, which is done even after a stop.
    fn add(self: &Arc<Self>, work: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        state.work.push_back(work);
        self.wake_or_start(&mut state);
    }

    /// Wakes the thread, or starts one for the work. If the system cannot start one now, the next
    /// call tries again.
    fn wake_or_start(self: &Arc<Self>, state: &mut UserThreadState) {
        match &state.thread {
            Some(thread) => thread.thread().unpark(),
            None if state.work.is_empty() => {}
            None => {
                let thread = Arc::clone(self);
                state.thread = thread::Builder::new()
                    .name(self.name.to_owned())
                    .spawn(move || thread.run())
                    .ok();
            }
        }
    }

    /// The thread.
    fn run(&self) {
        loop {
            let mut wakes = Vec::new();
            let (next, ends) = {
                let mut state = self.state.lock();
                let next = state.work.pop_front();
                state.is_running = next.is_some();
                if next.is_none() {
                    wakes = state.waiting.take_all();
                }
                let ends = next.is_none() && state.stopped;
                if ends {
                    // Work that comes later starts another thread.
                    state.thread = None;
                }
                (next, ends)
            };
            wakes.into_iter().for_each(|wake| wake.wake());
            match next {
                Some(work) => work(),
                None if ends => return,
                // An `add` or a `stop` since the lock was released has left its unpark behind.
                None => thread::park(),
            }
        }
    }

    fn stop(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.stopped = true;
        self.wake_or_start(&mut state);
    }

    /// Whether there is a thread.
    #[cfg(test)]
    pub(super) fn has_started(&self) -> bool {
        self.state.lock().thread.is_some()
    }
}

impl Waitable for UserThread {
    type Output = ();

    /// The thread does not wait for itself.
    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_idle() || state.is_current() {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            state.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().waiting);
    }
}

impl fmt::Debug for UserThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserThread")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
