//! An exchange of a virtual host, with everything that belongs to it.

use std::{collections::HashSet, sync::Arc};

use super::{history::History, publish_counts::ExchangeTally, routers::RoutedBy, topology::Target};
use crate::{
    engine::{
        exchange::{ExchangeState, validate_binding},
        queue::QueueCore,
        router::ExchangeType,
    },
    model::{
        arguments::{ExchangeArguments, ExchangeTypeArguments, QueueType},
        descriptions,
        error::Result,
        exchange_kind::ExchangeKind,
        field_value::FieldTable,
        name::Name,
    },
    runtime::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

/// An exchange of a virtual host.
#[derive(Debug)]
pub(crate) struct DeclaredExchange {
    /// As declared.
    pub(crate) description: descriptions::Exchange,
    pub(crate) arguments: ExchangeArguments,
    /// The exchange for messages that no binding matches, set by an argument or a policy.
    pub(crate) alternate: Option<Name>,
    pub(super) state: ExchangeState<Target>,
    /// The router, if the exchange has one instead of a table.
    pub(super) routed_by: Option<RoutedBy>,
    /// The delay queue, if this is a delayed exchange.
    pub(crate) delay_queue: Option<Arc<QueueCore>>,
    /// The last messages, if the exchange keeps them for new bindings.
    pub(crate) history: Option<Arc<History>>,
    /// Raised when a message published here might be routed otherwise than before. Written under
    /// the topology lock, read by producers without it.
    pub(crate) epoch: Arc<AtomicU64>,
    /// Whether the exchange has routed a message since its epoch was raised, so that a route may be
    /// remembered. Set under the topology lock for reading, cleared under the lock for writing.
    pub(super) used: AtomicBool,
    /// The publishes to the exchange.
    pub(crate) tally: ExchangeTally,
    /// The exchanges among its destinations.
    pub(super) onward: HashSet<Name>,
}

/// Where an exchange keeps messages.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) delay_queue: Option<Arc<QueueCore>>,
    pub(crate) history: Option<Arc<History>>,
}

impl DeclaredExchange {
    pub(crate) fn new(
        exchange_type: ExchangeType,
        of_type: &ExchangeTypeArguments,
        description: descriptions::Exchange,
        arguments: ExchangeArguments,
        alternate: Option<Name>,
        kept: Kept,
    ) -> Self {
        DeclaredExchange {
            description,
            arguments,
            alternate,
            state: ExchangeState::new(exchange_type.kind(), of_type),
            routed_by: match exchange_type {
                ExchangeType::Table(_) => None,
                ExchangeType::Router(router) => Some(RoutedBy::new(router)),
            },
            delay_queue: kept.delay_queue,
            history: kept.history,
            epoch: Arc::new(AtomicU64::new(0)),
            // A producer may remember a route that ended at this name before the exchange existed.
            used: AtomicBool::new(true),
            tally: ExchangeTally::default(),
            onward: HashSet::new(),
        }
    }

    /// Records that the exchange routed a message and that the route may be remembered.
    pub(crate) fn note_use(&self) {
        // Read first: a value that is not written stays in every core's cache.
        if !self.used.load(SeqCst) {
            self.used.store(true, SeqCst);
        }
    }

    pub(crate) fn kind(&self) -> ExchangeKind {
        self.state.kind()
    }

    /// Whether the exchange routes as the exchanges of this type.
    pub(super) fn is_of(&self, exchange_type: &ExchangeType) -> bool {
        match (exchange_type, &self.routed_by) {
            (ExchangeType::Table(kind), None) => self.kind() == *kind,
            (ExchangeType::Router(router), Some(own)) => Arc::ptr_eq(router, &own.router),
            _ => false,
        }
    }

    /// The bindings of which this exchange is the source.
    pub(crate) fn state(&self) -> &ExchangeState<Target> {
        &self.state
    }

    /// The bindings, to change them.
    pub(super) fn state_mut(&mut self) -> &mut ExchangeState<Target> {
        if let Some(routed_by) = &mut self.routed_by {
            routed_by.forget_choice();
        }
        &mut self.state
    }

    /// Whether the topic permissions of users count here: for the type `topic`, as in RabbitMQ.
    pub(super) fn asks_for_topics(&self) -> bool {
        self.description.kind() == ExchangeKind::Topic.as_str()
    }

    /// Checks a new binding to a queue of this type. `None` is an exchange.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if exchanges of this type do
    /// not take the binding.
    pub(super) fn check_binding(
        &self,
        routing_key: &str,
        arguments: &FieldTable,
        destination: Option<QueueType>,
    ) -> Result {
        match &self.routed_by {
            Some(routed_by) => routed_by.router.check_binding(routing_key, destination),
            None => validate_binding(self.kind(), routing_key, arguments),
        }
    }
}
