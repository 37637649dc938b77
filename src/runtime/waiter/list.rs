//! The waiters of one source: a plain list that lives inside the source's lock.

use std::collections::VecDeque;

use super::{Waiter, Wake};

/// Who waits for one source, first come first served. Part of the source's locked state, so it needs no lock of its own.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    // A waiter that another source has claimed stays here until it leaves or its turn comes.
    pub(super) entries: VecDeque<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    waiter: Waiter,
    token: usize,
}

/// A waiter, and the token by which it knows the source that it is about to be entered in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket<'a> {
    pub(super) waiter: &'a Waiter,
    pub(super) token: usize,
}

impl WaitList {
    /// Enters the waiter at the end. Under the same lock its caller has found that there is nothing to take (Inv. 2).
    pub(crate) fn register(&mut self, ticket: Ticket<'_>) {
        self.entries.push_back(Entry {
            waiter: ticket.waiter.clone(),
            token: ticket.token,
        });
    }

    /// Removes the waiter; whether it was here.
    pub(crate) fn deregister(&mut self, waiter: &Waiter) -> bool {
        let found = self
            .entries
            .iter()
            .position(|entry| entry.waiter.is(waiter));
        // The waiter is held by the caller too, so this drops no waker.
        found.and_then(|index| self.entries.remove(index)).is_some()
    }

    /// Claims and removes the first waiter that nobody else has claimed. One call for each thing that became available.
    ///
    /// It is to be woken after the source's lock has been released.
    #[must_use = "a waiter that was claimed must be woken"]
    pub(crate) fn take_one(&mut self) -> Option<Wake> {
        while let Some(Entry { waiter, token }) = self.entries.pop_front() {
            let wake = waiter.notify(token);
            if wake.is_some() {
                return wake;
            }
        }
        None
    }

    /// Claims and removes all waiters: for a change that concerns them all, as when the source is closed. Empty costs nothing.
    #[must_use = "waiters that were claimed must be woken"]
    pub(crate) fn take_all(&mut self) -> Vec<Wake> {
        self.entries
            .drain(..)
            .filter_map(|Entry { waiter, token }| waiter.notify(token))
            .collect()
    }

    /// How many wait, those among them that something else has woken and that have not left yet.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether certainly nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
