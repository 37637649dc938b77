//! Alias queues, model queues and triggers.

use super::{Gate, Verb, topology::Begun};
use crate::{
    engine::vhost::{AliasChange, WithBindings},
    model::{
        descriptions::{AliasQueue, AliasTarget, ModelQueue, Queue},
        error::{
            EntityKind,
            Permission::{self, Configure, Read, Write},
            Result,
        },
        name::Name,
    },
};

impl Gate {
    /// Makes an alias or gives it another target. The user must be allowed to configure the alias,
    /// and to read and write its target.
    pub(crate) fn change_alias(&self, alias: &AliasQueue, change: AliasChange) -> Result {
        let begun = self.begin_alias(alias, change)?;
        self.wait_for(begun)
    }

    /// As [`change_alias`](Self::change_alias), for a task.
    pub(crate) async fn change_alias_async(
        &self,
        alias: &AliasQueue,
        change: AliasChange,
    ) -> Result {
        let begun = self.begin_alias(alias, change)?;
        self.wait_for_async(begun).await
    }

    fn begin_alias(&self, alias: &AliasQueue, change: AliasChange) -> Result<Begun<()>> {
        self.check_open()?;
        self.check_embedded("alias queues")?;
        let entered = self.guarded.enter(match change {
            AliasChange::Declare => Verb::DeclareAlias,
            AliasChange::Repoint => Verb::RepointAlias,
        });
        let name = Name::of_entity(alias.name())?;
        entered.access.check(Configure, EntityKind::Queue, &name)?;
        let (kind, target) = match alias.target() {
            AliasTarget::Queue(queue) => (EntityKind::Queue, queue),
            AliasTarget::Exchange(exchange) => (EntityKind::Exchange, exchange),
        };
        let target = Name::of_entity(target)?;
        for permission in [Read, Write] {
            entered.access.check(permission, kind, &target)?;
        }
        self.begin(|| entered.vhost.change_alias(alias, change))
    }

    pub(crate) fn delete_alias(&self, name: &str) -> Result {
        let begun = self.begin_alias_end(name)?;
        self.wait_for(begun)
    }

    /// As [`delete_alias`](Self::delete_alias), for a task.
    pub(crate) async fn delete_alias_async(&self, name: &str) -> Result {
        let begun = self.begin_alias_end(name)?;
        self.wait_for_async(begun).await
    }

    fn begin_alias_end(&self, name: &str) -> Result<Begun<()>> {
        self.check_open()?;
        self.check_embedded("alias queues")?;
        let entered = self.guarded.enter(Verb::DeleteAlias);
        let checked = Name::of_entity(name)?;
        let access = entered.access;
        access.check(Configure, EntityKind::Queue, &checked)?;
        self.begin(|| entered.vhost.delete_alias(name).map(drop))
    }

    pub(crate) fn declare_model(&self, model: &ModelQueue) -> Result {
        let begun = self.begin_model(model)?;
        self.wait_for(begun)
    }

    /// As [`declare_model`](Self::declare_model), for a task.
    pub(crate) async fn declare_model_async(&self, model: &ModelQueue) -> Result {
        let begun = self.begin_model(model)?;
        self.wait_for_async(begun).await
    }

    fn begin_model(&self, model: &ModelQueue) -> Result<Begun<()>> {
        self.check_open()?;
        self.check_embedded("model queues")?;
        let entered = self.guarded.enter(Verb::DeclareModel);
        let name = Name::of_entity(model.name())?;
        entered.access.check(Configure, EntityKind::Queue, &name)?;
        self.begin(|| entered.vhost.declare_model(model))
    }

    pub(crate) fn delete_model(&self, name: &str) -> Result {
        let begun = self.begin_model_end(name)?;
        self.wait_for(begun)
    }

    /// As [`delete_model`](Self::delete_model), for a task.
    pub(crate) async fn delete_model_async(&self, name: &str) -> Result {
        let begun = self.begin_model_end(name)?;
        self.wait_for_async(begun).await
    }

    fn begin_model_end(&self, name: &str) -> Result<Begun<()>> {
        self.check_open()?;
        self.check_embedded("model queues")?;
        let entered = self.guarded.enter(Verb::DeleteModel);
        let checked = Name::of_entity(name)?;
        let access = entered.access;
        access.check(Configure, EntityKind::Queue, &checked)?;
        self.begin(|| entered.vhost.delete_model(name).map(drop))
    }

    /// Makes the next queue of a model. The user must be allowed to read the model, and to
    /// configure the queue.
    pub(crate) fn open_model(&self, name: &str) -> Result<Queue> {
        self.check_open()?;
        self.check_embedded("model queues")?;
        let entered = self.guarded.enter(Verb::OpenModel);
        let checked = Name::of_entity(name)?;
        entered.access.check(Read, EntityKind::Queue, &checked)?;
        let queue = entered.vhost.next_of_model(name)?;
        self.synced(|| {
            let declared = entered
                .vhost
                .declare_queue(entered.by, &queue, WithBindings::Yes)?;
            self.check_exclusive(queue.is_exclusive())?;
            Ok(queue.declared_as(&declared.name))
        })
    }

    /// Lets the trigger of a queue send a message again. The user must be allowed to configure it.
    pub(crate) fn rearm_trigger(&self, name: &str) -> Result {
        self.check_open()?;
        self.check_embedded("triggers")?;
        let entered = self.guarded.enter(Verb::RearmTrigger);
        let name = Name::of_entity(name)?;
        entered.access.check(Configure, EntityKind::Queue, &name)?;
        self.check_target(Verb::RearmTrigger, Configure, &name)?;
        let queue = entered.vhost.queue(entered.by.connection, &name)?;
        entered.vhost.rearm_trigger(&queue)
    }

    /// Checks the permission on the target of a name in the place of a queue, if the name is an
    /// alias. The name itself has been checked.
    pub(super) fn check_target(&self, verb: Verb, permission: Permission, name: &str) -> Result {
        let entered = self.guarded.enter(verb);
        if entered.access.is_all() {
            return Ok(());
        }
        match entered.vhost.alias_target(name) {
            None => Ok(()),
            Some((kind, target)) => entered.access.check(permission, kind, &target),
        }
    }
}
