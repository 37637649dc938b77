//! How a publish deals with queues and budgets that have it wait.

use std::time::Duration;

/// How a publish deals with full blocking queues and spent blocking budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It waits for room.
    Wait,
    /// It fails.
    Try,
    /// It waits so long.
    Within(Duration),
    /// It has waited already.
    Ignore,
}
