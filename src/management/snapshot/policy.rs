//! The policies, and whether their patterns can be matched.

use serde::{Deserialize, Serialize};

use crate::{
    engine::policy::{Policy, PolicyKind},
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
