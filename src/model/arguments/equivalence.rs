//! Compares declarations with existing queues, exchanges and budgets.

use std::borrow::Cow;

use super::QueueType;
use crate::model::{
    descriptions::{Budget, Exchange, Queue, age::parse_age, names},
    error::{EntityKind, Error, Result},
    field_value::{FieldTable, FieldValue},
    name::Name,
};

/// Compares a declaration with the existing queue `name`.
///
/// A difference in `exclusive` is RESOURCE_LOCKED (405). All other differences are
/// PRECONDITION_FAILED (406). Only the arguments that RabbitMQ knows are compared. The caller
/// checks that an exclusive queue belongs to the declaring connection.
pub(crate) fn check_queue_equivalence(
    current: &Queue,
    received: &Queue,
    name: &Name,
    vhost: &Name,
) -> Result {
    if current.is_exclusive() != received.is_exclusive() {
        return Err(Error::resource_locked(name, vhost));
    }
    // An exclusive queue cannot outlive its connection. RabbitMQ therefore treats no exclusive
    // queue as durable.
    let durable = |queue: &Queue| queue.is_durable() && !queue.is_exclusive();
    let comparison = Comparison {
        entity: EntityKind::Queue,
        name,
        vhost,
    };
    comparison.property("durable", durable(current), durable(received))?;
    comparison.property(
        "auto_delete",
        current.is_auto_delete(),
        received.is_auto_delete(),
    )?;
    let (current, received) = (current.argument_table(), received.argument_table());
    comparison.arguments(QueueType::of(current).arguments(), current, received)
}

/// Compares a declaration with the existing exchange `name`. Every difference is
/// PRECONDITION_FAILED (406).
pub(crate) fn check_exchange_equivalence(
    current: &Exchange,
    received: &Exchange,
    name: &Name,
    vhost: &Name,
) -> Result {
    let comparison = Comparison {
        entity: EntityKind::Exchange,
        name,
        vhost,
    };
    comparison.property("type", current.kind(), received.kind())?;
    comparison.property("durable", current.is_durable(), received.is_durable())?;
    comparison.property(
        "auto_delete",
        current.is_auto_delete(),
        received.is_auto_delete(),
    )?;
    comparison.property("internal", current.is_internal(), received.is_internal())?;
    let compared: &[_] = match current.kind() {
        names::DELAYED_MESSAGE => &[names::ALTERNATE_EXCHANGE, names::DELAYED_TYPE],
        _ => &[names::ALTERNATE_EXCHANGE],
    };
    comparison.arguments(
        compared,
        current.argument_table(),
        received.argument_table(),
    )
}

/// Compares a declaration with the existing budget `name`. Every difference is PRECONDITION_FAILED
/// (406).
pub(crate) fn check_budget_equivalence(
    current: &Budget,
    received: &Budget,
    name: &Name,
    vhost: &Name,
) -> Result {
    let comparison = Comparison {
        entity: EntityKind::Budget,
        name,
        vhost,
    };
    if current.limit() != received.limit() {
        let bytes = |budget: &Budget| i64::try_from(budget.limit()).unwrap_or(i64::MAX).into();
        return Err(comparison.inequivalent("limit", Some(bytes(current)), Some(bytes(received))));
    }
    comparison.property(
        "policy",
        current.policy().as_str(),
        received.policy().as_str(),
    )?;
    comparison.property(
        "whole_vhost",
        current.is_whole_vhost(),
        received.is_whole_vhost(),
    )
}

/// The thing whose declaration is compared.
struct Comparison<'a> {
    entity: EntityKind,
    name: &'a Name,
    vhost: &'a Name,
}

impl Comparison<'_> {
    fn property<T: PartialEq + Into<FieldValue>>(
        &self,
        field: &str,
        current: T,
        received: T,
    ) -> Result {
        if current == received {
            return Ok(());
        }
        Err(self.inequivalent(field, Some(current.into()), Some(received.into())))
    }

    fn arguments(&self, compared: &[&str], current: &FieldTable, received: &FieldTable) -> Result {
        for &argument in compared {
            let (old, new) = (effective(current, argument), effective(received, argument));
            let same = match (&old, &new) {
                (None, None) => true,
                (Some(old), Some(new)) => {
                    old.equivalent(new) || argument == names::MAX_AGE && same_age(old, new)
                }
                _ => false,
            };
            if !same {
                let [old, new] = [old, new].map(|value| value.map(Cow::into_owned));
                return Err(self.inequivalent(argument, old, new));
            }
        }
        Ok(())
    }

    fn inequivalent(
        &self,
        field: &str,
        current: Option<FieldValue>,
        received: Option<FieldValue>,
    ) -> Error {
        Error::inequivalent(field, self.entity, self.name, self.vhost, received, current)
    }
}

/// Whether two ages are as long. `1h` and `60m` are.
fn same_age(one: &FieldValue, other: &FieldValue) -> bool {
    let age = |value: &FieldValue| parse_age(value.as_str()?);
    age(one).is_some() && age(one) == age(other)
}

/// The value of an argument. RabbitMQ writes the default type into a declaration without a type, so
/// that it may be left out. All other defaults differ from absent arguments.
fn effective<'a>(arguments: &'a FieldTable, argument: &str) -> Option<Cow<'a, FieldValue>> {
    match arguments.get(argument) {
        Some(value) => Some(Cow::Borrowed(value)),
        None if argument == names::QUEUE_TYPE => {
            Some(Cow::Owned(QueueType::default().as_str().into()))
        }
        None => None,
    }
}
