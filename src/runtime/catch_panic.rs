//! Calls user code: wakers, clocks, callbacks, drops of payloads.
//!
//! User code may panic, block or call back into the broker, so no lock is held during the call. A
//! panic ends here. It must not abort the broker's own work that follows on the same thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `code` and returns its result, or `None` if it panicked. The panic hook has then reported
/// the panic.
pub(crate) fn catch_panic<R>(code: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // The payload of a panic is user data too, and its drop may panic. That second payload
            // is leaked.
            if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
                std::mem::forget(second);
            }
            None
        }
    }
}
