//! The table of a direct exchange: a message goes to the destinations that are bound with exactly
//! its routing key.
//!
//! One lookup finds the key, independent of the number of bindings.

use hashbrown::HashMap;

use super::{
    Matches,
    destinations::{Destinations, SetPool},
    numbered::Number,
};
use crate::model::name::Name;

#[derive(Debug)]
pub(super) struct Direct {
    keys: HashMap<Name, Destinations>,
    pool: SetPool,
}

impl Direct {
    pub(super) fn new() -> Self {
        Self {
            keys: HashMap::new(),
            pool: SetPool::default(),
        }
    }

    pub(super) fn insert(&mut self, destination: Number, routing_key: &Name) {
        self.keys
            .entry_ref(routing_key)
            .or_insert(Destinations::NONE)
            .add(destination, &mut self.pool);
    }

    pub(super) fn remove(&mut self, destination: Number, routing_key: &Name) {
        if let Some(destinations) = self.keys.get_mut(routing_key) {
            destinations.remove(destination, &mut self.pool);
            if destinations.is_empty() {
                self.keys.remove(routing_key);
            }
        }
    }

    pub(super) fn route(&self, routing_key: &str, matches: &mut Matches) {
        if let Some(destinations) = self.keys.get(routing_key) {
            destinations.collect(&self.pool, matches);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        engine::exchange::tests::{check, few_arguments, program},
        model::exchange_kind::ExchangeKind,
    };

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn it_routes_as_comparing_every_key_does(
            program in program("[ab.]{0,2}", few_arguments(), few_arguments()),
        ) {
            check(ExchangeKind::Direct, program, |bound, _, routing_key, _| bound == routing_key)?;
        }
    }
}
