//! Descriptions of exchanges, queues, bindings and budgets, as plain values.
//!
//! A program builds a description with chainable setters. Setters never fail; the declaration at
//! the first use checks names and arguments. A description can be serialized, cloned and compared.
//! It knows no broker. `arguments` gives the `x-` arguments their meaning. A name loses its line
//! ends at once, so that a description has the name of the thing that it declares.

pub(crate) mod age;
mod alias_queue;
mod binding;
mod budget;
mod dead_letter_strategy;
mod delayed_retry_kind;
mod durability;
#[cfg(any(test, feature = "rabbitmq"))]
mod elsewhere;
mod exchange;
mod hash_on;
mod model_queue;
mod named;
pub(crate) mod names;
mod offset;
mod overflow;
mod plain_name;
mod queue;
mod queue_limits;
mod quorum;
mod stream;
mod trigger;

pub use self::{
    alias_queue::{AliasQueue, AliasTarget},
    binding::Binding,
    budget::{Budget, BudgetPolicy},
    dead_letter_strategy::DeadLetterStrategy,
    delayed_retry_kind::DelayedRetryKind,
    durability::Durability,
    exchange::Exchange,
    hash_on::HashOn,
    model_queue::ModelQueue,
    offset::Offset,
    overflow::Overflow,
    queue::Queue,
    queue_limits::QueueLimits,
    trigger::{Trigger, TriggerMessage},
};

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Deserializer};

use crate::model::{
    field_value::FieldValue,
    name::{Name, without_line_ends},
};

/// The name of a queue, an exchange or a budget, without line ends.
fn entity_name(name: impl Into<String>) -> String {
    let name = name.into();
    match without_line_ends(&name) {
        Cow::Borrowed(_) => name,
        Cow::Owned(name) => name,
    }
}

fn read_entity_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(entity_name)
}

/// A field of an exported item that is read and not kept: its virtual host, say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Name")]
pub(crate) struct Unkept;

impl From<Name> for Unkept {
    fn from(_: Name) -> Self {
        Unkept
    }
}

/// The field value of a count. A count above AMQP's largest integer becomes that integer, which is
/// no limit either.
fn count(count: u64) -> FieldValue {
    match i32::try_from(count) {
        Ok(count) => FieldValue::Int(count),
        Err(_) => FieldValue::Long(i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

/// The field value of a time, in whole milliseconds. It is rounded up, because 0 means "at once".
fn milliseconds(time: Duration) -> FieldValue {
    let milliseconds = time.as_nanos().div_ceil(1_000_000);
    count(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

/// Leaves a flag that is not set out of a serialized description.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_unset(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
