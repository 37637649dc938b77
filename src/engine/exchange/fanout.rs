//! The table of a fanout exchange: a message goes to every bound destination.
//!
//! A destination gets one copy, however many bindings it has, until its last binding is removed.

use super::{
    Matches,
    destinations::{Destinations, SetPool},
    numbered::Number,
};

#[derive(Debug)]
pub(super) struct Fanout {
    destinations: Destinations,
    pool: SetPool,
}

impl Fanout {
    pub(super) fn new() -> Self {
        Self {
            destinations: Destinations::NONE,
            pool: SetPool::default(),
        }
    }

    pub(super) fn insert(&mut self, destination: Number) {
        self.destinations.add(destination, &mut self.pool);
    }

    pub(super) fn remove(&mut self, destination: Number) {
        self.destinations.remove(destination, &mut self.pool);
    }

    pub(super) fn remove_all(&mut self, destination: Number) {
        self.destinations.remove_all(destination, &mut self.pool);
    }

    pub(super) fn route(&self, matches: &mut Matches) {
        self.destinations.collect(&self.pool, matches);
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
        fn it_routes_to_all_that_are_bound(
            program in program("[ab]?", few_arguments(), few_arguments()),
        ) {
            check(ExchangeKind::Fanout, program, |_, _, _, _| true)?;
        }
    }
}
