//! The identity of a binding, and the list of an exchange's bindings.
//!
//! The destination, the routing key and the arguments identify a binding. The types of the argument
//! values count, the order of the names does not. The list is kept by destination. So the bindings
//! of a deleted queue are found without a search through those of others.

use std::sync::Arc;

use super::{
    RouteTarget,
    dense::DenseMap,
    numbered::{Number, Numbered},
};
use crate::model::{field_value::FieldTable, name::Name};

static NO_ARGUMENTS: FieldTable = FieldTable::new();

/// A binding without its source and destination. Clones share the key and the arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BindingKey {
    routing_key: Name,
    /// Never an empty table. Most bindings have no arguments, and `None` needs no memory for them.
    arguments: Option<Arc<FieldTable>>,
}

impl BindingKey {
    pub(super) fn new(routing_key: &Name, arguments: &FieldTable) -> Self {
        Self {
            routing_key: routing_key.clone(),
            arguments: (!arguments.is_empty()).then(|| Arc::new(arguments.clone())),
        }
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
    /// Every destination in the map has at least one binding.
    by_destination: Numbered<D, Bound>,
}

impl<D: RouteTarget> Bindings<D> {
    pub(super) fn new() -> Self {
        Self {
            by_destination: Numbered::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_destination.is_empty()
    }

    pub(super) fn contains(&self, destination: &D, binding: &BindingKey) -> bool {
        self.by_destination
            .get(destination)
            .is_some_and(|bound| bound.contains(binding))
    }

    /// The number of this destination, or the one that it gets if it is bound next. `None` if there
    /// are no more numbers.
    pub(super) fn number_for(&self, destination: &D) -> Option<Number> {
        match self.by_destination.number_of(destination) {
            None => self.by_destination.next_number(),
            number => number,
        }
    }

    /// The number of a bound destination.
    pub(super) fn number_of(&self, destination: &D) -> Option<Number> {
        self.by_destination.number_of(destination)
    }

    /// Adds a binding that does not exist yet. The caller has checked that.
    pub(super) fn insert_new(&mut self, destination: D, binding: BindingKey) {
        match self.by_destination.get_mut(&destination) {
            Some(bound) => bound.insert_new(binding),
            None => self
                .by_destination
                .insert_new(destination, Bound::One(binding)),
        }
    }

    /// Removes a binding and returns the number of its destination. `None` if there was no such
    /// binding.
    pub(super) fn remove(&mut self, destination: &D, binding: &BindingKey) -> Option<Number> {
        match self.by_destination.get_mut(destination)? {
            Bound::Many(bindings) if bindings.len() > 1 => {
                bindings.remove(binding)?;
                self.by_destination.number_of(destination)
            }
            bound if bound.contains(binding) => {
                let (number, _) = self.by_destination.remove(destination)?;
                Some(number)
            }
            _ => None,
        }
    }

    pub(super) fn remove_all(&mut self, destination: &D) -> Option<(Number, Bound)> {
        self.by_destination.remove(destination)
    }

    pub(super) fn has_destination(&self, destination: &D) -> bool {
        self.by_destination.get(destination).is_some()
    }

    /// The destination of a number while it is bound.
    pub(super) fn destination(&self, number: Number) -> Option<&D> {
        self.by_destination.key(number)
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = &D> {
        self.by_destination
            .iter()
            .map(|(destination, _)| destination)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = BindingRef<'_, D>> {
        self.by_destination.iter().flat_map(|(destination, bound)| {
            bound.iter().map(move |binding| BindingRef {
                destination,
                routing_key: binding.routing_key(),
                arguments: binding.arguments(),
            })
        })
    }
}

/// The bindings of one destination, often one.
#[derive(Debug)]
pub(super) enum Bound {
    One(BindingKey),
    Many(DenseMap<BindingKey, ()>),
}

impl Bound {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(bindings) => bindings.len(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &BindingKey> {
        let (one, many) = match self {
            Self::One(binding) => (Some(binding), [].as_slice()),
            Self::Many(bindings) => (None, bindings.entries()),
        };
        one.into_iter()
            .chain(many.iter().map(|(binding, ())| binding))
    }

    fn contains(&self, binding: &BindingKey) -> bool {
        match self {
            Self::One(present) => present == binding,
            Self::Many(bindings) => bindings.contains(binding),
        }
    }

    fn insert_new(&mut self, binding: BindingKey) {
        match self {
            Self::One(present) => {
                let mut many = DenseMap::new();
                many.insert_new(present.clone(), ());
                many.insert_new(binding, ());
                *self = Self::Many(many);
            }
            Self::Many(bindings) => bindings.insert_new(binding, ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(routing_key: &str, arguments: &FieldTable) -> BindingKey {
        BindingKey::new(&Name::new(routing_key).unwrap(), arguments)
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
        bindings.insert_new("q", binding("k", &plain));
        bindings.insert_new("q", binding("k", &other));
        bindings.insert_new("r", binding("k", &plain));
        assert!(bindings.contains(&"q", &binding("k", &other)));
        assert!(!bindings.contains(&"r", &binding("k", &other)));
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
        bindings.insert_new("q", first.clone());
        bindings.insert_new("q", second.clone());
        assert_eq!(bindings.remove(&"q", &first), Some(0));
        assert_eq!(bindings.remove(&"q", &first), None);
        assert!(bindings.destinations().eq(&["q"]));
        assert_eq!(bindings.remove(&"q", &second), Some(0));
        assert!(bindings.is_empty());
    }

    #[test]
    fn a_destination_keeps_its_number_as_long_as_it_is_bound() {
        let mut bindings = Bindings::new();
        let keys = ["a", "b"].map(|key| binding(key, &FieldTable::new()));
        for (destination, number) in [("q", 0), ("r", 1)] {
            for key in &keys {
                assert_eq!(bindings.number_for(&destination), Some(number));
                bindings.insert_new(destination, key.clone());
                assert_eq!(bindings.destination(number), Some(&destination));
            }
        }
        let (number, bound) = bindings.remove_all(&"q").unwrap();
        assert_eq!((number, bound.len()), (0, 2));
        assert_eq!(bindings.destination(0), None);
        assert_eq!(bindings.number_for(&"r"), Some(1));
        assert_eq!(bindings.number_for(&"s"), Some(0));
    }

    #[test]
    fn one_binding_needs_no_memory_of_its_own() {
        assert!(size_of::<Bound>() <= 32);
    }
}
