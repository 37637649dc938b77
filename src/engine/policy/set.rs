//! The policies of a virtual host, compiled.

use std::{cmp, sync::Arc, time::Duration};

use super::{
    Policy, PolicyKind, Subject,
    pattern::Pattern,
    settings::{ForeignSettings, Invalid, Settings},
};
use crate::{
    model::{
        arguments::{AppliedPolicies, ExchangeArguments, QueueArguments, QueueType},
        error::{EntityKind, Error, Result},
        name::Name,
    },
    runtime::regex::NEEDS_FEATURE,
};

/// The policies of a virtual host and its operator policies.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    vhost: Name,
    policies: Ranked,
    operator: Ranked,
    /// How long a consumer of a quorum queue may hold a delivery, if neither the queue nor a policy
    /// says. `None` leaves it to the queue.
    consumer_timeout: Option<Duration>,
}

impl Policies {
    pub(crate) fn new(vhost: &Name, consumer_timeout: Option<Duration>) -> Self {
        Self {
            vhost: vhost.clone(),
            policies: Ranked::default(),
            operator: Ranked::default(),
            consumer_timeout,
        }
    }

    /// Sets a policy. Replaces the one of the same name.
    ///
    /// # Errors
    /// As [`set_with`](Self::set_with).
    #[cfg(test)]
    pub(crate) fn set(&mut self, policy: Policy) -> Result {
        self.set_with(policy, PolicyKind::User, ForeignSettings::Refused)
    }

    /// Sets a policy of either kind, with or without settings of features that are not here.
    ///
    /// # Errors
    /// [`Error::InvalidName`] (502), and [`Error::PreconditionFailed`] (406) for an invalid pattern
    /// or definition. Nothing is changed then.
    pub(crate) fn set_with(
        &mut self,
        policy: Policy,
        kind: PolicyKind,
        foreign: ForeignSettings,
    ) -> Result {
        let compiled = Compiled::new(policy, kind, &self.vhost, foreign)?;
        match kind {
            PolicyKind::User => self.policies.set(compiled),
            PolicyKind::Operator => self.operator.set(compiled),
        }
        Ok(())
    }

    /// Sets an operator policy, which lowers the limits of policies and arguments. Operator
    /// policies have separate names.
    ///
    /// # Errors
    /// As [`set_with`](Self::set_with).
    #[cfg(test)]
    pub(crate) fn set_operator(&mut self, policy: Policy) -> Result {
        self.set_with(policy, PolicyKind::Operator, ForeignSettings::Refused)
    }

    /// Clears the policy of this name. `false` if there is none.
    pub(crate) fn clear(&mut self, name: &str) -> bool {
        self.policies.clear(name)
    }

    /// Clears the operator policy of this name. `false` if there is none.
    pub(crate) fn clear_operator(&mut self, name: &str) -> bool {
        self.operator.clear(name)
    }

    /// The policies of a kind, in the order in which they are tried. With each of them comes the
    /// number of its matches that took too many steps and counted as none.
    pub(crate) fn iter(&self, kind: PolicyKind) -> impl Iterator<Item = (&Policy, u64)> {
        let ranked = match kind {
            PolicyKind::User => &self.policies,
            PolicyKind::Operator => &self.operator,
        };
        let compiled = ranked.0.iter();
        compiled.map(|compiled| (&compiled.policy, compiled.pattern.unfinished()))
    }

    /// The policy that applies to a queue or an exchange.
    #[cfg(test)]
    pub(crate) fn matching(&self, subject: Subject, name: &str) -> Option<&Policy> {
        Some(&self.policies.matching(subject, name)?.policy)
    }

    /// The operator policy that applies to a queue or an exchange.
    #[cfg(test)]
    pub(crate) fn matching_operator(&self, subject: Subject, name: &str) -> Option<&Policy> {
        Some(&self.operator.matching(subject, name)?.policy)
    }

    /// Begins a change or a declaration. A pattern that is too hard is matched a few times in each,
    /// and no more: see [`Pattern::begin_pass`].
    pub(crate) fn begin_pass(&self) {
        for compiled in self.policies.0.iter().chain(&self.operator.0) {
            compiled.pattern.begin_pass();
        }
    }

    /// The effective arguments of a queue of this name that was declared with these arguments.
    pub(crate) fn effective_queue(
        &self,
        declared: &Arc<QueueArguments>,
        name: &str,
    ) -> Arc<QueueArguments> {
        let applied = self.applied(Subject::Queue(declared.queue_type), name);
        let mut effective = match applied.settings() {
            Some(settings) => Arc::new(settings.apply_to_queue(declared)),
            None => Arc::clone(declared),
        };
        if let Some(names) = applied.names() {
            Arc::make_mut(&mut effective).policies = Some(names);
        }
        let needs_time =
            effective.queue_type == QueueType::Quorum && effective.consumer_timeout.is_none();
        if let (true, Some(of_node)) = (needs_time, self.consumer_timeout) {
            Arc::make_mut(&mut effective).consumer_timeout = Some(of_node);
        }
        effective
    }

    /// The effective arguments of an exchange of this name that was declared with these arguments.
    pub(crate) fn effective_exchange(
        &self,
        declared: &ExchangeArguments,
        name: &str,
    ) -> ExchangeArguments {
        match self.applied(Subject::Exchange, name).settings() {
            Some(settings) => settings.apply_to_exchange(declared),
            None => declared.clone(),
        }
    }

    fn applied(&self, subject: Subject, name: &str) -> Applied<'_> {
        Applied {
            policy: self.policies.matching(subject, name),
            operator: self.operator.matching(subject, name),
        }
    }
}

/// The policies that apply to one queue or exchange.
struct Applied<'a> {
    policy: Option<&'a Compiled>,
    operator: Option<&'a Compiled>,
}

impl Applied<'_> {
    /// The merged settings.
    fn settings(&self) -> Option<Settings> {
        let settings = |compiled: &Compiled| compiled.settings.clone();
        match (self.policy.map(settings), self.operator) {
            (Some(policy), Some(operator)) => Some(policy.limited_by(&operator.settings)),
            (policy, operator) => policy.or(operator.map(settings)),
        }
    }

    fn names(&self) -> Option<Arc<AppliedPolicies>> {
        let name = |compiled: &Compiled| compiled.name.clone();
        let names = AppliedPolicies {
            policy: self.policy.map(name),
            operator_policy: self.operator.map(name),
        };
        let is_any = self.policy.or(self.operator).is_some();
        is_any.then(|| Arc::new(names))
    }
}

/// Policies by rank. The first one that matches applies.
#[derive(Clone, Debug, Default)]
struct Ranked(Vec<Compiled>);

impl Ranked {
    fn set(&mut self, compiled: Compiled) {
        self.clear(&compiled.policy.name);
        let at = self
            .0
            .partition_point(|other| other.rank() < compiled.rank());
        self.0.insert(at, compiled);
    }

    fn clear(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|compiled| compiled.policy.name != name);
        self.0.len() < before
    }

    fn matching(&self, subject: Subject, name: &str) -> Option<&Compiled> {
        self.0.iter().find(|compiled| compiled.fits(subject, name))
    }
}

/// A checked policy.
#[derive(Clone, Debug)]
struct Compiled {
    /// That of the policy, shared with the queues to which it applies.
    name: Name,
    policy: Policy,
    pattern: Pattern,
    settings: Settings,
}

impl Compiled {
    fn new(
        policy: Policy,
        kind: PolicyKind,
        vhost: &Name,
        foreign: ForeignSettings,
    ) -> Result<Self> {
        let name = Name::new(&policy.name)?;
        policy.definition.check_depth()?;
        let refused = |invalid: Invalid| {
            let Invalid { key, reason } = invalid;
            Error::invalid_argument(&key, EntityKind::Policy, &name, vhost, reason)
        };
        let pattern = Pattern::new(&policy.pattern).map_err(|wrong| {
            if wrong == NEEDS_FEATURE {
                let pattern = &policy.pattern;
                return Error::not_implemented(format!("the pattern '{pattern}': {wrong}"));
            }
            let reason = format!("pattern should be regular expression but is invalid: {wrong}");
            let key = "pattern".to_owned();
            refused(Invalid { key, reason })
        })?;
        let settings = Settings::parse(&policy.definition, kind, foreign).map_err(refused)?;
        Ok(Self {
            name,
            policy,
            pattern,
            settings,
        })
    }

    /// Whether this policy applies. Other policies are tried if it does not.
    fn fits(&self, subject: Subject, name: &str) -> bool {
        let definition = &self.policy.definition;
        subject.is_in(self.policy.apply_to)
            && definition.iter().all(|(key, _)| subject.supports(key))
            && self.pattern.is_in(name)
    }

    /// A policy of a lower rank is tried first. Names decide among equals, where RabbitMQ's order
    /// is undefined.
    fn rank(&self) -> (cmp::Reverse<i64>, &str) {
        (cmp::Reverse(self.policy.priority), &self.policy.name)
    }
}
