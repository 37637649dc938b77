//! The section `exchanges`.

use serde_json::Value;

use super::{super::fields::Fields, super::options::RabbitMqVersion, Context};
use crate::model::{descriptions::Exchange, error::DefinitionsError, name::Name};

pub(in super::super) struct ExchangeItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) exchange: Exchange,
    /// The item, if RabbitMQ has this type of exchange. A broker that does not have it keeps it.
    pub(in super::super) foreign: Option<Value>,
}

const KNOWN: [&str; 8] = [
    "name",
    "vhost",
    "type",
    "durable",
    "auto_delete",
    "internal",
    "arguments",
    // RabbitMQ writes it in other listings.
    "policy",
];

/// The exchange types of RabbitMQ and its plugins that are not AMQP's.
const OF_RABBITMQ: [&str; 10] = [
    "x-consistent-hash",
    "x-delayed-message",
    "x-event",
    "x-jms-topic",
    "x-local-random",
    "x-lvc",
    "x-modulus-hash",
    "x-random",
    "x-recent-history",
    "x-rtopic",
];

impl ExchangeItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<ExchangeItem, DefinitionsError> {
        context.check_known(item, &KNOWN);
        let vhost = context.vhost(item)?;
        let name = item.name("name")?;
        context.check_text(item.path.key("name"), &name);
        if name.is_empty() && context.options().is_strict() {
            let reason = "it is empty, and the default exchange is there by itself";
            return Err(DefinitionsError::new(item.path.key("name"), reason));
        }
        let Some(kind) = item.optional_text("type")? else {
            let reason = "invalid exchange type 'undefined': it is missing";
            return Err(DefinitionsError::new(item.path.key("type"), reason));
        };
        let mut exchange = Exchange::new(name.as_str(), kind);
        if flag(item, "durable", true, context)? {
            exchange = exchange.durable();
        }
        if flag(item, "auto_delete", false, context)? {
            exchange = exchange.auto_delete();
        }
        if item.flag("internal")? == Some(true) {
            exchange = exchange.internal();
        }
        let arguments = arguments(item, context)?;
        let foreign = OF_RABBITMQ.contains(&kind);
        Ok(ExchangeItem {
            vhost,
            exchange: exchange.arguments(arguments),
            foreign: foreign.then(|| without_vhost(item)),
        })
    }
}

/// A flag, and what it is if it is missing. RabbitMQ 3.10 does not take an item without it.
pub(super) fn flag(
    item: &Fields<'_>,
    key: &str,
    default: bool,
    context: &Context<'_>,
) -> Result<bool, DefinitionsError> {
    match item.flag(key)? {
        None if context.options().like == Some(RabbitMqVersion::V3_10) => Err(item.missing(key)),
        flag => Ok(flag.unwrap_or(default)),
    }
}

pub(super) fn arguments(
    item: &Fields<'_>,
    context: &mut Context<'_>,
) -> Result<crate::model::field_value::FieldTable, DefinitionsError> {
    let arguments = item.table("arguments", context.is_own())?;
    if let Some(json) = item.get("arguments") {
        context.doubt_arguments(item.path.key("arguments"), json);
    }
    Ok(arguments.unwrap_or_default())
}

/// An item to be kept.
fn without_vhost(item: &Fields<'_>) -> Value {
    let mut kept = item.plain();
    if let Value::Object(entries) = &mut kept {
        entries.remove("vhost");
    }
    kept
}
