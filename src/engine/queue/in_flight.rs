//! Messages that are on their way from one queue to another, and in no queue meanwhile.
//!
//! A broker that looks through its queues one by one could miss such a message: it has left a queue
//! that was not looked at yet, for one that was. [`InFlight`] tells the broker to look again.

use std::{sync::Arc, task::Poll};

use crate::runtime::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    waiter::{Ticket, WaitList, Waitable},
};

/// The count of messages on their way, for all queues of a broker.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// Moves that have begun.
    begun: AtomicU64,
    /// Moves that have ended. Never more than `begun`.
    ended: AtomicU64,
    /// Waits for the end of all moves. A leaf lock.
    waiting: Mutex<WaitList>,
}

/// One message on its way.
///
/// # If dropped
/// The message has arrived.
#[derive(Debug)]
pub(crate) struct Move(Arc<InFlight>);

impl InFlight {
    /// Counts one more message on its way.
    pub(crate) fn begin(self: &Arc<Self>) -> Move {
        self.begun.fetch_add(1, SeqCst);
        Move(Arc::clone(self))
    }

    /// How many moves have begun, if all of them have ended. If a look through the queues lies
    /// between two calls with the same result, no message has changed its queue meanwhile.
    pub(crate) fn settled(&self) -> Option<u64> {
        // Read in this order, a move that begins in between makes the two differ.
        let ended = self.ended.load(SeqCst);
        (self.begun.load(SeqCst) == ended).then_some(ended)
    }
}

impl Drop for Move {
    fn drop(&mut self) {
        let InFlight { ended, waiting, .. } = &*self.0;
        ended.fetch_add(1, SeqCst);
        let wakes = waiting.lock().take_all();
        wakes.into_iter().for_each(|wake| wake.wake());
    }
}

/// Ready once no message is on its way.
impl Waitable for InFlight {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        if self.settled().is_some() {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.waiting.lock());
    }
}
