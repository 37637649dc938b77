//! Descriptions of exchanges, queues, bindings and budgets: what a program wants to exist, as plain values.
//!
//! A description is built by chainable setters, which never fail: names and arguments are checked when it is declared, on first use. It
//! can be stored and sent (serde), cloned and compared. It knows nothing of any broker; `arguments` gives the `x-` arguments their
//! meaning.

mod binding;
mod budget;
mod exchange;
pub(crate) mod names;
mod queue;

pub use self::{
    binding::Binding,
    budget::{Budget, BudgetPolicy},
    exchange::Exchange,
    queue::{Overflow, Queue},
};

use crate::model::field_value::FieldValue;
use std::time::Duration;

/// The field value for a count. More than AMQP's largest integer is that integer, which means the same to a limit.
fn count(count: u64) -> FieldValue {
    match i32::try_from(count) {
        Ok(count) => FieldValue::Int(count),
        Err(_) => FieldValue::Long(i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

/// The field value for a time: whole milliseconds, rounded up, since 0 means "at once".
fn milliseconds(time: Duration) -> FieldValue {
    let milliseconds = time.as_nanos().div_ceil(1_000_000);
    count(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

/// Leaves a flag out of a serialized description unless it is set.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_unset(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
