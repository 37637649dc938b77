//! Which exchanges and queues a virtual host has and how they are bound: plain data behind the topology lock.
//!
//! Keeps what must agree: both ends of every binding, and the epochs by which producers know that a route they
//! remember may no longer be right. Checks nothing of who may do what; that is `declare.rs`.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use hashbrown::{HashMap, hash_map::Entry};

use super::{effects::PendingEffects, reverse_bindings::ReverseBindings};
use crate::{
    engine::{
        exchange::{self},
        queue::{BudgetCore, Deleted, QueueCore},
    },
    model::{
        arguments::{ExchangeArguments, QueueArguments},
        descriptions,
        error::CancelReason,
        exchange_kind::ExchangeKind,
        field_value::FieldTable,
        name::Name,
    },
    runtime::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

/// What a binding leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Queue(Arc<QueueCore>),
    Exchange(Name),
}

/// The number of a connection within its broker.
pub(crate) type ConnectionId = u64;

#[derive(Debug)]
pub(crate) struct DeclaredExchange {
    /// As declared.
    pub(crate) description: descriptions::Exchange,
    pub(crate) arguments: ExchangeArguments,
    /// Where messages go that no binding takes, by argument or by policy.
    pub(crate) alternate: Option<Name>,
    pub(crate) state: exchange::ExchangeState<Target>,
    /// Where messages wait that it keeps back, if it is a delayed one.
    pub(crate) delay_queue: Option<Arc<QueueCore>>,
    /// Raised whenever a message published here might be routed otherwise than before. Written under the topology
    /// lock, read by producers without it.
    pub(crate) epoch: Arc<AtomicU64>,
    /// Whether anything was routed by this exchange since its epoch was raised, so that a route may be remembered. Set
    /// under the topology lock for reading, cleared under that for writing.
    used: AtomicBool,
    /// The exchanges among its destinations.
    onward: HashSet<Name>,
}

impl DeclaredExchange {
    pub(crate) fn new(
        kind: ExchangeKind,
        description: descriptions::Exchange,
        arguments: ExchangeArguments,
        alternate: Option<Name>,
        shelf: Option<Arc<QueueCore>>,
    ) -> Self {
        DeclaredExchange {
            description,
            arguments,
            alternate,
            state: exchange::ExchangeState::new(kind),
            delay_queue: shelf,
            epoch: Arc::new(AtomicU64::new(0)),
            // Those that lead to its name may be remembered to end there.
            used: AtomicBool::new(true),
            onward: HashSet::new(),
        }
    }

    /// A message was routed by this exchange, and the outcome may be remembered.
    pub(crate) fn note_use(&self) {
        // Read first: what is not written stays in every core's cache.
        if !self.used.load(SeqCst) {
            self.used.store(true, SeqCst);
        }
    }

    pub(crate) fn kind(&self) -> ExchangeKind {
        self.state.kind()
    }
}

#[derive(Debug)]
pub(crate) struct DeclaredQueue {
    pub(crate) queue: Arc<QueueCore>,
    /// As declared.
    pub(crate) description: descriptions::Queue,
    pub(crate) arguments: QueueArguments,
    /// The connection that alone may use the queue.
    pub(crate) owner: Option<ConnectionId>,
}

#[derive(Debug)]
pub(crate) struct DeclaredBudget {
    pub(crate) budget: Arc<BudgetCore>,
    /// As declared.
    pub(crate) description: descriptions::Budget,
}

#[derive(Debug, Default)]
pub(crate) struct Topology {
    pub(crate) budgets: BTreeMap<Name, DeclaredBudget>,
    pub(crate) exchanges: HashMap<Name, DeclaredExchange>,
    pub(crate) queues: HashMap<Name, DeclaredQueue>,
    /// For each destination the exchanges that have a binding to it, so that a deletion finds them.
    sources: ReverseBindings<Target>,
    /// For each alternate exchange those that name it, whether it exists or not.
    alternates: ReverseBindings<Name>,
    /// The exclusive queues of each connection.
    owned: HashMap<ConnectionId, HashSet<Name>>,
    /// What the shelves of exchanges that are gone owe, to be carried out when the topology is free.
    effects: PendingEffects,
}

impl Topology {
    pub(crate) fn queue(&self, name: &str) -> Option<Arc<QueueCore>> {
        self.queues
            .get(name)
            .map(|declared| Arc::clone(&declared.queue))
    }

    /// The exclusive queues of a connection.
    pub(crate) fn owned_by(&self, owner: ConnectionId) -> Vec<Name> {
        self.owned
            .get(&owner)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(crate) fn add_queue(&mut self, name: Name, queue: DeclaredQueue) {
        if let Some(owner) = queue.owner {
            self.owned.entry(owner).or_default().insert(name.clone());
        }
        self.queues.insert(name, queue);
    }

    pub(crate) fn add_exchange(&mut self, name: Name, exchange: DeclaredExchange) {
        if let Some(alternate) = &exchange.alternate {
            self.alternates.add(alternate.clone(), &name);
        }
        self.exchanges.insert(name.clone(), exchange);
        // Exchanges that named it as their alternate before it was there.
        self.touch(&name);
    }

    /// Gives an exchange another alternate exchange.
    pub(crate) fn set_alternate(&mut self, name: &Name, alternate: Option<Name>) {
        let Some(exchange) = self.exchanges.get_mut(name) else {
            return;
        };
        if exchange.alternate == alternate {
            return;
        }
        let old = std::mem::replace(&mut exchange.alternate, alternate.clone());
        if let Some(old) = old {
            self.alternates.remove(&old, name);
        }
        if let Some(alternate) = alternate {
            self.alternates.add(alternate, name);
        }
        self.touch(name);
    }

    /// Adds a binding. Both ends must exist; `false` if it was there.
    pub(crate) fn bind(
        &mut self,
        source: &Name,
        target: &Target,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> crate::model::error::Result<bool> {
        let Some(exchange) = self.exchanges.get_mut(source) else {
            return Ok(false);
        };
        let new = exchange
            .state
            .bind(target.clone(), routing_key, arguments)?;
        if new {
            if let Target::Exchange(name) = target {
                exchange.onward.insert(name.clone());
            }
            self.sources.add(target.clone(), source);
            self.touch(source);
        }
        Ok(new)
    }

    /// Removes a binding and every auto-delete exchange that is thereby unused; `false` if there was none.
    pub(crate) fn unbind(
        &mut self,
        source: &Name,
        target: &Target,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> bool {
        let unbound = self.remove_binding(source, target, routing_key, arguments);
        if unbound {
            self.collect(vec![source.clone()]);
        }
        unbound
    }

    /// Removes a binding; its source stays, though it may be an unused auto-delete exchange now. `false`
    /// if there was none.
    pub(super) fn remove_binding(
        &mut self,
        source: &Name,
        target: &Target,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> bool {
        let Some(exchange) = self.exchanges.get_mut(source) else {
            return false;
        };
        if !exchange.state.unbind(target, routing_key, arguments) {
            return false;
        }
        if !exchange.state.has_destination(target) {
            if let Target::Exchange(name) = target {
                exchange.onward.remove(name);
            }
            self.sources.remove(target, source);
        }
        self.touch(source);
        true
    }

    pub(crate) fn is_bound(
        &self,
        source: &Name,
        target: &Target,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> bool {
        let exchange = self.exchanges.get(source);
        exchange.is_some_and(|exchange| exchange.state.is_bound(target, routing_key, arguments))
    }

    pub(crate) fn remove_queue(&mut self, name: &Name) -> Option<DeclaredQueue> {
        let declared = self.queues.remove(name)?;
        if let Some(Entry::Occupied(mut owned)) =
            declared.owner.map(|owner| self.owned.entry(owner))
        {
            owned.get_mut().remove(name);
            if owned.get().is_empty() {
                owned.remove();
            }
        }
        let unused = self.detach(&Target::Queue(Arc::clone(&declared.queue)));
        self.collect(unused);
        Some(declared)
    }

    /// What is to be carried out once the topology is free. Every change that may remove an exchange ends with it.
    pub(crate) fn take_effects(&mut self) -> PendingEffects {
        std::mem::take(&mut self.effects)
    }

    /// Empties the shelves of all exchanges.
    pub(crate) fn close_delay_queues(&mut self) {
        let shelves: Vec<_> = self
            .exchanges
            .values_mut()
            .filter_map(|exchange| exchange.delay_queue.take())
            .collect();
        for shelf in shelves {
            self.close_delay_queue(shelf);
        }
    }

    fn close_delay_queue(&mut self, shelf: Arc<QueueCore>) {
        let deleted = shelf
            .lock()
            .delete(false, false, CancelReason::QueueDeleted);
        if let Ok(Deleted { effects, .. }) = deleted {
            self.effects.push_back((shelf, effects));
        }
    }

    pub(crate) fn remove_exchange(&mut self, name: &Name) {
        let unused = self.drop_exchange(name);
        self.collect(unused);
    }

    /// Deletes auto-delete exchanges that lost their last binding, and those that this leaves without one in turn: a
    /// work list, since chains may be long and may close into loops.
    fn collect(&mut self, mut unused: Vec<Name>) {
        while let Some(name) = unused.pop() {
            let goes = self.exchanges.get(&name).is_some_and(|exchange| {
                exchange.description.is_auto_delete() && exchange.state.is_unused()
            });
            if goes {
                unused.extend(self.drop_exchange(&name));
            }
        }
    }

    /// Removes one exchange with its bindings on both sides; returns the exchanges that lost a binding.
    fn drop_exchange(&mut self, name: &Name) -> Vec<Name> {
        self.touch(name);
        let Some(exchange) = self.exchanges.remove(name) else {
            return Vec::new();
        };
        for target in exchange.state.destinations() {
            self.sources.remove(target, name);
        }
        if let Some(alternate) = &exchange.alternate {
            self.alternates.remove(alternate, name);
        }
        if let Some(shelf) = exchange.delay_queue {
            self.close_delay_queue(shelf);
        }
        self.detach(&Target::Exchange(name.clone()))
    }

    /// Removes all bindings to `target`; returns the exchanges that had one.
    fn detach(&mut self, target: &Target) -> Vec<Name> {
        let sources: Vec<Name> = self.sources.take(target);
        for source in &sources {
            if let Some(exchange) = self.exchanges.get_mut(source) {
                exchange.state.unbind_all(target);
                if let Target::Exchange(name) = target {
                    exchange.onward.remove(name);
                }
            }
            self.touch(source);
        }
        sources
    }

    /// Raises the epoch of `name` and of every exchange whose messages may come by it.
    ///
    /// Goes no further than messages have come: a remembered route by way of an exchange is a use of that exchange, so
    /// behind one that is unused since the last time there is nothing to raise. A thousand bindings in a row cost their
    /// way upstream once; loops end by it, too.
    pub(crate) fn touch(&self, name: &Name) {
        let mut upstream = Vec::new();
        let mut next = Some(name);
        while let Some(name) = next {
            if let Some(exchange) = self.exchanges.get(name) {
                if exchange.used.swap(false, SeqCst) {
                    exchange.epoch.fetch_add(1, SeqCst);
                    upstream.extend(self.sources.of(&Target::Exchange(name.clone())));
                    upstream.extend(self.alternates.of(name));
                }
            }
            next = upstream.pop();
        }
    }

    /// Whether messages published to this exchange may come to an exchange that looks at headers: a headers exchange or a delayed one.
    pub(crate) fn leads_to_headers(&self, exchange: &DeclaredExchange) -> bool {
        let mut seen = HashSet::new();
        let mut ahead = Vec::new();
        let mut next = Some(exchange);
        while let Some(exchange) = next {
            if exchange.kind() == ExchangeKind::Headers || exchange.delay_queue.is_some() {
                return true;
            }
            let onward = exchange.onward.iter().chain(&exchange.alternate);
            let unseen = onward.filter(|name| seen.insert(*name));
            ahead.extend(unseen.filter_map(|name| self.exchanges.get(name)));
            next = ahead.pop();
        }
        false
    }

    /// Raises every epoch: nothing that a producer remembers holds any more.
    pub(crate) fn touch_all(&self) {
        for exchange in self.exchanges.values() {
            exchange.epoch.fetch_add(1, SeqCst);
        }
    }
}
