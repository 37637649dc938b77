//! The table of a fanout exchange: a message goes to every destination that is bound at all.
//!
//! However often and by whatever keys a destination is bound, it gets one copy, until its last binding goes.

use super::{Destination, Matches, destinations::Destinations};

#[derive(Debug)]
pub(super) struct Fanout<D> {
    destinations: Destinations<D>,
}

impl<D: Destination> Fanout<D> {
    pub(super) fn new() -> Self {
        Self {
            destinations: Destinations::None,
        }
    }

    pub(super) fn insert(&mut self, destination: &D) {
        self.destinations.add(destination);
    }

    pub(super) fn remove(&mut self, destination: &D) {
        self.destinations.remove(destination);
    }

    pub(super) fn remove_all(&mut self, destination: &D) {
        self.destinations.remove_all(destination);
    }

    pub(super) fn route(&self, matches: &mut Matches<D>) {
        self.destinations.collect(matches);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::exchange::{
        ExchangeKind,
        tests::{check, few_arguments, program},
    };

    proptest! {
        #[test]
        fn it_routes_to_all_that_are_bound(program in program("[ab]?", few_arguments(), few_arguments())) {
            check(ExchangeKind::Fanout, program, |_, _, _, _| true)?;
        }
    }
}
