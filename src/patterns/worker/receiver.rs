//! [`ReceiverLock`]: one slot at a time receives.

use std::{fmt, task::Poll};

use crate::runtime::{
    sync::Mutex,
    waiter::{Ticket, WaitList, Waitable, Waiting},
};

/// A lock that a slot holds while it receives, also while it waits. The other slots wait for it.
///
/// They get it in the order in which they came. It is for tasks and for threads.
#[derive(Default)]
pub(super) struct ReceiverLock {
    /// A leaf lock.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_held: bool,
    waiting: WaitList,
}

/// The right to receive.
///
/// # If dropped
/// The next slot gets it.
#[must_use = "it ends when it is dropped"]
pub(super) struct Receiver<'a>(&'a ReceiverLock);

impl ReceiverLock {
    /// The right to receive, if no other slot has it.
    pub(super) fn try_acquire(&self) -> Option<Receiver<'_>> {
        match Acquire(self).attempt(None) {
            Poll::Ready(receiver) => Some(receiver),
            Poll::Pending => None,
        }
    }

    /// Waits for the right to receive.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has not got it.
    pub(super) fn acquire(&self) -> Waiting<Acquire<'_>> {
        Waiting::new(Acquire(self))
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state.lock();
            state.is_held = false;
            state.waiting.take_one()
        };
        if let Some(wake) = next {
            wake.wake();
        }
    }
}

/// The source of a wait for the lock.
pub(super) struct Acquire<'a>(&'a ReceiverLock);

impl<'a> Waitable for Acquire<'a> {
    type Output = Receiver<'a>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Receiver<'a>> {
        let mut state = self.0.state.lock();
        if !state.is_held {
            state.is_held = true;
            return Poll::Ready(Receiver(self.0));
        }
        if let Some(ticket) = ticket {
            state.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.0.state.lock().waiting);
    }
}

impl fmt::Debug for ReceiverLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.state.lock(), f)
    }
}
