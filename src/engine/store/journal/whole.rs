//! Transactions: operations that are on disk together, or not at all.

use std::sync::Arc;

use super::{Journal, Shared};
use crate::runtime::sync::thread::Thread;

/// A transaction that is under way.
///
/// # If dropped
/// It ends.
pub(crate) struct Whole {
    shared: Arc<Shared>,
    is_import: bool,
}

impl Drop for Whole {
    fn drop(&mut self) {
        let sleeper = {
            let mut state = self.shared.state.lock();
            state.open -= 1;
            state.imports -= u64::from(self.is_import);
            match state.open {
                0 => state.sleeper_beyond(None),
                _ => None,
            }
        };
        sleeper.inspect(Thread::unpark);
    }
}

impl Journal {
    /// Begins a transaction. All operations until the end of the value are on disk, or none. Its
    /// code must not block.
    pub(crate) fn begin_whole(&self) -> Whole {
        self.0.state.lock().open += 1;
        Whole {
            shared: Arc::clone(&self.0),
            is_import: false,
        }
    }

    /// Begins the transaction of an import. As [`begin_whole`](Self::begin_whole), but it may take
    /// long: its code waits for nothing, not even for user code.
    pub(crate) fn begin_import(&self) -> Whole {
        let mut state = self.0.state.lock();
        state.open += 1;
        state.imports += 1;
        Whole {
            shared: Arc::clone(&self.0),
            is_import: true,
        }
    }
}
