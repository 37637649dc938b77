//! What tells one binding of an exchange from another, and the list of an exchange's bindings.
//!
//! A binding is its destination, its routing key and its arguments, the types of the values included and the order of
//! the names not. The list is kept by destination, so that a deleted queue's bindings are found without looking at
//! anyone else's.

use std::{collections::HashSet, sync::Arc};

use super::{Destination, dense::DenseMap};
use crate::{Result, field_value::FieldTable, name::Name};

static NO_ARGUMENTS: FieldTable = FieldTable::new();

/// A binding without its two ends: clones share the key and the arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    routing_key: Name,
    /// Never an empty table: most bindings have no arguments, and then need no memory for them.
    arguments: Option<Arc<FieldTable>>,
}

impl Binding {
    pub(super) fn new(routing_key: &str, arguments: &FieldTable) -> Result<Self> {
        Ok(Self {
            routing_key: Name::new(routing_key)?,
            arguments: (!arguments.is_empty()).then(|| Arc::new(arguments.clone())),
        })
    }

    pub(super) fn routing_key(&self) -> &Name {
        &self.routing_key
    }

    pub(super) fn arguments(&self) -> &FieldTable {
        self.arguments.as_deref().unwrap_or(&NO_ARGUMENTS)
    }
}

/// One binding in a listing.
#[derive(Debug)]
pub(crate) struct BindingRef<'a, D> {
    pub(crate) destination: &'a D,
    pub(crate) routing_key: &'a Name,
    pub(crate) arguments: &'a FieldTable,
}

/// All bindings with one exchange as their source.
#[derive(Debug)]
pub(super) struct Bindings<D> {
    /// No destination stands here without a binding.
    by_destination: DenseMap<D, Bound>,
}

impl<D: Destination> Bindings<D> {
    pub(super) const fn new() -> Self {
        Self {
            by_destination: DenseMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_destination.is_empty()
    }

    pub(super) fn contains(&self, destination: &D, binding: &Binding) -> bool {
        self.by_destination
            .get(destination)
            .is_some_and(|bound| bound.contains(binding))
    }

    /// False if the binding was there already.
    pub(super) fn insert(&mut self, destination: D, binding: Binding) -> bool {
        if let Some(bound) = self.by_destination.get_mut(&destination) {
            return bound.insert(binding);
        }
        self.by_destination
            .insert_new(destination, Bound::One(binding));
        true
    }

    /// False if the binding was not there.
    pub(super) fn remove(&mut self, destination: &D, binding: &Binding) -> bool {
        match self.by_destination.get_mut(destination) {
            Some(Bound::Many(bindings)) if bindings.len() > 1 => bindings.remove(binding),
            Some(bound) if bound.contains(binding) => {
                self.by_destination.remove(destination);
                true
            }
            _ => false,
        }
    }

    pub(super) fn remove_all(&mut self, destination: &D) -> Option<Bound> {
        self.by_destination.remove(destination)
    }

    pub(super) fn has_destination(&self, destination: &D) -> bool {
        self.by_destination.contains(destination)
    }

    pub(super) fn destinations(&self) -> impl ExactSizeIterator<Item = &D> {
        self.by_destination
            .entries()
            .iter()
            .map(|(destination, _)| destination)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = BindingRef<'_, D>> {
        self.by_destination
            .entries()
            .iter()
            .flat_map(|(destination, bound)| {
                bound.iter().map(move |binding| BindingRef {
                    destination,
                    routing_key: binding.routing_key(),
                    arguments: binding.arguments(),
                })
            })
    }
}

/// The bindings of one destination: nearly always one.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "the usual case should not be as large as a set"
)]
pub(super) enum Bound {
    One(Binding),
    Many(Box<HashSet<Binding>>),
}

impl Bound {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(bindings) => bindings.len(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Binding> {
        let (one, many) = match self {
            Self::One(binding) => (Some(binding), None),
            Self::Many(bindings) => (None, Some(bindings.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn contains(&self, binding: &Binding) -> bool {
        match self {
            Self::One(present) => present == binding,
            Self::Many(bindings) => bindings.contains(binding),
        }
    }

    fn insert(&mut self, binding: Binding) -> bool {
        match self {
            Self::One(present) if *present == binding => false,
            Self::One(present) => {
                *self = Self::Many(Box::new(HashSet::from([present.clone(), binding])));
                true
            }
            Self::Many(bindings) => bindings.insert(binding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(routing_key: &str, arguments: &FieldTable) -> Binding {
        Binding::new(routing_key, arguments).unwrap()
    }

    #[test]
    fn the_order_of_arguments_does_not_tell_bindings_apart_but_types_do() {
        let one = FieldTable::from([("a", 1), ("b", 2)]);
        assert_eq!(
            binding("k", &one),
            binding("k", &FieldTable::from([("b", 2), ("a", 1)]))
        );
        assert_ne!(
            binding("k", &one),
            binding("k", &FieldTable::from([("b", 2_i64), ("a", 1)]))
        );
        assert_ne!(binding("k", &one), binding("other", &one));
    }

    #[test]
    fn a_listing_names_every_binding_once() {
        let mut bindings = Bindings::new();
        let (plain, other) = (FieldTable::new(), FieldTable::from([("a", 1)]));
        assert!(bindings.insert("q", binding("k", &plain)));
        assert!(!bindings.insert("q", binding("k", &plain)));
        assert!(bindings.insert("q", binding("k", &other)));
        assert!(bindings.insert("r", binding("k", &plain)));
        let mut listed: Vec<_> = bindings
            .iter()
            .map(|b| (*b.destination, b.routing_key.as_str(), b.arguments.len()))
            .collect();
        listed.sort_unstable();
        assert_eq!(listed, [("q", "k", 0), ("q", "k", 1), ("r", "k", 0)]);
    }

    #[test]
    fn a_destination_leaves_the_list_with_its_last_binding() {
        let mut bindings = Bindings::new();
        let (first, second) = (
            binding("a", &FieldTable::new()),
            binding("b", &FieldTable::new()),
        );
        bindings.insert("q", first.clone());
        bindings.insert("q", second.clone());
        assert!(bindings.remove(&"q", &first));
        assert!(!bindings.remove(&"q", &first));
        assert!(bindings.destinations().eq(&["q"]));
        assert!(bindings.remove(&"q", &second));
        assert!(bindings.is_empty());
    }
}
