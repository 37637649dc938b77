//! The result of a route: the destinations found, each once, in the order they were found.
//!
//! One value may collect from several keys (CC and BCC) and several exchanges, and is reused from publish to publish.

use super::{Destination, dense::DenseMap};

#[derive(Clone, Debug)]
pub(crate) struct Matches<D>(DenseMap<D, ()>);

impl<D: Destination> Matches<D> {
    pub(crate) const fn new() -> Self {
        Self(DenseMap::new())
    }

    /// False if the destination was there already.
    pub(crate) fn insert(&mut self, destination: &D) -> bool {
        let new = !self.0.contains(destination);
        if new {
            self.0.insert_new(destination.clone(), ());
        }
        new
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &D> {
        self.0.entries().iter().map(|(destination, ())| destination)
    }

    /// Forgets the destinations and keeps the memory for the next route.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn into_vec(self) -> Vec<D> {
        self.0
            .into_entries()
            .into_iter()
            .map(|(destination, ())| destination)
            .collect()
    }
}

impl<D> Default for Matches<D> {
    fn default() -> Self {
        Self(DenseMap::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_stands_once_where_it_was_first_found() {
        let mut matches = Matches::new();
        for destination in [3, 1, 3, 2, 1] {
            matches.insert(&destination);
        }
        assert_eq!(matches.into_vec(), [3, 1, 2]);
    }

    #[test]
    fn many_destinations_stay_free_of_duplicates() {
        let mut matches = Matches::new();
        assert!((0..1000).all(|destination| matches.insert(&destination)));
        assert!(!(0..1000).any(|destination| matches.insert(&destination)));
        assert!(matches.iter().copied().eq(0..1000));
    }

    #[test]
    fn a_cleared_set_starts_anew() {
        let mut matches = Matches::new();
        (0..100).for_each(|destination| assert!(matches.insert(&destination)));
        matches.clear();
        assert!(matches.is_empty());
        assert!(matches.insert(&7));
        assert!(!matches.insert(&7));
        assert_eq!(matches.len(), 1);
    }
}
