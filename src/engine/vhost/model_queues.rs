//! Model queues: templates of queues.

use std::sync::Arc;

use super::{
    QueueDeclared, VirtualHost, WithBindings, declare::is_reserved, topology::ConnectionId,
};
use crate::model::{
    arguments::QueueArguments,
    descriptions::{ModelQueue, Queue},
    error::{EntityKind, Error, Result},
    name::Name,
};

impl VirtualHost {
    /// Declares a model. The arguments and the name of its queues are checked.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::AccessRefused`] for a name with `amq.`,
    /// [`Error::PreconditionFailed`] for a name that is taken, another model of this name, invalid
    /// arguments or an invalid pattern, [`Error::ShutDown`]. Nothing is changed then.
    pub(crate) fn declare_model(&self, model: &ModelQueue) -> Result {
        let name = Name::of_entity(model.name())?;
        let vhost = self.name();
        if name.is_empty() {
            let reason = "needs a name of 1 to 255 bytes";
            return Err(Error::invalid_queue_kind(reason, &name, vhost));
        }
        if is_reserved(&name) {
            return Err(Error::reserved_prefix(EntityKind::Queue, &name));
        }
        if model.name_pattern().matches('*').count() != 1 {
            let reason = "needs a pattern with one *";
            return Err(Error::invalid_queue_kind(reason, &name, vhost));
        }
        let queue = model.dynamic_queue(&self.generate());
        let queue_name = Name::of_entity(queue.name())?;
        if is_reserved(&queue_name) {
            return Err(Error::reserved_prefix(EntityKind::Queue, &queue_name));
        }
        queue.argument_table().check_depth()?;
        let arguments = QueueArguments::parse(queue.argument_table(), &name, vhost)?;
        arguments.check_properties(&queue, &name, vhost)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        match topology.models.get(&name) {
            Some(there) if there == model => return Ok(()),
            Some(_) => return Err(Error::name_is_of("another model queue", &name, vhost)),
            None => topology.check_free(&name, vhost)?,
        }
        if let Some(storage) = self.storage() {
            storage.write_model(&name, Some(model));
        }
        topology.models.insert(name, model.clone());
        drop(topology);
        self.sync_changes()
    }

    /// Deletes a model. `false` if there is none of this name.
    pub(crate) fn delete_model(&self, name: &str) -> Result<bool> {
        let name = Name::of_entity(name)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let deleted = topology.models.remove(&name).is_some();
        if let Some(storage) = self.storage().filter(|_| deleted) {
            storage.write_model(&name, None);
        }
        drop(topology);
        self.sync_changes()?;
        Ok(deleted)
    }

    /// A description of the next queue of a model.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if there is no such model, [`Error::ShutDown`].
    pub(crate) fn next_of_model(&self, name: &str) -> Result<Queue> {
        let name = Name::of_entity(name)?;
        let topology = self.topology.read();
        self.check_up()?;
        match topology.models.get(&name) {
            Some(model) => Ok(model.dynamic_queue(&self.generate())),
            None => Err(Error::no_such_kind("model queue", &name, self.name())),
        }
    }

    /// Makes a queue by a description that [`next_of_model`](Self::next_of_model) has returned.
    pub(crate) fn declare_dynamic(
        self: &Arc<Self>,
        connection: ConnectionId,
        queue: &Queue,
    ) -> Result<QueueDeclared> {
        self.declare_queue(connection, queue, WithBindings::Yes)
    }
}
