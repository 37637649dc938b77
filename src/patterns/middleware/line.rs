//! The messages that wait at a middleware, in their order.

use std::collections::VecDeque;

use crate::patterns::worker::{Wakeup, WakeupHandle};

/// Messages that wait, the first one first. Part of the locked state of a middleware.
#[derive(Debug)]
pub(super) struct Line<K = ()>(VecDeque<(K, WakeupHandle)>);

impl<K> Default for Line<K> {
    fn default() -> Self {
        Line(VecDeque::new())
    }
}

impl<K> Line<K> {
    /// Adds a message at the end.
    pub(super) fn join(&mut self, key: K) -> Wakeup {
        if self.0.len() == self.0.capacity() {
            // The workers of the others were stopped.
            self.0.retain(|(_, handle)| handle.is_waiting());
        }
        let wakeup = Wakeup::new();
        self.0.push_back((key, wakeup.handle()));
        wakeup
    }

    /// Lets the first message pass that still waits. It is to be notified without the lock.
    #[must_use = "a message that passes must be notified"]
    pub(super) fn let_first_pass(&mut self) -> Option<(K, WakeupHandle)> {
        std::iter::from_fn(|| self.0.pop_front()).find(|(_, handle)| handle.let_pass())
    }

    /// Takes all messages out. They are to be woken without the lock.
    pub(super) fn take_all(&mut self) -> Vec<WakeupHandle> {
        self.0.drain(..).map(|(_, handle)| handle).collect()
    }
}
