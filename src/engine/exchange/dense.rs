//! A map for sets that are nearly always tiny. The entries are in one list, and a long list has an
//! index.
//!
//! A key routes to one or two destinations, rarely to thousands. Up to [`SCAN`] entries are
//! searched one by one, which costs less than hashing one key. A longer list has an index, which
//! holds positions and no copies of the keys. The order is the order of insertion until a removal
//! moves the last entry into the gap.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Up to how many entries the list is searched without an index.
const SCAN: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct DenseMap<K, V, S = DefaultHashBuilder> {
    entries: Vec<(K, V)>,
    /// The positions of all keys, if the list is long.
    index: Option<Box<Index<S>>>,
}

#[derive(Clone, Debug, Default)]
struct Index<S> {
    /// A position is below 2^32, since more entries would not fit in memory.
    places: HashTable<u32>,
    hasher: S,
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> DenseMap<K, V, S> {
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

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.position(key).map(|at| &mut self.entries[at].1)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.position(key).is_some()
    }

    /// Adds a key that does not exist yet. The caller has checked that.
    pub(super) fn insert_new(&mut self, key: K, value: V) {
        debug_assert!(!self.contains(&key));
        push_closely(&mut self.entries, (key, value));
        match &mut self.index {
            Some(index) => index.add(&self.entries, self.entries.len() - 1),
            None if self.entries.len() > SCAN => {
                let index = self.index.insert(Box::default());
                (0..self.entries.len()).for_each(|at| index.add(&self.entries, at));
            }
            None => {}
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.position(key)?;
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            index.remove(&self.entries, at);
            if at != last {
                index.remove(&self.entries, last);
            }
        }
        let (_, value) = self.entries.swap_remove(at);
        // Only at half the limit, so that alternating inserts and removals do not build the index
        // each time.
        if self.entries.len() <= SCAN / 2 {
            self.index = None;
        } else if let Some(index) = self.index.as_mut().filter(|_| at != last) {
            index.add(&self.entries, at);
        }
        Some(value)
    }

    fn position(&self, key: &K) -> Option<usize> {
        match &self.index {
            Some(index) => index
                .places
                .find(index.hasher.hash_one(key), |at| {
                    self.entries[*at as usize].0 == *key
                })
                .map(|at| *at as usize),
            None => self.entries.iter().position(|(present, _)| present == key),
        }
    }
}

impl<S: BuildHasher> Index<S> {
    fn add<K: Hash, V>(&mut self, entries: &[(K, V)], at: usize) {
        let hash = |at: &u32| self.hasher.hash_one(&entries[*at as usize].0);
        let at = at as u32;
        self.places.insert_unique(hash(&at), at, hash);
    }

    fn remove<K: Hash, V>(&mut self, entries: &[(K, V)], at: usize) {
        let hash = self.hasher.hash_one(&entries[at].0);
        if let Ok(place) = self
            .places
            .find_entry(hash, |present| *present as usize == at)
        {
            place.remove();
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

/// Grows the list by a quarter instead of doubling it. Such lists take most of the memory of a
/// large table.
pub(super) fn push_closely<T>(list: &mut Vec<T>, entry: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len().div_ceil(4));
    }
    list.push(entry);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn it_answers_as_a_hash_map_does(
            steps in proptest::collection::vec((0..48u8, 0..5u8), 0..300),
        ) {
            let (mut dense, mut model) = (DenseMap::<u8, usize>::new(), HashMap::new());
            for (at, (key, action)) in steps.into_iter().enumerate() {
                match action {
                    0..3 if !dense.contains(&key) => {
                        dense.insert_new(key, at);
                        model.insert(key, at);
                    }
                    0..3 => prop_assert_eq!(dense.get_mut(&key), model.get_mut(&key)),
                    _ => prop_assert_eq!(dense.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(dense.len(), model.len());
                for key in 0..48 {
                    prop_assert_eq!(dense.get_mut(&key), model.get_mut(&key));
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

    #[test]
    fn a_map_without_an_index_is_four_words() {
        assert!(size_of::<DenseMap<u32, ()>>() <= 32);
    }
}
