//! Limits of a queue that are changed while it lives.

use std::time::Duration;

use super::{Overflow, count, milliseconds, names as x};
use crate::model::field_value::{FieldTable, FieldValue};

/// Limits for a queue that lives, instead of those of its declaration.
/// [`Connection::set_queue_limits`](crate::Connection::set_queue_limits) puts them into effect, and
/// has an example.
///
/// A limit that is not named here stays as it was declared, or is none after [`none`](Self::none).
///
/// # RabbitMQ
/// A policy, which changes the limits of all queues that match its pattern.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct QueueLimits {
    /// By the name of the argument.
    changes: Vec<(&'static str, Option<FieldValue>)>,
}

impl QueueLimits {
    /// The limits of the declaration.
    pub fn new() -> QueueLimits {
        QueueLimits::default()
    }

    /// No limits, whatever the declaration says: no length, no time to live, no lease.
    pub fn none() -> QueueLimits {
        let names = [
            x::MAX_LENGTH,
            x::MAX_LENGTH_BYTES,
            x::MESSAGE_TTL,
            x::EXPIRES,
        ];
        let limits = QueueLimits::new().with(x::OVERFLOW, None);
        names
            .into_iter()
            .fold(limits, |limits, name| limits.with(name, None))
    }

    fn with(mut self, name: &'static str, value: Option<FieldValue>) -> QueueLimits {
        self.changes.retain(|(other, _)| *other != name);
        self.changes.push((name, value));
        self
    }

    /// Sets the limit of [`Queue::max_length`](crate::Queue::max_length), in messages.
    pub fn max_length(self, messages: u64) -> QueueLimits {
        self.with(x::MAX_LENGTH, Some(count(messages)))
    }

    /// Sets the limit of [`Queue::max_length_bytes`](crate::Queue::max_length_bytes), in bytes.
    pub fn max_length_bytes(self, bytes: u64) -> QueueLimits {
        self.with(x::MAX_LENGTH_BYTES, Some(count(bytes)))
    }

    /// Sets the behaviour at a limit, as [`Queue::overflow`](crate::Queue::overflow).
    pub fn overflow(self, overflow: Overflow) -> QueueLimits {
        self.with(x::OVERFLOW, Some(overflow.as_str().into()))
    }

    /// Sets the time of [`Queue::message_ttl`](crate::Queue::message_ttl), for messages that come
    /// from now on.
    pub fn message_ttl(self, ttl: Duration) -> QueueLimits {
        self.with(x::MESSAGE_TTL, Some(milliseconds(ttl)))
    }

    /// Sets the time of [`Queue::expires`](crate::Queue::expires). It begins now.
    pub fn expires(self, after: Duration) -> QueueLimits {
        self.with(x::EXPIRES, Some(milliseconds(after)))
    }

    /// These limits in place of those of the declared arguments.
    pub(crate) fn apply(&self, declared: &FieldTable) -> FieldTable {
        let mut arguments = declared.clone();
        for (name, value) in &self.changes {
            match value {
                Some(value) => drop(arguments.insert(*name, value.clone())),
                None => drop(arguments.remove(name)),
            }
        }
        arguments
    }
}
