//! The fields of the events of a topology.

use super::{
    declared_exchange::DeclaredExchange,
    topology::{DeclaredQueue, Target},
};
use crate::model::{field_value::FieldTable, name::Name};

pub(super) fn named(name: &Name) -> FieldTable {
    FieldTable::new().with("name", name)
}

pub(super) fn queue_created(name: &Name, queue: &DeclaredQueue) -> FieldTable {
    let description = &queue.terms.description;
    queue_deleted(name, queue)
        .with("durable", description.is_durable())
        .with("auto_delete", description.is_auto_delete())
        .with("exclusive", queue.owner.is_some())
        .with("arguments", description.argument_table().clone())
}

pub(super) fn queue_deleted(name: &Name, queue: &DeclaredQueue) -> FieldTable {
    named(name).with("type", queue.terms.arguments.queue_type.module())
}

pub(super) fn exchange_created(name: &Name, exchange: &DeclaredExchange) -> FieldTable {
    let description = &exchange.description;
    named(name)
        .with("type", description.kind())
        .with("durable", description.is_durable())
        .with("auto_delete", description.is_auto_delete())
        .with("internal", description.is_internal())
        .with("arguments", description.argument_table().clone())
}

pub(super) fn of_default_exchange() -> FieldTable {
    named(&Name::empty())
        .with("type", "direct")
        .with("durable", true)
        .with("auto_delete", false)
        .with("internal", false)
        .with("arguments", FieldTable::new())
}

pub(super) fn binding_fields(
    source: &Name,
    target: &Target,
    routing_key: &Name,
    arguments: &FieldTable,
) -> FieldTable {
    let (kind, destination) = match target {
        Target::Queue(queue) => ("queue", queue.name()),
        Target::Exchange(name) => ("exchange", name),
    };
    FieldTable::new()
        .with("source_name", source)
        .with("source_kind", "exchange")
        .with("destination_name", destination)
        .with("destination_kind", kind)
        .with("routing_key", routing_key)
        .with("arguments", arguments.clone())
}
