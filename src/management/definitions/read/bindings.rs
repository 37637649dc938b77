//! The section `bindings`.

use super::{super::fields::Fields, Context, exchanges::arguments};
use crate::model::{error::DefinitionsError, field_value::FieldTable, name::Name};

pub(in super::super) struct BindingItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) source: Name,
    pub(in super::super) destination: Name,
    pub(in super::super) to_queue: bool,
    pub(in super::super) routing_key: Name,
    pub(in super::super) arguments: FieldTable,
}

const KNOWN: [&str; 7] = [
    "source",
    "vhost",
    "destination",
    "destination_type",
    "routing_key",
    "arguments",
    // RabbitMQ writes it in other listings.
    "properties_key",
];

impl BindingItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<BindingItem, DefinitionsError> {
        context.check_known(item, &KNOWN);
        let vhost = context.vhost(item)?;
        let source = context.common_name(item, "source")?;
        let destination = item.name("destination")?;
        context.check_text(item.path.key("source"), &source);
        context.check_text(item.path.key("destination"), &destination);
        let to_queue = match item.text("destination_type")? {
            "queue" => true,
            "exchange" => false,
            other => {
                let reason = format!("function_clause: '{other}' is none of queue, exchange");
                let path = item.path.key("destination_type");
                return Err(DefinitionsError::new(path, reason));
            }
        };
        let routing_key = match item.get("routing_key") {
            // RabbitMQ makes this key of a missing one.
            None if !context.options().is_strict() => Name::new("undefined").unwrap_or_default(),
            _ => item.name("routing_key")?,
        };
        context.check_text(item.path.key("routing_key"), &routing_key);
        Ok(BindingItem {
            vhost,
            source,
            destination,
            to_queue,
            routing_key,
            arguments: arguments(item, context)?,
        })
    }
}
