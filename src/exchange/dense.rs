//! A map for sets that are nearly always tiny: entries side by side, an index only once there are many.
//!
//! A key routes to one or two destinations, rarely to thousands. Up to [`SCAN`] entries are found by looking at each,
//! which costs less than hashing one key; above that an index answers. The order is that of insertion until a removal
//! moves the last entry into the gap.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash},
};

/// The most entries that are looked at one by one.
const SCAN: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct DenseMap<K, V, S = RandomState> {
    entries: Vec<(K, V)>,
    /// The position of every key, or empty while there are too few to need it.
    index: Option<HashMap<K, usize, S>>,
}

impl<K: Clone + Eq + Hash, V, S: BuildHasher + Default> DenseMap<K, V, S> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            index: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[(K, V)] {
        &self.entries
    }

    pub(super) fn into_entries(self) -> Vec<(K, V)> {
        self.entries
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.position(key).map(|at| &self.entries[at].1)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.position(key).map(|at| &mut self.entries[at].1)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.position(key).is_some()
    }

    /// Adds a key that is not there yet (the caller has just looked).
    pub(super) fn insert_new(&mut self, key: K, value: V) {
        debug_assert!(!self.contains(&key));
        let at = self.entries.len();
        if let Some(index) = self.index.as_mut().filter(|index| !index.is_empty()) {
            index.insert(key.clone(), at);
        } else if at == SCAN {
            let present = self.entries.iter().map(|(key, _)| key.clone());
            self.index
                .get_or_insert_default()
                .extend(present.chain([key.clone()]).zip(0..));
        }
        self.entries.push((key, value));
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.position(key)?;
        let (_, value) = self.entries.swap_remove(at);
        // Half way down, so that one entry coming and going does not build the index over and over.
        if self.entries.len() <= SCAN / 2 {
            self.index = None;
        } else if let Some(index) = self.index.as_mut().filter(|index| !index.is_empty()) {
            index.remove(key);
            if let Some((moved, _)) = self.entries.get(at) {
                index.insert(moved.clone(), at);
            }
        }
        Some(value)
    }

    /// Forgets the entries and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        if let Some(index) = &mut self.index {
            index.clear();
        }
    }

    fn position(&self, key: &K) -> Option<usize> {
        match &self.index {
            Some(index) if !index.is_empty() => index.get(key).copied(),
            _ => self.entries.iter().position(|(present, _)| present == key),
        }
    }
}

impl<K, V, S> Default for DenseMap<K, V, S> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_answers_as_a_hash_map_does(steps in proptest::collection::vec((0..48u8, 0..5u8), 0..300)) {
            let (mut dense, mut model) = (DenseMap::<u8, usize>::new(), HashMap::new());
            for (at, (key, action)) in steps.into_iter().enumerate() {
                match action {
                    0..3 if !dense.contains(&key) => {
                        dense.insert_new(key, at);
                        model.insert(key, at);
                    }
                    0..3 => prop_assert_eq!(dense.get_mut(&key), model.get_mut(&key)),
                    _ if at % 100 == 99 => {
                        dense.clear();
                        model.clear();
                    }
                    _ => prop_assert_eq!(dense.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(dense.len(), model.len());
                for key in 0..48 {
                    prop_assert_eq!(dense.get(&key), model.get(&key));
                }
            }
        }
    }

    #[test]
    fn entries_keep_the_order_of_insertion() {
        let mut dense = DenseMap::<_, _>::new();
        (0..100).for_each(|key| dense.insert_new(key, ()));
        assert!(dense.entries().iter().map(|(key, ())| *key).eq(0..100));
    }

    #[test]
    fn the_index_goes_when_few_entries_are_left() {
        let mut dense = DenseMap::<_, _>::new();
        (0..=SCAN).for_each(|key| dense.insert_new(key, ()));
        assert!(dense.index.is_some());
        (0..=SCAN / 2).for_each(|key| assert!(dense.remove(&key).is_some()));
        assert!(dense.index.is_none());
    }
}
