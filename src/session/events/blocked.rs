//! A publish that waits for room, as the events of its connection tell it.

use super::{BlockedReason, EventStream};
use crate::runtime::waiter::Wake;

/// A publish that waits. It runs user code (wakers).
///
/// # If dropped
/// The publish waits no more.
pub(crate) struct Blocked<'a>(&'a EventStream);

impl<'a> Blocked<'a> {
    /// `stream` is that of the connection.
    pub(crate) fn new(stream: &'a EventStream, reason: BlockedReason) -> Blocked<'a> {
        let blocked = Blocked(stream);
        stream.block(reason).into_iter().for_each(Wake::wake);
        blocked
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.unblock().into_iter().for_each(Wake::wake);
    }
}
