//! Tests of the waiting mechanism on a minimal source: a locked deque. The tests in `interleavings`
//! run under shuttle only.

#[cfg(shuttle)]
mod interleavings;
#[cfg(not(shuttle))]
mod plain;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Wake as TaskWake, Waker},
};

use super::*;
use crate::runtime::{
    block_on::block_on,
    sync::{
        atomic::AtomicBool,
        thread::{JoinHandle, Thread},
    },
};

/// A queue of items, as a source.
#[derive(Clone, Default)]
struct Items(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    items: VecDeque<u32>,
    closed: bool,
    waiters: WaitList,
    /// How often `on_idle` was called.
    rests: usize,
}

impl Items {
    fn push(&self, item: u32) {
        let wake = {
            let mut state = self.0.lock();
            state.items.push_back(item);
            state.waiters.take_one()
        };
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    fn close(&self) {
        let wakes = {
            let mut state = self.0.lock();
            state.closed = true;
            state.waiters.take_all()
        };
        wakes.into_iter().for_each(Wake::wake);
    }

    fn len(&self) -> usize {
        self.0.lock().items.len()
    }

    fn rests(&self) -> usize {
        self.0.lock().rests
    }

    fn waiting(&self) -> bool {
        !self.0.lock().waiters.is_empty()
    }

    fn recv(&self) -> Option<u32> {
        wait(self, None).expect("no deadline")
    }
}

impl Waitable for Items {
    /// `None` once closed.
    type Output = Option<u32>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<u32>> {
        let mut state = self.0.lock();
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(Some(item));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        if let Some(ticket) = ticket {
            state.waiters.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.0.lock().waiters);
    }

    fn on_idle(&self) {
        self.0.lock().rests += 1;
    }
}

/// A waker that records being woken, and unparks the thread that made it.
pub(crate) struct Flag {
    woken: AtomicBool,
    thread: Thread,
}

impl Flag {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Flag {
            woken: AtomicBool::new(false),
            thread: thread::current(),
        })
    }

    fn take(&self) -> bool {
        self.woken.swap(false, AcqRel)
    }
}

impl TaskWake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Release);
        self.thread.unpark();
    }
}

fn join<T, const N: usize>(threads: [JoinHandle<T>; N]) -> [T; N] {
    threads.map(|thread| thread.join().unwrap())
}

/// Polls once. The flag shows whether the waker was called since.
fn poll_once<F: Future + Unpin>(future: &mut F, flag: &Arc<Flag>) -> Poll<F::Output> {
    let waker = Waker::from(flag.clone());
    std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
}
