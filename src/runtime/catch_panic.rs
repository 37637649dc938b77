//! Where code that is not ours is called: wakers, clocks, callbacks, drops of payloads.
//!
//! It may panic, block or call back into the broker, so it is called with no lock held, and a panic ends here: it must not tear down
//! the broker's own work that happens to come after it on the same thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `code` and returns what it returns, or `None` if it panicked (the panic hook has then reported it).
pub(crate) fn catch_panic<R>(code: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // What a panic carries is the user's as well, and its drop may panic in turn; then it is leaked.
            if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
                std::mem::forget(second);
            }
            None
        }
    }
}
