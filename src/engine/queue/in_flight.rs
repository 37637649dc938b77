//! The work that shows in no queue: messages on their way from one queue to another, and handlers
//! whose message is settled.
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

/// The count of messages on their way, for all queues of a broker, or of handlers.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// Moves that have begun.
    begun: AtomicU64,
    /// Moves that have ended. Never more than `begun`.
    ended: AtomicU64,
    /// Waits for the end of all moves. A leaf lock.
    waiting: Mutex<WaitList>,
}

/// One message on its way, or one handler that runs.
///
/// # If dropped
/// The message has arrived. The handler has ended.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub(crate) struct Move(Arc<InFlight>);

impl InFlight {
    /// Counts one more.
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

    /// How many moves are under way.
    #[cfg(feature = "testing")]
    pub(crate) fn count(&self) -> u64 {
        let ended = self.ended.load(SeqCst);
        self.begun.load(SeqCst).saturating_sub(ended)
    }
}

impl Drop for Move {
    fn drop(&mut self) {
        let InFlight {
            begun,
            ended,
            waiting,
        } = &*self.0;
        let ended = ended.fetch_add(1, SeqCst) + 1;
        // If others are under way, the last of them wakes.
        if begun.load(SeqCst) != ended {
            return;
        }
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
