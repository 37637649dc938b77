//! Declares exchanges and queues with all their bindings as one batch.
//!
//! The batch is checked first and made afterwards, under one hold of the topology lock. So a failed
//! declaration changes nothing, and no other connection sees a part of one. What uses a queue at
//! once, a consumer for example, belongs to the batch: the queue cannot go in between.

use std::{collections::HashMap, sync::Arc};

use super::{
    QueueDeclared, Target, Topology, VirtualHost,
    declare::is_reserved,
    declared_exchange::{DeclaredExchange, Kept},
    effects::PendingEffects,
    history::History,
    topology::{ConnectionId, DeclaredQueue},
};
use crate::{
    engine::{policy::Policies, queue::QueueCore},
    model::{
        arguments::{
            ExchangeArguments, ExchangeTypeArguments, QueueArguments, check_exchange_equivalence,
            check_queue_equivalence, delayed_type,
        },
        descriptions::{self, names},
        error::{EntityKind, Error, Result},
        exchange_kind::ExchangeKind,
        field_value::FieldTable,
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
    vhost: &'a Arc<VirtualHost>,
    connection: ConnectionId,
    policies: &'a Policies,
    topology: &'a Topology,
    exchanges: HashMap<Name, DeclaredExchange>,
    queues: HashMap<Name, DeclaredQueue>,
    bindings: Vec<NewBinding>,
}

struct NewBinding {
    source: Name,
    target: Target,
    routing_key: Name,
    arguments: FieldTable,
}

impl VirtualHost {
    /// Declares an exchange.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub(crate) fn declare_exchange(
        self: &Arc<Self>,
        connection: ConnectionId,
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
        self.declare(connection, plan, |(), _| ())
    }

    /// Declares a queue.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub(crate) fn declare_queue(
        self: &Arc<Self>,
        connection: ConnectionId,
        queue: &descriptions::Queue,
        bindings: WithBindings,
    ) -> Result<QueueDeclared> {
        let is_lookup = queue.is_open() || queue.is_passive();
        if let Some(declared) = self.look_up_exchange(queue.name()).filter(|_| is_lookup) {
            return Ok(declared);
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
        match self.declare(connection, plan, |planned, _| planned)? {
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
        connection: ConnectionId,
        queue: &descriptions::Queue,
        check: impl FnOnce(&QueueCore) -> Result,
    ) -> Result<Arc<QueueCore>> {
        self.check_no_replies(queue)?;
        let plan = |batch: &mut Batch<'_>| {
            let queue = batch.queue_with_bindings(queue)?;
            check(&queue).map(|()| queue)
        };
        let queue = self.declare(connection, plan, |queue, _| queue)?;
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
        connection: ConnectionId,
        plan: impl FnOnce(&mut Batch<'_>) -> Result<P>,
        finish: impl FnOnce(P, &mut PendingEffects) -> R,
    ) -> Result<R> {
        let policies = self.policies.lock();
        policies.begin_pass();
        let mut topology = self.topology.write();
        self.check_up()?;
        let mut batch = Batch {
            vhost: self,
            connection,
            policies: &policies,
            topology: &topology,
            exchanges: HashMap::new(),
            queues: HashMap::new(),
            bindings: Vec::new(),
        };
        let planned = plan(&mut batch)?;
        let Batch {
            exchanges,
            queues,
            bindings,
            ..
        } = batch;
        let made = topology.make(exchanges, queues, bindings);
        let mut aftermath = topology.take_aftermath();
        let finished = made.map(|()| finish(planned, &mut aftermath.effects));
        drop(topology);
        drop(policies);
        self.finish_change(aftermath);
        self.sync_changes()?;
        finished
    }
}

impl Batch<'_> {
    /// Plans the exchange of this description, and returns its name.
    fn exchange(&mut self, description: &descriptions::Exchange) -> Result<Name> {
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
        if description.is_passive() {
            return match self.declared_exchange(&name) {
                Some(_) => Ok(name),
                None => Err(Error::not_found(EntityKind::Exchange, &name, vhost)),
            };
        }
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
        let arguments = ExchangeArguments::parse(description.argument_table(), &name, vhost)?;
        let mut kept = Kept::default();
        let exchange_type = match exchange_type {
            Some(exchange_type) => exchange_type,
            None => {
                let name_of_type = delayed_type(description.argument_table())?;
                let exchange_type = self.vhost.exchange_types.find(name_of_type)?;
                let queue =
                    self.vhost
                        .new_delay_queue(self.topology, &name, description.is_durable())?;
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
        self.exchanges.insert(name.clone(), declared);
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

    fn bindings_of_queue(&mut self, queue: &descriptions::Queue, name: &Name) -> Result {
        for binding in queue.bindings() {
            self.source(binding.source())?;
            self.binding(binding, name, EntityKind::Queue)?;
        }
        Ok(())
    }

    /// Finds or plans the queue of this description.
    fn queue(&mut self, description: &descriptions::Queue) -> Result<Arc<QueueCore>> {
        let vhost = self.vhost.name();
        let wanted = Name::of_entity(description.name())?;
        description.argument_table().check_depth()?;
        if is_reserved(&wanted) && !description.is_open() && !description.is_passive() {
            return Err(Error::reserved_prefix(EntityKind::Queue, &wanted));
        }
        let wanted = match description.is_open() || description.is_passive() {
            true => self.topology.queue_name(&wanted, vhost)?,
            false => {
                self.topology.check_no_kind(&wanted, vhost)?;
                wanted
            }
        };
        match self.declared_queue(&wanted) {
            Some(there) => {
                self.vhost.check_access(there, self.connection)?;
                if !description.is_open() && !description.is_passive() {
                    check_queue_equivalence(&there.description, description, &wanted, vhost)?;
                }
                return Ok(Arc::clone(&there.queue));
            }
            None if description.is_passive() => {
                return Err(Error::not_found(EntityKind::Queue, &wanted, vhost));
            }
            None if is_reserved(&wanted) => {
                return Err(Error::reserved_prefix(EntityKind::Queue, &wanted));
            }
            None => {}
        }
        let name = match wanted.is_empty() {
            true => {
                QueueArguments::check_unnamed(description.argument_table())?;
                self.vhost.generate_name(self.topology)?
            }
            false => wanted,
        };
        let arguments = QueueArguments::parse(description.argument_table(), &name, vhost)?;
        arguments.check_properties(description, &name, vhost)?;
        let effective = self.policies.effective_queue(&arguments, &name);
        let account = self.vhost.open_account(self.topology, &arguments)?;
        let number = self.vhost.next_number();
        let in_flight = Arc::clone(self.vhost.drain().in_flight());
        let mut queue = QueueCore::new(name.clone(), number, effective, account, in_flight);
        if let Some(storage) = self.vhost.storage()
            && let Some(stored) = storage.of_queue(description, &name, &arguments)
        {
            queue = queue.stored_in(stored);
        }
        let queue = Arc::new(queue);
        let declared = DeclaredQueue {
            queue: Arc::clone(&queue),
            description: description.of_new_queue(),
            arguments,
            owner: description.is_exclusive().then_some(self.connection),
        };
        self.queues.insert(name, declared);
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
        binding.argument_table().check_depth()?;
        if source.is_empty() {
            return Err(Error::default_exchange());
        }
        let arguments = binding.argument_table();
        let not_found = |kind, name| Error::not_found(kind, name, self.vhost.name());
        let Some(source_exchange) = self.declared_exchange(&source) else {
            return Err(not_found(EntityKind::Exchange, &source));
        };
        let (target, queue_type) = match kind {
            EntityKind::Queue => match self.declared_queue(destination) {
                Some(declared) => (
                    Target::Queue(Arc::clone(&declared.queue)),
                    Some(declared.arguments.queue_type),
                ),
                None => return Err(not_found(EntityKind::Queue, destination)),
            },
            _ => (Target::Exchange(destination.clone()), None),
        };
        source_exchange.check_binding(&routing_key, arguments, queue_type)?;
        self.bindings.push(NewBinding {
            source,
            target,
            routing_key,
            arguments: arguments.clone(),
        });
        Ok(())
    }

    fn declared_exchange(&self, name: &Name) -> Option<&DeclaredExchange> {
        let planned = || self.exchanges.get(name);
        self.topology.exchanges.get(name).or_else(planned)
    }

    fn declared_queue(&self, name: &Name) -> Option<&DeclaredQueue> {
        let planned = || self.queues.get(name);
        self.topology.queues.get(name).or_else(planned)
    }
}

impl Topology {
    /// Makes the planned changes of a batch.
    ///
    /// # Errors
    /// Fails if an exchange can take no more bindings. Nothing is changed then.
    fn make(
        &mut self,
        exchanges: HashMap<Name, DeclaredExchange>,
        queues: HashMap<Name, DeclaredQueue>,
        bindings: Vec<NewBinding>,
    ) -> Result {
        let new_exchanges: Vec<Name> = exchanges.keys().cloned().collect();
        let new_queues: Vec<Name> = queues.keys().cloned().collect();
        for (name, exchange) in exchanges {
            self.add_exchange(name, exchange);
        }
        for (name, queue) in queues {
            self.add_queue(name, queue);
        }
        let mut made = Vec::with_capacity(bindings.len());
        for binding in bindings {
            let NewBinding {
                source,
                target,
                routing_key,
                arguments,
            } = &binding;
            match self.bind(source, target, routing_key, arguments) {
                Ok(true) => made.push(binding),
                Ok(false) => {}
                Err(error) => {
                    self.forget_replays();
                    for binding in made.iter().rev() {
                        self.remove_binding(
                            &binding.source,
                            &binding.target,
                            &binding.routing_key,
                            &binding.arguments,
                        );
                    }
                    new_queues.iter().for_each(|name| {
                        self.remove_queue(name);
                    });
                    new_exchanges
                        .iter()
                        .for_each(|name| self.remove_exchange(name));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
