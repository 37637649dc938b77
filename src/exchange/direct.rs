//! The table of a direct exchange: a message goes where its routing key was bound, letter for letter.
//!
//! One lookup finds the key, whatever else is bound.

use std::collections::HashMap;

use super::{Destination, Matches, destinations::Destinations};
use crate::name::Name;

#[derive(Debug)]
pub(super) struct Direct<D> {
    keys: HashMap<Name, Destinations<D>>,
}

impl<D: Destination> Direct<D> {
    pub(super) fn new() -> Self {
        Self {
            keys: HashMap::new(),
        }
    }

    pub(super) fn insert(&mut self, destination: &D, routing_key: &Name) {
        self.keys
            .entry(routing_key.clone())
            .or_default()
            .add(destination);
    }

    pub(super) fn remove(&mut self, destination: &D, routing_key: &Name) {
        if let Some(destinations) = self.keys.get_mut(routing_key) {
            destinations.remove(destination);
            if destinations.is_empty() {
                self.keys.remove(routing_key);
            }
        }
    }

    pub(super) fn route(&self, routing_key: &str, matches: &mut Matches<D>) {
        if let Some(destinations) = self.keys.get(routing_key) {
            destinations.collect(matches);
        }
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
        fn it_routes_as_comparing_every_key_does(program in program("[ab.]{0,2}", few_arguments(), few_arguments())) {
            check(ExchangeKind::Direct, program, |bound, _, routing_key, _| bound == routing_key)?;
        }
    }
}
