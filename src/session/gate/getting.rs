//! Getting: the getters of queues.

use std::sync::Arc;

use super::Gate;
use crate::{
    engine::queue::QueueCore,
    model::{descriptions::Queue, error::Result, name::Name},
    session::{getter::Getter, unacked::DeliveryOrigin},
};

impl Gate {
    /// The getter of a queue.
    pub(crate) fn getter(&self, queue: &Name) -> Result<Getter> {
        self.check_open()?;
        self.vhost.check_get(queue)?;
        let queue = self.read_queue(queue)?;
        Ok(Getter::new(DeliveryOrigin::gets(
            &self.vhost,
            &queue,
            false,
        )))
    }

    /// Declares a queue with its bindings, and returns its getter: all or nothing.
    pub(crate) fn declare_getter(&self, queue: &Queue) -> Result<Getter> {
        let queue = self.declare_and_read(queue, |queue| self.vhost.check_gets(queue))?;
        Ok(Getter::new(DeliveryOrigin::gets(
            &self.vhost,
            &queue,
            false,
        )))
    }

    /// Declares a queue with its bindings if `check` permits it, and returns it for reading.
    pub(super) fn declare_and_read(
        &self,
        queue: &Queue,
        check: impl FnOnce(&QueueCore) -> Result,
    ) -> Result<Arc<QueueCore>> {
        self.check_open()?;
        self.check_embedded("getting")?;
        self.check_declare_and_read(queue)?;
        let declared =
            self.synced(|| self.vhost.declare_and_find(self.connection, queue, check))?;
        self.check_exclusive(queue.is_exclusive())?;
        Ok(declared)
    }
}
