//! The export of messages: where they are copied from.

use std::sync::Arc;

use super::{Gate, Verb};
use crate::{
    engine::queue::QueueCore,
    model::{
        error::{EntityKind, Error, Permission::Read, Result},
        name::Name,
    },
    session::exported_queue::ExportedQueue,
};

impl Gate {
    /// # Errors
    /// Those of a closed connection, of the user's permissions, and of a queue that is missing or
    /// exclusive to another connection.
    pub(crate) fn exported_queue(&self, name: &Name) -> Result<ExportedQueue> {
        let queue = self.read_queue(Verb::ExportOfQueue, name)?;
        Ok(ExportedQueue::new(self.vhost(), queue))
    }

    /// The messages that a delayed exchange keeps.
    ///
    /// # Errors
    /// Those of a closed connection, of the user's permissions, and of an exchange that is missing
    /// or has another type.
    pub(crate) fn exported_exchange(&self, name: &Name) -> Result<ExportedQueue> {
        self.check_open()?;
        self.check_embedded("the export of messages")?;
        let entered = self.guarded.enter(Verb::ExportOfExchange);
        entered.access.check(Read, EntityKind::Exchange, name)?;
        let queue = entered.vhost.delay_queue(name)?;
        Ok(ExportedQueue::new(entered.vhost, queue))
    }

    /// All queues of the virtual host that this connection may read, by name, and then all delayed
    /// exchanges that it may read.
    ///
    /// # Errors
    /// Those of a closed connection.
    pub(crate) fn all_exported(&self) -> Result<Vec<ExportedQueue>> {
        self.check_open()?;
        self.check_embedded("the export of messages")?;
        let queues = sorted(self.vhost().queues()).into_iter();
        let queues = queues.map(|queue| self.exported_queue(queue.name()));
        let exchanges = sorted(self.vhost().delay_queues()).into_iter();
        let exchanges = exchanges.map(|queue| self.exported_exchange(queue.name()));
        let readable = queues.chain(exchanges).filter(|exported| match exported {
            // Exclusive to another connection, of others only, or gone by now.
            Err(Error::ResourceLocked { .. } | Error::AccessRefused { .. }) => false,
            Err(Error::PermissionDenied(_)) => false,
            Err(error) => !error.is_not_found(),
            Ok(_) => true,
        });
        readable.collect()
    }
}

fn sorted(mut queues: Vec<Arc<QueueCore>>) -> Vec<Arc<QueueCore>> {
    queues.sort_by(|one, other| one.name().cmp(other.name()));
    queues
}
