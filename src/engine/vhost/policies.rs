//! Sets and clears the policies of a virtual host. They apply at once.

use std::sync::Arc;

use super::VirtualHost;
use crate::{
    engine::{
        policy::{Policies, Policy, PolicyKind},
        queue::Effects,
    },
    model::error::Result,
};

impl VirtualHost {
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for a pattern that does not
    /// compile or an invalid definition. Nothing is changed then.
    pub(crate) fn set_policy(self: &Arc<Self>, policy: Policy, kind: PolicyKind) -> Result {
        self.check_up()?;
        self.change_policies(|policies| match kind {
            PolicyKind::User => policies.set(policy),
            PolicyKind::Operator => policies.set_operator(policy),
        })
    }

    /// `false` if there was no policy of that name.
    pub(crate) fn clear_policy(self: &Arc<Self>, name: &str, kind: PolicyKind) -> Result<bool> {
        self.check_up()?;
        Ok(self.change_policies(|policies| match kind {
            PolicyKind::User => policies.clear(name),
            PolicyKind::Operator => policies.clear_operator(name),
        }))
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
    /// time waits for the policies' lock and uses the new ones.
    fn change_policies<R>(self: &Arc<Self>, change: impl FnOnce(&mut Policies) -> R) -> R {
        let now = self.nanos();
        let mut work = Vec::new();
        let mut policies = self.policies.lock();
        let changed = change(&mut policies);
        {
            let mut topology = self.topology.write();
            let alternates: Vec<_> = topology
                .exchanges
                .iter()
                .map(|(name, declared)| {
                    (
                        name.clone(),
                        policies
                            .effective_exchange(&declared.arguments, name)
                            .alternate_exchange,
                    )
                })
                .collect();
            for (name, alternate) in alternates {
                topology.set_alternate(&name, alternate);
            }
            for (name, declared) in &topology.queues {
                let effective = policies.effective_queue(&declared.arguments, name);
                let mut effects = Effects::none();
                declared.queue.reconfigure(&effective, now, &mut effects);
                work.push((Arc::clone(&declared.queue), effects));
            }
        }
        drop(policies);
        for (queue, effects) in work {
            self.run_effects(&queue, effects);
        }
        changed
    }
}
