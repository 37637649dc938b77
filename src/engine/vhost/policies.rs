//! Sets and clears the policies of a virtual host. They apply at once.

use std::sync::Arc;

use super::VirtualHost;
use crate::{
    engine::{
        events::Actor,
        policy::{ForeignSettings, Policies, Policy, PolicyKind},
        queue::{Effects, QueueCore},
    },
    model::{
        arguments::{ExchangeArguments, QueueArguments},
        broker_event::EventKind,
        error::Result,
        field_value::FieldTable,
        name::Name,
    },
    runtime::waiter::Wake,
};

/// What a change of the policies may concern, sorted by name.
struct Declared {
    exchanges: Vec<(Name, ExchangeArguments)>,
    queues: Vec<(Arc<QueueCore>, Arc<QueueArguments>)>,
}

impl VirtualHost {
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for a pattern that does not
    /// compile or an invalid definition. Nothing is changed then.
    pub(crate) fn set_policy(
        self: &Arc<Self>,
        policy: Policy,
        kind: PolicyKind,
        by: Actor<'_>,
    ) -> Result {
        self.set_policy_with(policy, kind, ForeignSettings::Refused, by)
    }

    /// As [`set_policy`](Self::set_policy), with or without settings of features that are not here.
    pub(super) fn set_policy_with(
        self: &Arc<Self>,
        policy: Policy,
        kind: PolicyKind,
        foreign: ForeignSettings,
        by: Actor<'_>,
    ) -> Result {
        self.check_up()?;
        let mut told = Vec::new();
        let set = self.change_policies(|policies| -> Result {
            let written = policy.clone();
            policies.set_with(policy, kind, foreign)?;
            if let Some(storage) = self.storage() {
                storage.write_policy(&written.name, kind, Some(&written));
            }
            told = self.tell_policy_set(&written, kind, by);
            Ok(())
        });
        told.into_iter().for_each(Wake::wake);
        set
    }

    /// Tells that a policy was set. As in RabbitMQ, an operator policy is a parameter too.
    pub(super) fn tell_policy_set(
        &self,
        policy: &Policy,
        kind: PolicyKind,
        by: Actor<'_>,
    ) -> Vec<Wake> {
        let fields = || {
            FieldTable::new()
                .with("name", &policy.name)
                .with("pattern", &policy.pattern)
                .with("apply-to", policy.apply_to.as_str())
                .with("priority", policy.priority)
                .with("definition", policy.definition.clone())
        };
        let mut told = match kind {
            PolicyKind::User => Vec::new(),
            PolicyKind::Operator => {
                let of_parameter = |fields: FieldTable| operator_policy(fields, &policy.name);
                self.events()
                    .send(EventKind::ParameterSet, by, of_parameter)
            }
        };
        told.extend(self.events().send(EventKind::PolicySet, by, |_| fields()));
        told
    }

    fn tell_policy_cleared(&self, name: &str, kind: PolicyKind, by: Actor<'_>) -> Vec<Wake> {
        let events = self.events();
        let named = |fields: FieldTable| fields.with("name", name);
        match kind {
            PolicyKind::User => events.send(EventKind::PolicyCleared, by, named),
            PolicyKind::Operator => {
                let of_parameter = |fields| operator_policy(fields, name);
                let mut told = events.send(EventKind::ParameterCleared, by, of_parameter);
                told.extend(events.send(EventKind::OperatorPolicyCleared, by, named));
                told
            }
        }
    }

    /// `false` if there was no policy of that name.
    pub(crate) fn clear_policy(
        self: &Arc<Self>,
        name: &str,
        kind: PolicyKind,
        by: Actor<'_>,
    ) -> Result<bool> {
        self.check_up()?;
        let mut told = Vec::new();
        let cleared = self.change_policies(|policies| {
            let cleared = match kind {
                PolicyKind::User => policies.clear(name),
                PolicyKind::Operator => policies.clear_operator(name),
            };
            if let Some(storage) = self.storage().filter(|_| cleared) {
                storage.write_policy(name, kind, None);
            }
            if cleared {
                told = self.tell_policy_cleared(name, kind, by);
            }
            cleared
        });
        told.into_iter().for_each(Wake::wake);
        Ok(cleared)
    }

    /// The policies in the order in which they are tried. With each of them comes the number of its
    /// matches that took too many steps and counted as none.
    pub(crate) fn policies(&self, kind: PolicyKind) -> Vec<(Policy, u64)> {
        let policies = self.policies.lock();
        let policies = policies.iter(kind);
        policies
            .map(|(policy, unfinished)| (policy.clone(), unfinished))
            .collect()
    }

    /// Changes the policies and applies them to every queue and exchange. A declaration at the same
    /// time waits for the policies' lock and uses the new ones. So nothing is declared between the
    /// list and the end of the change. Something may be deleted, which the change then leaves out.
    ///
    /// Patterns can take long. They are matched while the topology is not locked, so that no
    /// publisher waits for them.
    fn change_policies<R>(self: &Arc<Self>, change: impl FnOnce(&mut Policies) -> R) -> R {
        let now = self.nanos();
        let mut work = Vec::new();
        let mut policies = self.policies.lock();
        let changed = change(&mut policies);
        let Declared { exchanges, queues } = self.declared();
        policies.begin_pass();
        let alternates: Vec<_> = exchanges
            .into_iter()
            .map(|(name, declared)| {
                let effective = policies.effective_exchange(&declared, &name);
                (name, effective.alternate_exchange)
            })
            .collect();
        let queues: Vec<_> = queues
            .into_iter()
            .map(|(queue, declared)| {
                let effective = policies.effective_queue(&declared, queue.name());
                (queue, effective)
            })
            .collect();
        {
            let mut topology = self.topology.write();
            for (name, alternate) in alternates {
                topology.set_alternate(&name, alternate);
            }
            for (queue, effective) in queues {
                let mut effects = Effects::none();
                queue.reconfigure(&effective, now, &mut effects);
                work.push((queue, effects));
            }
        }
        drop(policies);
        for (queue, effects) in work {
            self.run_effects(&queue, effects);
        }
        changed
    }

    /// The queues and exchanges with the arguments that they were declared with.
    fn declared(&self) -> Declared {
        let topology = self.topology.read();
        let exchanges = topology.exchanges.iter();
        let queues = topology.queues.values();
        let mut declared = Declared {
            exchanges: exchanges
                .map(|(name, exchange)| (name.clone(), exchange.arguments.clone()))
                .collect(),
            queues: queues
                .map(|queue| (Arc::clone(&queue.queue), Arc::clone(&queue.terms.arguments)))
                .collect(),
        };
        drop(topology);
        declared.exchanges.sort_by(|(a, _), (b, _)| a.cmp(b));
        declared
            .queues
            .sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
        declared
    }
}

/// The fields of an operator policy as a parameter.
fn operator_policy(fields: FieldTable, name: &str) -> FieldTable {
    fields
        .with("component", "operator_policy")
        .with("name", name)
}
