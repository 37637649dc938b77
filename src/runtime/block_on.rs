//! Runs a future on the current thread.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use super::{
    sync::{
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire, Release},
        },
        thread::{self, Thread},
    },
    waiter::busy_phase,
};

/// Wakes the thread that runs a future.
struct ThreadWaker {
    thread: Thread,
    /// Set since the last poll. An unpark for something else does not count.
    is_woken: AtomicBool,
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Release) {
            self.thread.unpark();
        }
    }
}

/// Runs a future to its end. The thread sleeps while the future waits, after a busy phase as in any
/// other wait.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(ThreadWaker {
        thread: thread::current(),
        is_woken: AtomicBool::new(false),
    });
    let task_waker = Waker::from(Arc::clone(&waker));
    let mut context = Context::from_waker(&task_waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        busy_phase(|| waker.is_woken.load(Acquire));
        // A park may end spuriously, or by an unpark for an earlier wait of this thread.
        while !waker.is_woken.swap(false, AcqRel) {
            thread::park();
        }
    }
}
