//! The entries of a field table, in the order of insertion.
//!
//! Most tables are short, and a search of a short vector from its front is faster than a map. A
//! long table has an index, so that each operation costs the same in a table of any length, also
//! when all its entries are inserted or removed one by one.

use std::{
    collections::{BTreeMap, btree_map},
    hash::BuildHasher,
    slice,
};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::FieldValue;

/// A name and its value.
pub(super) type Entry = (String, FieldValue);

/// Up to how many entries the table is searched without an index.
pub(super) const SCAN: usize = 16;

#[derive(Clone)]
pub(super) enum Entries {
    Few(Vec<Entry>),
    Many(Box<Indexed>),
}

impl Entries {
    pub(super) const fn new() -> Entries {
        Entries::Few(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Entries::Few(entries) => entries.len(),
            Entries::Many(indexed) => indexed.entries.len(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&FieldValue> {
        match self {
            Entries::Few(entries) => entries
                .iter()
                .find_map(|(present, value)| (present == name).then_some(value)),
            Entries::Many(indexed) => indexed.get(name),
        }
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut FieldValue> {
        match self {
            Entries::Few(entries) => entries
                .iter_mut()
                .find_map(|(present, value)| (present == name).then_some(value)),
            Entries::Many(indexed) => indexed.get_mut(name),
        }
    }

    /// Adds a name that is not present yet. The caller has checked that.
    pub(super) fn insert_new(&mut self, name: String, value: FieldValue) {
        if let Entries::Few(entries) = self {
            if entries.len() < SCAN {
                return entries.push((name, value));
            }
            let mut indexed = Box::new(Indexed::default());
            for (name, value) in std::mem::take(entries) {
                indexed.insert_new(name, value);
            }
            *self = Entries::Many(indexed);
        }
        if let Entries::Many(indexed) = self {
            indexed.insert_new(name, value);
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<FieldValue> {
        match self {
            Entries::Few(entries) => {
                let at = entries.iter().position(|(present, _)| present == name)?;
                Some(entries.remove(at).1)
            }
            Entries::Many(indexed) => indexed.remove(name),
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str, &FieldValue) -> bool) {
        match self {
            Entries::Few(entries) => entries.retain(|(name, value)| keep(name, value)),
            Entries::Many(indexed) => {
                let Indexed {
                    entries, places, ..
                } = &mut **indexed;
                entries.retain(|_, (name, value)| keep(name, value));
                places.retain(|place| entries.contains_key(place));
            }
        }
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        match self {
            Entries::Few(entries) => Iter::Few(entries.iter()),
            Entries::Many(indexed) => Iter::Many(indexed.entries.values()),
        }
    }

    /// Calls `each` with every value, in order.
    pub(super) fn for_each_value_mut<'a>(&'a mut self, each: impl FnMut(&'a mut FieldValue)) {
        match self {
            Entries::Few(entries) => entries.iter_mut().map(|(_, value)| value).for_each(each),
            Entries::Many(indexed) => indexed
                .entries
                .values_mut()
                .map(|(_, value)| value)
                .for_each(each),
        }
    }

    pub(super) fn into_vec(self) -> Vec<Entry> {
        match self {
            Entries::Few(entries) => entries,
            Entries::Many(indexed) => indexed.entries.into_values().collect(),
        }
    }
}

/// Many entries.
#[derive(Clone, Default)]
pub(super) struct Indexed {
    /// Each entry under its place. A place is given once, so the order is that of insertion.
    entries: BTreeMap<u64, Entry>,
    /// The places of all names.
    places: HashTable<u64>,
    /// Seeded, because users choose the names.
    hasher: DefaultHashBuilder,
}

impl Indexed {
    fn get(&self, name: &str) -> Option<&FieldValue> {
        let place = self.places.find(self.hasher.hash_one(name), |place| {
            is_at(&self.entries, place, name)
        })?;
        self.entries.get(place).map(|(_, value)| value)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut FieldValue> {
        let place = self.places.find(self.hasher.hash_one(name), |place| {
            is_at(&self.entries, place, name)
        })?;
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    fn insert_new(&mut self, name: String, value: FieldValue) {
        let last = self.entries.last_key_value();
        let place = last.map_or(0, |(place, _)| place + 1);
        let hash = self.hasher.hash_one(name.as_str());
        self.entries.insert(place, (name, value));
        self.places.insert_unique(hash, place, |place| {
            let entry = self.entries.get(place);
            entry.map_or(0, |(name, _)| self.hasher.hash_one(name.as_str()))
        });
    }

    fn remove(&mut self, name: &str) -> Option<FieldValue> {
        let hash = self.hasher.hash_one(name);
        let found = self
            .places
            .find_entry(hash, |place| is_at(&self.entries, place, name));
        let (place, _) = found.ok()?.remove();
        self.entries.remove(&place).map(|(_, value)| value)
    }
}

fn is_at(entries: &BTreeMap<u64, Entry>, place: &u64, name: &str) -> bool {
    entries
        .get(place)
        .is_some_and(|(present, _)| present == name)
}

#[derive(Clone, Debug)]
pub(super) enum Iter<'a> {
    Few(slice::Iter<'a, Entry>),
    Many(btree_map::Values<'a, u64, Entry>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        match self {
            Iter::Few(entries) => entries.next(),
            Iter::Many(entries) => entries.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Iter::Few(entries) => entries.size_hint(),
            Iter::Many(entries) => entries.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8),
        Remove(u8),
        Retain(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..60_u8).prop_map(Step::Insert),
            4 => (0..60_u8).prop_map(Step::Remove),
            1 => (2..5_u8).prop_map(Step::Retain),
        ]
    }

    fn names(entries: &Entries) -> Vec<String> {
        entries.iter().map(|(name, _)| name.clone()).collect()
    }

    proptest! {
        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn a_table_of_any_length_behaves_as_a_list_that_is_searched(
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut entries = Entries::new();
            let mut model: Vec<u8> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(number) if !model.contains(&number) => {
                        entries.insert_new(number.to_string(), number.into());
                        model.push(number);
                    }
                    Step::Insert(_) => {}
                    Step::Remove(number) => {
                        let removed = entries.remove(&number.to_string());
                        let there = model.iter().position(|other| *other == number);
                        prop_assert_eq!(removed, there.map(|_| number.into()));
                        there.map(|at| model.remove(at));
                    }
                    Step::Retain(divisor) => {
                        entries.retain(|name, _| name.parse::<u8>().unwrap() % divisor != 0);
                        model.retain(|number| number % divisor != 0);
                    }
                }
                prop_assert_eq!(entries.len(), model.len());
            }
            for number in 0..60_u8 {
                let expected = model.contains(&number).then(|| FieldValue::from(number));
                prop_assert_eq!(entries.get(&number.to_string()), expected.as_ref());
                prop_assert_eq!(entries.get_mut(&number.to_string()).cloned(), expected);
            }
            let expected: Vec<_> = model.iter().map(u8::to_string).collect();
            prop_assert_eq!(names(&entries), expected.clone());
            prop_assert_eq!(names(&entries.clone()), expected.clone());
            let all: Vec<_> = entries.into_vec().into_iter().map(|(name, _)| name).collect();
            prop_assert_eq!(all, expected);
        }
    }

    #[test]
    fn a_short_table_has_no_index_and_a_long_one_has() {
        let mut entries = Entries::new();
        for number in 0..SCAN {
            entries.insert_new(number.to_string(), ().into());
        }
        assert!(matches!(entries, Entries::Few(_)));
        entries.insert_new(SCAN.to_string(), ().into());
        assert!(matches!(entries, Entries::Many(_)));
    }
}
