//! A description under another name.

use super::Queue;

impl Queue {
    /// The same description of a queue with this name.
    pub(crate) fn named(mut self, name: impl Into<String>) -> Queue {
        self.name = name.into();
        self
    }
}
