//! The outcome of an operation that was started and has not ended. A caller can wait for it.
//!
//! [`Completer`] is the side of the operation, [`Completion`] the side of the caller. A thread, a
//! time-out and a task wait for a completion in the same way as for a message.

use std::{fmt, sync::Arc, task::Poll};

use super::{
    sync::Mutex,
    waiter::{Ticket, WaitList, Waitable},
};

/// Makes both sides of one operation.
pub(crate) fn completion<T>() -> (Completer<T>, Completion<T>) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    let completer = Completer {
        slot: Arc::clone(&slot),
    };
    (completer, Completion { slot })
}

struct Slot<T> {
    outcome: Option<T>,
    /// No outcome comes any more, but for the one that is there.
    ended: bool,
    waiters: WaitList,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot {
            outcome: None,
            ended: false,
            waiters: WaitList::default(),
        }
    }
}

/// Ends the operation.
///
/// # If dropped
/// The operation ends without an outcome.
pub(crate) struct Completer<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Completer<T> {
    /// Ends the operation with an outcome, and wakes the caller if it waits.
    pub(crate) fn complete(self, outcome: T) {
        self.slot.lock().outcome = Some(outcome);
        // The drop does the rest.
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        let wakes = {
            let mut slot = self.slot.lock();
            slot.ended = true;
            slot.waiters.take_all()
        };
        for wake in wakes {
            wake.wake();
        }
    }
}

/// Waits for the end of the operation. The output is `None` if it ended without an outcome.
///
/// # If dropped
/// The operation goes on, and its outcome is dropped.
pub(crate) struct Completion<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Waitable for Completion<T> {
    type Output = Option<T>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<T>> {
        let mut slot = self.slot.lock();
        match slot.outcome.take() {
            Some(outcome) => Poll::Ready(Some(outcome)),
            None if slot.ended => Poll::Ready(None),
            None => {
                if let Some(ticket) = ticket {
                    slot.waiters.register(ticket);
                }
                Poll::Pending
            }
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.slot.lock().waiters);
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
        thread,
    };

    use super::*;
    use crate::runtime::waiter::{self, Waiting};

    #[test]
    fn a_thread_and_a_task_get_the_outcome_of_another_thread() {
        let (first, completion) = completion();
        let waiting = thread::spawn(move || waiter::wait(&completion, None));
        first.complete(7);
        assert_eq!(waiting.join().unwrap(), Some(Some(7)));

        let (second, completion) = super::completion();
        let mut task = pin!(Waiting::new(completion));
        let mut context = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut context).is_pending());
        second.complete(8);
        assert_eq!(task.poll(&mut context), Poll::Ready(Some(8)));
    }

    #[test]
    fn an_operation_that_is_given_up_ends_without_an_outcome() {
        let (completer, completion) = completion::<u8>();
        assert_eq!(completion.attempt(None), Poll::Pending);
        drop(completer);
        assert_eq!(completion.attempt(None), Poll::Ready(None));
    }
}
