//! Imports: the contents of a file are made in several virtual hosts at once.
//!
//! The virtual hosts of the file are locked, in the order of their names. The contents are checked
//! against them first and made afterwards, so that a failed import changes nothing and no one sees
//! a part of one. This is the only place where a thread holds the locks of two virtual hosts.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use serde_json::Value;

use super::{
    About, Identity, VirtualHost,
    added::{Added, Other},
    aliases::AliasEnd,
    changes::{Changes, Made},
    declaration::Batch,
    effects::Aftermath,
    kept_parts::KeptParts,
    planned_kinds::{MadeKinds, NewKinds, PlannedKinds},
    topology::{DeclaredBudget, Topology},
};
use crate::{
    engine::{
        access::{Access, Compiled, CompiledTopic, Grants},
        events::Actor,
        policy::{ForeignSettings, Policies, Policy, PolicyKind},
        queue::Effects,
    },
    model::{
        access::{Permissions, TopicPermissions, VhostLimits, VhostMetadata},
        descriptions::{self, names},
        error::{EntityKind, Error, Result},
        field_value::FieldTable,
        name::{Name, without_line_ends},
    },
    runtime::{
        sync::{MutexGuard, RwLockWriteGuard, atomic::Ordering::SeqCst},
        waiter::Wake,
    },
};

/// A virtual host that is locked for an import.
pub(crate) struct LockedVhost<'a> {
    vhost: &'a Arc<VirtualHost>,
    /// The time, read before all locks.
    now: u64,
    policies: MutexGuard<'a, Policies>,
    topology: RwLockWriteGuard<'a, Topology>,
    aftermath: Aftermath,
    /// The readers of events that were told.
    told: Vec<Wake>,
}

/// The contents that an import makes in one virtual host. Each of them is checked when it is added.
pub(crate) struct VhostPlan<'a> {
    batch: Batch<'a>,
    budgets: Vec<(Name, DeclaredBudget)>,
    kinds: PlannedKinds<'a>,
    /// The policies that were added.
    policies: Vec<(Policy, PolicyKind)>,
    rest: Rest,
}

/// The contents that replace others. Once they are checked they cannot fail any more.
#[derive(Default)]
struct Rest {
    /// `None` if it stays as it is.
    about: Option<About>,
    permissions: BTreeMap<Name, (Permissions, Compiled)>,
    /// By user and exchange.
    topic_permissions: BTreeMap<(Name, Name), (TopicPermissions, CompiledTopic)>,
    kept_parts: KeptParts,
}

/// The policies, and those of them that are new.
type NewPolicies = (Policies, Vec<(Policy, PolicyKind)>);

/// The checked contents of one virtual host, to be made.
pub(crate) struct CheckedVhost {
    budgets: Vec<(Name, DeclaredBudget)>,
    changes: Changes,
    kinds: NewKinds,
    /// `None` if they stay as they are.
    policies: Option<NewPolicies>,
    rest: Rest,
}

/// The contents that were made in one virtual host.
pub(crate) struct MadeVhost {
    budgets: Vec<Name>,
    made: Made,
    kinds: MadeKinds,
    policies: Option<NewPolicies>,
    rest: Rest,
}

impl VirtualHost {
    /// Locks the virtual host for an import at this time of the clock. A caller that locks several
    /// of them does so in the order of their names.
    ///
    /// # Errors
    /// Those of a virtual host that is down.
    pub(crate) fn lock_for_import(self: &Arc<Self>, now: Instant) -> Result<LockedVhost<'_>> {
        let now = self.nanos_at(now);
        let policies = self.policies.lock();
        policies.begin_pass();
        let topology = self.topology.write();
        self.check_up()?;
        Ok(LockedVhost {
            vhost: self,
            now,
            policies,
            topology,
            aftermath: Aftermath::default(),
            told: Vec::new(),
        })
    }
}

impl<'a> VhostPlan<'a> {
    pub(crate) fn of(locked: &'a LockedVhost<'_>) -> VhostPlan<'a> {
        VhostPlan {
            batch: Batch::new(locked.vhost, IMPORT, &locked.policies, &locked.topology),
            budgets: Vec::new(),
            kinds: PlannedKinds::of(&locked.topology),
            policies: Vec::new(),
            rest: Rest::default(),
        }
    }

    pub(crate) fn budget(&mut self, budget: &descriptions::Budget, other: Other) -> Result<Added> {
        let Batch {
            vhost,
            topology,
            budgets,
            ..
        } = &mut self.batch;
        let name = Name::of_entity(budget.name())?;
        let found = match budgets.contains_key(&name) {
            true if topology.budgets.contains_key(&name) => Added::Existing,
            true => Added::Twice,
            false => Added::New,
        };
        if found != Added::New && other == Other::Kept {
            return Ok(found);
        }
        if let Some((name, declared)) = vhost.new_budget(topology, budgets, budget)? {
            budgets.to_mut().insert(name.clone(), declared.clone());
            self.budgets.push((name, declared));
        }
        Ok(found)
    }

    pub(crate) fn exchange(
        &mut self,
        exchange: &descriptions::Exchange,
        other: Other,
    ) -> Result<Added> {
        let name = Name::of_entity(exchange.name())?;
        let found = match self.batch.declared_exchange(&name) {
            Some(_) if self.batch.topology.exchanges.contains_key(&name) => Added::Existing,
            Some(_) => Added::Twice,
            None => Added::New,
        };
        if found == Added::New || other == Other::Refused {
            self.batch.exchange(exchange)?;
        }
        Ok(found)
    }

    /// Sets a policy. It replaces one of the same name.
    pub(crate) fn policy(&mut self, policy: Policy, kind: PolicyKind) -> Result<Added> {
        let is_same = |(there, of): &(Policy, PolicyKind)| of == &kind && there.name == policy.name;
        let found = match self.policies.iter().any(is_same) {
            true => Added::Twice,
            false => Added::New,
        };
        let policies = self.batch.policies.to_mut();
        policies.set_with(policy.clone(), kind, ForeignSettings::Kept)?;
        self.policies.push((policy, kind));
        Ok(found)
    }

    /// Keeps an item that belongs to a feature which is not here.
    pub(crate) fn keep(&mut self, section: &str, key: String, item: Value) -> Added {
        match self.rest.kept_parts.insert(section, key, item) {
            Some(_) => Added::Twice,
            None => Added::New,
        }
    }

    /// Whether an item with this key is kept.
    pub(crate) fn keeps(&self, section: &str, key: &str) -> bool {
        self.rest.kept_parts.contains(section, key)
            || self.batch.vhost.kept_parts.lock().contains(section, key)
    }

    /// Replaces the limits. They count after the import.
    pub(crate) fn limits(&mut self, limits: VhostLimits) {
        self.about().limits = limits;
    }

    /// Replaces the metadata.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] for a default queue type that is none.
    pub(crate) fn metadata(&mut self, metadata: VhostMetadata) -> Result {
        About::check_metadata(&metadata)?;
        self.about().metadata = metadata;
        Ok(())
    }

    fn about(&mut self) -> &mut About {
        let vhost = self.batch.vhost;
        self.rest.about.get_or_insert_with(|| vhost.about())
    }

    /// The most queues before the import.
    pub(crate) fn queue_limit(&self) -> Option<i64> {
        self.batch.vhost.about().limits.max_queues
    }

    /// Sets the permissions of a user who exists, or will.
    ///
    /// # Errors
    /// [`Error::InvalidPattern`].
    pub(crate) fn permissions(&mut self, user: &Name, permissions: &Permissions) -> Result<Added> {
        let set = (permissions.clone(), Grants::compile(permissions)?);
        Ok(match self.rest.permissions.insert(user.clone(), set) {
            Some(_) => Added::Twice,
            None => Added::New,
        })
    }

    /// Sets the topic permissions of a user who exists, or will.
    ///
    /// # Errors
    /// [`Error::InvalidPattern`], [`Error::InvalidName`] for the name of the exchange.
    pub(crate) fn topic_permissions(
        &mut self,
        user: &Name,
        permissions: &TopicPermissions,
    ) -> Result<Added> {
        let exchange = Name::of_entity(&permissions.exchange)?;
        let compiled = self.batch.vhost.grants().compile_topic(user, permissions)?;
        let set = (permissions.clone(), compiled);
        let key = (user.clone(), exchange);
        Ok(match self.rest.topic_permissions.insert(key, set) {
            Some(_) => Added::Twice,
            None => Added::New,
        })
    }

    /// Whether exchanges may be of this type.
    pub(crate) fn has_exchange_type(&self, name: &str) -> bool {
        name == names::DELAYED_MESSAGE || self.batch.vhost.exchange_types.find(name).is_ok()
    }

    /// Plans a queue. The empty name is a name here, and the type is as the queue says.
    pub(crate) fn queue(&mut self, queue: &descriptions::Queue, other: Other) -> Result<Added> {
        let name = Name::of_entity(queue.name())?;
        let found = match self.batch.declared_queue(&name) {
            Some(_) if self.batch.topology.queues.contains_key(&name) => Added::Existing,
            Some(_) => Added::Twice,
            None => Added::New,
        };
        if found == Added::New || other == Other::Refused {
            queue.argument_table().check_depth()?;
            self.batch.named_queue(queue, name)?;
        }
        Ok(found)
    }

    /// Plans an alias queue, behind the queues.
    pub(crate) fn alias(
        &mut self,
        alias: &descriptions::AliasQueue,
        other: Other,
    ) -> Result<Added> {
        self.kinds.alias(&self.batch, alias, other)
    }

    /// Plans a model queue, behind the queues.
    pub(crate) fn model(
        &mut self,
        model: &descriptions::ModelQueue,
        other: Other,
    ) -> Result<Added> {
        self.kinds.model(&self.batch, model, other)
    }

    /// Plans a binding. That of an alias binds its target.
    pub(crate) fn binding(
        &mut self,
        source: &Name,
        (to_queue, destination): (bool, &str),
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> Result {
        let source = source.to_entity();
        let (kind, destination) = self.destination(to_queue, destination);
        let destination = Name::of_entity(destination)?;
        if kind == EntityKind::Exchange && self.batch.declared_exchange(&destination).is_none() {
            let vhost = self.batch.vhost.name();
            return Err(Error::not_found(kind, &destination, vhost));
        }
        self.batch
            .add_binding(source, (&destination, kind), routing_key.clone(), arguments)
    }

    /// Whether the virtual host has this exchange, or will have it.
    pub(crate) fn has_exchange(&self, name: &str) -> bool {
        let name = without_line_ends(name);
        self.batch.declared_exchange(&name).is_some()
    }

    /// Whether the virtual host has this destination of a binding, or will have it.
    pub(crate) fn has_destination(&self, to_queue: bool, name: &str) -> bool {
        match self.destination(to_queue, name) {
            (EntityKind::Queue, name) => self.has_queue(name),
            (_, name) => self.has_exchange(name),
        }
    }

    fn destination<'n>(&'n self, to_queue: bool, name: &'n str) -> (EntityKind, &'n str) {
        match self.kinds.end_of(name) {
            _ if !to_queue => (EntityKind::Exchange, name),
            AliasEnd::Itself => (EntityKind::Queue, name),
            AliasEnd::Queue(queue) => (EntityKind::Queue, queue),
            AliasEnd::Exchange(exchange) => (EntityKind::Exchange, exchange),
        }
    }

    /// Whether the virtual host has this queue, or will have it.
    pub(crate) fn has_queue(&self, name: &str) -> bool {
        let name = without_line_ends(name);
        self.batch.declared_queue(&name).is_some()
    }

    /// How many queues the virtual host has.
    pub(crate) fn existing_queues(&self) -> usize {
        self.batch.topology.queues.len()
    }

    /// Ends the checks.
    pub(crate) fn checked(self) -> CheckedVhost {
        let Batch {
            policies,
            mut changes,
            ..
        } = self.batch;
        let policies = match self.policies.is_empty() {
            true => None,
            false => {
                let policies = policies.into_owned();
                // Exchanges were planned before the policies.
                for (name, declared) in &mut changes.exchanges {
                    let effective = policies.effective_exchange(&declared.arguments, name);
                    declared.alternate = effective.alternate_exchange;
                }
                Some((policies, self.policies))
            }
        };
        CheckedVhost {
            budgets: self.budgets,
            changes,
            kinds: self.kinds.into_new(),
            policies,
            rest: self.rest,
        }
    }
}

impl LockedVhost<'_> {
    /// Adds the exchanges, queues of all kinds, bindings and budgets. They can be undone.
    ///
    /// # Errors
    /// Fails if an exchange can take no more bindings. Nothing is changed then.
    pub(crate) fn make(&mut self, checked: CheckedVhost) -> Result<MadeVhost> {
        let budgets = checked.budgets.iter().map(|(name, _)| name.clone());
        let budgets: Vec<Name> = budgets.collect();
        for (name, declared) in checked.budgets {
            self.topology.add_budget(name, declared);
        }
        match self.topology.make(checked.changes) {
            Ok(made) => Ok(MadeVhost {
                budgets,
                made,
                kinds: self.topology.make_kinds(checked.kinds),
                policies: checked.policies,
                rest: checked.rest,
            }),
            Err(error) => {
                budgets
                    .iter()
                    .for_each(|name| self.topology.remove_budget(name));
                Err(error)
            }
        }
    }

    /// Undoes what was made.
    pub(crate) fn undo(&mut self, made: MadeVhost) {
        self.topology.undo_kinds(&made.kinds);
        self.topology.undo(made.made);
        for name in &made.budgets {
            self.topology.remove_budget(name);
        }
    }

    /// Replaces what is left. Nothing can fail any more.
    pub(crate) fn finish(&mut self, made: MadeVhost) {
        self.replace(made.rest);
        let mut aftermath = self.topology.take_aftermath(Actor::Program);
        aftermath.told.append(&mut self.told);
        let Some((policies, set)) = made.policies else {
            self.aftermath = aftermath;
            return;
        };
        if let Some(storage) = self.vhost.storage() {
            for (policy, kind) in &set {
                storage.write_policy(&policy.name, *kind, Some(policy));
            }
        }
        for (policy, kind) in &set {
            let told = self.vhost.tell_policy_set(policy, *kind, Actor::Program);
            aftermath.told.extend(told);
        }
        policies.begin_pass();
        let exchanges = self.topology.exchanges.iter();
        let alternates: Vec<_> = exchanges
            .map(|(name, declared)| {
                let effective = policies.effective_exchange(&declared.arguments, name);
                (name.clone(), effective.alternate_exchange)
            })
            .collect();
        for (name, alternate) in alternates {
            self.topology.set_alternate(&name, alternate);
        }
        for (name, declared) in &self.topology.queues {
            let mut effects = Effects::none();
            let effective = policies.effective_queue(&declared.terms.arguments, name);
            declared
                .queue
                .reconfigure(&effective, self.now, &mut effects);
            let queue = Arc::clone(&declared.queue);
            aftermath.effects.push_back((queue, effects));
        }
        *self.policies = policies;
        self.aftermath = aftermath;
    }

    fn replace(&mut self, rest: Rest) {
        let vhost = self.vhost;
        vhost.add_kept_parts(rest.kept_parts);
        if let Some(about) = rest.about {
            vhost.replace_about(about);
        }
        let changes_grants = !rest.permissions.is_empty() || !rest.topic_permissions.is_empty();
        for (user, (permissions, compiled)) in rest.permissions {
            let told = vhost.set_permissions(&user, &permissions, compiled);
            self.told.extend(told);
        }
        for ((user, exchange), (permissions, compiled)) in rest.topic_permissions {
            vhost.grants().set_topic(&user, &exchange, compiled);
            if let Some(storage) = vhost.storage() {
                storage.write_topic_permissions(&user, &exchange, Some(&permissions));
            }
        }
        if changes_grants {
            // Producers find out what they may do by now.
            vhost.default_epoch.fetch_add(1, SeqCst);
            self.topology.touch_all();
        }
    }

    /// Releases the locks. The effects are to be carried out when no virtual host is locked.
    pub(crate) fn release(self) -> ImportEffects {
        ImportEffects(Arc::clone(self.vhost), self.aftermath)
    }
}

/// The work that an import leaves in one virtual host.
pub(crate) struct ImportEffects(Arc<VirtualHost>, Aftermath);

impl ImportEffects {
    /// Carries it out. No lock may be held.
    pub(crate) fn run(self) {
        self.0.finish_change(self.1);
    }
}

/// An import may do everything. No queue of it is exclusive.
const IMPORT: Identity<'static> = Identity {
    connection: 0,
    access: &Access::All,
    refuses_block: false,
};
