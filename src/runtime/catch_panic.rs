//! Calls user code: wakers, clocks, callbacks, drops of payloads.
//!
//! User code may panic, block or call back into the broker, so no lock is held during the call. A
//! panic ends here. It must not abort the broker's own work that follows on the same thread.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs `code` and returns its result, or `None` if it panicked. The panic hook has then reported
/// the panic.
pub(crate) fn catch_panic<R>(code: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(value) => Some(value),
        Err(payload) => {
            drop_payload(payload);
            None
        }
    }
}

/// Runs `code` and returns its result, or the text of its panic. A panic without a text has an
/// empty one.
#[inline]
pub(crate) fn catch_panic_text<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(text_of)
}

#[cold]
fn text_of(payload: Box<dyn Any + Send>) -> String {
    let text = match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    };
    drop_payload(payload);
    text
}

/// Drops the payload of a panic. It is user data too, and its drop may panic. That second payload
/// is leaked.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(second);
    }
}
