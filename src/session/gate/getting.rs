//! Getting: the getters of queues.

use std::sync::Arc;

use super::{Gate, Verb};
use crate::{
    engine::queue::QueueCore,
    model::{
        descriptions::Queue,
        error::{CancelReason, EntityKind, Error, Permission::Read, Result},
        name::Name,
    },
    session::{getter::Getter, unacked::DeliveryOrigin},
};

impl Gate {
    /// The getter of a queue.
    pub(crate) fn getter(&self, queue: &Name) -> Result<Getter> {
        let queue = self.got_queue(queue)?;
        let origin = DeliveryOrigin::gets(self.vhost(), &queue, false);
        Ok(Getter::new(origin))
    }

    /// The number of ready messages of a queue. It does not wait for a connection to an engine
    /// outside of this process.
    pub(crate) fn ready_len(&self, queue: &Name) -> Result<usize> {
        self.check_open()?;
        match self.backend() {
            Some(backend) => self.wait(backend.ready_len(queue)),
            None => self.getter(queue)?.ready_len(),
        }
    }

    /// A queue to get from.
    pub(in crate::session) fn got_queue(&self, queue: &Name) -> Result<Arc<QueueCore>> {
        self.check_get(queue)?;
        let entered = self.guarded.enter(Verb::Get);
        entered.vhost.check_get(queue)?;
        self.check_embedded("getting")?;
        let queue = entered.vhost.queue(entered.by.connection, queue)?;
        if queue.is_stream() {
            entered.vhost.check_gets(&queue)?;
        }
        Ok(queue)
    }

    /// Whether the user may get from a queue.
    pub(crate) fn check_get(&self, queue: &Name) -> Result {
        self.check_open()?;
        let access = self.guarded.enter(Verb::Get).access;
        access.check(Read, EntityKind::Queue, queue)?;
        self.check_target(Verb::Get, Read, queue)
    }

    /// Whether everything is permitted, so that there is nothing to ask.
    #[inline]
    pub(crate) fn is_unlimited(&self) -> bool {
        self.guarded.access().is_all()
    }

    /// Why a user may get no more from a queue that was opened for reading, if that is so.
    #[cold]
    pub(crate) fn check_reader(&self, queue: &Name) -> Result<(), CancelReason> {
        match self.check_get(queue) {
            Err(Error::UserDeleted { .. }) => Err(CancelReason::UserDeleted),
            Err(Error::PermissionDenied(_)) => Err(CancelReason::AccessRefused),
            // The getter itself knows all other ends.
            _ => Ok(()),
        }
    }

    /// Declares a queue with its bindings, and returns its getter: all or nothing.
    pub(crate) fn declare_getter(&self, queue: &Queue) -> Result<Getter> {
        let vhost = self.vhost();
        let queue = self.declare_and_read(queue, |queue| vhost.check_gets(queue))?;
        Ok(Getter::new(DeliveryOrigin::gets(vhost, &queue, false)))
    }

    /// Declares a stream with its bindings, and returns it for reading: all or nothing.
    pub(crate) fn declare_stream(&self, stream: &Queue) -> Result<Arc<QueueCore>> {
        let vhost = self.vhost();
        self.declare_and_read(stream, |queue| vhost.check_stream(queue))
    }

    /// Declares a queue with its bindings if `check` permits it, and returns it for reading.
    pub(super) fn declare_and_read(
        &self,
        queue: &Queue,
        check: impl FnOnce(&QueueCore) -> Result,
    ) -> Result<Arc<QueueCore>> {
        self.check_open()?;
        self.check_embedded("getting")?;
        let entered = self.guarded.enter(Verb::DeclareAndRead);
        let (vhost, by) = (entered.vhost, entered.by);
        let declared = self.synced(|| vhost.declare_and_find(by, queue, check))?;
        self.check_exclusive(queue.is_exclusive())?;
        Ok(declared)
    }
}
