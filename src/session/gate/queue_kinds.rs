//! Alias queues and model queues.

use super::Gate;
use crate::{
    engine::vhost::AliasChange,
    model::{
        descriptions::{AliasQueue, AliasTarget, ModelQueue, Queue},
        error::{EntityKind, Result},
        name::Name,
    },
    session::access::Permission::{self, *},
};

impl Gate {
    /// Makes an alias or gives it another target. The user must be allowed to configure the alias,
    /// and to read and write its target.
    pub(crate) fn change_alias(&self, alias: &AliasQueue, change: AliasChange) -> Result {
        self.check_open()?;
        self.check_embedded("alias queues")?;
        self.access
            .check(Configure, EntityKind::Queue, alias.name())?;
        let (kind, target) = match alias.target() {
            AliasTarget::Queue(queue) => (EntityKind::Queue, queue),
            AliasTarget::Exchange(exchange) => (EntityKind::Exchange, exchange),
        };
        for permission in [Read, Write] {
            self.access.check(permission, kind, target)?;
        }
        self.vhost.change_alias(alias, change)
    }

    pub(crate) fn delete_alias(&self, name: &str) -> Result {
        self.check_open()?;
        self.check_embedded("alias queues")?;
        self.access.check(Configure, EntityKind::Queue, name)?;
        self.vhost.delete_alias(name).map(drop)
    }

    pub(crate) fn declare_model(&self, model: &ModelQueue) -> Result {
        self.check_open()?;
        self.check_embedded("model queues")?;
        self.access
            .check(Configure, EntityKind::Queue, model.name())?;
        self.vhost.declare_model(model)
    }

    pub(crate) fn delete_model(&self, name: &str) -> Result {
        self.check_open()?;
        self.check_embedded("model queues")?;
        self.access.check(Configure, EntityKind::Queue, name)?;
        self.vhost.delete_model(name).map(drop)
    }

    /// Makes the next queue of a model. The user must be allowed to read the model, and to
    /// configure the queue.
    pub(crate) fn open_model(&self, name: &str) -> Result<Queue> {
        self.check_open()?;
        self.check_embedded("model queues")?;
        self.access.check(Read, EntityKind::Queue, name)?;
        let queue = self.vhost.next_of_model(name)?;
        self.access
            .check(Configure, EntityKind::Queue, queue.name())?;
        let declared = self.vhost.declare_dynamic(self.connection, &queue)?;
        self.check_exclusive(queue.is_exclusive())?;
        Ok(queue.declared_as(&declared.name))
    }

    /// Lets the trigger of a queue send a message again. The user must be allowed to configure it.
    pub(crate) fn rearm_trigger(&self, name: &str) -> Result {
        self.access.check(Configure, EntityKind::Queue, name)?;
        let queue = self.read_queue(&Name::of_entity(name)?)?;
        self.vhost.rearm_trigger(&queue)
    }

    /// Checks that the user may publish to the target of a name, if the name is an alias.
    pub(in crate::session) fn check_publish_to(&self, name: &str) -> Result {
        self.check_target(Write, name)
    }

    /// Checks the permission on the target of a name in the place of a queue, if the name is an
    /// alias. The name itself has been checked.
    pub(super) fn check_target(&self, permission: Permission, name: &str) -> Result {
        match self.vhost.alias_target(name) {
            None => Ok(()),
            Some((kind, target)) => self.access.check(permission, kind, &target),
        }
    }
}
