//! What a virtual host writes of itself: its exchanges, queues, bindings, policies, budgets and
//! permissions.
//!
//! As RabbitMQ 4.3 does, it writes all exchanges, durable queues, and the bindings between them. A
//! queue that is exclusive or has a generated name is not written, since it ends with the broker.

use std::{sync::Arc, time::Duration};

use hashbrown::HashMap;
use serde::Serialize;
use serde_json::Value;

use super::{
    About, VirtualHost,
    declared_exchange::DeclaredExchange,
    topology::{DeclaredQueue, Target, Topology},
    topology_records::{BindingRecord, ExchangeRecord, QueueRecord},
};
use crate::{
    engine::{
        exchange::BindingRef,
        policy::{Policy, PolicyKind},
        queue::QueueCore,
        store::{
            DiskMonitor, Journal, Keeps, Operation, RecordKind, StoredQueue, Synced, WallClock,
        },
    },
    model::{
        access::{Permissions, TopicPermissions},
        arguments::{QueueArguments, QueueType},
        descriptions::{self, Durability},
        error::{CancelReason, Result},
        field_value::FieldTable,
        name::Name,
    },
    runtime::{
        signal::Signal,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::{self, Waiting},
    },
};

/// The numbers of queues in the store, by name; and those of delay queues and histories, by the
/// name of the exchange.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(super) queues: HashMap<Name, u64>,
    pub(super) delay_queues: HashMap<Name, u64>,
    pub(super) histories: HashMap<Name, u64>,
}

/// The storage of one virtual host.
#[derive(Debug)]
pub(crate) struct VhostStorage {
    pub(super) vhost: Name,
    journal: Journal,
    disk: Arc<DiskMonitor>,
    clock: WallClock,
    /// Of queues that have none of their own.
    durability: Durability,
    /// The numbers of the queues and delay queues that are being recovered.
    numbers: Mutex<Numbers>,
    /// Whether changes are written: not while they come from the store.
    writes: AtomicBool,
    changes: Mutex<Changes>,
}

/// The changes of the topology that were written.
#[derive(Debug, Default)]
struct Changes {
    written: u64,
    /// What waits for the last of them.
    last: Option<Synced>,
}

impl Changes {
    /// What waits for the changes after the first `before`. `None` if there are none.
    fn after(&self, before: u64) -> Option<Synced> {
        self.last.clone().filter(|_| self.written > before)
    }
}

impl VhostStorage {
    /// Begins to recover. `numbers` are those of the queues.
    pub(crate) fn new(
        vhost: Name,
        (journal, disk): (Journal, Arc<DiskMonitor>),
        clock: WallClock,
        durability: Durability,
        numbers: Numbers,
    ) -> VhostStorage {
        VhostStorage {
            vhost,
            journal,
            disk,
            clock,
            durability,
            numbers: Mutex::new(numbers),
            writes: AtomicBool::new(false),
            changes: Mutex::default(),
        }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What a publish that is to be written has to wait for: that its disk has room. `waits` tells
    /// whether it may.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store) if it may not.
    #[inline]
    pub(crate) fn admit(&self, waits: bool) -> Result<Option<Arc<Signal>>> {
        match self.disk.is_low() {
            true => self.disk.admit(waits),
            false => Ok(None),
        }
    }

    /// The broker ends. Deletions are not written from now on.
    pub(super) fn stop_writing(&self) {
        self.writes.store(false, SeqCst);
    }

    /// Everything is recovered. From now on changes are written.
    pub(crate) fn begin_to_write(&self) {
        self.writes.store(true, SeqCst);
    }

    /// How many changes were written so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.lock().written
    }

    /// Waits until the changes so far are on disk, if there were some after the first `before`.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store).
    pub(super) fn sync(&self, before: u64) -> Result {
        let Some(last) = self.changes.lock().after(before) else {
            return Ok(());
        };
        let synced = waiter::wait(&last, None);
        synced.unwrap_or_else(|| self.journal.check())
    }

    /// As [`sync`](Self::sync), for a task.
    pub(super) async fn sync_async(&self, before: u64) -> Result {
        let last = self.changes.lock().after(before);
        match last {
            Some(last) => Waiting::new(last).await,
            None => Ok(()),
        }
    }

    /// The store of a queue that is declared now. `None` if it is not kept.
    pub(super) fn of_queue(
        &self,
        description: &descriptions::Queue,
        name: &Name,
        arguments: &QueueArguments,
    ) -> Option<StoredQueue> {
        let is_kept = description.is_durable()
            && !description.is_exclusive()
            && !description.name().is_empty();
        is_kept.then(|| {
            let number = self.numbers.lock().queues.remove(name);
            let durability = arguments.durability.unwrap_or(self.durability);
            let keeps = match arguments.queue_type {
                QueueType::Classic => Keeps::Persistent,
                QueueType::Quorum => Keeps::AllAndDeliveries,
                QueueType::Stream => Keeps::Stream,
            };
            self.stored(number, durability, keeps)
        })
    }

    /// The store of the delay queue of an exchange that is declared now.
    pub(super) fn of_delay_queue(&self, exchange: &Name) -> StoredQueue {
        let number = self.numbers.lock().delay_queues.remove(exchange);
        self.stored(number, self.durability, Keeps::Persistent)
    }

    /// The store of the history of an exchange that is declared now.
    pub(super) fn of_history(&self, exchange: &Name) -> StoredQueue {
        let number = self.numbers.lock().histories.remove(exchange);
        self.stored(number, self.durability, Keeps::All)
    }

    fn stored(&self, number: Option<u64>, durability: Durability, keeps: Keeps) -> StoredQueue {
        StoredQueue::new(
            self.journal.clone(),
            number.unwrap_or_else(|| self.journal.next_number()),
            durability,
            keeps,
            self.clock,
        )
    }

    pub(super) fn write(
        &self,
        kind: RecordKind,
        name: &impl Serialize,
        value: Option<&dyn erased_serde::Serialize>,
    ) {
        if !self.writes.load(SeqCst) {
            return;
        }
        let Some(operation) = Operation::record(kind, name, value) else {
            return;
        };
        let mut changes = self.changes.lock();
        self.journal.append(operation, Duration::ZERO);
        changes.written += 1;
        changes.last = Some(self.journal.synced());
    }

    pub(super) fn write_queue(&self, name: &Name, declared: &DeclaredQueue) {
        let Some(stored) = declared.queue.stored() else {
            return;
        };
        let record = QueueRecord {
            number: stored.number(),
            queue: declared.terms.description.clone().named(name.as_str()),
            failed_before: 0,
        };
        self.write_queue_record(name, &record);
    }

    pub(super) fn write_queue_record(&self, name: &Name, record: &QueueRecord) {
        self.write(RecordKind::Queue, &(&self.vhost, name), Some(record));
    }

    pub(super) fn forget_queue(&self, name: &Name) {
        self.write(RecordKind::Queue, &(&self.vhost, name), None);
    }

    pub(super) fn write_exchange(
        &self,
        name: &Name,
        declared: &DeclaredExchange,
        had_binding: bool,
    ) {
        let delay_queue = declared.delay_queue.as_ref();
        let history = declared.history.as_ref();
        let record = ExchangeRecord {
            exchange: declared.description.clone().without_bindings(),
            had_binding,
            delay_queue: delay_queue.and_then(|queue| Some(queue.stored()?.number())),
            history: history.and_then(|history| Some(history.stored()?.number())),
        };
        self.write(RecordKind::Exchange, &(&self.vhost, name), Some(&record));
    }

    pub(super) fn forget_exchange(&self, name: &Name) {
        self.write(RecordKind::Exchange, &(&self.vhost, name), None);
    }

    pub(super) fn write_budget(&self, name: &Name, budget: Option<&descriptions::Budget>) {
        let value = budget.map(|budget| budget as &dyn erased_serde::Serialize);
        self.write(RecordKind::Budget, &(&self.vhost, name), value);
    }

    pub(super) fn write_policy(&self, name: &str, kind: PolicyKind, policy: Option<&Policy>) {
        let value = policy.map(|policy| policy as &dyn erased_serde::Serialize);
        let is_operator = kind == PolicyKind::Operator;
        self.write(RecordKind::Policy, &(&self.vhost, is_operator, name), value);
    }

    pub(super) fn write_kept_part(&self, section: &str, key: &str, item: Option<&Value>) {
        let item = item.map(|item| item as &dyn erased_serde::Serialize);
        self.write(RecordKind::KeptPart, &(&self.vhost, section, key), item);
    }

    pub(super) fn write_permissions(&self, user: &Name, permissions: Option<&Permissions>) {
        let value = permissions.map(|permissions| permissions as &dyn erased_serde::Serialize);
        self.write(RecordKind::Permissions, &(&self.vhost, user), value);
    }

    pub(super) fn write_topic_permissions(
        &self,
        user: &Name,
        exchange: &Name,
        permissions: Option<&TopicPermissions>,
    ) {
        let value = permissions.map(|permissions| permissions as &dyn erased_serde::Serialize);
        let name = (&self.vhost, user, exchange);
        self.write(RecordKind::TopicPermissions, &name, value);
    }

    pub(super) fn write_alias(&self, name: &Name, alias: Option<&descriptions::AliasQueue>) {
        let value = alias.map(|alias| alias as &dyn erased_serde::Serialize);
        self.write(RecordKind::Alias, &(&self.vhost, name), value);
    }

    pub(super) fn write_model(&self, name: &Name, model: Option<&descriptions::ModelQueue>) {
        let value = model.map(|model| model as &dyn erased_serde::Serialize);
        self.write(RecordKind::Model, &(&self.vhost, name), value);
    }

    /// Writes that there is a virtual host of this name, or that there is none.
    pub(crate) fn write_vhost(&self, about: Option<&About>) {
        let value = about.map(|about| about as &dyn erased_serde::Serialize);
        self.write(RecordKind::Vhost, &self.vhost, value);
    }

    fn write_binding(&self, record: &BindingRecord, place: Option<u64>) {
        self.write(RecordKind::Binding, record, Some(&place));
    }

    fn forget_binding(&self, record: &BindingRecord) {
        self.write(RecordKind::Binding, record, None);
    }

    fn binding(
        &self,
        source: &Name,
        target: &Target,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> BindingRecord {
        let (destination, to_queue) = match target {
            Target::Queue(queue) => (queue.name().clone(), true),
            Target::Exchange(name) => (name.clone(), false),
        };
        BindingRecord {
            vhost: self.vhost.clone(),
            source: source.clone(),
            destination,
            to_queue,
            routing_key: routing_key.clone(),
            arguments: arguments.clone(),
        }
    }
}

impl VirtualHost {
    /// Before the virtual host ends. If the broker ends, what typed consumers have in advance
    /// returns, so that it is not taken for delivered. If it is deleted itself, its policies and
    /// kept parts go.
    pub(super) fn prepare_end(&self, reason: CancelReason) {
        let Some(storage) = self.storage() else {
            return;
        };
        if reason.is_end_of_broker() {
            let stored = |queue: &Arc<QueueCore>| queue.stored().is_some();
            for queue in self.queues().into_iter().filter(stored) {
                queue.return_unseen();
            }
            return;
        }
        for kind in [PolicyKind::User, PolicyKind::Operator] {
            for (policy, _) in self.policies(kind) {
                storage.write_policy(&policy.name, kind, None);
            }
        }
        for (section, key) in self.kept_parts().keys() {
            storage.write_kept_part(section, key, None);
        }
    }

    /// The virtual host ends. If the broker ends, what it has written stays, but for auto-delete
    /// queues with consumers. If it is deleted itself, nothing stays.
    pub(super) fn end_storage(&self, topology: &mut Topology, reason: CancelReason) {
        let Some(storage) = self.storage() else {
            return;
        };
        if reason.is_end_of_broker() {
            for (name, declared) in &topology.queues {
                let is_left = declared.terms.description.is_auto_delete()
                    && declared.queue.lock().had_consumer();
                if let Some(stored) = declared.queue.stored().filter(|_| is_left) {
                    let target = Target::Queue(Arc::clone(&declared.queue));
                    let sources = topology.exchanges.keys();
                    sources.for_each(|source| topology.forget_bindings(source, Some(&target)));
                    stored.drop_all();
                    storage.forget_queue(name);
                }
            }
            storage.stop_writing();
            return;
        }
        for name in topology.exchanges.keys() {
            topology.forget_bindings(name, None);
            storage.forget_exchange(name);
        }
        for name in topology.budgets.keys() {
            storage.write_budget(name, None);
        }
        for (user, _) in self.grants().list() {
            storage.write_permissions(&user, None);
        }
        for (user, topic) in self.grants().list_topics() {
            if let Ok(exchange) = Name::of_entity(&topic.exchange) {
                storage.write_topic_permissions(&user, &exchange, None);
            }
        }
        for alias in topology.aliases.all() {
            if let Ok(name) = Name::of_entity(alias.name()) {
                storage.write_alias(&name, None);
            }
        }
        for name in topology.models.keys() {
            storage.write_model(name, None);
        }
        storage.write_vhost(None);
    }
}

impl Topology {
    /// Writes a new binding, unless its queue ends with the broker. Both ends exist. `has_place`
    /// tells whether it has a place in the order of the bindings of its source, which is written
    /// as a number.
    pub(super) fn write_binding(
        &self,
        source: &Name,
        target: &Target,
        (routing_key, arguments): (&Name, &FieldTable),
        has_place: bool,
    ) {
        let Some(storage) = &self.storage else { return };
        self.write_first_binding(source, storage);
        if target.is_kept() {
            let record = storage.binding(source, target, routing_key, arguments);
            let place = has_place.then(|| storage.journal.next_number());
            storage.write_binding(&record, place);
        }
    }

    /// Writes that a binding is gone, unless its queue ends with the broker. If its destination has
    /// `lost_place`, the other bindings to it have none either.
    pub(super) fn forget_binding(
        &self,
        source: &Name,
        target: &Target,
        (routing_key, arguments): (&Name, &FieldTable),
        lost_place: bool,
    ) {
        let Some(storage) = self.storage.as_ref().filter(|_| target.is_kept()) else {
            return;
        };
        storage.forget_binding(&storage.binding(source, target, routing_key, arguments));
        if let Some(exchange) = self.exchanges.get(source).filter(|_| lost_place) {
            let bindings = exchange.state().bindings();
            for left in bindings.filter(|binding| binding.destination == target) {
                let record = storage.binding(source, target, left.routing_key, left.arguments);
                storage.write_binding(&record, None);
            }
        }
    }

    /// Writes that an auto-delete exchange has a binding, if that is the first one.
    fn write_first_binding(&self, source: &Name, storage: &VhostStorage) {
        let exchange = self.exchanges.get(source);
        let Some(exchange) = exchange.filter(|it| it.description.is_auto_delete()) else {
            return;
        };
        if exchange.state().bindings().nth(1).is_none() {
            storage.write_exchange(source, exchange, true);
        }
    }

    /// Writes that all bindings of `source` are gone, or those to one target.
    pub(super) fn forget_bindings(&self, source: &Name, only: Option<&Target>) {
        let Some(storage) = &self.storage else { return };
        let Some(exchange) = self.exchanges.get(source) else {
            return;
        };
        let bindings = exchange.state().bindings();
        for BindingRef {
            destination,
            routing_key,
            arguments,
        } in bindings.filter(|binding| only.is_none_or(|only| binding.destination == only))
        {
            if destination.is_kept() {
                let record = storage.binding(source, destination, routing_key, arguments);
                storage.forget_binding(&record);
            }
        }
    }
}

impl Target {
    /// Whether bindings to it survive the broker.
    fn is_kept(&self) -> bool {
        match self {
            Target::Queue(queue) => queue.stored().is_some(),
            Target::Exchange(_) => true,
        }
    }
}
