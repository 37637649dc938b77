//! Where one key leads: a set of destinations, each with the number of bindings that put it there.
//!
//! Bindings that differ in arguments alone are several bindings with one effect, and the effect must outlast all but
//! the last of them.

use super::{Destination, Matches, dense::DenseMap};

/// Nearly every key has one destination, which then needs no memory of its own; the counts are `u32` to keep this at
/// 16 bytes (2^32 bindings with one key and one destination would not fit in memory).
#[derive(Clone, Debug, Default)]
pub(super) enum Destinations<D> {
    #[default]
    None,
    One {
        destination: D,
        bindings: u32,
    },
    Many(Box<DenseMap<D, u32>>),
}

impl<D: Destination> Destinations<D> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Counts one more binding to `added`.
    pub(super) fn add(&mut self, added: &D) {
        match self {
            Self::None => {
                *self = Self::One {
                    destination: added.clone(),
                    bindings: 1,
                }
            }
            Self::One {
                destination,
                bindings,
            } if destination == added => *bindings += 1,
            Self::One {
                destination,
                bindings,
            } => {
                let mut many = DenseMap::new();
                many.insert_new(destination.clone(), *bindings);
                many.insert_new(added.clone(), 1);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => match many.get_mut(added) {
                Some(bindings) => *bindings += 1,
                None => many.insert_new(added.clone(), 1),
            },
        }
    }

    /// Counts one binding to `removed` less, and drops the destination with its last one.
    pub(super) fn remove(&mut self, removed: &D) {
        match self {
            Self::None => {}
            Self::One {
                destination,
                bindings,
            } => {
                if destination == removed {
                    *bindings -= 1;
                    if *bindings == 0 {
                        *self = Self::None;
                    }
                }
            }
            Self::Many(many) => {
                if let Some(bindings) = many.get_mut(removed) {
                    *bindings -= 1;
                    if *bindings == 0 {
                        many.remove(removed);
                    }
                }
                if many.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }

    /// Drops a destination with all its bindings.
    pub(super) fn remove_all(&mut self, removed: &D) {
        match self {
            Self::One { destination, .. } if destination == removed => *self = Self::None,
            Self::Many(many) => {
                many.remove(removed);
                if many.is_empty() {
                    *self = Self::None;
                }
            }
            Self::None | Self::One { .. } => {}
        }
    }

    pub(super) fn collect(&self, matches: &mut Matches<D>) {
        match self {
            Self::None => {}
            Self::One { destination, .. } => {
                matches.insert(destination);
            }
            Self::Many(many) => {
                for (destination, _) in many.entries() {
                    matches.insert(destination);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found(destinations: &Destinations<u32>) -> Vec<u32> {
        let mut matches = Matches::new();
        destinations.collect(&mut matches);
        matches.into_vec()
    }

    #[test]
    fn a_destination_leaves_with_its_last_binding() {
        let mut destinations = Destinations::default();
        [1, 1, 2, 2, 3]
            .iter()
            .for_each(|destination| destinations.add(destination));
        [1, 2, 3]
            .iter()
            .for_each(|destination| destinations.remove(destination));
        assert_eq!(found(&destinations), [1, 2]);
        destinations.remove(&2);
        assert_eq!(found(&destinations), [1]);
        destinations.remove(&1);
        assert!(destinations.is_empty());
    }

    #[test]
    fn a_destination_may_leave_with_all_its_bindings() {
        let mut destinations = Destinations::default();
        [1, 2, 2]
            .iter()
            .for_each(|destination| destinations.add(destination));
        destinations.remove_all(&2);
        assert_eq!(found(&destinations), [1]);
        destinations.remove_all(&1);
        assert!(destinations.is_empty());
    }

    #[test]
    fn one_destination_costs_no_more_than_two_words() {
        assert!(size_of::<Destinations<Arc<()>>>() <= 16);
    }
}
