//! Policies: settings for all queues or exchanges whose name matches a pattern. The administrator
//! sets them, not the client that declares the queue or the exchange.
//!
//! [`Policy`] describes one policy. [`Policies`] has the compiled policies of a virtual host and
//! computes the effective arguments of a queue or an exchange. `settings` parses and merges the
//! definitions of policies.
//!
//! Knows nothing of live queues. The virtual host computes the effective arguments again when a
//! policy was set or cleared.

mod pattern;
mod set;
mod settings;
mod subject;
mod term;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    set::Policies,
    settings::{ForeignSettings, is_foreign_setting},
    subject::Subject,
};
use crate::model::{
    descriptions::Unkept,
    field_value::{FieldTable, FieldValue},
};

/// Policies of users, or those of the operator of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    /// Set by the users of a virtual host. It may set everything.
    User,
    /// Set by the operator of the broker. It has few keys, and user policies cannot exceed its
    /// limits.
    Operator,
}

/// Settings for all queues or exchanges whose name matches a pattern.
///
/// Only one of the policies that fit applies: the policy of the highest priority and,
/// among equals, the first in the order of names. Setters never fail, since a policy is checked
/// when it is set. It applies at once, also to existing queues and exchanges.
///
/// The keys of [`definition`](Policy::definition), with RabbitMQ's names:
///
/// | key | value | and the argument of the queue or exchange |
/// |---|---|---|
/// | `alternate-exchange`, `dead-letter-exchange`, `dead-letter-routing-key` | text | the argument wins |
/// | `dead-letter-strategy` | `at-most-once` or `at-least-once` | the argument wins |
/// | `overflow` | `drop-head`, `reject-publish`, `reject-publish-dlx` or `block` | the argument wins; on a quorum queue the policy wins |
/// | `message-ttl` | milliseconds, 0 or more | the lower wins |
/// | `expires` | milliseconds, 1 or more | the lower wins |
/// | `max-length`, `max-length-bytes` | a number, 0 or more | the lower wins; on a stream the policy wins |
/// | `max-age` | a number above 0 and one of `Y`, `M`, `D`, `h`, `m`, `s` | the policy wins |
/// | `stream-max-segment-size-bytes` | a number, 0 to 3,000,000,000 | the policy wins |
/// | `delivery-limit` | a number; a negative one is no limit | the lower wins |
/// | `consumer-timeout` | milliseconds, 0 or more | the lower wins |
/// | `delayed-retry-type` | `all`, `failed`, `returned` or `disabled` | the policy wins |
/// | `delayed-retry-min`, `delayed-retry-max` | milliseconds, 1 or more | the lower wins |
///
/// `consumer-timeout` and `delayed-retry-*` have an effect on quorum queues only. The other keys of
/// RabbitMQ are checked and kept, and have no effect in one process:
/// `consumer-disconnected-timeout`, `initial-cluster-size`, `max-in-memory-bytes`,
/// `max-in-memory-length`, `queue-leader-locator`, `queue-mode`, `queue-version`,
/// `stream-filter-size-bytes` and `target-group-size`.
///
/// The keys of federation (`federation-upstream`, `federation-upstream-set`,
/// `federation-upstream-pattern`) and of mirrored queues (`ha-mode` and other keys that begin with
/// `ha-`) are refused, as by RabbitMQ 4.3. An [import](crate::guide::definitions) alone takes them.
/// They have no effect, and the next export has them.
///
/// A policy with a key that a queue does not support does not apply to that queue at all. Classic
/// queues do not support `dead-letter-strategy`, `delivery-limit`, `max-in-memory-bytes`,
/// `max-in-memory-length` and `target-group-size`. Quorum queues do not support `queue-mode`. Only
/// streams support `initial-cluster-size`, `max-age` and `stream-max-segment-size-bytes`. Of the
/// others they support `max-length-bytes`, `consumer-timeout`, `delayed-retry-*`, `queue-version`,
/// `queue-leader-locator` and `stream-filter-size-bytes`.
///
/// The pattern may match anywhere in the name. `^` and `$` anchor it to the ends of the name. It is
/// an expression of the `fancy-regex` crate: Perl's syntax, with look-around and back-references.
///
/// A match that takes over 100,000 steps counts as no match. A change of the policies tries all
/// names, in the order of the alphabet. After eight such matches the change tries this pattern no
/// more, and it matches none of the names that are left. The same holds for a declaration of many
/// queues and exchanges. [`PolicySnapshot`] counts all these matches for each policy.
///
/// [`PolicySnapshot`]: crate::PolicySnapshot
///
/// # Examples
/// ```
/// use leveret::{ApplyTo, FieldTable, Policy};
///
/// let policy = Policy::new("short", r"^tmp\.")
///     .apply_to(ApplyTo::Queues)
///     .setting("max-length", 100)
///     .setting("dead-letter-exchange", "overflow")
///     .priority(5);
/// let json = r#"{"name": "short", "pattern": "^tmp\\.", "apply-to": "queues", "priority": 5,
///     "definition": {"max-length": 100, "dead-letter-exchange": "overflow"}}"#;
/// assert_eq!(policy, serde_json::from_str(json).unwrap());
///
/// let definition = FieldTable::from([("max-length", 10)]);
/// assert_eq!(policy.definition(definition).definition.len(), 1);
/// ```
///
/// An export of RabbitMQ names the virtual host as well. The name is read and not kept, because a
/// policy is set in the virtual host of the connection:
///
/// ```
/// # use leveret::Policy;
/// let exported = r#"{"vhost": "/", "name": "p", "pattern": "^q", "apply-to": "queues",
///     "definition": {"max-length": 5}, "priority": 0}"#;
/// assert_eq!(serde_json::from_str::<Policy>(exported)?.name, "p");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Policy {
    /// The name, at most 255 bytes. Setting a policy replaces the one of the same name.
    pub name: String,
    /// The regular expression for names.
    pub pattern: String,
    /// The kinds of queues and exchanges that the policy applies to.
    #[serde(default)]
    pub apply_to: ApplyTo,
    /// Of several policies that match, the one of the highest priority applies. May be negative.
    /// The default is 0.
    #[serde(default)]
    pub priority: i64,
    /// The settings, at least one.
    pub definition: FieldTable,
    /// The virtual host of an export.
    #[serde(default, skip_serializing)]
    vhost: Unkept,
}

impl Policy {
    /// A policy for all queues and exchanges with `pattern` in their names. It has no settings yet.
    pub fn new(name: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            pattern: pattern.into(),
            apply_to: ApplyTo::All,
            priority: 0,
            definition: FieldTable::new(),
            vhost: Unkept,
        }
    }

    /// Sets the kinds of queues and exchanges that the policy applies to.
    #[must_use]
    pub fn apply_to(mut self, apply_to: ApplyTo) -> Self {
        self.apply_to = apply_to;
        self
    }

    /// Sets the priority. Of several policies that match, the one of the highest priority applies.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }

    /// Adds one setting. The table above has the keys.
    #[must_use]
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.definition.insert(key, value);
        self
    }

    /// Replaces all settings.
    #[must_use]
    pub fn definition(mut self, definition: FieldTable) -> Self {
        self.definition = definition;
        self
    }
}

/// The kinds of entities that a [`Policy`] applies to, as in RabbitMQ 3.12 and later.
///
/// # Examples
/// ```
/// use leveret::ApplyTo;
/// assert_eq!(ApplyTo::default(), ApplyTo::All);
/// assert_eq!(ApplyTo::Queues.as_str(), "queues");
/// assert_eq!(ApplyTo::Exchanges.to_string(), "exchanges");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Classic queues only.
    ClassicQueues,
    /// Exchanges only.
    Exchanges,
    /// Queues of all types, and no exchanges.
    Queues,
    /// Quorum queues only.
    QuorumQueues,
    /// Streams only.
    Streams,
}

impl ApplyTo {
    /// The kinds with this word in RabbitMQ's `apply-to`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::All,
            Self::ClassicQueues,
            Self::Exchanges,
            Self::Queues,
            Self::QuorumQueues,
            Self::Streams,
        ];
        all.into_iter().find(|apply_to| apply_to.as_str() == word)
    }

    /// The word for it in RabbitMQ's `apply-to`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::ClassicQueues => "classic_queues",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }
}

impl fmt::Display for ApplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
