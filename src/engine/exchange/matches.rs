//! The result of a route: the numbers of the destinations, each once, in the order in which they
//! were found.
//!
//! One value collects the destinations of several keys (CC and BCC), and is used again for the next
//! exchange. The numbers belong to one exchange:
//! [`ExchangeState::found`](super::ExchangeState::found) returns their destinations.

use std::hash::BuildHasherDefault;

use hashbrown::HashSet;

use super::{hasher::NumberHasher, numbered::Number};

/// Up to how many numbers the list is searched without the set.
const SCAN: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Matches {
    found: Vec<Number>,
    /// A copy of the first numbers of `found`. Filled when a number is searched in a long list.
    set: HashSet<Number, BuildHasherDefault<NumberHasher>>,
}

impl Matches {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(super) fn insert(&mut self, number: Number) {
        if self.found.len() < SCAN {
            if !self.found.contains(&number) {
                self.found.push(number);
            }
            return;
        }
        self.set
            .extend(self.found[self.set.len()..].iter().copied());
        if self.set.insert(number) {
            self.found.push(number);
        }
    }

    /// Adds numbers that differ from each other.
    pub(super) fn insert_all(&mut self, numbers: impl Iterator<Item = Number>) {
        match self.found.is_empty() {
            true => self.found.extend(numbers),
            false => numbers.for_each(|number| self.insert(number)),
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn numbers(&self) -> &[Number] {
        &self.found
    }

    /// Removes the destinations and keeps the memory for the next route.
    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.set.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_stands_once_where_it_was_first_found() {
        let mut matches = Matches::new();
        [3, 1, 3, 2, 1]
            .into_iter()
            .for_each(|number| matches.insert(number));
        assert_eq!(matches.numbers(), [3, 1, 2]);
        matches.insert_all([2, 5, 3, 4].into_iter());
        assert_eq!(matches.numbers(), [3, 1, 2, 5, 4]);
    }

    #[test]
    fn many_destinations_stay_free_of_duplicates() {
        let mut matches = Matches::new();
        matches.insert_all(0..500);
        for _ in 0..2 {
            (250..1000).for_each(|number| matches.insert(number));
            matches.insert_all(0..1000);
        }
        assert!(matches.numbers().iter().copied().eq(0..1000));
    }

    #[test]
    fn a_cleared_set_starts_anew() {
        let mut matches = Matches::new();
        (0..100).for_each(|number| matches.insert(number));
        matches.clear();
        assert!(matches.is_empty());
        (0..2).for_each(|_| matches.insert(7));
        assert_eq!(matches.numbers(), [7]);
    }
}
