//! The arguments of an exchange.

use super::reader::Reader;
use crate::{
    descriptions::names,
    error::{Entity, Result},
    field_value::FieldTable,
    name::Name,
};

/// The arguments of an exchange, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExchangeArguments {
    /// Where messages go that no binding matches. It need not exist.
    pub(crate) alternate_exchange: Option<Name>,
}

impl ExchangeArguments {
    /// Checks the arguments of the exchange `name`.
    pub(crate) fn parse(arguments: &FieldTable, name: &Name, vhost: &Name) -> Result<Self> {
        let reader = Reader {
            table: arguments,
            entity: Entity::Exchange,
            name,
            vhost,
        };
        Ok(Self {
            alternate_exchange: reader.exchange(names::ALTERNATE_EXCHANGE)?,
        })
    }
}
