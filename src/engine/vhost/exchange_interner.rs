//! Exchange names as short numbers, so that an envelope can carry the name of its exchange without
//! a shared counter.
//!
//! A number is never freed, since a message may outlive its exchange. Names beyond the last number
//! travel with their messages instead.

use hashbrown::HashMap;

use crate::{message::envelope::ExchangeId, model::name::Name, runtime::sync::RwLock};

/// How many names get a number. At 255 bytes each they take one megabyte at most.
const NUMBERS: usize = 4_096;

/// The numbered exchange names of a virtual host. A leaf lock.
#[derive(Debug, Default)]
pub(crate) struct ExchangeInterner {
    table: RwLock<Interned>,
}

#[derive(Debug, Default)]
struct Interned {
    names: Vec<Name>,
    numbers: HashMap<Name, u16>,
}

impl ExchangeInterner {
    pub(crate) fn of(&self, exchange: &Name) -> ExchangeId {
        if let Some(number) = self.table.read().numbers.get(exchange) {
            return ExchangeId::Interned(*number);
        }
        let mut table = self.table.write();
        if let Some(number) = table.numbers.get(exchange) {
            return ExchangeId::Interned(*number);
        }
        match u16::try_from(table.names.len()) {
            Ok(number) if table.names.len() < NUMBERS => {
                table.names.push(exchange.clone());
                table.numbers.insert(exchange.clone(), number);
                ExchangeId::Interned(number)
            }
            _ => ExchangeId::Named(exchange.clone()),
        }
    }

    pub(crate) fn name(&self, origin: ExchangeId) -> Name {
        match origin {
            ExchangeId::Named(name) => name,
            ExchangeId::Interned(number) => self
                .table
                .read()
                .names
                .get(usize::from(number))
                .cloned()
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_numbered_or_not() {
        let origins = ExchangeInterner::default();
        let names: Vec<Name> = (0..NUMBERS + 3)
            .map(|i| Name::new(format!("x{i}")).unwrap())
            .collect();
        let made: Vec<ExchangeId> = names.iter().map(|name| origins.of(name)).collect();
        assert!(matches!(made[NUMBERS - 1], ExchangeId::Interned(_)));
        assert!(matches!(made[NUMBERS], ExchangeId::Named(_)));
        for (name, origin) in names.iter().zip(made) {
            assert_eq!(&origins.name(origin), name);
        }
        assert!(matches!(origins.of(&names[7]), ExchangeId::Interned(7)));
    }
}
