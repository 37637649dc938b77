//! The table of a fanout exchange: a message goes to every destination that is bound at all.
//!
//! However often and by whatever keys a destination is bound, it gets one copy, until its last binding goes.

use super::{
    Matches,
    destinations::{Destinations, SetPool},
    numbered::Number,
};

#[derive(Debug)]
pub(super) struct Fanout {
    destinations: Destinations,
    crowds: SetPool,
}

impl Fanout {
    pub(super) fn new() -> Self {
        Self {
            destinations: Destinations::NONE,
            crowds: SetPool::default(),
        }
    }

    pub(super) fn insert(&mut self, destination: Number) {
        self.destinations.add(destination, &mut self.crowds);
    }

    pub(super) fn remove(&mut self, destination: Number) {
        self.destinations.remove(destination, &mut self.crowds);
    }

    pub(super) fn remove_all(&mut self, destination: Number) {
        self.destinations.remove_all(destination, &mut self.crowds);
    }

    pub(super) fn route(&self, matches: &mut Matches) {
        self.destinations.collect(&self.crowds, matches);
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
        #[test]
        fn it_routes_to_all_that_are_bound(program in program("[ab]?", few_arguments(), few_arguments())) {
            check(ExchangeKind::Fanout, program, |_, _, _, _| true)?;
        }
    }
}
