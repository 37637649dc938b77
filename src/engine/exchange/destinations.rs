//! The destinations of one key, each with the number of its bindings.
//!
//! Bindings that differ only in their arguments are several bindings with one effect. The effect
//! must last until the last of them is removed.

use std::hash::BuildHasherDefault;

use super::{Matches, dense::DenseMap, hasher::NumberHasher, numbered::Number};

/// The destinations of one key, in eight bytes. Nearly always there is one. Several are kept in the
/// table's [`SetPool`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Destinations {
    /// The destination, or the number of its set in the pool.
    id_or_set: u32,
    bindings: u32,
}

/// Marks a set, in place of a number of bindings. That number cannot occur, since the bindings
/// would not fit in memory.
const IS_SET: u32 = u32::MAX;

type DestinationSet = DenseMap<Number, u32, BuildHasherDefault<NumberHasher>>;

/// The sets of destinations, for all keys of a table that have more than one.
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

    pub(super) fn len(self, pool: &SetPool) -> usize {
        match self.bindings {
            0 => 0,
            IS_SET => pool.sets[self.id_or_set as usize].len(),
            _ => 1,
        }
    }

    /// Counts one more binding to `added`.
    pub(super) fn add(&mut self, added: Number, pool: &mut SetPool) {
        match self.bindings {
            0 => {
                *self = Destinations {
                    id_or_set: added,
                    bindings: 1,
                }
            }
            IS_SET => {
                let set = &mut pool.sets[self.id_or_set as usize];
                match set.get_mut(&added) {
                    Some(bindings) => *bindings += 1,
                    None => set.insert_new(added, 1),
                }
            }
            _ if self.id_or_set == added => self.bindings += 1,
            bindings => {
                let mut set = DestinationSet::new();
                set.insert_new(self.id_or_set, bindings);
                set.insert_new(added, 1);
                *self = Destinations {
                    id_or_set: pool.keep(set),
                    bindings: IS_SET,
                }
            }
        }
    }

    /// Counts one binding to `removed` less, and removes the destination with its last binding.
    /// Does nothing if there is no such binding.
    pub(super) fn remove(&mut self, removed: Number, pool: &mut SetPool) {
        match self.bindings {
            0 => {}
            IS_SET => {
                let set = &mut pool.sets[self.id_or_set as usize];
                if let Some(bindings) = set.get_mut(&removed) {
                    *bindings -= 1;
                    if *bindings == 0 {
                        set.remove(&removed);
                    }
                }
                if set.is_empty() {
                    *set = DestinationSet::new();
                    pool.free.push(self.id_or_set);
                    *self = Destinations::NONE;
                }
            }
            _ if self.id_or_set == removed => self.bindings -= 1,
            _ => {}
        }
    }

    /// Removes a destination with all its bindings.
    pub(super) fn remove_all(&mut self, removed: Number, pool: &mut SetPool) {
        match self.bindings {
            IS_SET => {
                if let Some(bindings) = pool.sets[self.id_or_set as usize].get_mut(&removed) {
                    *bindings = 1;
                }
            }
            _ if self.id_or_set == removed => self.bindings = self.bindings.min(1),
            _ => {}
        }
        self.remove(removed, pool);
    }

    pub(super) fn collect(self, pool: &SetPool, matches: &mut Matches) {
        match self.bindings {
            0 => {}
            IS_SET => {
                let set = pool.sets[self.id_or_set as usize].entries();
                matches.insert_all(set.iter().map(|(destination, _)| *destination));
            }
            _ => matches.insert(self.id_or_set),
        }
    }
}

impl SetPool {
    /// Adds a set and returns its number. There are fewer sets than keys, and always fewer than
    /// 2^32 keys.
    fn keep(&mut self, set: DestinationSet) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.sets[number as usize] = set;
                number
            }
            None => {
                self.sets.push(set);
                (self.sets.len() - 1) as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(destinations: Destinations, pool: &SetPool) -> Vec<Number> {
        let mut matches = Matches::new();
        destinations.collect(pool, &mut matches);
        matches.numbers().to_vec()
    }

    #[test]
    fn a_destination_leaves_with_its_last_binding() {
        let (mut destinations, mut pool) = (Destinations::NONE, SetPool::default());
        [1, 1, 2, 2, 3]
            .into_iter()
            .for_each(|destination| destinations.add(destination, &mut pool));
        [1, 2, 3]
            .into_iter()
            .for_each(|destination| destinations.remove(destination, &mut pool));
        assert_eq!(found(destinations, &pool), [1, 2]);
        destinations.remove(2, &mut pool);
        destinations.remove(7, &mut pool);
        assert_eq!(found(destinations, &pool), [1]);
        destinations.remove(1, &mut pool);
        assert!(destinations.is_empty());
    }

    #[test]
    fn one_destination_needs_no_set_however_often_it_is_bound() {
        let (mut destinations, mut pool) = (Destinations::NONE, SetPool::default());
        (0..5).for_each(|_| destinations.add(3, &mut pool));
        assert!(pool.sets.is_empty());
        (0..4).for_each(|_| destinations.remove(3, &mut pool));
        destinations.remove(4, &mut pool);
        assert_eq!(found(destinations, &pool), [3]);
        destinations.remove(3, &mut pool);
        assert!(destinations.is_empty());
    }

    #[test]
    fn a_destination_may_leave_with_all_its_bindings() {
        let (mut destinations, mut pool) = (Destinations::NONE, SetPool::default());
        [1, 2, 2]
            .into_iter()
            .for_each(|destination| destinations.add(destination, &mut pool));
        [2, 3]
            .into_iter()
            .for_each(|destination| destinations.remove_all(destination, &mut pool));
        assert_eq!(found(destinations, &pool), [1]);
        destinations.remove_all(1, &mut pool);
        assert!(destinations.is_empty());
        [4, 4]
            .into_iter()
            .for_each(|destination| destinations.add(destination, &mut pool));
        [1, 4, 4]
            .into_iter()
            .for_each(|destination| destinations.remove_all(destination, &mut pool));
        assert!(destinations.is_empty());
    }

    #[test]
    fn one_key_costs_two_numbers() {
        assert_eq!(size_of::<Destinations>(), 8);
    }

    #[test]
    fn sets_are_used_again() {
        let (mut destinations, mut pool) = (Destinations::NONE, SetPool::default());
        for _ in 0..100 {
            [1, 2]
                .into_iter()
                .for_each(|destination| destinations.add(destination, &mut pool));
            [1, 2]
                .into_iter()
                .for_each(|destination| destinations.remove(destination, &mut pool));
        }
        assert_eq!(pool.sets.len(), 1);
    }
}
