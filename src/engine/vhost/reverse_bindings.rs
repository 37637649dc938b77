//! For each destination, the exchanges that have a binding to it. So a deletion finds them without
//! a search through all exchanges.

use std::{collections::HashSet, hash::Hash};

use hashbrown::{HashMap, hash_map::Entry};

use crate::model::name::Name;

/// From destinations to exchanges. Every destination in the map has at least one exchange.
#[derive(Debug)]
pub(super) struct ReverseBindings<D>(HashMap<D, Names>);

/// The exchanges of a destination, nearly always one.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "the usual case should not be as large as a set"
)]
enum Names {
    One(Name),
    Many(Box<HashSet<Name>>),
}

impl<D: Eq + Hash> ReverseBindings<D> {
    /// Makes room for new destinations.
    pub(super) fn reserve(&mut self, destinations: usize) {
        self.0.reserve(destinations);
    }

    pub(super) fn add(&mut self, destination: D, source: &Name) {
        match self.0.entry(destination) {
            Entry::Vacant(place) => {
                place.insert(Names::One(source.clone()));
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Names::One(name) if name == source => {}
                Names::One(name) => {
                    let both = HashSet::from([name.clone(), source.clone()]);
                    place.insert(Names::Many(Box::new(both)));
                }
                Names::Many(names) => {
                    names.insert(source.clone());
                }
            },
        }
    }

    pub(super) fn remove(&mut self, destination: &D, source: &Name) {
        let last = match self.0.get_mut(destination) {
            None => false,
            Some(Names::One(name)) => name == source,
            Some(Names::Many(names)) => {
                names.remove(source);
                names.is_empty()
            }
        };
        if last {
            self.0.remove(destination);
        }
    }

    /// Removes a destination that is deleted, and returns its exchanges.
    pub(super) fn take(&mut self, destination: &D) -> Vec<Name> {
        match self.0.remove(destination) {
            None => Vec::new(),
            Some(Names::One(name)) => vec![name],
            Some(Names::Many(names)) => names.into_iter().collect(),
        }
    }

    pub(super) fn of(&self, destination: &D) -> impl Iterator<Item = &Name> {
        let (one, many) = match self.0.get(destination) {
            None => (None, None),
            Some(Names::One(name)) => (Some(name), None),
            Some(Names::Many(names)) => (None, Some(names.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl<D> Default for ReverseBindings<D> {
    fn default() -> Self {
        ReverseBindings(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn each_destination_has_the_sources_that_were_given_to_it(
            steps in proptest::collection::vec((0..4u8, 0..5u8, 0..8u8), 0..100),
        ) {
            let (mut sources, mut model) = (ReverseBindings::default(), BTreeSet::new());
            for (destination, source, step) in steps {
                let name = Name::new(format!("x{source}")).unwrap();
                match step {
                    0..4 => {
                        sources.add(destination, &name);
                        model.insert((destination, name));
                    }
                    4..7 => {
                        sources.remove(&destination, &name);
                        model.remove(&(destination, name));
                    }
                    _ => {
                        let taken = sources.take(&destination).len();
                        let before = model.len();
                        model.retain(|(kept, _)| *kept != destination);
                        prop_assert_eq!(taken, before - model.len());
                    }
                }
                let mut there = Vec::new();
                for destination in 0..4 {
                    let names = sources.of(&destination);
                    there.extend(names.map(|name| (destination, name.clone())));
                }
                there.sort();
                prop_assert!(there.iter().eq(&model));
                let left: BTreeSet<_> = model.iter().map(|(destination, _)| destination).collect();
                prop_assert_eq!(sources.0.len(), left.len());
            }
        }
    }
}
