//! The field table: names and values in the order of insertion.

use std::{fmt, vec};

use super::{
    FieldValue,
    entries::{self, Entries},
    text::Text,
};
use crate::model::octets;

/// A table of named values: the headers of a message, or the arguments of a queue, an exchange, a
/// binding or a consumer.
///
/// The table keeps the order of first insertion. A second insertion of a name replaces its value in
/// place. Two tables are equal if they have the same names and values, in any order. An operation
/// on one name costs the same in a table of any length.
///
/// Tables and arrays nest, at most [`MAX_DEPTH`](FieldTable::MAX_DEPTH) deep.
///
/// # Examples
/// ```
/// use leveret::{FieldTable, FieldValue};
///
/// let mut headers = FieldTable::from([("format", "pdf")]);
/// headers.insert("pages", 3);
/// assert_eq!(headers.get("pages"), Some(&FieldValue::Int(3)));
/// assert_eq!(headers.insert("pages", 4), Some(FieldValue::Int(3)));
/// assert_eq!(headers.to_string(), "{format: 'pdf', pages: 4}");
///
/// let mut headers = headers.with("draft", true);
/// assert!(headers.contains_key("draft"));
/// if let Some(pages) = headers.get_mut("pages") {
///     *pages = 5.into();
/// }
/// headers.retain(|name, _| name != "draft");
/// assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["format", "pages"]);
/// assert_eq!(headers.remove("pages"), Some(FieldValue::Int(5)));
/// assert_eq!((headers.len(), headers.is_empty()), (1, false));
/// ```
#[derive(Clone)]
pub struct FieldTable(Entries);

impl FieldTable {
    /// An empty table. Allocates nothing.
    pub const fn new() -> FieldTable {
        FieldTable(Entries::new())
    }

    /// Inserts a value under `name`. Returns the value that it replaces.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Into<FieldValue>,
    ) -> Option<FieldValue> {
        let (name, value) = (name.into(), value.into());
        match self.get_mut(&name) {
            Some(present) => Some(std::mem::replace(present, value)),
            None => {
                self.0.insert_new(name, value);
                None
            }
        }
    }

    /// Inserts a value under `name` and returns the table. [`insert`](FieldTable::insert) does the
    /// same without a chain.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> FieldTable {
        self.insert(name, value);
        self
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.0.get(name)
    }

    /// The value under `name`, for changes in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut FieldValue> {
        self.0.get_mut(name)
    }

    /// Whether there is a value under `name`. Void is a value.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes the value under `name`. The others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<FieldValue> {
        self.0.remove(name)
    }

    /// Keeps only the entries for which `keep` is true.
    pub fn retain(&mut self, keep: impl FnMut(&str, &FieldValue) -> bool) {
        self.0.retain(keep);
    }

    /// The entries in the order of insertion.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }

    /// The bytes that the table takes in AMQP 0-9-1.
    pub(crate) fn encoded_len(&self) -> u64 {
        let fields = self.iter();
        let lens =
            fields.map(|(name, value)| 1 + octets::len_of(name) as u64 + value.encoded_len());
        4 + lens.sum::<u64>()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with every value, in order.
    pub(super) fn for_each_value_mut<'a>(&'a mut self, each: impl FnMut(&'a mut FieldValue)) {
        self.0.for_each_value_mut(each);
    }
}

impl Default for FieldTable {
    fn default() -> FieldTable {
        FieldTable::new()
    }
}

impl fmt::Debug for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Text::of_table(self), f)
    }
}

/// Prints `{name: value, ..}`. A table that is nested too deep is cut off.
impl fmt::Display for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Text::of_table(self), f)
    }
}

impl<K: Into<String>, V: Into<FieldValue>> Extend<(K, V)> for FieldTable {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (name, value) in entries {
            self.insert(name, value);
        }
    }
}

impl<K: Into<String>, V: Into<FieldValue>> FromIterator<(K, V)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> FieldTable {
        let mut table = FieldTable::new();
        table.extend(entries);
        table
    }
}

impl<K: Into<String>, V: Into<FieldValue>, const N: usize> From<[(K, V); N]> for FieldTable {
    fn from(entries: [(K, V); N]) -> FieldTable {
        entries.into_iter().collect()
    }
}

impl IntoIterator for FieldTable {
    type Item = (String, FieldValue);
    type IntoIter = vec::IntoIter<(String, FieldValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

impl<'a> IntoIterator for &'a FieldTable {
    type Item = (&'a str, &'a FieldValue);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The entries of a [`FieldTable`], in the order of insertion.
///
/// [`FieldTable`] has an example.
#[derive(Clone, Debug)]
pub struct Iter<'a>(entries::Iter<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a FieldValue);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_str(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    fn hash(table: &FieldTable) -> u64 {
        let mut hasher = DefaultHasher::new();
        table.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn a_table_keeps_the_order_of_first_insertion() {
        let mut table = FieldTable::from([("b", 1), ("a", 2)]);
        assert_eq!(table.insert("b", 3), Some(FieldValue::Int(1)));
        assert_eq!(table.insert("c", 4), None);
        let names: Vec<_> = table.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(table.get("b"), Some(&FieldValue::Int(3)));
        assert_eq!(table.remove("a"), Some(FieldValue::Int(2)));
        assert_eq!(table.remove("a"), None);
        assert_eq!(table.to_string(), "{b: 3, c: 4}");
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn tables_are_equal_and_hash_alike_in_any_order() {
        let one = FieldTable::new()
            .with("a", 1)
            .with("b", FieldTable::from([("x", 1), ("y", 2)]));
        let other = FieldTable::new()
            .with("b", FieldTable::from([("y", 2), ("x", 1)]))
            .with("a", 1);
        assert_eq!(one, other);
        assert_eq!(hash(&one), hash(&other));
        assert_ne!(one, other.clone().with("a", 2));
        assert_ne!(one, other.with("c", 2));
    }

    /// With a search for each name, this would not end.
    #[test]
    fn a_long_table_is_built_changed_compared_and_emptied() {
        const MANY: u32 = 100_000;
        let name = |number: u32| number.to_string();
        let mut table: FieldTable = (0..MANY).map(|number| (name(number), number)).collect();
        let mut backwards = FieldTable::new();
        backwards.extend((0..MANY).rev().map(|number| (name(number), number)));
        assert_eq!(table, backwards);
        assert_eq!(table.clone(), backwards);
        for number in 0..MANY {
            assert_eq!(table.insert(name(number), number + 1), Some(number.into()));
            assert!(table.contains_key(&name(number)));
        }
        assert_ne!(table, backwards);
        let json = serde_json::to_string(&backwards).unwrap();
        assert_eq!(
            serde_json::from_str::<FieldTable>(&json).unwrap(),
            backwards
        );
        for number in 0..MANY {
            assert_eq!(backwards.remove(&name(number)), Some(number.into()));
        }
        assert!(backwards.is_empty() && backwards.iter().next().is_none());
    }

    #[test]
    fn a_void_entry_is_present() {
        let table = FieldTable::new().with("a", ());
        assert!(table.contains_key("a"));
        assert!(!table.contains_key("b"));
    }
}
