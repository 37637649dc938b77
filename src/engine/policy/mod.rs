//! Policies: settings for all queues or exchanges whose name fits a pattern, given by whoever runs the broker and not by
//! whoever declares.
//!
//! [`Policy`] describes one; [`Policies`] holds those of a virtual host, compiled, and works out what they make of the
//! arguments that a queue or an exchange was declared with. `settings` reads and merges what a policy defines. Nothing here
//! knows live queues: to ask again when a policy was set or cleared is for the virtual host.

mod set;
mod settings;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use self::set::Policies;
use crate::model::field_value::{FieldTable, FieldValue};

/// Policies of users, or those of the operator of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    /// Set by the users of a virtual host. It may set everything.
    User,
    /// Set by the operator of the broker. It sets limits only; user policies cannot exceed them.
    Operator,
}

/// Settings for all queues or exchanges whose name fits a pattern.
///
/// Of the policies that fit a name only one applies: that of the highest priority and, among equals, the one whose name
/// comes first in the alphabet. Setters never fail; a policy is checked when it is set. It acts at once, on what exists too.
///
/// What [`definition`](Policy::definition) may hold, all as RabbitMQ names it:
///
/// | key | value | and the argument of the queue or exchange |
/// |---|---|---|
/// | `alternate-exchange`, `dead-letter-exchange`, `dead-letter-routing-key` | text | the argument wins |
/// | `overflow` | `drop-head`, `reject-publish`, `reject-publish-dlx` or `block` | the argument wins |
/// | `message-ttl` | milliseconds, 0 or more | the lower wins |
/// | `expires` | milliseconds, 1 or more | the lower wins |
/// | `max-length`, `max-length-bytes`, `delivery-limit` | a number, 0 or more | the lower wins |
///
/// RabbitMQ's further keys are checked and kept, and change nothing in one process: `dead-letter-strategy`,
/// `initial-cluster-size`, `max-age`, `max-in-memory-bytes`, `max-in-memory-length`, `queue-leader-locator`, `queue-mode`,
/// `queue-version`, `stream-max-segment-size-bytes`, and (unchecked) all that begin with `ha-`.
///
/// The pattern is searched for anywhere in the name; `^` and `$` tie it to its ends. It is an expression of the `regex`
/// crate, which has no look-around and no back-references.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Policy {
    /// What it is called; at most 255 bytes. Setting a policy replaces the one of the same name.
    pub name: String,
    /// The regular expression that is looked for in names.
    pub pattern: String,
    /// What kind of things it is for.
    #[serde(default)]
    pub apply_to: ApplyTo,
    /// Of several policies that fit, the highest applies. May be negative; 0 if not given.
    #[serde(default)]
    pub priority: i64,
    /// What it sets; at least one thing.
    pub definition: FieldTable,
}

impl Policy {
    /// A policy for all queues and exchanges with `pattern` in their names. It sets nothing yet.
    pub fn new(name: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            pattern: pattern.into(),
            apply_to: ApplyTo::All,
            priority: 0,
            definition: FieldTable::new(),
        }
    }

    /// Says what kind of things it is for.
    #[must_use]
    pub fn apply_to(mut self, apply_to: ApplyTo) -> Self {
        self.apply_to = apply_to;
        self
    }

    /// Sets the priority. Of several policies that fit, the highest applies.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }

    /// Sets one thing; the table above has the keys.
    #[must_use]
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.definition.insert(key, value);
        self
    }

    /// Sets all things, in place of those set before.
    #[must_use]
    pub fn definition(mut self, definition: FieldTable) -> Self {
        self.definition = definition;
        self
    }
}

/// What kind of things a [`Policy`] is for.
///
/// # Examples
/// ```
/// use leveret::ApplyTo;
/// assert_eq!(ApplyTo::default(), ApplyTo::All);
/// assert_eq!((ApplyTo::Queues.as_str(), ApplyTo::Exchanges.to_string()), ("queues", "exchanges".to_owned()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Exchanges only.
    Exchanges,
    /// Queues only.
    Queues,
}

impl ApplyTo {
    /// The word that RabbitMQ's `apply-to` has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
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
