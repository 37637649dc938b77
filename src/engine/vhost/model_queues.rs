//! Model queues: templates of queues.

use std::collections::BTreeMap;

use super::{Topology, VirtualHost, declare::is_reserved};
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
        let name = self.model_name(model)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let is_free = |name: &Name| topology.check_free(name, self.name());
        if self.is_new_model(&topology.models, (&name, model), is_free)? {
            topology.add_model(name, model);
        }
        drop(topology);
        Ok(())
    }

    /// The name of a model, whose description is checked.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::AccessRefused`] for a name with `amq.`,
    /// [`Error::PreconditionFailed`] for invalid arguments or an invalid pattern.
    pub(super) fn model_name(&self, model: &ModelQueue) -> Result<Name> {
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
        Ok(name)
    }

    /// Whether none of these models has this name. `check_free` checks it then.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if one has it with other properties, and those of
    /// `check_free`.
    pub(super) fn is_new_model(
        &self,
        models: &BTreeMap<Name, ModelQueue>,
        (name, model): (&Name, &ModelQueue),
        check_free: impl FnOnce(&Name) -> Result,
    ) -> Result<bool> {
        match models.get(name) {
            Some(there) if there.is_equivalent(model) => Ok(false),
            Some(_) => Err(Error::name_is_of("another model queue", name, self.name())),
            None => check_free(name).map(|()| true),
        }
    }

    /// Deletes a model. `false` if there is none of this name.
    pub(crate) fn delete_model(&self, name: &str) -> Result<bool> {
        let name = Name::of_entity(name)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let deleted = topology.remove_model(&name);
        drop(topology);
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
}

impl Topology {
    /// Adds a model that was checked.
    pub(super) fn add_model(&mut self, name: Name, model: &ModelQueue) {
        if let Some(storage) = &self.storage {
            storage.write_model(&name, Some(model));
        }
        self.models.insert(name, model.clone());
    }

    /// Removes a model. `false` if there is none of this name.
    pub(super) fn remove_model(&mut self, name: &Name) -> bool {
        let removed = self.models.remove(name).is_some();
        if let Some(storage) = self.storage.as_ref().filter(|_| removed) {
            storage.write_model(name, None);
        }
        removed
    }
}
