//! The destinations of one exchange, each with a number while it is bound.
//!
//! The tables route by these numbers, which are copied and compared without access to the
//! destination. A clone of the destination itself would change its reference count. That is one
//! more memory access for each destination of each message.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::dense::push_closely;

/// The number of a destination in the tables of its exchange.
pub(super) type Number = u32;

/// A map that assigns a number to each key of type `K`. The number of a removed key is used again.
#[derive(Debug)]
pub(super) struct Numbered<K, V> {
    places: Vec<Option<(K, V)>>,
    free: Vec<Number>,
    numbers: HashTable<Number>,
    hasher: DefaultHashBuilder,
}

impl<K: Eq + Hash, V> Numbered<K, V> {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The number that the next new key gets. `None` if there are no more numbers (near 2^32 keys).
    pub(super) fn next_number(&self) -> Option<Number> {
        match self.free.last() {
            Some(number) => Some(*number),
            None => Number::try_from(self.places.len()).ok(),
        }
    }

    pub(super) fn number_of(&self, key: &K) -> Option<Number> {
        let is_it = |number: &Number| self.key(*number) == Some(key);
        self.numbers.find(self.hasher.hash_one(key), is_it).copied()
    }

    pub(super) fn key(&self, number: Number) -> Option<&K> {
        self.entry(number).map(|(key, _)| key)
    }

    pub(super) fn entry(&self, number: Number) -> Option<(&K, &V)> {
        let place = self.places.get(number as usize)?.as_ref();
        place.map(|(key, value)| (key, value))
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let place = &self.places[self.number_of(key)? as usize];
        place.as_ref().map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let number = self.number_of(key)?;
        let place = &mut self.places[number as usize];
        place.as_mut().map(|(_, value)| value)
    }

    /// Adds a key that does not exist yet, under [`next_number`](Self::next_number). The caller has
    /// checked that.
    pub(super) fn insert_new(&mut self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        let number = match self.free.pop() {
            Some(number) => {
                self.places[number as usize] = Some((key, value));
                number
            }
            None => {
                push_closely(&mut self.places, Some((key, value)));
                (self.places.len() - 1) as Number
            }
        };
        let (places, hasher) = (&self.places, &self.hasher);
        self.numbers.insert_unique(hash, number, |number| {
            let key = places[*number as usize].as_ref().map(|(key, _)| key);
            // Every number in the table has an entry in `places`.
            key.map_or(0, |key| hasher.hash_one(key))
        });
    }

    /// Removes a key and its value, and returns its number.
    pub(super) fn remove(&mut self, key: &K) -> Option<(Number, V)> {
        let places = &self.places;
        let is_it =
            |number: &Number| matches!(&places[*number as usize], Some((there, _)) if there == key);
        let found = self.numbers.find_entry(self.hasher.hash_one(key), is_it);
        let (number, _) = found.ok()?.remove();
        self.free.push(number);
        let (_, value) = self.places[number as usize].take()?;
        Some((number, value))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let places = self.places.iter().flatten();
        places.map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn keys_keep_their_numbers_and_numbers_are_few(
            steps in proptest::collection::vec((0..48u8, 0..5u8), 0..300),
        ) {
            let (mut numbered, mut model) = (Numbered::<u8, usize>::new(), HashMap::new());
            let mut most = 0;
            for (at, (key, action)) in steps.into_iter().enumerate() {
                match action {
                    0..3 if numbered.get(&key).is_none() => {
                        let number = numbered.next_number().unwrap();
                        numbered.insert_new(key, at);
                        prop_assert_eq!(model.insert(key, (number, at)), None);
                    }
                    0..3 => {
                        let expected = model.get(&key).map(|(_, value)| value);
                        prop_assert_eq!(numbered.get(&key), expected);
                    }
                    _ => prop_assert_eq!(numbered.remove(&key), model.remove(&key)),
                }
                most = most.max(model.len());
                prop_assert_eq!(numbered.is_empty(), model.is_empty());
                prop_assert_eq!(numbered.iter().count(), model.len());
                for key in 0..48 {
                    let expected = model.get(&key).map(|(number, _)| *number);
                    prop_assert_eq!(numbered.number_of(&key), expected);
                }
                for (key, (number, _)) in &model {
                    prop_assert_eq!(numbered.key(*number), Some(key));
                    prop_assert!((*number as usize) < most, "freed numbers are used again");
                }
            }
        }
    }
}
