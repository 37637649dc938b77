//! Declares exchanges and queues with all their bindings as one batch.
//!
//! The batch is checked first and made afterwards, under one hold of the topology lock. So a failed
//! declaration changes nothing, and no other connection sees a part of one. What uses a queue at
//! once, a consumer for example, belongs to the batch: the queue cannot go in between.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    DeclaredBudget, Identity, QueueDeclared, Target, Topology, VirtualHost,
    changes::{Changes, NewBinding},
    declare::is_reserved,
    declared_exchange::{DeclaredExchange, Kept},
    effects::PendingEffects,
    history::History,
    topology::DeclaredQueue,
};
use crate::{
    engine::{policy::Policies, queue::QueueCore},
    model::{
        access::reached,
        arguments::{
            ExchangeArguments, ExchangeTypeArguments, QueueArguments, check_exchange_equivalence,
            check_queue_equivalence, delayed_type,
        },
        descriptions::{self, names},
        error::{
            EntityKind, Error,
            Permission::{Configure, Read, Write},
            Result,
        },
        exchange_kind::ExchangeKind,
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
};

/// Whether the bindings of a description are declared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithBindings {
    Yes,
    /// As AMQP's `exchange.declare` and `queue.declare`.
    No,
}

/// The queue of a declaration.
enum Planned {
    Queue(Arc<QueueCore>),
    /// A name for direct replies, which is not a queue.
    Replies(QueueDeclared),
}

/// The checked changes that are to be made.
pub(super) struct Batch<'a> {
    pub(super) vhost: &'a Arc<VirtualHost>,
    pub(super) by: Identity<'a>,
    pub(super) policies: Cow<'a, Policies>,
    pub(super) topology: &'a Topology,
    pub(super) budgets: Cow<'a, BTreeMap<Name, DeclaredBudget>>,
    pub(super) changes: Changes,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        vhost: &'a Arc<VirtualHost>,
        by: Identity<'a>,
        policies: &'a Policies,
        topology: &'a Topology,
    ) -> Batch<'a> {
        Batch {
            vhost,
            by,
            policies: Cow::Borrowed(policies),
            topology,
            budgets: Cow::Borrowed(&topology.budgets),
            changes: Changes::default(),
        }
    }
}

impl VirtualHost {
    /// Declares an exchange.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub(crate) fn declare_exchange(
        self: &Arc<Self>,
        by: Identity<'_>,
        exchange: &descriptions::Exchange,
        bindings: WithBindings,
    ) -> Result {
        let plan = |batch: &mut Batch<'_>| {
            let name = batch.exchange(exchange)?;
            match bindings {
                WithBindings::Yes => batch.bindings_of_exchange(exchange, &name),
                WithBindings::No => Ok(()),
            }
        };
        self.declare(by, plan, |(), _| ())
    }

    /// Declares a queue.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub(crate) fn declare_queue(
        self: &Arc<Self>,
        by: Identity<'_>,
        queue: &descriptions::Queue,
        bindings: WithBindings,
    ) -> Result<QueueDeclared> {
        if (queue.is_open() || queue.is_passive())
            && let Some((kind @ EntityKind::Exchange, target)) = self.alias_target(queue.name())
        {
            let name = Name::of_entity(queue.name())?;
            by.check_declared(queue, EntityKind::Queue, &name)?;
            by.check_declared(queue, kind, &target)?;
            return Ok(QueueDeclared::alias_of_exchange(name));
        }
        // Before the locks: it may drop a channel, whose events hold payloads.
        let replies = self.declare_reply_to(&Name::of_entity(queue.name())?)?;
        let plan = |batch: &mut Batch<'_>| {
            let planned = match replies {
                Some(declared) => Planned::Replies(declared),
                None => Planned::Queue(batch.queue(queue)?),
            };
            if bindings == WithBindings::Yes {
                let name = match &planned {
                    Planned::Queue(queue) => queue.name(),
                    Planned::Replies(declared) => &declared.name,
                };
                batch.bindings_of_queue(queue, name)?;
            }
            Ok(planned)
        };
        match self.declare(by, plan, |planned, _| planned)? {
            Planned::Queue(queue) => Ok(self.describe(&queue)),
            Planned::Replies(declared) => Ok(declared),
        }
    }

    /// Declares a queue with its bindings, and returns the queue itself. It may be deleted at once,
    /// but it was not deleted before it was returned.
    ///
    /// # Errors
    /// As for [`declare_queue`](Self::declare_queue), those of `check`, and [`Error::NotFound`] for
    /// a name for direct replies. Nothing is changed then.
    pub(crate) fn declare_and_find(
        self: &Arc<Self>,
        by: Identity<'_>,
        queue: &descriptions::Queue,
        check: impl FnOnce(&QueueCore) -> Result,
    ) -> Result<Arc<QueueCore>> {
        self.check_no_replies(queue)?;
        let plan = |batch: &mut Batch<'_>| {
            let queue = batch.queue_for_reading(queue)?;
            check(&queue).map(|()| queue)
        };
        let queue = self.declare(by, plan, |queue, _| queue)?;
        self.renew_lease(&queue);
        Ok(queue)
    }

    /// # Errors
    /// [`Error::NotFound`] for a name for direct replies, which is not a queue.
    pub(super) fn check_no_replies(&self, queue: &descriptions::Queue) -> Result {
        let name = Name::of_entity(queue.name())?;
        match self.declare_reply_to(&name)? {
            Some(_) => Err(Error::not_found(EntityKind::Queue, &name, self.name())),
            None => Ok(()),
        }
    }

    /// Calls `plan`, which checks the changes, makes them, and calls `finish` before another thread
    /// sees them. `finish` may lock queues, one at a time. It gives the effects back.
    pub(super) fn declare<P, R>(
        self: &Arc<Self>,
        by: Identity<'_>,
        plan: impl FnOnce(&mut Batch<'_>) -> Result<P>,
        finish: impl FnOnce(P, &mut PendingEffects) -> R,
    ) -> Result<R> {
        let policies = self.policies.lock();
        policies.begin_pass();
        let mut topology = self.topology.write();
        self.check_up()?;
        let mut batch = Batch::new(self, by, &policies, &topology);
        let planned = plan(&mut batch)?;
        let changes = batch.changes;
        let made = topology.make(changes);
        let mut aftermath = topology.take_aftermath(by.access.actor());
        let finished = made.map(|_| finish(planned, &mut aftermath.effects));
        drop(topology);
        drop(policies);
        self.finish_change(aftermath);
        finished
    }
}

impl Batch<'_> {
    /// Plans the exchange of this description, and returns its name.
    pub(super) fn exchange(&mut self, description: &descriptions::Exchange) -> Result<Name> {
        let vhost = self.vhost.name();
        let exchange_type = match description.kind() {
            _ if description.is_passive() => None,
            names::DELAYED_MESSAGE => None,
            name => Some(self.vhost.exchange_types.find(name)?),
        };
        let name = Name::of_entity(description.name())?;
        description.argument_table().check_depth()?;
        if name.is_empty() {
            return Err(Error::default_exchange());
        }
        let access = self.by.access;
        if description.is_passive() {
            access.check_any(EntityKind::Exchange, &name)?;
            return match self.declared_exchange(&name) {
                Some(_) => Ok(name),
                None => Err(Error::not_found(EntityKind::Exchange, &name, vhost)),
            };
        }
        access.check(Configure, EntityKind::Exchange, &name)?;
        if let Some(there) = self.declared_exchange(&name) {
            // A delayed exchange routes by the type that it has beside.
            let same = exchange_type.is_some_and(|exchange_type| there.is_of(&exchange_type));
            if description.is_open() && same {
                return Ok(name);
            }
            check_exchange_equivalence(&there.description, description, &name, vhost)?;
            return Ok(name);
        }
        if is_reserved(&name) {
            return Err(Error::reserved_prefix(EntityKind::Exchange, &name));
        }
        let alternate = description.argument_table().get(names::ALTERNATE_EXCHANGE);
        self.check_forwarding(EntityKind::Exchange, &name, alternate)?;
        let arguments = ExchangeArguments::parse(description.argument_table(), &name, vhost)?;
        let mut kept = Kept::default();
        let exchange_type = match exchange_type {
            Some(exchange_type) => exchange_type,
            None => {
                let name_of_type = delayed_type(description.argument_table())?;
                let exchange_type = self.vhost.exchange_types.find(name_of_type)?;
                let queue =
                    self.vhost
                        .new_delay_queue(&self.budgets, &name, description.is_durable())?;
                kept.delay_queue = Some(queue);
                exchange_type
            }
        };
        let of_type =
            ExchangeTypeArguments::parse(exchange_type.kind(), description.argument_table())?;
        if exchange_type.kind() == ExchangeKind::RecentHistory {
            let stored = self
                .vhost
                .storage()
                .map(|storage| storage.of_history(&name));
            kept.history = Some(Arc::new(History::new(of_type.history_length, stored)));
        }
        let alternate = self
            .policies
            .effective_exchange(&arguments, &name)
            .alternate_exchange;
        let declared = DeclaredExchange::new(
            exchange_type,
            &of_type,
            description.of_new_exchange(),
            arguments,
            alternate,
            kept,
        );
        self.changes.exchanges.insert(name.clone(), declared);
        Ok(name)
    }

    fn bindings_of_exchange(&mut self, exchange: &descriptions::Exchange, name: &Name) -> Result {
        for binding in exchange.bindings() {
            self.source(binding.source())?;
            self.binding(binding, name, EntityKind::Exchange)?;
        }
        Ok(())
    }

    /// Plans the source of a binding and the bindings of that source. The default exchange is an
    /// error, which `binding` reports.
    fn source(&mut self, source: &descriptions::Exchange) -> Result {
        if source.name().is_empty() && !source.is_passive() {
            return Ok(());
        }
        let name = self.exchange(source)?;
        self.bindings_of_exchange(source, &name)
    }

    /// Finds or plans the queue of this description, and plans its bindings.
    pub(super) fn queue_with_bindings(
        &mut self,
        description: &descriptions::Queue,
    ) -> Result<Arc<QueueCore>> {
        let queue = self.queue(description)?;
        self.bindings_of_queue(description, queue.name())?;
        Ok(queue)
    }

    /// As [`queue_with_bindings`](Self::queue_with_bindings), for someone who reads from it.
    pub(super) fn queue_for_reading(
        &mut self,
        description: &descriptions::Queue,
    ) -> Result<Arc<QueueCore>> {
        let queue = self.queue_with_bindings(description)?;
        let access = self.by.access;
        if !description.name().is_empty() {
            // It may be an alias.
            let name = Name::of_entity(description.name())?;
            access.check(Read, EntityKind::Queue, &name)?;
        }
        access.check(Read, EntityKind::Queue, queue.name())?;
        Ok(queue)
    }

    /// Checks whether a new queue or exchange may hand messages on: to a dead-letter exchange or an
    /// alternate exchange, which need not exist.
    fn check_forwarding(&self, kind: EntityKind, name: &Name, to: Option<&FieldValue>) -> Result {
        // Any other value is refused with the arguments.
        let Some(FieldValue::LongString(to)) = to else {
            return Ok(());
        };
        let access = self.by.access;
        access.check(Read, kind, name)?;
        access.check(Write, EntityKind::Exchange, &Name::of_entity(to)?)
    }

    fn bindings_of_queue(&mut self, queue: &descriptions::Queue, name: &Name) -> Result {
        for binding in queue.bindings() {
            self.source(binding.source())?;
            self.binding(binding, name, EntityKind::Queue)?;
        }
        Ok(())
    }

    /// Finds or plans the queue of this description.
    fn queue(&mut self, description: &descriptions::Queue) -> Result<Arc<QueueCore>> {
        let wanted = Name::of_entity(description.name())?;
        description.argument_table().check_depth()?;
        let about = self.vhost.about();
        let description = &*about.with_default_type(description);
        let is_passive = description.is_passive();
        if is_reserved(&wanted) && !description.is_open() && !is_passive {
            return Err(Error::reserved_prefix(EntityKind::Queue, &wanted));
        }
        let name = match wanted.is_empty() && !is_passive {
            true => {
                QueueArguments::check_unnamed(description.argument_table())?;
                self.vhost.generate_name(self.topology)?
            }
            false => wanted,
        };
        self.named_queue(description, name)
    }

    /// Finds or plans the queue of this name, with the properties of this description.
    pub(super) fn named_queue(
        &mut self,
        description: &descriptions::Queue,
        name: Name,
    ) -> Result<Arc<QueueCore>> {
        let vhost = self.vhost.name();
        let (is_open, is_passive) = (description.is_open(), description.is_passive());
        self.by
            .check_declared(description, EntityKind::Queue, &name)?;
        let name = match is_open || is_passive {
            true => {
                let found = self.topology.queue_name(&name, vhost)?;
                if found != name {
                    // The name is an alias: its target counts as well.
                    self.by
                        .check_declared(description, EntityKind::Queue, &found)?;
                }
                found
            }
            false => {
                self.topology.check_no_kind(&name, vhost)?;
                name
            }
        };
        match self.declared_queue(&name) {
            Some(there) => {
                self.vhost.check_access(there, self.by.connection)?;
                if !is_open && !is_passive {
                    let first = &there.terms;
                    check_queue_equivalence(&first.description, description, &name, vhost)?;
                    let effective = self.policies.effective_queue(&first.arguments, &name);
                    self.by.check_overflow(&effective, &name, vhost)?;
                }
                return Ok(Arc::clone(&there.queue));
            }
            None if is_passive => {
                return Err(Error::not_found(EntityKind::Queue, &name, vhost));
            }
            None if is_reserved(&name) && !description.name().is_empty() => {
                return Err(Error::reserved_prefix(EntityKind::Queue, &name));
            }
            None => {}
        }
        let dead_letter = description
            .argument_table()
            .get(names::DEAD_LETTER_EXCHANGE);
        self.check_forwarding(EntityKind::Queue, &name, dead_letter)?;
        let arguments = QueueArguments::parse(description.argument_table(), &name, vhost)?;
        arguments.check_properties(description, &name, vhost)?;
        let count = self.topology.queues.len() + self.changes.queues.len();
        let max_queues = self.vhost.about.lock().limits.max_queues;
        if let Some(limit) = reached(max_queues, count) {
            return Err(Error::queue_limit(&name, vhost, limit));
        }
        let terms = self.vhost.last_terms.share(description, arguments);
        let effective = self.policies.effective_queue(&terms.arguments, &name);
        self.by.check_overflow(&effective, &name, vhost)?;
        let account = self.vhost.open_account(&self.budgets, &terms.arguments)?;
        let number = self.vhost.next_number();
        let in_flight = Arc::clone(self.vhost.drain().in_flight());
        let mut queue = QueueCore::new(name.clone(), number, effective, account, in_flight)
            .with_arrivals(&self.vhost.arrivals());
        if let Some(storage) = self.vhost.storage()
            && let Some(stored) = storage.of_queue(description, &name, &terms.arguments)
        {
            queue = queue.stored_in(stored);
        }
        let queue = Arc::new(queue.announced_by(&self.vhost.events));
        let declared = DeclaredQueue {
            queue: Arc::clone(&queue),
            terms,
            owner: description.is_exclusive().then_some(self.by.connection),
        };
        self.changes.queues.push(name, declared);
        Ok(queue)
    }

    fn binding(
        &mut self,
        binding: &descriptions::Binding,
        destination: &Name,
        kind: EntityKind,
    ) -> Result {
        let source = Name::of_entity(binding.source().name())?;
        let routing_key = Name::new(binding.routing_key())?;
        let arguments = binding.argument_table();
        self.add_binding(source, (destination, kind), routing_key, arguments)
    }

    /// Plans a binding to a queue, or to an exchange that exists.
    pub(super) fn add_binding(
        &mut self,
        source: Name,
        (destination, kind): (&Name, EntityKind),
        routing_key: Name,
        arguments: &FieldTable,
    ) -> Result {
        arguments.check_depth()?;
        let access = self.by.access;
        access.check(Write, kind, destination)?;
        if source.is_empty() {
            return Err(Error::default_exchange());
        }
        access.check(Read, EntityKind::Exchange, &source)?;
        let not_found = |kind, name| Error::not_found(kind, name, self.vhost.name());
        let Some(source_exchange) = self.declared_exchange(&source) else {
            return Err(not_found(EntityKind::Exchange, &source));
        };
        if source_exchange.asks_for_topics() {
            access.check_topic(Read, &source, &routing_key)?;
        }
        let (target, queue_type) = match kind {
            EntityKind::Queue => match self.declared_queue(destination) {
                Some(declared) => (
                    Target::Queue(Arc::clone(&declared.queue)),
                    Some(declared.terms.arguments.queue_type),
                ),
                None => return Err(not_found(EntityKind::Queue, destination)),
            },
            _ => (Target::Exchange(destination.clone()), None),
        };
        source_exchange.check_binding(&routing_key, arguments, queue_type)?;
        self.changes.bindings.push(NewBinding {
            source,
            target,
            routing_key,
            arguments: arguments.clone(),
        });
        Ok(())
    }

    pub(super) fn declared_exchange(&self, name: &str) -> Option<&DeclaredExchange> {
        let planned = || self.changes.exchanges.get(name);
        self.topology.exchanges.get(name).or_else(planned)
    }

    pub(super) fn declared_queue(&self, name: &str) -> Option<&DeclaredQueue> {
        let existing = self.topology.queues.get(name).map(|queue| &**queue);
        existing.or_else(|| self.changes.queues.get(name))
    }
}
