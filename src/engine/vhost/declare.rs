//! Declaring, binding and deleting, with RabbitMQ's checks in the order of RabbitMQ.

use std::sync::Arc;

use super::{
    REPLY_TO, VirtualHost,
    topology::{ConnectionId, DeclaredQueue, Target, Topology},
};
use crate::{
    engine::{
        access::Access,
        events::Actor,
        queue::{DeleteRefused, Deleted, QueueCore, QueueState},
    },
    model::{
        arguments::{QueueArguments, QueueType},
        descriptions::{Overflow, Queue},
        error::{
            CancelReason, EntityKind, Error,
            Permission::{Configure, Read, Write},
            Result,
        },
        field_value::FieldTable,
        name::Name,
    },
};

/// The result of declaring a queue.
///
/// [`Channel::queue_declare`](crate::Channel::queue_declare) has an example (`queue.declare-ok`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDeclared {
    /// The queue's name. Generated if the declaration had none.
    pub name: Name,
    /// How many messages are ready.
    pub message_count: u64,
    /// How many consumers the queue has.
    pub consumer_count: u64,
}

impl QueueDeclared {
    /// The answer to a lookup of an alias that stands for an exchange. It has no messages and no
    /// consumers.
    pub(super) fn alias_of_exchange(name: Name) -> QueueDeclared {
        QueueDeclared {
            name,
            message_count: 0,
            consumer_count: 0,
        }
    }
}

/// Who asks for something: a connection, and what it may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) access: &'a Access,
    /// Whether it declares no queue with [`Overflow::Block`].
    pub(crate) refuses_block: bool,
}

impl Identity<'_> {
    /// Checks the effective overflow of a queue that is declared.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] for [`Overflow::Block`], if it refuses that.
    pub(super) fn check_overflow(
        self,
        effective: &QueueArguments,
        name: &Name,
        vhost: &Name,
    ) -> Result {
        match self.refuses_block && effective.overflow == Some(Overflow::Block) {
            true => Err(Error::invalid_overflow(name, vhost)),
            false => Ok(()),
        }
    }

    /// Checks for what the declaration of a queue asks for, or a lookup of one.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`].
    pub(super) fn check_declared(self, queue: &Queue, kind: EntityKind, name: &Name) -> Result {
        match queue.is_passive() {
            true => self.access.check_any(kind, name),
            false => self.access.check(Configure, kind, name),
        }
    }
}

/// A binding to make or remove.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindingRequest<'a> {
    pub(crate) source: &'a str,
    pub(crate) destination: &'a str,
    pub(crate) to_queue: bool,
    pub(crate) routing_key: &'a str,
    pub(crate) arguments: &'a FieldTable,
}

pub(super) fn is_reserved(name: &Name) -> bool {
    name.starts_with("amq.")
}

impl VirtualHost {
    pub(crate) fn declare_exchange_passive(&self, by: Identity<'_>, name: &str) -> Result {
        let name = Name::of_entity(name)?;
        if name.is_empty() {
            return Err(Error::default_exchange());
        }
        by.access.check_any(EntityKind::Exchange, &name)?;
        self.check_up()?;
        match self.topology.read().exchanges.contains_key(&name) {
            true => Ok(()),
            false => Err(Error::not_found(EntityKind::Exchange, &name, self.name())),
        }
    }

    /// Succeeds if there is no such exchange.
    pub(crate) fn delete_exchange(
        self: &Arc<Self>,
        by: Identity<'_>,
        name: &str,
        if_unused: bool,
    ) -> Result {
        let name = Name::of_entity(name)?;
        if name.is_empty() {
            return Err(Error::default_exchange());
        }
        if is_reserved(&name) {
            return Err(Error::system_exchange(&name, self.name()));
        }
        by.access.check(Configure, EntityKind::Exchange, &name)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        match topology.exchanges.get(&name) {
            Some(exchange) if if_unused && !exchange.state().is_unused() => {
                Err(Error::in_use(EntityKind::Exchange, &name, self.name()))
            }
            _ => {
                topology.remove_exchange(&name);
                let aftermath = topology.take_aftermath(by.access.actor());
                drop(topology);
                self.finish_change(aftermath);
                Ok(())
            }
        }
    }

    /// # Errors
    /// [`Error::NotFound`] if there is no such exchange, [`Error::AccessRefused`] if it is
    /// internal.
    pub(crate) fn check_exchange(&self, name: &Name) -> Result {
        let topology = self.topology.read();
        match topology.exchanges.get(name) {
            _ if name.is_empty() => Ok(()),
            None => Err(Error::not_found(EntityKind::Exchange, name, self.name())),
            Some(declared) if declared.description.is_internal() => {
                Err(Error::internal_exchange(name, self.name()))
            }
            Some(_) => Ok(()),
        }
    }

    /// Declares a name for direct replies, which makes nothing. The name that requesters consume
    /// from always exists. The name of a requester exists while it waits.
    pub(super) fn declare_reply_to(&self, name: &Name) -> Result<Option<QueueDeclared>> {
        if !name.starts_with(REPLY_TO) {
            return Ok(None);
        }
        match **name == *REPLY_TO || self.awaits_replies(name) {
            true => Ok(Some(QueueDeclared {
                name: name.clone(),
                message_count: 0,
                consumer_count: 1,
            })),
            false => Err(Error::not_found(EntityKind::Queue, name, self.name())),
        }
    }

    /// Renews the lease of the queue after a use, if it may have one.
    pub(super) fn renew_lease(self: &Arc<Self>, queue: &Arc<QueueCore>) {
        if queue.is_timed() {
            self.with_queue(queue, QueueState::renew_lease_by_declaration);
        }
    }

    pub(super) fn describe(self: &Arc<Self>, queue: &Arc<QueueCore>) -> QueueDeclared {
        self.churn.queues_declared.add(1);
        let counts = self.with_queue(queue, |state, now, effects| {
            state.renew_lease_by_declaration(now, effects);
            state.counts(now, effects)
        });
        QueueDeclared {
            name: queue.name().clone(),
            message_count: counts.ready.messages,
            // As in RabbitMQ, a stream tells none.
            consumer_count: match queue.is_stream() {
                true => 0,
                false => counts.consumers as u64,
            },
        }
    }

    pub(super) fn generate_name(&self, topology: &Topology) -> Result<Name> {
        loop {
            let name = Name::new(format!("amq.gen-{}", self.generate()))?;
            if !topology.queues.contains_key(&name) {
                return Ok(name);
            }
        }
    }

    /// Checks that an exclusive queue is used by its own connection only.
    pub(super) fn check_access(&self, queue: &DeclaredQueue, connection: ConnectionId) -> Result {
        match queue.owner {
            Some(owner) if owner != connection => {
                Err(Error::resource_locked(queue.queue.name(), self.name()))
            }
            _ => Ok(()),
        }
    }

    /// The queue of that name, if `connection` may use it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ResourceLocked`] if it is exclusive to another connection,
    /// [`Error::ShutDown`].
    pub(crate) fn queue(&self, connection: ConnectionId, name: &Name) -> Result<Arc<QueueCore>> {
        let topology = self.topology.read();
        self.check_up()?;
        let declared = match topology.queues.get(name) {
            Some(declared) => declared,
            // No queue has the name of an alias.
            None => {
                let name = &topology.queue_name(name, self.name())?;
                let found = topology.queues.get(name);
                found.ok_or_else(|| Error::not_found(EntityKind::Queue, name, self.name()))?
            }
        };
        self.check_access(declared, connection)?;
        Ok(Arc::clone(&declared.queue))
    }

    pub(crate) fn declare_queue_passive(
        self: &Arc<Self>,
        by: Identity<'_>,
        name: &str,
    ) -> Result<QueueDeclared> {
        let name = Name::of_entity(name)?;
        if let Some(declared) = self.declare_reply_to(&name)? {
            return Ok(declared);
        }
        by.access.check_any(EntityKind::Queue, &name)?;
        if let Some((kind, target)) = self.alias_target(&name) {
            by.access.check_any(kind, &target)?;
            if kind == EntityKind::Exchange {
                return Ok(QueueDeclared::alias_of_exchange(name));
            }
        }
        let queue = self.queue(by.connection, &name)?;
        Ok(self.describe(&queue))
    }

    /// Succeeds if there is no such queue. Deletes an alias of this name. Returns how many messages
    /// were ready.
    pub(crate) fn delete_queue(
        self: &Arc<Self>,
        by: Identity<'_>,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u64> {
        let name = Name::of_entity(name)?;
        by.access.check(Configure, EntityKind::Queue, &name)?;
        // The deletion itself hands over the messages that a consumer has a right to. Without them
        // the queue may be empty.
        if if_empty && let Some(queue) = self.read_topology(|topology| topology.queue(&name)) {
            self.serve_late_channel(&queue);
        }
        let now = self.nanos();
        let mut topology = self.topology.write();
        self.check_up()?;
        let Some(declared) = topology.queues.get(&name) else {
            topology.remove_alias(&name);
            return Ok(0);
        };
        self.check_access(declared, by.connection)?;
        let queue_type = declared.terms.arguments.queue_type;
        if queue_type == QueueType::Quorum && (if_unused || if_empty) {
            let condition = if if_unused { "if-unused" } else { "if-empty" };
            return Err(Error::conditional_delete(condition, &name, self.name()));
        }
        let queue = Arc::clone(&declared.queue);
        let is_stream = queue_type == QueueType::Stream;
        // As in RabbitMQ, a stream heeds no condition, and tells no count.
        let (if_unused, if_empty) = (if_unused && !is_stream, if_empty && !is_stream);
        let deleted = queue
            .lock()
            .delete(if_unused, if_empty, CancelReason::QueueDeleted, now);
        let Deleted {
            messages, effects, ..
        } = match deleted {
            Ok(deleted) => deleted,
            Err(DeleteRefused::InUse) => {
                return Err(Error::in_use(EntityKind::Queue, &name, self.name()));
            }
            Err(DeleteRefused::NotEmpty) => return Err(Error::not_empty(&name, self.name())),
            Err(DeleteRefused::Deleted) => return Ok(0),
        };
        topology.remove_queue(&name);
        let aftermath = topology.take_aftermath(by.access.actor());
        drop(topology);
        self.run_effects(&queue, effects);
        self.finish_change(aftermath);
        Ok(messages)
    }

    /// Deletes the exclusive queues of a connection that is closed.
    pub(crate) fn delete_owned_by(self: &Arc<Self>, connection: ConnectionId) {
        let names = self.topology.read().owned_by(connection);
        let now = self.nanos();
        for name in names {
            let mut topology = self.topology.write();
            // A queue of another owner may have the name by now.
            let owned = topology.queues.get(&name);
            let Some(owned) = owned.filter(|declared| declared.owner == Some(connection)) else {
                continue;
            };
            let queue = Arc::clone(&owned.queue);
            let deleted = queue
                .lock()
                .delete(false, false, CancelReason::QueueDeleted, now);
            topology.remove_queue(&name);
            let aftermath = topology.take_aftermath(Actor::Internal);
            drop(topology);
            self.finish_change(aftermath);
            if let Ok(Deleted { effects, .. }) = deleted {
                self.run_effects(&queue, effects);
            }
        }
    }

    /// `true` if the binding is new.
    pub(crate) fn bind(
        self: &Arc<Self>,
        by: Identity<'_>,
        request: BindingRequest<'_>,
    ) -> Result<bool> {
        let (source, destination, routing_key) = self.check_binding(by, &request)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let (to_queue, destination) = topology.destination(request.to_queue, destination);
        let Some(exchange) = topology.exchanges.get(&source) else {
            return Err(Error::not_found(EntityKind::Exchange, &source, self.name()));
        };
        let check =
            |destination| exchange.check_binding(&routing_key, request.arguments, destination);
        let target = match to_queue {
            true => match topology.queues.get(&destination) {
                None => {
                    return Err(Error::not_found(
                        EntityKind::Queue,
                        &destination,
                        self.name(),
                    ));
                }
                Some(declared) => {
                    check(Some(declared.terms.arguments.queue_type))?;
                    self.check_access(declared, by.connection)?;
                    Target::Queue(Arc::clone(&declared.queue))
                }
            },
            false if !topology.exchanges.contains_key(&destination) => {
                return Err(Error::not_found(
                    EntityKind::Exchange,
                    &destination,
                    self.name(),
                ));
            }
            false => {
                check(None)?;
                Target::Exchange(destination)
            }
        };
        let new = topology.bind(&source, &target, &routing_key, request.arguments)?;
        let aftermath = topology.take_aftermath(by.access.actor());
        drop(topology);
        self.finish_change(aftermath);
        Ok(new)
    }

    /// `false` if there was no such binding, which is not an error.
    pub(crate) fn unbind(
        self: &Arc<Self>,
        by: Identity<'_>,
        request: BindingRequest<'_>,
    ) -> Result<bool> {
        let (source, destination, routing_key) = self.check_binding(by, &request)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let (to_queue, destination) = topology.destination(request.to_queue, destination);
        let target = match to_queue {
            true => match topology.queues.get(&destination) {
                None => return Ok(false),
                Some(declared) => {
                    let target = Target::Queue(Arc::clone(&declared.queue));
                    // RabbitMQ checks the access only if there is a binding to remove.
                    if topology.is_bound(&source, &target, &routing_key, request.arguments) {
                        self.check_access(declared, by.connection)?;
                    }
                    target
                }
            },
            false => Target::Exchange(destination),
        };
        let unbound = topology.unbind(&source, &target, &routing_key, request.arguments);
        let aftermath = topology.take_aftermath(by.access.actor());
        drop(topology);
        self.finish_change(aftermath);
        Ok(unbound)
    }

    fn check_binding(
        &self,
        by: Identity<'_>,
        request: &BindingRequest<'_>,
    ) -> Result<(Name, Name, Name)> {
        let (source, destination) = (
            Name::of_entity(request.source)?,
            Name::of_entity(request.destination)?,
        );
        let routing_key = Name::new(request.routing_key)?;
        request.arguments.check_depth()?;
        if request.to_queue {
            self.check_bound(&destination)?;
        }
        let kind = match request.to_queue {
            true => EntityKind::Queue,
            false => EntityKind::Exchange,
        };
        by.access.check(Write, kind, &destination)?;
        if request.to_queue
            && let Some((kind, target)) = self.alias_target(&destination)
        {
            by.access.check(Write, kind, &target)?;
        }
        if source.is_empty() || destination.is_empty() && !request.to_queue {
            return Err(Error::default_exchange());
        }
        by.access.check(Read, EntityKind::Exchange, &source)?;
        if !by.access.is_all() && self.is_topic(&source) {
            by.access.check_topic(Read, &source, &routing_key)?;
        }
        Ok((source, destination, routing_key))
    }
}
