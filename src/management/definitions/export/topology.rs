//! Budgets, exchanges, queues of all kinds and bindings.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        json::{Json, object},
        options::RabbitMqVersion,
    },
    VhostContents, limits,
    values::{own_table, plain_table},
    writer::Writer,
};
use crate::{
    engine::{
        exchange::weight_of,
        vhost::{DeclaredExchange, Target, Topology},
    },
    model::{
        descriptions::{AliasQueue, Budget, Exchange, ModelQueue, Queue, names},
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
};

/// The names that begin so belong to the broker, or are of queues that end with it.
const RESERVED: &str = "amq.";

/// The topology of a virtual host without the things that end with a connection.
pub(super) struct VhostTopology {
    budgets: Vec<Budget>,
    /// Sorted by name.
    exchanges: Vec<(Name, Exchange)>,
    /// Sorted by name.
    queues: Vec<(Name, Queue)>,
    /// Sorted by name.
    aliases: Vec<AliasQueue>,
    /// Sorted by name.
    models: Vec<ModelQueue>,
    /// Sorted by source. Those of a consistent-hash exchange are in the order of their places.
    bindings: Vec<Binding>,
}

#[derive(PartialEq)]
struct Binding {
    source: Name,
    destination: Name,
    to_queue: bool,
    routing_key: Name,
    arguments: FieldTable,
}

impl VhostTopology {
    pub(super) fn of(topology: &Topology) -> VhostTopology {
        let budgets = topology.budgets.values();
        let exchanges = topology.exchanges.iter();
        let exchanges = exchanges.filter(|(name, _)| !name.starts_with(RESERVED));
        let mut exchanges: Vec<_> = exchanges
            .map(|(name, declared)| (name.clone(), declared.description.clone()))
            .collect();
        exchanges.sort_by(|(one, _), (other, _)| one.cmp(other));
        let queues = topology.queues.iter();
        let queues = queues.filter(|(name, _)| is_exported(topology, name));
        let mut queues: Vec<_> = queues
            .map(|(name, declared)| (name.clone(), declared.terms.description.clone()))
            .collect();
        queues.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut sources: Vec<_> = topology.exchanges.iter().collect();
        sources.sort_by_key(|(name, _)| *name);
        let bindings = sources.into_iter();
        VhostTopology {
            budgets: budgets
                .map(|declared| declared.description.clone())
                .collect(),
            exchanges,
            queues,
            aliases: topology.aliases.all().cloned().collect(),
            models: topology.models.values().cloned().collect(),
            bindings: bindings
                .flat_map(|(source, declared)| bindings_of(topology, source, declared))
                .collect(),
        }
    }
}

/// Whether a queue does not end with its connection or with the broker.
fn is_exported(topology: &Topology, name: &Name) -> bool {
    let declared = topology.queues.get(name);
    let is_exclusive = declared.is_none_or(|declared| declared.terms.description.is_exclusive());
    !is_exclusive && !name.starts_with(RESERVED)
}

fn bindings_of(topology: &Topology, source: &Name, declared: &DeclaredExchange) -> Vec<Binding> {
    let bindings = declared.state().bindings().filter_map(|binding| {
        let (destination, to_queue) = match binding.destination {
            Target::Queue(queue) if !is_exported(topology, queue.name()) => return None,
            Target::Queue(queue) => (queue.name().clone(), true),
            Target::Exchange(exchange) => (exchange.clone(), false),
        };
        Some(Binding {
            source: source.clone(),
            destination,
            to_queue,
            routing_key: binding.routing_key.clone(),
            arguments: binding.arguments.clone(),
        })
    });
    let mut bindings: Vec<Binding> = bindings.collect();
    bindings.sort_by_cached_key(|binding| {
        let arguments = serde_json::to_string(&own_table(&binding.arguments));
        (
            binding.destination.clone(),
            !binding.to_queue,
            binding.routing_key.clone(),
            arguments.unwrap_or_default(),
        )
    });
    match declared.state().places() {
        Some(places) => in_places(bindings, places),
        None => bindings,
    }
}

/// Puts the bindings of a consistent-hash exchange in an order in which an import gives the same
/// places to their destinations.
///
/// A destination may have lost its place, and has other bindings still. As after a restart, an
/// import gives it the last place. Its first binding stands before those that add no place, so that
/// a later export is the same.
fn in_places<'a>(
    bindings: Vec<Binding>,
    places: impl Iterator<Item = (&'a Target, u64)>,
) -> Vec<Binding> {
    let places = places.enumerate().map(|(place, (target, weight))| {
        let destination = match target {
            Target::Queue(queue) => (true, queue.name().clone()),
            Target::Exchange(exchange) => (false, exchange.clone()),
        };
        (destination, (place, weight))
    });
    let places: HashMap<(bool, Name), (usize, u64)> = places.collect();
    let mut seen = HashSet::new();
    let ranked = bindings.into_iter().map(|binding| {
        let destination = (binding.to_queue, binding.destination.clone());
        let rank = match places.get(&destination) {
            // Any binding of this weight gives the same place.
            Some((_, weight)) if weight_of(&binding.routing_key) != Some(*weight) => Rank::NoPlace,
            _ if seen.contains(&destination) => Rank::NoPlace,
            Some((place, _)) => Rank::Place(*place),
            None => Rank::LastPlace,
        };
        if rank != Rank::NoPlace {
            seen.insert(destination);
        }
        (rank, binding)
    });
    let mut ranked: Vec<(Rank, Binding)> = ranked.collect();
    // Those of the same rank stay sorted.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, binding)| binding).collect()
}

/// What a binding gives to its destination, in the order of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Place(usize),
    LastPlace,
    NoPlace,
}

/// A binding of which an end is only kept.
fn kept_binding(item: &serde_json::Value) -> Option<Binding> {
    let name = |key: &str| Name::new(item[key].as_str()?).ok();
    Some(Binding {
        source: name("source")?,
        destination: name("destination")?,
        to_queue: item["destination_type"] == "queue",
        routing_key: name("routing_key")?,
        arguments: serde_json::from_value(item["arguments"].clone()).ok()?,
    })
}

impl Writer<'_> {
    pub(super) fn topology(&mut self, vhosts: &[VhostContents]) {
        for vhost in vhosts {
            let name = &vhost.name;
            let topology = &vhost.topology;
            for budget in &topology.budgets {
                self.budget(name, budget);
            }
            for (exchange, description) in &topology.exchanges {
                self.exchange(name, exchange, description);
            }
            for (queue, description) in &topology.queues {
                self.queue(name, queue, description);
            }
            self.queue_kinds(name, &topology.aliases, &topology.models);
            let kept = &vhost.kept_parts;
            for section in ["exchanges", "queues"] {
                for item in kept.of(section) {
                    let same = item["name"].as_str().unwrap_or_default();
                    let is_there = match section {
                        "queues" => topology.queues.iter().any(|(name, _)| **name == *same),
                        _ => topology.exchanges.iter().any(|(name, _)| **name == *same),
                    };
                    if !is_there {
                        self.kept_item(section, name, item);
                    }
                }
            }
            for binding in &topology.bindings {
                self.binding(name, binding);
            }
            for binding in kept.of("bindings").filter_map(kept_binding) {
                // Its ends may be here by now.
                if !topology.bindings.contains(&binding) {
                    self.binding(name, &binding);
                }
            }
        }
    }

    fn kept_item(&mut self, section: &'static str, vhost: &Name, item: &serde_json::Value) {
        let (name, kind) = (item["name"].as_str(), item["type"].as_str());
        let (name, kind) = (name.unwrap_or_default(), kind.unwrap_or_default());
        let reason = self.version().filter(|_| section == "exchanges");
        let reason = reason.and_then(|version| limits::of_exchange_type(kind, version));
        match reason {
            Some(reason) => self.without(section, vhost, name, reason),
            None => self.add_kept(section, vhost, item),
        }
    }

    /// Leaves out a queue or an exchange.
    fn without(&mut self, section: &'static str, vhost: &Name, name: &str, reason: String) {
        let fields = [("vhost", vhost.as_str()), ("name", name)];
        self.leave_out(section, &fields, reason);
        self.note_missing(section, vhost, name);
    }

    fn budget(&mut self, vhost: &Name, budget: &Budget) {
        if self.version().is_some() {
            let fields = [("vhost", vhost.as_str()), ("name", budget.name())];
            return self.leave_out("budgets", &fields, "there are no budgets");
        }
        let limit = i64::try_from(budget.limit());
        let item = object([
            ("name", budget.name().into()),
            ("vhost", vhost.as_str().into()),
            ("limit", Json::Integer(limit.unwrap_or(i64::MAX))),
            ("policy", budget.policy().as_str().into()),
            ("whole_vhost", budget.is_whole_vhost().into()),
        ]);
        self.add("budgets", item);
    }

    /// The arguments in the form of the export.
    fn table(&self, table: &FieldTable) -> Result<Json<'static>, String> {
        match self.version() {
            None => Ok(own_table(table)),
            Some(_) => plain_table(table),
        }
    }

    fn exchange(&mut self, vhost: &Name, name: &Name, exchange: &Exchange) {
        let refused = self.version();
        let refused = refused.and_then(|version| limits::of_exchange(exchange, version));
        let arguments = match refused {
            Some(reason) => Err(reason),
            None => self.table(exchange.argument_table()),
        };
        match arguments {
            Ok(arguments) => {
                let item = object([
                    ("name", name.as_str().into()),
                    ("vhost", vhost.as_str().into()),
                    ("type", exchange.kind().into()),
                    ("durable", exchange.is_durable().into()),
                    ("auto_delete", exchange.is_auto_delete().into()),
                    ("internal", exchange.is_internal().into()),
                    ("arguments", arguments),
                ]);
                self.add("exchanges", item);
            }
            Err(reason) => self.without("exchanges", vhost, name, reason),
        }
    }

    fn queue(&mut self, vhost: &Name, name: &Name, queue: &Queue) {
        let queue_type = queue.argument_table().get(names::QUEUE_TYPE);
        let queue_type = queue_type.and_then(FieldValue::as_str).unwrap_or("classic");
        let mut arguments = queue.argument_table().clone();
        let refused = self.version();
        let refused = refused.and_then(|version| limits::of_queue(queue, version));
        let is_new = self.version() == Some(RabbitMqVersion::V4_3);
        if is_new {
            // As it writes it at each declaration.
            arguments.insert(names::QUEUE_TYPE, queue_type);
        }
        let arguments = match refused {
            Some(reason) => Err(reason),
            None => self.table(&arguments),
        };
        let arguments = match arguments {
            Ok(arguments) => arguments,
            Err(reason) => return self.without("queues", vhost, name, reason),
        };
        let mut item = vec![
            ("name".into(), name.as_str().into()),
            ("vhost".into(), vhost.as_str().into()),
            ("durable".into(), queue.is_durable().into()),
            ("auto_delete".into(), queue.is_auto_delete().into()),
            ("arguments".into(), arguments),
        ];
        if is_new {
            item.push(("type".into(), queue_type.into()));
        }
        self.add("queues", Json::Object(item));
    }

    fn binding(&mut self, vhost: &Name, binding: &Binding) {
        let destinations = match binding.to_queue {
            true => "queues",
            false => "exchanges",
        };
        let is_missing = self.is_missing("exchanges", vhost, &binding.source)
            || self.is_missing(destinations, vhost, &binding.destination);
        let arguments = match is_missing {
            true => Err("one of its ends is left out".to_owned()),
            false => self.table(&binding.arguments),
        };
        match arguments {
            Ok(arguments) => {
                let destination_type = if binding.to_queue {
                    "queue"
                } else {
                    "exchange"
                };
                let item = object([
                    ("source", binding.source.as_str().into()),
                    ("vhost", vhost.as_str().into()),
                    ("destination", binding.destination.as_str().into()),
                    ("destination_type", destination_type.into()),
                    ("routing_key", binding.routing_key.as_str().into()),
                    ("arguments", arguments),
                ]);
                self.add("bindings", item);
            }
            Err(reason) => {
                let fields = [
                    ("vhost", vhost.as_str()),
                    ("source", binding.source.as_str()),
                    ("destination", binding.destination.as_str()),
                    ("routing_key", binding.routing_key.as_str()),
                ];
                self.leave_out("bindings", &fields, reason);
            }
        }
    }
}
