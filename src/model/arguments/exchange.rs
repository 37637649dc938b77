//! The arguments of an exchange.

use super::reader::ArgumentReader;
use crate::model::{
    descriptions::names,
    error::{EntityKind, Error, Result},
    field_value::FieldTable,
    name::Name,
};

/// The checked arguments of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExchangeArguments {
    /// The exchange that gets the messages that match no binding. It need not exist.
    pub(crate) alternate_exchange: Option<Name>,
}

impl ExchangeArguments {
    /// Checks the arguments of the exchange `name`.
    pub(crate) fn parse(arguments: &FieldTable, name: &Name, vhost: &Name) -> Result<Self> {
        let reader = ArgumentReader {
            table: arguments,
            arguments: &[names::ALTERNATE_EXCHANGE],
            entity: EntityKind::Exchange,
            name,
            vhost,
        };
        Ok(Self {
            alternate_exchange: reader.exchange(names::ALTERNATE_EXCHANGE)?,
        })
    }
}

/// The type by which an exchange of the type `x-delayed-message` routes: its argument
/// `x-delayed-type`.
pub(crate) fn delayed_type(arguments: &FieldTable) -> Result<&str> {
    match arguments.get(names::DELAYED_TYPE).map(|kind| kind.as_str()) {
        Some(Some(names::DELAYED_MESSAGE)) => Err(Error::delayed_by_delayed()),
        Some(Some(kind)) => Ok(kind),
        Some(None) | None => Err(Error::no_delayed_type()),
    }
}
