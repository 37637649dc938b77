//! Where one key leads: a set of destinations, each with the number of bindings that put it there.
//!
//! Bindings that differ in arguments alone are several bindings with one effect, and the effect must outlast all but
//! the last of them.

use std::hash::BuildHasherDefault;

use super::{Matches, dense::DenseMap, hasher::NumberHasher, numbered::Number};

/// The destinations of one key, in eight bytes, as nearly always it is one; where it is several they are among the
/// table's [`SetPool`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Destinations {
    /// The destination, or the number of the crowd.
    id_or_set: u32,
    bindings: u32,
}

/// Instead of a number of bindings. So many with one key and one destination would not fit in memory.
const IS_SET: u32 = u32::MAX;

type DestinationSet = DenseMap<Number, u32, BuildHasherDefault<NumberHasher>>;

/// The destinations of all keys of a table that have more than one.
#[derive(Debug, Default)]
pub(super) struct SetPool {
    sets: Vec<DestinationSet>,
    free: Vec<u32>,
}

impl Destinations {
    pub(super) const NONE: Destinations = Destinations {
        id_or_set: 0,
        bindings: 0,
    };

    pub(super) fn is_empty(self) -> bool {
        self.bindings == 0
    }

    pub(super) fn len(self, crowds: &SetPool) -> usize {
        match self.bindings {
            0 => 0,
            IS_SET => crowds.sets[self.id_or_set as usize].len(),
            _ => 1,
        }
    }

    /// Counts one more binding to `added`.
    pub(super) fn add(&mut self, added: Number, crowds: &mut SetPool) {
        match self.bindings {
            0 => {
                *self = Destinations {
                    id_or_set: added,
                    bindings: 1,
                }
            }
            IS_SET => {
                let crowd = &mut crowds.sets[self.id_or_set as usize];
                match crowd.get_mut(&added) {
                    Some(bindings) => *bindings += 1,
                    None => crowd.insert_new(added, 1),
                }
            }
            _ if self.id_or_set == added => self.bindings += 1,
            bindings => {
                let mut crowd = DestinationSet::new();
                crowd.insert_new(self.id_or_set, bindings);
                crowd.insert_new(added, 1);
                *self = Destinations {
                    id_or_set: crowds.keep(crowd),
                    bindings: IS_SET,
                }
            }
        }
    }

    /// Counts one binding to `removed` less, and drops the destination with its last one. What is not there is left.
    pub(super) fn remove(&mut self, removed: Number, crowds: &mut SetPool) {
        match self.bindings {
            0 => {}
            IS_SET => {
                let crowd = &mut crowds.sets[self.id_or_set as usize];
                if let Some(bindings) = crowd.get_mut(&removed) {
                    *bindings -= 1;
                    if *bindings == 0 {
                        crowd.remove(&removed);
                    }
                }
                if crowd.is_empty() {
                    *crowd = DestinationSet::new();
                    crowds.free.push(self.id_or_set);
                    *self = Destinations::NONE;
                }
            }
            _ if self.id_or_set == removed => self.bindings -= 1,
            _ => {}
        }
    }

    /// Drops a destination with all its bindings.
    pub(super) fn remove_all(&mut self, removed: Number, crowds: &mut SetPool) {
        match self.bindings {
            IS_SET => {
                if let Some(bindings) = crowds.sets[self.id_or_set as usize].get_mut(&removed) {
                    *bindings = 1;
                }
            }
            _ if self.id_or_set == removed => self.bindings = self.bindings.min(1),
            _ => {}
        }
        self.remove(removed, crowds);
    }

    pub(super) fn collect(self, crowds: &SetPool, matches: &mut Matches) {
        match self.bindings {
            0 => {}
            IS_SET => {
                let crowd = crowds.sets[self.id_or_set as usize].entries();
                matches.insert_all(crowd.iter().map(|(destination, _)| *destination));
            }
            _ => matches.insert(self.id_or_set),
        }
    }
}

impl SetPool {
    /// There are fewer crowds than keys, of which there are never 2^32.
    fn keep(&mut self, crowd: DestinationSet) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.sets[number as usize] = crowd;
                number
            }
            None => {
                self.sets.push(crowd);
                (self.sets.len() - 1) as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(destinations: Destinations, crowds: &SetPool) -> Vec<Number> {
        let mut matches = Matches::new();
        destinations.collect(crowds, &mut matches);
        matches.numbers().to_vec()
    }

    #[test]
    fn a_destination_leaves_with_its_last_binding() {
        let (mut destinations, mut crowds) = (Destinations::NONE, SetPool::default());
        [1, 1, 2, 2, 3]
            .into_iter()
            .for_each(|destination| destinations.add(destination, &mut crowds));
        [1, 2, 3]
            .into_iter()
            .for_each(|destination| destinations.remove(destination, &mut crowds));
        assert_eq!(found(destinations, &crowds), [1, 2]);
        destinations.remove(2, &mut crowds);
        destinations.remove(7, &mut crowds);
        assert_eq!(found(destinations, &crowds), [1]);
        destinations.remove(1, &mut crowds);
        assert!(destinations.is_empty());
    }

    #[test]
    fn one_destination_is_no_crowd_however_often_it_is_bound() {
        let (mut destinations, mut crowds) = (Destinations::NONE, SetPool::default());
        (0..5).for_each(|_| destinations.add(3, &mut crowds));
        assert!(crowds.sets.is_empty());
        (0..4).for_each(|_| destinations.remove(3, &mut crowds));
        destinations.remove(4, &mut crowds);
        assert_eq!(found(destinations, &crowds), [3]);
        destinations.remove(3, &mut crowds);
        assert!(destinations.is_empty());
    }

    #[test]
    fn a_destination_may_leave_with_all_its_bindings() {
        let (mut destinations, mut crowds) = (Destinations::NONE, SetPool::default());
        [1, 2, 2]
            .into_iter()
            .for_each(|destination| destinations.add(destination, &mut crowds));
        [2, 3]
            .into_iter()
            .for_each(|destination| destinations.remove_all(destination, &mut crowds));
        assert_eq!(found(destinations, &crowds), [1]);
        destinations.remove_all(1, &mut crowds);
        assert!(destinations.is_empty());
        [4, 4]
            .into_iter()
            .for_each(|destination| destinations.add(destination, &mut crowds));
        [1, 4, 4]
            .into_iter()
            .for_each(|destination| destinations.remove_all(destination, &mut crowds));
        assert!(destinations.is_empty());
    }

    #[test]
    fn one_key_costs_two_numbers() {
        assert_eq!(size_of::<Destinations>(), 8);
    }

    #[test]
    fn crowds_are_used_again() {
        let (mut destinations, mut crowds) = (Destinations::NONE, SetPool::default());
        for _ in 0..100 {
            [1, 2]
                .into_iter()
                .for_each(|destination| destinations.add(destination, &mut crowds));
            [1, 2]
                .into_iter()
                .for_each(|destination| destinations.remove(destination, &mut crowds));
        }
        assert_eq!(crowds.sets.len(), 1);
    }
}
