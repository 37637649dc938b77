//! A publish that waits until the disk has room for its message.

use std::{sync::Arc, task::Poll};

use super::{Caller, not_published::NotPublished, prepared::Prepared};
use crate::{
    engine::vhost::Drain,
    model::error::Error,
    runtime::{
        clock::Deadline,
        signal::Signal,
        waiter::{self, Ticket, WaitList, Waitable, WaitingAny},
    },
};

impl Prepared<'_> {
    /// Waits while the disk is low, until the deadline.
    ///
    /// # Errors
    /// [`Error::Store`] if it is low and the publish does not wait; [`Error::Timeout`]; those of a
    /// closed caller.
    pub(super) fn await_disk<C: Caller>(
        &mut self,
        caller: &C,
        waits: bool,
        deadline: Option<Deadline<'_>>,
    ) -> std::result::Result<(), NotPublished> {
        let mut told = None;
        while let Some(cleared) = self.low_disk(waits)? {
            told.get_or_insert_with(|| self.tell_blocked());
            let sources = self.ends(cleared, caller);
            if waiter::wait_any(&sources, 0, deadline).is_none() {
                return Err(NotPublished::Invalid(Error::Timeout));
            }
            self.check_again(caller).map_err(NotPublished::Invalid)?;
        }
        Ok(())
    }

    /// As [`await_disk`](Self::await_disk), for a task, when the disk is [low](Self::low_disk).
    pub(super) async fn await_disk_async<C: Caller>(
        &mut self,
        cleared: Arc<Signal>,
        caller: &C,
    ) -> std::result::Result<(), NotPublished> {
        let _told = self.tell_blocked();
        let mut low = Some(cleared);
        while let Some(cleared) = low {
            WaitingAny::new(self.ends(cleared, caller)).await;
            self.check_again(caller).map_err(NotPublished::Invalid)?;
            low = self.low_disk(true)?;
        }
        Ok(())
    }

    /// What the publish has to wait for. A commit has been waited for when it was published, as far
    /// as that could be, and is whole or not at all. So it goes on.
    ///
    /// # Errors
    /// [`Error::Store`], as for [`await_disk`](Self::await_disk).
    pub(super) fn low_disk(
        &self,
        waits: bool,
    ) -> std::result::Result<Option<Arc<Signal>>, NotPublished> {
        match self.publisher.config.gate.vhost().storage() {
            Some(storage) if !self.is_commit => storage.admit(waits).map_err(NotPublished::Invalid),
            _ => Ok(None),
        }
    }

    /// The room on the disk, and what ends the wait for it.
    fn ends<C: Caller>(&self, cleared: Arc<Signal>, caller: &C) -> [RoomOrEnd<'_, C::Closing>; 3] {
        let drain = self.publisher.config.gate.vhost().drain();
        [
            RoomOrEnd::Room(cleared),
            RoomOrEnd::End(caller.closing()),
            RoomOrEnd::Drain(self.admission.ends_with_drain().then_some(drain)),
        ]
    }
}

/// Room on the disk; the end of the waiting handle; or the beginning of the drain, if that ends
/// the wait.
enum RoomOrEnd<'a, E> {
    Room(Arc<Signal>),
    End(E),
    Drain(Option<&'a Drain>),
}

impl<E: Waitable<Output = ()>> Waitable for RoomOrEnd<'_, E> {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            RoomOrEnd::Room(cleared) => cleared.attempt(ticket),
            RoomOrEnd::End(end) => end.attempt(ticket),
            RoomOrEnd::Drain(Some(drain)) => drain.attempt(ticket),
            RoomOrEnd::Drain(None) => Poll::Pending,
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            RoomOrEnd::Room(cleared) => cleared.with_waiters(f),
            RoomOrEnd::End(end) => end.with_waiters(f),
            RoomOrEnd::Drain(Some(drain)) => drain.with_waiters(f),
            RoomOrEnd::Drain(None) => {}
        }
    }
}
