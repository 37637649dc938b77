//! The groups of consumers that are at their common limit.

use crate::engine::queue::Group;

/// Groups at their common limit. In a box, since most queues have none.
#[derive(Debug, Default)]
#[allow(
    clippy::box_collection,
    reason = "the list would take three words of every queue"
)]
pub(super) struct Suspended(Option<Box<Vec<Group>>>);

impl Suspended {
    #[inline]
    pub(super) fn contains(&self, group: Group) -> bool {
        let groups = self.0.as_ref();
        groups.is_some_and(|groups| groups.contains(&group))
    }

    pub(super) fn add(&mut self, group: Group) {
        self.0.get_or_insert_default().push(group);
    }

    pub(super) fn remove(&mut self, group: Group) {
        if let Some(groups) = &mut self.0 {
            groups.retain(|suspended| *suspended != group);
        }
    }
}
