//! A virtual host: its topology in one look, and then its queues, one after the other.
//!
//! The lock of the topology is held for the two short looks and not while queues are counted. So
//! a snapshot of many queues delays no one for longer than the count of one queue takes.

use std::sync::Arc;

use super::{
    BindingSnapshot, ConsumerSnapshot, ExchangeSnapshot, ExchangeStats, QueueSnapshot,
    VhostSnapshot, VhostTotals, budget, connection, exchange, policy, queue,
};
use crate::{
    engine::vhost::{DeclaredQueue, Topology},
    model::{
        descriptions::{AliasQueue, ModelQueue},
        error::Result,
    },
    session::{connection::ConnectionCore, gate::Gate},
};

pub(super) fn snapshot_of(
    gate: &Gate,
    connections: &[Arc<ConnectionCore>],
) -> Result<VhostSnapshot> {
    let connections = connection::snapshots_of(connections);
    let policies = policy::snapshots(gate);
    let mut found = gate.survey(Found::of)?;
    let mut counted: Vec<Counted> = (found.queues.drain(..))
        .map(|declared| Counted {
            snapshot: queue::snapshot_of(&declared, gate.look_at(&declared.queue)),
            consumers: connection::consumers_of(&declared),
            declared,
        })
        .collect();
    let all = counted.len();
    let (default_exchange, mut totals, budgets) = gate.survey(|topology| {
        // The counts of a queue that is gone are in the totals by now, and in no budget.
        counted.retain(|queue| queue.is_in(topology));
        let default_exchange = ExchangeStats::from(gate.default_exchange_counts());
        let totals = VhostTotals::of(topology, default_exchange, gate.churn(), &connections);
        let budgets = topology.budgets.values().map(budget::snapshot_of);
        (default_exchange, totals, budgets.collect())
    })?;
    counted.sort_by(|a, b| a.snapshot.name.cmp(&b.snapshot.name));
    let mut queues = Vec::with_capacity(counted.len());
    let mut consumers = Vec::new();
    for queue in counted {
        totals.add_queue(&queue.snapshot);
        queues.push(queue.snapshot);
        consumers.extend(queue.consumers);
    }
    if queues.len() < all {
        found.bindings.retain(|binding| {
            let destination = &binding.destination;
            let is_there = || queues.binary_search_by(|queue| queue.name.cmp(destination));
            !binding.to_queue || is_there().is_ok()
        });
    }
    found.sort();
    Ok(VhostSnapshot {
        name: gate.vhost_name().clone(),
        default_exchange,
        totals,
        budgets,
        exchanges: found.exchanges,
        queues,
        aliases: found.aliases,
        model_queues: found.model_queues,
        bindings: found.bindings,
        policies,
        consumers,
        connections,
    })
}

/// The topology at one moment. The queues are not counted yet.
struct Found {
    queues: Vec<Arc<DeclaredQueue>>,
    exchanges: Vec<ExchangeSnapshot>,
    bindings: Vec<BindingSnapshot>,
    aliases: Vec<AliasQueue>,
    model_queues: Vec<ModelQueue>,
}

impl Found {
    fn of(topology: &Topology) -> Found {
        let exchanges = || topology.exchanges.iter();
        Found {
            queues: topology.queues.values().cloned().collect(),
            exchanges: exchanges().map(exchange::snapshot_of).collect(),
            bindings: exchanges().flat_map(exchange::bindings_of).collect(),
            aliases: topology.aliases.all().cloned().collect(),
            model_queues: topology.models.values().cloned().collect(),
        }
    }

    fn sort(&mut self) {
        self.exchanges.sort_by(|a, b| a.name.cmp(&b.name));
        self.bindings.sort_by(|a, b| {
            (&a.source, &a.destination, &a.routing_key).cmp(&(
                &b.source,
                &b.destination,
                &b.routing_key,
            ))
        });
    }
}

/// A queue that was counted.
struct Counted {
    declared: Arc<DeclaredQueue>,
    snapshot: QueueSnapshot,
    consumers: Vec<ConsumerSnapshot>,
}

impl Counted {
    /// Whether this very queue is still there.
    fn is_in(&self, topology: &Topology) -> bool {
        let there = topology.queues.get(&self.snapshot.name);
        there.is_some_and(|there| there.queue == self.declared.queue)
    }
}
