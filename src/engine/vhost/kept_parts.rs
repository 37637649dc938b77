//! The definitions of a virtual host that belong to features which are not here. They are kept for
//! the next export.

use std::collections::BTreeMap;

use serde_json::Value;

use super::VirtualHost;
use crate::model::error::Result;

/// Items of definitions by their section, and by their key in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KeptParts(BTreeMap<String, BTreeMap<String, Value>>);

impl KeptParts {
    /// Adds an item. Returns the one that it replaces.
    pub(crate) fn insert(&mut self, section: &str, key: String, item: Value) -> Option<Value> {
        self.0
            .entry(section.to_owned())
            .or_default()
            .insert(key, item)
    }

    pub(crate) fn contains(&self, section: &str, key: &str) -> bool {
        let items = self.0.get(section);
        items.is_some_and(|items| items.contains_key(key))
    }

    /// The items of a section, sorted by their keys.
    pub(crate) fn of(&self, section: &str) -> impl Iterator<Item = &Value> {
        self.0.get(section).into_iter().flat_map(BTreeMap::values)
    }

    /// The section and the key of each item.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        let sections = self.0.iter();
        sections.flat_map(|(section, items)| items.keys().map(|key| (&**section, &**key)))
    }
}

impl VirtualHost {
    /// Adds items. They replace those of the same keys.
    pub(super) fn add_kept_parts(&self, added: KeptParts) {
        let mut kept = self.kept_parts.lock();
        for (section, items) in added.0 {
            for (key, item) in items {
                if let Some(storage) = self.storage() {
                    storage.write_kept_part(&section, &key, Some(&item));
                }
                kept.insert(&section, key, item);
            }
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
        Ok(cleared.keys().count())
    }

    pub(crate) fn kept_parts(&self) -> KeptParts {
        self.kept_parts.lock().clone()
    }
}
