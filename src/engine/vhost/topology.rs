//! The exchanges, queues and bindings of a virtual host: plain data behind the topology lock.
//!
//! Keeps both ends of every binding consistent. Keeps the epochs, by which a producer detects that
//! a remembered route is out of date. Does not check access; `declare.rs` does.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use hashbrown::{HashMap, hash_map::Entry};

use super::{
    aliases::Aliases,
    churn::Departed,
    declared_exchange::DeclaredExchange,
    effects::Aftermath,
    reverse_bindings::ReverseBindings,
    storage::VhostStorage,
    terms::Terms,
    topology_events::{binding_fields, exchange_created, named, queue_created, queue_deleted},
};
use crate::{
    engine::{
        access::Grants,
        events::{Actor, VhostEvents},
        queue::{BudgetCore, Counts, Deleted, QueueCore},
    },
    model::{
        broker_event::EventKind,
        descriptions,
        error::{CancelReason, Result},
        field_value::FieldTable,
        name::Name,
    },
    runtime::sync::atomic::Ordering::SeqCst,
};

/// The destination of a binding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Queue(Arc<QueueCore>),
    Exchange(Name),
}

/// The number of a connection within its broker.
pub(crate) type ConnectionId = u64;

#[derive(Clone, Debug)]
pub(crate) struct DeclaredQueue {
    pub(crate) queue: Arc<QueueCore>,
    pub(crate) terms: Arc<Terms>,
    /// The only connection that may use the queue, if it is exclusive.
    pub(crate) owner: Option<ConnectionId>,
}

#[derive(Clone, Debug)]
pub(crate) struct DeclaredBudget {
    pub(crate) budget: Arc<BudgetCore>,
    /// As declared.
    pub(crate) description: descriptions::Budget,
}

#[derive(Debug, Default)]
pub(crate) struct Topology {
    pub(crate) budgets: BTreeMap<Name, DeclaredBudget>,
    pub(crate) exchanges: HashMap<Name, DeclaredExchange>,
    /// Shared with the snapshots that count them.
    pub(crate) queues: HashMap<Name, Arc<DeclaredQueue>>,
    pub(crate) aliases: Aliases,
    pub(crate) models: BTreeMap<Name, descriptions::ModelQueue>,
    /// For each destination, the exchanges that have a binding to it. A deletion uses it.
    pub(super) sources: ReverseBindings<Target>,
    /// For each alternate exchange, the exchanges that name it. The alternate exchange need not
    /// exist.
    alternates: ReverseBindings<Name>,
    /// The exclusive queues of each connection.
    owned: HashMap<ConnectionId, HashSet<Name>>,
    /// The counts of the queues and exchanges that were deleted.
    pub(crate) departed: Departed,
    /// To be done after the topology lock is released.
    aftermath: Aftermath,
    /// Where the changes are written, if the broker is durable.
    pub(super) storage: Option<Arc<VhostStorage>>,
    /// Where an exchange has its topic permissions, which end with it.
    pub(super) grants: Option<Arc<Grants>>,
    /// Where the changes are told.
    pub(super) events: Option<Arc<VhostEvents>>,
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

    pub(crate) fn add_queue(&mut self, name: Name, queue: Arc<DeclaredQueue>) {
        if let Some(owner) = queue.owner {
            self.owned.entry(owner).or_default().insert(name.clone());
        }
        if let Some(storage) = &self.storage {
            storage.write_queue(&name, &queue);
        }
        self.departed.queues_created += 1;
        self.note(EventKind::QueueCreated, || queue_created(&name, &queue));
        self.queues.insert(name, queue);
    }

    pub(crate) fn add_exchange(&mut self, name: Name, exchange: DeclaredExchange) {
        if let Some(alternate) = &exchange.alternate {
            self.alternates.add(alternate.clone(), &name);
        }
        if let Some(storage) = &self.storage {
            storage.write_exchange(&name, &exchange, false);
        }
        self.note(EventKind::ExchangeCreated, || {
            exchange_created(&name, &exchange)
        });
        self.exchanges.insert(name.clone(), exchange);
        // Other exchanges may have named it as their alternate before it existed.
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

    /// Adds a binding. Both ends must exist. `false` if the binding existed.
    pub(crate) fn bind(
        &mut self,
        source: &Name,
        target: &Target,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> Result<bool> {
        let Some(exchange) = self.exchanges.get_mut(source) else {
            return Ok(false);
        };
        let had_place = exchange.state.has_place(target);
        let new = exchange
            .state_mut()
            .bind(target.clone(), routing_key, arguments)?;
        if new {
            let has_place = !had_place && exchange.state.has_place(target);
            if let Target::Exchange(name) = target {
                exchange.onward.insert(name.clone());
            }
            let history = exchange.history.as_ref();
            let replay = history.and_then(|history| history.replay(target));
            self.aftermath.replays.extend(replay);
            self.sources.add(target.clone(), source);
            self.touch(source);
            self.write_binding(source, target, (routing_key, arguments), has_place);
            self.note(EventKind::BindingCreated, || {
                binding_fields(source, target, routing_key, arguments)
            });
        }
        Ok(new)
    }

    /// Removes a binding and every auto-delete exchange that becomes unused. `false` if there was
    /// no such binding.
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

    /// Removes a binding. Keeps its source even if that is an unused auto-delete exchange now.
    /// `false` if there was no such binding.
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
        let had_place = exchange.state.has_place(target);
        if !exchange.state_mut().unbind(target, routing_key, arguments) {
            return false;
        }
        let lost_place = had_place && !exchange.state.has_place(target);
        if !exchange.state.has_destination(target) {
            if let Target::Exchange(name) = target {
                exchange.onward.remove(name);
            }
            self.sources.remove(target, source);
        }
        self.touch(source);
        self.forget_binding(source, target, (routing_key, arguments), lost_place);
        self.note(EventKind::BindingDeleted, || {
            binding_fields(source, target, routing_key, arguments)
        });
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

    pub(crate) fn remove_queue(&mut self, name: &Name) -> Option<Arc<DeclaredQueue>> {
        let declared = self.queues.remove(name)?;
        let counts = declared.queue.lock().counts_as_they_are();
        let queue_type = declared.terms.arguments.queue_type;
        self.departed.add_queue(queue_type, &counts);
        if let Some(storage) = self
            .storage
            .as_ref()
            .filter(|_| declared.queue.stored().is_some())
        {
            storage.forget_queue(name);
            let progress = declared.queue.stream_progress();
            for reader in progress.iter().flat_map(|progress| progress.stored.keys()) {
                storage.write_stream_offset(name, reader, None);
            }
        }
        if let Some(Entry::Occupied(mut owned)) =
            declared.owner.map(|owner| self.owned.entry(owner))
        {
            owned.get_mut().remove(name);
            if owned.get().is_empty() {
                owned.remove();
            }
        }
        let unused = self.detach(&Target::Queue(Arc::clone(&declared.queue)));
        self.note(EventKind::QueueDeleted, || queue_deleted(name, &declared));
        self.collect(unused);
        Some(declared)
    }

    /// Takes what is to be done after the topology lock is released, and tells what was changed.
    /// Every change of an exchange, a queue or a binding calls it at its end.
    pub(super) fn take_aftermath(&mut self, by: Actor<'_>) -> Aftermath {
        let mut aftermath = std::mem::take(&mut self.aftermath);
        let pending = std::mem::take(&mut aftermath.events);
        if let Some(events) = self.events.as_ref().filter(|_| !pending.is_empty()) {
            aftermath.told.extend(events.send_all(pending, by));
        }
        aftermath
    }

    /// The bindings that were just made are taken back.
    pub(super) fn forget_replays(&mut self) {
        self.aftermath.replays.clear();
    }

    /// Notes an event of a change, to be told when the change is over.
    fn note(&mut self, kind: EventKind, fields: impl FnOnce() -> FieldTable) {
        if self.events.as_ref().is_some_and(|events| events.is_read()) {
            self.aftermath.events.push((kind, None, fields()));
        }
    }

    /// The number of events that are noted.
    pub(super) fn noted(&self) -> usize {
        self.aftermath.events.len()
    }

    /// The changes that came after the first `noted` events are undone.
    pub(super) fn forget_noted(&mut self, noted: usize) {
        self.aftermath.events.truncate(noted);
    }

    /// Notes that all bindings of `source` are removed, or those to one target.
    fn note_unbound(&mut self, source: &Name, only: Option<&Target>) {
        if !self.events.as_ref().is_some_and(|events| events.is_read()) {
            return;
        }
        let Some(exchange) = self.exchanges.get(source) else {
            return;
        };
        let bindings = exchange.state.bindings();
        let bindings = bindings.filter(|it| only.is_none_or(|only| it.destination == only));
        // As in RabbitMQ, where the bindings of an exchange end by its user.
        let ends_with_queue = matches!(only, Some(Target::Queue(_)));
        let by = ends_with_queue.then_some(Actor::Internal);
        let events = bindings.map(|it| {
            let fields = binding_fields(source, it.destination, it.routing_key, it.arguments);
            (EventKind::BindingDeleted, by, fields)
        });
        self.aftermath.events.extend(events);
    }

    /// Ends the histories of all exchanges.
    pub(super) fn end_histories(&mut self) {
        let exchanges = self.exchanges.values_mut();
        let ended = exchanges.filter_map(|exchange| exchange.history.take());
        self.aftermath.ended.extend(ended);
    }

    /// Deletes the delay queues of all exchanges. Returns them with their last counts.
    pub(crate) fn close_delay_queues(
        &mut self,
        reason: CancelReason,
    ) -> Vec<(Arc<QueueCore>, Counts)> {
        let delay_queues: Vec<_> = self
            .exchanges
            .values_mut()
            .filter_map(|exchange| exchange.delay_queue.take())
            .collect();
        let closed = delay_queues.into_iter();
        closed
            .filter_map(|queue| {
                let counts = self.close_delay_queue(&queue, reason)?;
                Some((queue, counts))
            })
            .collect()
    }

    fn close_delay_queue(
        &mut self,
        queue: &Arc<QueueCore>,
        reason: CancelReason,
    ) -> Option<Counts> {
        let deleted = queue.lock().delete(false, false, reason, 0);
        let Deleted {
            effects, counts, ..
        } = deleted.ok()?;
        let effects = (Arc::clone(queue), effects);
        self.aftermath.effects.push_back(effects);
        Some(counts)
    }

    pub(crate) fn remove_exchange(&mut self, name: &Name) {
        let unused = self.drop_exchange(name);
        self.collect(unused);
    }

    /// Deletes auto-delete exchanges that lost their last binding, and those that lose their last
    /// binding thereby. Uses a work list, since chains may be long and may contain cycles.
    pub(super) fn collect(&mut self, mut unused: Vec<Name>) {
        while let Some(name) = unused.pop() {
            let goes = self.exchanges.get(&name).is_some_and(|exchange| {
                exchange.description.is_auto_delete() && exchange.state.is_unused()
            });
            if goes {
                unused.extend(self.drop_exchange(&name));
            }
        }
    }

    /// Removes one exchange with its bindings on both sides. Returns the exchanges that lost a
    /// binding.
    fn drop_exchange(&mut self, name: &Name) -> Vec<Name> {
        self.touch(name);
        self.forget_bindings(name, None);
        self.note_unbound(name, None);
        let Some(exchange) = self.exchanges.remove(name) else {
            return Vec::new();
        };
        self.departed.exchanges += exchange.tally.counts();
        let users = match &self.grants {
            Some(grants) => grants.forget_exchange(name),
            None => Vec::new(),
        };
        if let Some(storage) = &self.storage {
            storage.forget_exchange(name);
            for user in users {
                storage.write_topic_permissions(&user, name, None);
            }
        }
        for target in exchange.state.destinations() {
            self.sources.remove(target, name);
        }
        if let Some(alternate) = &exchange.alternate {
            self.alternates.remove(alternate, name);
        }
        if let Some(queue) = exchange.delay_queue {
            self.close_delay_queue(&queue, CancelReason::QueueDeleted);
        }
        self.aftermath.ended.extend(exchange.history);
        let unused = self.detach(&Target::Exchange(name.clone()));
        self.note(EventKind::ExchangeDeleted, || named(name));
        unused
    }

    /// Removes all bindings to `target`. Returns the exchanges that had one.
    fn detach(&mut self, target: &Target) -> Vec<Name> {
        let sources: Vec<Name> = self.sources.take(target);
        for source in &sources {
            self.forget_bindings(source, Some(target));
            self.note_unbound(source, Some(target));
            if let Some(exchange) = self.exchanges.get_mut(source) {
                exchange.state_mut().unbind_all(target);
                if let Target::Exchange(name) = target {
                    exchange.onward.remove(name);
                }
            }
            self.touch(source);
        }
        sources
    }

    /// Raises the epoch of `name` and of every exchange whose messages may reach it.
    ///
    /// Stops at an exchange that was not used since its epoch was raised. A remembered route
    /// through an exchange counts as a use, so no route through an unused exchange is remembered. A
    /// row of a thousand bindings therefore costs the way upstream only once. Cycles end for the
    /// same reason.
    pub(crate) fn touch(&self, name: &Name) {
        let mut upstream = Vec::new();
        let mut next = Some(name);
        while let Some(name) = next {
            if let Some(exchange) = self.exchanges.get(name)
                && exchange.used.swap(false, SeqCst)
            {
                exchange.epoch.fetch_add(1, SeqCst);
                upstream.extend(self.sources.of(&Target::Exchange(name.clone())));
                upstream.extend(self.alternates.of(name));
            }
            next = upstream.pop();
        }
    }

    /// Whether messages with the same routing key that are published to this exchange may go
    /// different ways. They may if they reach an exchange that reads properties, has a router, or
    /// keeps messages.
    pub(crate) fn differs_by_message(&self, exchange: &DeclaredExchange) -> bool {
        let mut seen = HashSet::new();
        let mut ahead = Vec::new();
        let mut next = Some(exchange);
        while let Some(exchange) = next {
            let keeps = exchange.delay_queue.is_some() || exchange.history.is_some();
            if keeps || exchange.state.differs_by_message() {
                return true;
            }
            let onward = exchange.onward.iter().chain(&exchange.alternate);
            let unseen = onward.filter(|name| seen.insert(*name));
            ahead.extend(unseen.filter_map(|name| self.exchanges.get(name)));
            next = ahead.pop();
        }
        false
    }

    /// Raises every epoch, so that no remembered route is valid any more.
    pub(crate) fn touch_all(&self) {
        self.aliases.touch();
        for exchange in self.exchanges.values() {
            exchange.epoch.fetch_add(1, SeqCst);
        }
    }
}
