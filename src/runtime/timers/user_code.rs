//! The threads for the user code that is due on a broker's timer thread.
//!
//! The timer thread runs no user code but the clock. Such code may be slow, or wait for a lock that
//! the thread holds which ends the broker. So it goes to other threads, of its own for each kind: a
//! drop that takes long keeps no task asleep. The wakers of tasks have one thread, and so have the
//! values to be dropped. Calls have as many as are busy: none waits for another.
//!
//! A thread starts when it is first needed, and is parked while it has nothing to do. The timer
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
        thread::{self, Thread, ThreadId},
    },
    user_drop::{Elsewhere, drop_user_value},
    waiter::{Ticket, WaitList, Waitable, Wake},
};

/// The threads of a broker for user code that is due on its timer thread.
///
/// # If dropped
/// As [`stop`](Self::stop).
#[derive(Debug)]
pub(crate) struct UserCode {
    wakers: Arc<UserThread>,
    drops: Arc<UserThread>,
    calls: Arc<UserThread>,
}

impl UserCode {
    pub(crate) fn new() -> UserCode {
        UserCode {
            wakers: Arc::new(UserThread::new("leveret-wakers", 1)),
            drops: Arc::new(UserThread::new("leveret-drops", 1)),
            calls: Arc::new(UserThread::new("leveret-calls", usize::MAX)),
        }
    }

    /// The threads of wakers and drops. An end need not wait for calls.
    pub(crate) fn threads(&self) -> [Arc<UserThread>; 2] {
        [Arc::clone(&self.wakers), Arc::clone(&self.drops)]
    }

    /// The threads of calls.
    #[cfg(test)]
    pub(super) fn calls(&self) -> &Arc<UserThread> {
        &self.calls
    }

    /// Ends the threads once they have run what they have. Does not wait for that.
    pub(crate) fn stop(&self) {
        self.wakers.stop();
        self.drops.stop();
        self.calls.stop();
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

    fn call(&self, code: Box<dyn FnOnce() + Send>) {
        self.calls.add(Box::new(move || {
            catch_panic(code);
        }));
    }
}

impl Drop for UserCode {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A thread for user code, first come first served, or several of them. They can be waited for:
/// ready when they have run all that they have.
pub(crate) struct UserThread {
    name: &'static str,
    most: usize,
    // A leaf: while it is held, no user code runs and no other lock is taken.
    state: Mutex<UserThreadState>,
}

#[derive(Default)]
struct UserThreadState {
    work: VecDeque<Box<dyn FnOnce() + Send>>,
    /// The threads that take the work. Each removes itself when it ends.
    threads: Vec<ThreadId>,
    /// The one of them that is parked, or about to park.
    idle: Option<Thread>,
    stopped: bool,
    waiting: WaitList,
}

impl UserThreadState {
    fn is_idle(&self) -> bool {
        self.work.is_empty() && self.threads.len() == usize::from(self.idle.is_some())
    }

    fn is_current(&self) -> bool {
        self.threads.contains(&thread::current().id())
    }
}

/// What a thread does next.
enum Next {
    Run(Box<dyn FnOnce() + Send>),
    Park,
    End,
}

impl UserThreadState {
    /// The next step of the current thread, and the waits that end with it.
    fn next(&mut self) -> (Next, Vec<Wake>) {
        let current = thread::current();
        // A park may end by itself.
        self.idle.take_if(|idle| idle.id() == current.id());
        if let Some(work) = self.work.pop_front() {
            return (Next::Run(work), Vec::new());
        }
        let next = match self.stopped || self.idle.is_some() {
            // Work that comes later starts another thread.
            true => {
                self.threads.retain(|id| *id != current.id());
                Next::End
            }
            false => {
                self.idle = Some(current);
                Next::Park
            }
        };
        let wakes = match self.is_idle() {
            true => self.waiting.take_all(),
            false => Vec::new(),
        };
        (next, wakes)
    }
}

impl UserThread {
    fn new(name: &'static str, most: usize) -> UserThread {
        UserThread {
            name,
            most,
            state: Mutex::default(),
        }
    }

    /// Adds work, which is done even after a stop.
    fn add(self: &Arc<Self>, work: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        state.work.push_back(work);
        self.wake_or_start(&mut state);
    }

    /// Wakes the idle thread, or starts one for the work. If the system cannot start one now, the
    /// next call tries again.
    fn wake_or_start(self: &Arc<Self>, state: &mut UserThreadState) {
        match state.idle.take() {
            Some(idle) => idle.unpark(),
            None if state.work.is_empty() || state.threads.len() >= self.most => {}
            None => {
                let user_thread = Arc::clone(self);
                let started = thread::Builder::new()
                    .name(self.name.to_owned())
                    .spawn(move || user_thread.run());
                state.threads.extend(started.map(|it| it.thread().id()));
            }
        }
    }

    /// The thread.
    fn run(&self) {
        loop {
            let (next, wakes) = self.state.lock().next();
            wakes.into_iter().for_each(|wake| wake.wake());
            match next {
                Next::Run(work) => work(),
                // An `add` or a `stop` since the lock was released has left its unpark behind.
                Next::Park => thread::park(),
                Next::End => return,
            }
        }
    }

    fn stop(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.stopped = true;
        self.wake_or_start(&mut state);
    }

    /// How many threads there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.state.lock().threads.len()
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
