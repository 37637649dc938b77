//! The policies, and whether their patterns can be matched.

use serde::{Deserialize, Serialize};

use super::{QueueSnapshot, VhostSnapshot};
use crate::{
    engine::policy::{Policy, PolicyKind},
    model::{
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
    session::gate::Gate,
};

/// A policy and the state of its pattern.
///
/// # Examples
/// ```
/// use leveret::{Broker, Policy, Queue};
///
/// let broker = Broker::new();
/// // There are very many ways to cut a long name into these parts.
/// let hard = Policy::new("hard", "^(a|b|ab)*(?>c)").setting("max-length", 5);
/// broker.vhost("/")?.set_policy(hard)?;
/// broker.declare(&Queue::new("ab".repeat(100)))?;
/// let snapshot = broker.snapshot()?;
/// let hard = &snapshot.vhosts[0].policies[0];
/// assert_eq!((hard.policy.name.as_str(), hard.unfinished_matches), ("hard", 1));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicySnapshot {
    /// The policy as it was set.
    pub policy: Policy,
    /// Whether it is an operator policy.
    pub operator: bool,
    /// How many matches of the pattern took over 100,000 steps and counted as no match, since the
    /// policy was set. After eight of them in one change of the policies, or in one declaration,
    /// the names that are left are not tried. Each of them counts here too. The pattern is too hard
    /// if this is not 0: the policy may be missing from queues or exchanges.
    pub unfinished_matches: u64,
}

impl VhostSnapshot {
    /// The settings of the policies that apply to a queue, merged: those of its operator policy
    /// over those of its policy, and of two numbers the lower one. Empty if no policy applies.
    ///
    /// # RabbitMQ
    /// The field `effective_policy_definition` of `/api/queues`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Policy, Queue};
    ///
    /// let broker = Broker::new();
    /// let root = broker.vhost("/")?;
    /// let short = Policy::new("short", "^log").setting("max-length", 50);
    /// root.set_policy(short.setting("message-ttl", 1_000))?;
    /// root.set_operator_policy(Policy::new("shorter", "").setting("max-length", 9))?;
    /// broker.declare(&Queue::new("logs"))?;
    /// let snapshot = broker.snapshot()?;
    /// let (vhost, logs) = (&snapshot.vhosts[0], snapshot.queue("logs").unwrap());
    /// assert_eq!(logs.policy.as_deref(), Some("short"));
    /// assert_eq!(logs.operator_policy.as_deref(), Some("shorter"));
    /// let effective = vhost.effective_policy_definition(logs);
    /// assert_eq!(effective.get("max-length").and_then(|it| it.as_i64()), Some(9));
    /// assert_eq!(effective.get("message-ttl").and_then(|it| it.as_i64()), Some(1_000));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn effective_policy_definition(&self, queue: &QueueSnapshot) -> FieldTable {
        let definition = |operator: bool, name: &Option<Name>| {
            let mut all = self.policies.iter().filter(|it| it.operator == operator);
            let found = all.find(|it| Some(&*it.policy.name) == name.as_deref())?;
            Some(&found.policy.definition)
        };
        let mut merged = definition(false, &queue.policy)
            .cloned()
            .unwrap_or_default();
        for (key, value) in definition(true, &queue.operator_policy)
            .into_iter()
            .flatten()
        {
            let lower = merged.get(key).and_then(FieldValue::as_i64);
            let is_lower = lower.zip(value.as_i64()).is_some_and(|(own, it)| own < it);
            // The one key whose higher value is the stricter one.
            if !is_lower || key == "delayed-retry-min" {
                merged.insert(key, value.clone());
            }
        }
        merged
    }
}

pub(super) fn snapshots(gate: &Gate) -> Vec<PolicySnapshot> {
    let of_kind = |kind| {
        let policies = gate.policies(kind).into_iter();
        policies.map(move |(policy, unfinished_matches)| PolicySnapshot {
            policy,
            operator: kind == PolicyKind::Operator,
            unfinished_matches,
        })
    };
    of_kind(PolicyKind::User)
        .chain(of_kind(PolicyKind::Operator))
        .collect()
}
