//! The alias queues and model queues that an import makes, planned beside those that exist.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    Topology,
    added::{Added, Other},
    aliases::{AliasChange, AliasEnd, Aliases},
    declaration::Batch,
};
use crate::model::{
    descriptions::{AliasQueue, ModelQueue},
    error::{Error, Result},
    name::Name,
};

/// The alias queues and model queues after an import, as far as it is planned.
pub(super) struct PlannedKinds<'a> {
    aliases: Cow<'a, Aliases>,
    models: Cow<'a, BTreeMap<Name, ModelQueue>>,
    new: NewKinds,
}

/// The alias queues and model queues that are to be made.
#[derive(Default)]
pub(super) struct NewKinds {
    aliases: Vec<(Name, AliasQueue)>,
    models: Vec<(Name, ModelQueue)>,
}

/// The alias queues and model queues that were made, in order to undo them.
pub(super) struct MadeKinds {
    aliases: Vec<Name>,
    models: Vec<Name>,
}

impl<'a> PlannedKinds<'a> {
    pub(super) fn of(topology: &'a Topology) -> PlannedKinds<'a> {
        PlannedKinds {
            aliases: Cow::Borrowed(&topology.aliases),
            models: Cow::Borrowed(&topology.models),
            new: NewKinds::default(),
        }
    }

    /// Plans an alias. The queues of the batch are planned before.
    ///
    /// # Errors
    /// Those of a declaration.
    pub(super) fn alias(
        &mut self,
        batch: &Batch<'_>,
        alias: &AliasQueue,
        other: Other,
    ) -> Result<Added> {
        let name = batch.vhost.alias_name(alias)?;
        let found = match self.aliases.contains(&name) {
            true if batch.topology.aliases.contains(&name) => Added::Existing,
            true => Added::Twice,
            false => Added::New,
        };
        if found != Added::New && other == Other::Kept {
            return Ok(found);
        }
        let is_free = |name: &Name| self.check_free(batch, name);
        let change = AliasChange::Declare;
        if (batch.vhost).changes_alias(&self.aliases, (&name, alias), change, is_free)? {
            self.aliases.to_mut().insert(name.clone(), alias);
            self.new.aliases.push((name, alias.clone()));
        }
        Ok(found)
    }

    /// Plans a model. The queues of the batch are planned before.
    ///
    /// # Errors
    /// Those of a declaration.
    pub(super) fn model(
        &mut self,
        batch: &Batch<'_>,
        model: &ModelQueue,
        other: Other,
    ) -> Result<Added> {
        let name = batch.vhost.model_name(model)?;
        let found = match self.models.contains_key(&name) {
            true if batch.topology.models.contains_key(&name) => Added::Existing,
            true => Added::Twice,
            false => Added::New,
        };
        if found != Added::New && other == Other::Kept {
            return Ok(found);
        }
        let is_free = |name: &Name| self.check_free(batch, name);
        if (batch.vhost).is_new_model(&self.models, (&name, model), is_free)? {
            self.models.to_mut().insert(name.clone(), model.clone());
            self.new.models.push((name, model.clone()));
        }
        Ok(found)
    }

    /// Checks that no queue, alias or model has this name, or will have it.
    fn check_free(&self, batch: &Batch<'_>, name: &Name) -> Result {
        let kind = match batch.declared_queue(name) {
            Some(_) => "a queue",
            None if self.aliases.contains(name) => "an alias queue",
            None if self.models.contains_key(name) => "a model queue",
            None => return Ok(()),
        };
        Err(Error::name_is_of(kind, name, batch.vhost.name()))
    }

    /// What a name in the place of a queue stands for.
    pub(super) fn end_of<'n>(&'n self, name: &str) -> AliasEnd<'n> {
        self.aliases.end_of(name)
    }

    pub(super) fn into_new(self) -> NewKinds {
        self.new
    }
}

impl Topology {
    /// Makes the planned alias queues and model queues.
    pub(super) fn make_kinds(&mut self, new: NewKinds) -> MadeKinds {
        let aliases = new.aliases.into_iter().map(|(name, alias)| {
            self.set_alias(name.clone(), &alias);
            name
        });
        let aliases = aliases.collect();
        let models = new.models.into_iter().map(|(name, model)| {
            self.add_model(name.clone(), &model);
            name
        });
        MadeKinds {
            aliases,
            models: models.collect(),
        }
    }

    /// Undoes them. No lock was released since they were made.
    pub(super) fn undo_kinds(&mut self, made: &MadeKinds) {
        for name in &made.aliases {
            self.remove_alias(name);
        }
        for name in &made.models {
            self.remove_model(name);
        }
    }
}
