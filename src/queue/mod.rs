//! One queue: messages ready for delivery, the consumers it hands them to, and the count of what is unsettled.
//!
//! Knows nothing of exchanges, channels or virtual hosts. Its verbs return [`Effects`]; the caller carries them out
//! after the lock is gone. Two queues' locks are never held at once.
//!
//! # Invariants (all hold whenever the lock is free)
//! 1. Every message is in exactly one place: ready, handed over and unsettled, or an effect about to be carried out.
//! 2. A message's position is given once, at first arrival; a returned message keeps it, so the order of first arrival
//!    is the order of delivery.
//! 3. If anything is ready, no consumer with credit is waiting.
//! 4. Limits count ready messages only and hold before the verb returns.
//! 5. Conservation, in messages and bytes: taken in = acked + dropped + purged + deleted with the queue + ready +
//!    unsettled.
//! 6. When a settlement has returned, counts and credit show it.
//! 7. A hand-over (cancel, exclusive) is one critical section: remove, return the inbox, serve the next.

mod consumers;
mod credit;
mod effects;
mod ready;
mod state;

pub(crate) use self::{
    consumers::{ConsumerId, Group, Inbox, Outlet, Sink, Subscribe},
    credit::Credit,
    effects::{Effect, Effects},
    state::{DeleteRefused, Deleted, Returned, Run, State, SubscribeRefused},
};

use std::{fmt, hash};

use crate::{
    name::Name,
    sync::{Mutex, MutexGuard},
};

/// A queue: its name, and everything else behind one lock.
pub(crate) struct Queue {
    name: Name,
    /// Tells queues of the same name apart that lived one after the other.
    id: u64,
    state: Mutex<State>,
}

impl Queue {
    pub(crate) fn new(name: Name, id: u64, state: State) -> Queue {
        Queue {
            name,
            id,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Queue {
    fn eq(&self, other: &Queue) -> bool {
        self.id == other.id
    }
}

impl Eq for Queue {}

impl hash::Hash for Queue {
    fn hash<H: hash::Hasher>(&self, hasher: &mut H) {
        self.id.hash(hasher);
    }
}
