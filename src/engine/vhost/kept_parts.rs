//! The definitions of a virtual host that belong to features which are not here. They are kept for
//! the next export.

use std::collections::BTreeMap;

use serde_json::Value;

use super::VirtualHost;
use crate::model::error::Result;

/// Items of definitions by their section and their key in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KeptParts(BTreeMap<(String, String), Value>);

impl KeptParts {
    /// Adds an item. Returns the one that it replaces.
    pub(crate) fn insert(&mut self, section: &str, key: String, item: Value) -> Option<Value> {
        self.0.insert((section.to_owned(), key), item)
    }

    pub(crate) fn contains(&self, section: &str, key: &str) -> bool {
        self.0.contains_key(&(section.to_owned(), key.to_owned()))
    }

    /// The items of a section, sorted by their keys.
    pub(crate) fn of<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Value> {
        let items = self.0.iter().filter(move |((of, _), _)| of == section);
        items.map(|(_, item)| item)
    }

    /// The section and the key of each item.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        let keys = self.0.keys();
        keys.map(|(section, key)| (section.as_str(), key.as_str()))
    }
}

impl VirtualHost {
    /// Adds items. They replace those of the same keys.
    pub(super) fn add_kept_parts(&self, added: KeptParts) {
        let mut kept = self.kept_parts.lock();
        for ((section, key), item) in added.0 {
            if let Some(storage) = self.storage() {
                storage.write_kept_part(&section, &key, Some(&item));
            }
            kept.0.insert((section, key), item);
        }
    }

    /// Forgets all items. Returns how many there were.
    pub(crate) fn clear_kept_parts(&self) -> Result<usize> {
        self.check_up()?;
        let before = self.changes();
        let cleared = std::mem::take(&mut *self.kept_parts.lock());
        if let Some(storage) = self.storage() {
            for (section, key) in cleared.keys() {
                storage.write_kept_part(section, key, None);
            }
        }
        self.sync_changes(before)?;
        Ok(cleared.0.len())
    }

    pub(crate) fn kept_parts(&self) -> KeptParts {
        self.kept_parts.lock().clone()
    }
}
