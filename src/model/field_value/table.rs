//! The field table: names and values in the order of insertion.
//!
//! Headers and arguments are short. A search of a vector from its front is faster than a map.

use std::{
    fmt,
    hash::{Hash, Hasher},
    slice, vec,
};

use super::{FieldValue, Nested};

/// A table of named values: the headers of a message, or the arguments of a queue, an exchange, a
/// binding or a consumer.
///
/// The table keeps the order of first insertion. A second insertion of a name replaces its value in
/// place. Two tables are equal if they have the same names and values, in any order.
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
#[derive(Clone, Default)]
pub struct FieldTable(Vec<(String, FieldValue)>);

impl FieldTable {
    /// An empty table. Allocates nothing.
    pub const fn new() -> FieldTable {
        FieldTable(Vec::new())
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
                self.0.push((name, value));
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
        self.iter()
            .find_map(|(present, value)| (present == name).then_some(value))
    }

    /// The value under `name`, for changes in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut FieldValue> {
        self.0
            .iter_mut()
            .find_map(|(present, value)| (present == name).then_some(value))
    }

    /// Whether there is a value under `name`. Void is a value.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes the value under `name`. The others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<FieldValue> {
        let at = self.0.iter().position(|(present, _)| present == name)?;
        Some(self.0.remove(at).1)
    }

    /// Keeps only the entries for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &FieldValue) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// The entries in the order of insertion.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries by name. Tables are compared and hashed in this order, because the order of
    /// insertion does not count.
    fn sorted(&self) -> Vec<&(String, FieldValue)> {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        entries
    }
}

impl PartialEq for FieldTable {
    fn eq(&self, other: &FieldTable) -> bool {
        self.0 == other.0 || (self.len() == other.len() && self.sorted() == other.sorted())
    }
}

impl Eq for FieldTable {}

impl Hash for FieldTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sorted().hash(state);
    }
}

impl fmt::Debug for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Prints `{name: value, ..}`.
impl fmt::Display for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}: {:?}", Nested(value))?;
        }
        f.write_str("}")
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
        self.0.into_iter()
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
pub struct Iter<'a>(slice::Iter<'a, (String, FieldValue)>);

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
    use std::hash::DefaultHasher;

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

    #[test]
    fn a_void_entry_is_present() {
        let table = FieldTable::new().with("a", ());
        assert!(table.contains_key("a"));
        assert!(!table.contains_key("b"));
    }
}
