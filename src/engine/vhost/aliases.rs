//! Alias queues: names that stand for queues and exchanges.
//!
//! They share the names of queues. A name is followed to its end under the topology lock. So an
//! operation sees one target of each alias, and a change is atomic.

use std::{collections::BTreeMap, sync::Arc};

use super::{Topology, VirtualHost, declare::is_reserved};
use crate::{
    model::{
        descriptions::{AliasQueue, AliasTarget},
        error::{EntityKind, Error, Result},
        name::Name,
    },
    runtime::sync::atomic::{AtomicU64, Ordering::SeqCst},
};

/// The alias queues of a virtual host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aliases {
    declared: BTreeMap<Name, AliasQueue>,
    /// Raised with each change, so that a route by an alias is not remembered any longer. Written
    /// under the topology lock, read by producers without it.
    epoch: Arc<AtomicU64>,
}

/// The end of the way from a name in the place of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AliasEnd<'a> {
    /// The name itself: it is no alias.
    Itself,
    Queue(&'a str),
    Exchange(&'a str),
}

impl Aliases {
    /// Follows a name to its end.
    pub(crate) fn end_of<'a>(&'a self, name: &str) -> AliasEnd<'a> {
        let mut end = AliasEnd::Itself;
        let mut next = self.declared.get(name);
        // No alias leads to itself.
        while let Some(alias) = next {
            match alias.target() {
                AliasTarget::Exchange(exchange) => return AliasEnd::Exchange(exchange),
                AliasTarget::Queue(queue) => {
                    end = AliasEnd::Queue(queue);
                    next = self.declared.get(queue.as_str());
                }
            }
        }
        end
    }

    pub(super) fn epoch(&self) -> &Arc<AtomicU64> {
        &self.epoch
    }

    /// A change: no remembered route by an alias is valid any more.
    pub(super) fn touch(&self) {
        self.epoch.fetch_add(1, SeqCst);
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.declared.contains_key(name)
    }

    /// Adds an alias that was checked, or replaces one.
    pub(super) fn insert(&mut self, name: Name, alias: &AliasQueue) {
        self.declared.insert(name, alias.clone());
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &AliasQueue> {
        self.declared.values()
    }

    /// Whether an alias with this name and target would lead to itself.
    fn closes_cycle(&self, name: &Name, target: &AliasTarget) -> bool {
        let mut next = target;
        while let AliasTarget::Queue(queue) = next {
            if **name == **queue {
                return true;
            }
            match self.declared.get(queue.as_str()) {
                Some(alias) => next = alias.target(),
                None => return false,
            }
        }
        false
    }
}

/// How a description changes the aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AliasChange {
    /// It makes an alias. One of the same name must have the same target.
    Declare,
    /// It gives an alias another target. There must be one.
    Repoint,
}

impl VirtualHost {
    /// Makes an alias, or gives it another target.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::AccessRefused`] for a name with `amq.`,
    /// [`Error::Inequivalent`], [`Error::PreconditionFailed`] for an invalid name or target, a
    /// cycle, or a name that is taken; [`Error::ShutDown`]. Nothing is changed then.
    pub(crate) fn change_alias(&self, alias: &AliasQueue, change: AliasChange) -> Result {
        let name = self.alias_name(alias)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let is_free = |name: &Name| topology.check_free(name, self.name());
        if self.changes_alias(&topology.aliases, (&name, alias), change, is_free)? {
            topology.set_alias(name, alias);
        }
        drop(topology);
        Ok(())
    }

    /// The name of an alias.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::AccessRefused`] for a name with `amq.`,
    /// [`Error::PreconditionFailed`] for an empty name or target.
    pub(super) fn alias_name(&self, alias: &AliasQueue) -> Result<Name> {
        let name = Name::of_entity(alias.name())?;
        let target = Name::of_entity(alias.target().name())?;
        if name.is_empty() || target.is_empty() {
            let reason = "needs a name and a target of 1 to 255 bytes";
            return Err(Error::invalid_queue_kind(reason, &name, self.name()));
        }
        match is_reserved(&name) {
            true => Err(Error::reserved_prefix(EntityKind::Queue, &name)),
            false => Ok(name),
        }
    }

    /// Whether a description changes these aliases. `check_free` checks a name that none of them
    /// has.
    ///
    /// # Errors
    /// [`Error::Inequivalent`], [`Error::PreconditionFailed`], and those of `check_free`.
    pub(super) fn changes_alias(
        &self,
        aliases: &Aliases,
        (name, alias): (&Name, &AliasQueue),
        change: AliasChange,
        check_free: impl FnOnce(&Name) -> Result,
    ) -> Result<bool> {
        let vhost = self.name();
        match (aliases.declared.get(name), change) {
            (Some(there), _) if there == alias => return Ok(false),
            (Some(there), AliasChange::Declare) => {
                let (old, new) = (there.target().name().into(), alias.target().name().into());
                let entity = EntityKind::Queue;
                return Err(Error::inequivalent(
                    "target",
                    entity,
                    name,
                    vhost,
                    Some(new),
                    Some(old),
                ));
            }
            (None, AliasChange::Repoint) => {
                return Err(Error::no_such_kind("alias queue", name, vhost));
            }
            (Some(_), AliasChange::Repoint) => {}
            (None, AliasChange::Declare) => check_free(name)?,
        }
        match aliases.closes_cycle(name, alias.target()) {
            true => Err(Error::alias_cycle(name, vhost)),
            false => Ok(true),
        }
    }

    /// Deletes an alias. `false` if there is none of this name.
    pub(crate) fn delete_alias(&self, name: &str) -> Result<bool> {
        let name = Name::of_entity(name)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let deleted = topology.remove_alias(&name);
        drop(topology);
        Ok(deleted)
    }

    /// The queue or the exchange that a name in the place of a queue stands for, if it is an alias.
    /// The user must have the permissions of both names.
    pub(crate) fn alias_target(&self, name: &str) -> Option<(EntityKind, Name)> {
        let topology = self.topology.read();
        let (kind, target) = match topology.aliases.end_of(name) {
            AliasEnd::Itself => return None,
            AliasEnd::Queue(queue) => (EntityKind::Queue, queue),
            AliasEnd::Exchange(exchange) => (EntityKind::Exchange, exchange),
        };
        Some((kind, Name::new(target).ok()?))
    }
}

impl Topology {
    /// The name of the queue that a name stands for.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] for an alias of an exchange and for a model queue.
    pub(super) fn queue_name(&self, name: &Name, vhost: &Name) -> Result<Name> {
        match self.aliases.end_of(name) {
            AliasEnd::Itself if self.models.contains_key(name) => {
                Err(Error::name_is_of("a model queue", name, vhost))
            }
            AliasEnd::Itself => Ok(name.clone()),
            AliasEnd::Queue(queue) => Ok(Name::of_entity(queue)?),
            AliasEnd::Exchange(exchange) => {
                let exchange = Name::of_entity(exchange)?;
                Err(Error::alias_of_exchange(name, &exchange, vhost))
            }
        }
    }

    /// The destination of a binding, and whether it is a queue.
    pub(super) fn destination(&self, to_queue: bool, destination: Name) -> (bool, Name) {
        let end = match to_queue {
            true => self.aliases.end_of(&destination),
            false => AliasEnd::Itself,
        };
        let name = |name| Name::of_entity(name).unwrap_or_default();
        match end {
            AliasEnd::Itself => (to_queue, destination),
            AliasEnd::Queue(queue) => (true, name(queue)),
            AliasEnd::Exchange(exchange) => (false, name(exchange)),
        }
    }

    /// Checks that no alias, model queue or queue has this name.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub(super) fn check_free(&self, name: &Name, vhost: &Name) -> Result {
        match self.queues.contains_key(name) {
            true => Err(Error::name_is_of("a queue", name, vhost)),
            false => self.check_no_kind(name, vhost),
        }
    }

    /// Checks that no alias and no model queue has this name.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub(super) fn check_no_kind(&self, name: &Name, vhost: &Name) -> Result {
        let kind = match self.aliases.contains(name) {
            true => "an alias queue",
            false if self.models.contains_key(name) => "a model queue",
            false => return Ok(()),
        };
        Err(Error::name_is_of(kind, name, vhost))
    }

    /// Adds an alias that was checked, or gives it another target.
    pub(super) fn set_alias(&mut self, name: Name, alias: &AliasQueue) {
        self.touch_alias(&name);
        if let Some(storage) = &self.storage {
            storage.write_alias(&name, Some(alias));
        }
        self.aliases.insert(name, alias);
    }

    /// Removes an alias. `false` if there is none of this name.
    pub(super) fn remove_alias(&mut self, name: &Name) -> bool {
        if !self.aliases.contains(name) {
            return false;
        }
        self.touch_alias(name);
        self.aliases.declared.remove(name);
        if let Some(storage) = &self.storage {
            storage.write_alias(name, None);
        }
        true
    }

    /// An alias changes. A route through it to an exchange is remembered by the epoch of that
    /// exchange, and any other one by the epoch of the aliases.
    fn touch_alias(&self, name: &Name) {
        self.aliases.touch();
        if let AliasEnd::Exchange(exchange) = self.aliases.end_of(name)
            && let Some(exchange) = self.exchanges.get(exchange)
        {
            exchange.epoch.fetch_add(1, SeqCst);
        }
    }
}
