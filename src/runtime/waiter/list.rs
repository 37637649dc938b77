//! The waiters of one source: a plain list that lives inside the source's lock.

use std::collections::VecDeque;

use super::{Waiter, Wake};

/// The waiters of one source, in the order of registration. Part of the source's locked state, so
/// it needs no lock of its own.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    // A waiter that another source has claimed stays here until it is removed or becomes the first.
    pub(super) entries: VecDeque<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    waiter: Waiter,
    token: usize,
}

/// A waiter, and the token that identifies the source in which it is about to register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket<'a> {
    pub(super) waiter: &'a Waiter,
    pub(super) token: usize,
}

impl WaitList {
    /// Adds the waiter at the end. Under the same lock (Inv. 2) the caller has found nothing to
    /// take.
    pub(crate) fn register(&mut self, ticket: Ticket<'_>) {
        self.entries.push_back(Entry {
            waiter: ticket.waiter.clone(),
            token: ticket.token,
        });
    }

    /// Removes the waiter. `true` if it was registered.
    pub(crate) fn deregister(&mut self, waiter: &Waiter) -> bool {
        let found = self
            .entries
            .iter()
            .position(|entry| entry.waiter.is(waiter));
        // The caller also has the waiter, so this drops no waker.
        found.and_then(|index| self.entries.remove(index)).is_some()
    }

    /// Claims and removes the first waiter that is not claimed yet. Called once for each item that
    /// becomes available.
    ///
    /// The waiter is to be woken after the source's lock is released.
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

    /// Claims and removes all waiters, for a change that concerns all of them, such as closing the
    /// source. An empty list costs nothing.
    #[must_use = "waiters that were claimed must be woken"]
    pub(crate) fn take_all(&mut self) -> Vec<Wake> {
        self.entries
            .drain(..)
            .filter_map(|Entry { waiter, token }| waiter.notify(token))
            .collect()
    }

    /// The number of registered waiters. Includes waiters that another source or a time-out has
    /// woken and that are not removed yet.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no waiter is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
