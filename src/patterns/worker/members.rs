//! The slots of a worker, and its end.

use std::fmt;

use super::limit::Late;
use crate::runtime::sync::Mutex;

/// The slots that have not ended.
pub(super) struct Members {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The slots that have not ended.
    slots: usize,
    /// Those whose handlers are past their time, and that no spare replaces.
    stuck: usize,
    /// The threads that are stuck and that a spare has replaced.
    replaced: usize,
    /// The limit of `replaced`.
    most_replaced: usize,
    ended: bool,
}

impl Members {
    pub(super) fn new(slots: usize) -> Members {
        Members {
            state: Mutex::new(State {
                slots,
                stuck: 0,
                replaced: 0,
                most_replaced: slots,
                ended: false,
            }),
        }
    }

    /// One slot ends.
    pub(super) fn leave(&self) {
        self.state.lock().slots -= 1;
    }

    /// The handler of a slot is past its time. A spare replaces the slot, unless there are too
    /// many.
    pub(super) fn is_stuck(&self) -> Late {
        let mut state = self.state.lock();
        if state.replaced < state.most_replaced {
            state.replaced += 1;
            return Late::Replaced;
        }
        state.stuck += 1;
        Late::WasStuck
    }

    /// The handler of a slot has ended after its time.
    pub(super) fn is_back(&self, late: Late) {
        let mut state = self.state.lock();
        match late {
            Late::GoesOn => {}
            Late::WasStuck => state.stuck -= 1,
            Late::Replaced => state.replaced -= 1,
        }
    }

    /// Whether this call ends the worker: all slots have ended, or those that have not are stuck
    /// and the worker `is_stopping`. It is `true` once.
    pub(super) fn end(&self, is_stopping: bool) -> bool {
        let mut state = self.state.lock();
        let ends = state.slots == 0 || is_stopping && state.slots == state.stuck;
        ends && !std::mem::replace(&mut state.ended, true)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.state.lock(), f)
    }
}
