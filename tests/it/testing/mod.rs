//! The test kit.

mod faults;
mod model;
mod published;
mod settled;
mod stages;
mod tasks;
mod workers;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The text of an assertion that fails.
fn failure(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion should fail");
    *panic.downcast::<String>().expect("a text")
}
