//! The waiters of one source: a plain list that lives inside the source's lock.

use std::cell::Cell;

use super::{Waiter, Wake};
use crate::runtime::keyed_list::{Key, KeyedList};

/// The waiters of one source, in the order of registration. Part of the source's locked state, so
/// it needs no lock of its own.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    // A waiter that another source has claimed stays here until it is removed or becomes the first.
    entries: KeyedList<Entry>,
}

#[derive(Debug)]
struct Entry {
    waiter: Waiter,
    token: usize,
}

/// A waiter, and the token that identifies the source in which it is about to register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket<'a> {
    pub(super) waiter: &'a Waiter,
    pub(super) token: usize,
    /// The key of its registration, for the waiting side.
    pub(super) key: &'a Cell<Option<Key>>,
}

impl WaitList {
    /// Adds the waiter at the end. Under the same lock (Inv. 2) the caller has found nothing to
    /// take.
    pub(crate) fn register(&mut self, ticket: Ticket<'_>) {
        let key = self.entries.push_back(Entry {
            waiter: ticket.waiter.clone(),
            token: ticket.token,
        });
        ticket.key.set(Some(key));
    }

    /// Removes a registration, in constant time. It has no effect if the list has removed the
    /// waiter itself.
    pub(super) fn deregister(&mut self, key: Key, waiter: &Waiter) {
        // The key may be that of another list, which was in the place of this one before.
        let is_own = |entry: &mut Entry| entry.waiter.is(waiter);
        if self.entries.get_mut(key).is_some_and(is_own) {
            // The caller also has the waiter, so this drops no waker.
            self.entries.remove(key);
        }
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
        std::iter::from_fn(|| self.take_one()).collect()
    }

    /// The number of registered waiters. Includes waiters that another source or a time-out has
    /// woken and that are not removed yet.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no waiter is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The waiters of a source that mostly has none. It takes one word until the first of them comes.
#[derive(Debug, Default)]
pub(crate) struct SeldomWaitList(Option<Box<WaitList>>);

impl SeldomWaitList {
    /// The list, to be registered in.
    pub(crate) fn list(&mut self) -> &mut WaitList {
        self.0.get_or_insert_default()
    }

    /// As [`WaitList::take_one`].
    #[must_use = "a waiter that was claimed must be woken"]
    pub(crate) fn take_one(&mut self) -> Option<Wake> {
        self.0.as_mut()?.take_one()
    }

    /// As [`WaitList::take_all`].
    #[must_use = "waiters that were claimed must be woken"]
    pub(crate) fn take_all(&mut self) -> Vec<Wake> {
        self.0
            .as_mut()
            .map(|list| list.take_all())
            .unwrap_or_default()
    }

    /// Whether no waiter is registered.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|list| list.is_empty())
    }
}
