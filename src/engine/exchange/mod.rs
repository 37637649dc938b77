//! Exchanges: they find the destinations of a message.
//!
//! [`ExchangeState`] is the state behind an exchange's lock: its bindings, and the table that
//! routes by them. Each kind of table has its own file. A destination is any value that can be
//! cloned and compared. Knows nothing of queues, virtual hosts or locks. The virtual host follows
//! bindings to other exchanges.

mod binding;
mod consistent_hash;
mod dense;
mod destinations;
mod direct;
mod explain;
mod fanout;
mod hasher;
mod headers;
mod matches;
mod numbered;
#[cfg(test)]
mod tests;
mod topic;

use std::hash::Hash;

pub(crate) use self::{binding::BindingRef, matches::Matches, topic::fits as topic_fits};
use self::{
    binding::{BindingKey, Bindings, Bound},
    consistent_hash::ConsistentHash,
    direct::Direct,
    fanout::Fanout,
    headers::Headers,
    numbered::Number,
    topic::Topic,
};
use crate::{
    message::properties::RoutingProperties,
    model::{
        arguments::ExchangeTypeArguments,
        error::{Error, Result},
        exchange_kind::ExchangeKind,
        field_value::FieldTable,
        name::Name,
    },
};

/// A destination of messages. The tables keep clones, so cloning should be cheap.
pub(crate) trait RouteTarget: Clone + Eq + Hash {}

impl<D: Clone + Eq + Hash> RouteTarget for D {}

/// The bindings that have one exchange as their source, and the exchange's routing table.
#[derive(Debug)]
pub(crate) struct ExchangeState<D> {
    kind: ExchangeKind,
    /// The bindings as declared.
    bindings: Bindings<D>,
    /// The same bindings, arranged for routing. Destinations are numbers there.
    table: RoutingTable,
}

impl<D: RouteTarget> ExchangeState<D> {
    pub(crate) fn new(kind: ExchangeKind, arguments: &ExchangeTypeArguments) -> Self {
        Self {
            kind,
            bindings: Bindings::new(),
            table: RoutingTable::new(kind, arguments),
        }
    }

    pub(crate) fn kind(&self) -> ExchangeKind {
        self.kind
    }

    /// Adds a binding. `false` if the same binding existed. The arguments must have passed
    /// [`validate_binding`].
    ///
    /// # Errors
    /// [`Error::ResourceError`] if a table is full (near 2^32 destinations or patterns). Nothing is
    /// changed then.
    pub(crate) fn bind(
        &mut self,
        destination: D,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> Result<bool> {
        let binding = BindingKey::new(routing_key, arguments);
        let new = !self.bindings.contains(&destination, &binding);
        if new {
            let Some(number) = self.bindings.number_for(&destination) else {
                return Err(full());
            };
            self.table.insert(number, &binding)?;
            self.bindings.insert_new(destination, binding);
        }
        Ok(new)
    }

    /// Removes a binding. `false` if there was no such binding.
    pub(crate) fn unbind(
        &mut self,
        destination: &D,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> bool {
        let binding = BindingKey::new(routing_key, arguments);
        let Some(number) = self.bindings.remove(destination, &binding) else {
            return false;
        };
        self.table.remove(number, &binding);
        self.release_if_unused();
        true
    }

    /// Removes all bindings to a destination that is deleted, and returns how many there were. The
    /// cost depends on these bindings, not on the size of the table.
    pub(crate) fn unbind_all(&mut self, destination: &D) -> usize {
        let Some((number, bound)) = self.bindings.remove_all(destination) else {
            return 0;
        };
        self.table.remove_all(number, &bound);
        self.release_if_unused();
        bound.len()
    }

    pub(crate) fn is_bound(
        &self,
        destination: &D,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> bool {
        self.bindings
            .contains(destination, &BindingKey::new(routing_key, arguments))
    }

    /// Whether the exchange is the source of no binding.
    pub(crate) fn is_unused(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Every binding once, grouped by destination, otherwise in no particular order.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = BindingRef<'_, D>> {
        self.bindings.iter()
    }

    /// Whether there is any binding to this destination.
    pub(crate) fn has_destination(&self, destination: &D) -> bool {
        self.bindings.has_destination(destination)
    }

    /// Every bound destination, once.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &D> {
        self.bindings.destinations()
    }

    /// Adds the destinations of a message to `matches`. Each kind reads the keys or the
    /// properties, never both. The first key is the routing key, and a sender may select others.
    pub(crate) fn route(
        &self,
        routing_keys: &[&str],
        properties: RoutingProperties<'_>,
        matches: &mut Matches,
    ) {
        let mut keys = routing_keys.iter();
        match &self.table {
            RoutingTable::Direct(table) => keys.for_each(|key| table.route(key, matches)),
            RoutingTable::Fanout(table) => table.route(matches),
            RoutingTable::Topic(table) => keys.for_each(|key| table.route(key, matches)),
            RoutingTable::Headers(table) => table.route(properties.headers, matches),
            RoutingTable::ConsistentHash(table) => {
                let key = keys.next().copied().unwrap_or_default();
                table.route(key, properties, matches);
            }
            RoutingTable::None => {}
        }
    }

    /// Whether messages with the same keys may have different destinations.
    pub(crate) fn differs_by_message(&self) -> bool {
        match &self.table {
            RoutingTable::Direct(_) | RoutingTable::Fanout(_) | RoutingTable::Topic(_) => false,
            RoutingTable::ConsistentHash(table) => table.reads_properties(),
            RoutingTable::Headers(_) | RoutingTable::None => true,
        }
    }

    /// Whether the order of the bindings has a meaning, and the first one to this destination has
    /// its place in it.
    pub(crate) fn has_place(&self, destination: &D) -> bool {
        match &self.table {
            RoutingTable::ConsistentHash(table) => {
                let number = self.bindings.number_of(destination);
                number.is_some_and(|number| table.has_share(number))
            }
            _ => false,
        }
    }

    /// The destinations whose first bindings have a place, in the order of these, each with its
    /// weight. `None` if the order of the bindings has no meaning.
    pub(crate) fn places(&self) -> Option<impl Iterator<Item = (&D, u64)>> {
        let RoutingTable::ConsistentHash(table) = &self.table else {
            return None;
        };
        let shares = table.shares();
        Some(shares.filter_map(|(number, weight)| {
            let destination = self.bindings.destination(number)?;
            Some((destination, weight))
        }))
    }

    /// The destinations that a route of this exchange has found, in the same order.
    pub(crate) fn found<'a>(&'a self, matches: &Matches) -> impl Iterator<Item = &'a D> {
        matches
            .numbers()
            .iter()
            .filter_map(|number| self.bindings.destination(*number))
    }

    /// Frees the memory of a table that was large before.
    fn release_if_unused(&mut self) {
        if self.is_unused() {
            self.bindings = Bindings::new();
            self.table = self.table.emptied();
        }
    }
}

/// Checks a binding before anything is changed.
///
/// # Errors
/// [`Error::PreconditionFailed`] if a headers exchange gets an unknown `x-match`, a topic exchange
/// a key with more than two words that are `#`, or a consistent-hash exchange a key that is no
/// weight.
pub(crate) fn validate_binding(
    kind: ExchangeKind,
    routing_key: &str,
    arguments: &FieldTable,
) -> Result {
    match kind {
        ExchangeKind::Headers => headers::validate(arguments),
        ExchangeKind::Topic => topic::validate(routing_key),
        ExchangeKind::ConsistentHash => consistent_hash::validate(routing_key),
        _ => Ok(()),
    }
}

/// The weight of a binding of a consistent-hash exchange. `None` for a key that is no weight.
pub(crate) fn weight_of(routing_key: &str) -> Option<u64> {
    consistent_hash::weight(routing_key).ok().map(u64::from)
}

fn full() -> Error {
    Error::ResourceError("exchange has too many bindings".into())
}

/// The table of one kind of exchange. All tables have these operations, but each needs other parts
/// of a binding.
#[derive(Debug)]
enum RoutingTable {
    Direct(Direct),
    Fanout(Fanout),
    Topic(Topic),
    Headers(Headers),
    ConsistentHash(ConsistentHash),
    /// A router chooses among the bindings, which the virtual host asks.
    None,
}

impl RoutingTable {
    fn new(kind: ExchangeKind, arguments: &ExchangeTypeArguments) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(Direct::new()),
            ExchangeKind::Fanout | ExchangeKind::RecentHistory => Self::Fanout(Fanout::new()),
            ExchangeKind::Topic => Self::Topic(Topic::new()),
            ExchangeKind::Headers => Self::Headers(Headers::new()),
            ExchangeKind::ConsistentHash => {
                Self::ConsistentHash(ConsistentHash::new(arguments.hash_on.clone()))
            }
            ExchangeKind::Random
            | ExchangeKind::LocalRandom
            | ExchangeKind::ModulusHash
            | ExchangeKind::Router => Self::None,
        }
    }

    /// A new table of the same kind.
    fn emptied(&self) -> Self {
        match self {
            Self::Direct(_) => Self::Direct(Direct::new()),
            Self::Fanout(_) => Self::Fanout(Fanout::new()),
            Self::Topic(_) => Self::Topic(Topic::new()),
            Self::Headers(_) => Self::Headers(Headers::new()),
            Self::ConsistentHash(table) => Self::ConsistentHash(table.emptied()),
            Self::None => Self::None,
        }
    }

    fn insert(&mut self, destination: Number, binding: &BindingKey) -> Result {
        match self {
            Self::Direct(table) => table.insert(destination, binding.routing_key()),
            Self::Fanout(table) => table.insert(destination),
            Self::Topic(table) => table.insert(destination, binding.routing_key())?,
            Self::Headers(table) => table.insert(destination, binding)?,
            Self::ConsistentHash(table) => table.insert(destination, binding.routing_key()),
            Self::None => {}
        }
        Ok(())
    }

    fn remove(&mut self, destination: Number, binding: &BindingKey) {
        match self {
            Self::Direct(table) => table.remove(destination, binding.routing_key()),
            Self::Fanout(table) => table.remove(destination),
            Self::Topic(table) => table.remove(destination, binding.routing_key()),
            Self::Headers(table) => table.remove(destination, binding),
            Self::ConsistentHash(table) => table.remove(destination),
            Self::None => {}
        }
    }

    fn remove_all(&mut self, destination: Number, bound: &Bound) {
        match self {
            Self::Fanout(table) => table.remove_all(destination),
            Self::ConsistentHash(table) => table.remove(destination),
            Self::None => {}
            Self::Direct(_) | Self::Topic(_) | Self::Headers(_) => bound
                .iter()
                .for_each(|binding| self.remove(destination, binding)),
        }
    }
}
