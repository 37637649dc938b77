//! Explains the route of a message: the exchanges on its way, their bindings, and its queues.
//!
//! The queues come from the routing itself (`route`). The way is walked a second time, binding by
//! binding, under the same hold of the topology lock.

use std::{collections::HashSet, sync::Arc};

use super::{
    AliasEnd, VirtualHost,
    declared_exchange::DeclaredExchange,
    replies::is_address,
    routers::Routers,
    topology::{Target, Topology},
};
use crate::{
    engine::{exchange::BindingRef, queue::QueueCore},
    message::{
        headers::{cc_bcc, x_delay},
        properties::RoutingProperties,
    },
    model::{
        error::{EntityKind, Error, Result},
        exchange_kind::ExchangeKind,
        explanation::{
            ExplainedBinding, ExplainedDestination, ExplainedExchange, ExplainedQueue, Explanation,
            MatchReason,
        },
        field_value::FieldTable,
        name::Name,
    },
};

impl VirtualHost {
    /// Explains the route of a message.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such exchange, [`Error::InvalidName`] for a key over 255
    /// bytes, [`Error::InvalidTable`], [`Error::PreconditionFailed`] for a CC or BCC header that is
    /// not an array, [`Error::ShutDown`].
    pub(crate) fn explain(
        self: &Arc<Self>,
        exchange: &str,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Explanation> {
        let name = Name::of_entity(exchange)?;
        Name::check(routing_key)?;
        headers.check_depth()?;
        let keys = cc_bcc::routing_keys(routing_key, Some(headers))?;
        let properties = RoutingProperties::of_headers(Some(headers));
        let (exchanges, queues) = self.with_routers(&keys, properties, |topology, routers| {
            self.check_up()?;
            if !name.is_empty() && !topology.exchanges.contains_key(&name) {
                return Err(Error::not_found(EntityKind::Exchange, &name, self.name()));
            }
            let found = self.find(topology, &name, &keys, properties, routers);
            let mut way = Way::new(topology, &keys, properties, routers);
            way.walk(&name);
            Ok((way.exchanges, found.queues))
        })?;
        let queues = queues.into_iter().map(|queue| self.look_ahead(&queue));
        Ok(Explanation {
            routing_keys: keys.into_iter().map(str::to_owned).collect(),
            exchanges,
            queues: queues.collect(),
        })
    }

    fn look_ahead(self: &Arc<Self>, queue: &Arc<QueueCore>) -> ExplainedQueue {
        let (outlook, counts) = self.with_queue(queue, |state, now, effects| {
            let outlook = state.outlook(now, effects);
            (outlook, state.counts(now, effects))
        });
        ExplainedQueue {
            name: queue.name().clone(),
            outlook,
            messages_ready: counts.ready.messages,
            consumers: counts.consumers as u64,
        }
    }
}

/// The way of a message through the exchanges.
struct Way<'a> {
    topology: &'a Topology,
    routing_keys: &'a [&'a str],
    properties: RoutingProperties<'a>,
    routers: &'a Routers,
    seen: HashSet<Name>,
    next: Vec<Name>,
    exchanges: Vec<ExplainedExchange>,
}

impl<'a> Way<'a> {
    fn new(
        topology: &'a Topology,
        routing_keys: &'a [&'a str],
        properties: RoutingProperties<'a>,
        routers: &'a Routers,
    ) -> Self {
        Way {
            topology,
            routing_keys,
            properties,
            routers,
            seen: HashSet::new(),
            next: Vec::new(),
            exchanges: Vec::new(),
        }
    }

    /// Walks from an exchange on, with a work list as the routing does.
    fn walk(&mut self, exchange: &Name) {
        self.go_on(exchange);
        while let Some(name) = self.next.pop() {
            let explained = match self.topology.exchanges.get(&name) {
                _ if name.is_empty() => self.default_exchange(),
                Some(declared) => self.exchange(&name, declared),
                None => explained(&name, ""),
            };
            self.exchanges.push(explained);
        }
    }

    fn go_on(&mut self, exchange: &Name) {
        if self.seen.insert(exchange.clone()) {
            self.next.push(exchange.clone());
        }
    }

    /// The default exchange has a binding for the name of each queue and of each alias.
    fn default_exchange(&mut self) -> ExplainedExchange {
        let mut of_default = explained(&Name::empty(), ExchangeKind::Direct.as_str());
        for &key in self.routing_keys {
            let existing = |queue: &str| match self.topology.queue(queue) {
                Some(queue) => ExplainedDestination::Queue(queue.name().clone()),
                None => ExplainedDestination::NoQueue(queue.to_owned()),
            };
            let (destination, reason) = match self.topology.aliases.end_of(key) {
                AliasEnd::Itself if is_address(key) => {
                    let address = key.to_owned();
                    (ExplainedDestination::ReplyTo(address), MatchReason::Name)
                }
                AliasEnd::Itself => (existing(key), MatchReason::Name),
                AliasEnd::Queue(queue) => (existing(queue), MatchReason::Alias),
                AliasEnd::Exchange(exchange) => {
                    let Ok(exchange) = Name::of_entity(exchange) else {
                        continue;
                    };
                    self.go_on(&exchange);
                    let destination = ExplainedDestination::Exchange(exchange);
                    (destination, MatchReason::Alias)
                }
            };
            of_default.matching.push(ExplainedBinding {
                routing_key: Name::new(key).unwrap_or_default(),
                arguments: FieldTable::new(),
                destination,
                reason,
            });
        }
        of_default
    }

    fn exchange(&mut self, name: &Name, declared: &DeclaredExchange) -> ExplainedExchange {
        let mut explained = explained(name, declared.description.kind());
        explained.internal = declared.description.is_internal();
        if declared.delay_queue.is_some()
            && let Some(delay) = x_delay::wanted(self.properties.headers)
        {
            explained.delay = Some(delay);
            return explained;
        }
        let chosen = self.routers.answer(name);
        let bindings = declared
            .state()
            .explain(self.routing_keys, self.properties, chosen);
        // The routing takes the destinations of the last found exchange first.
        for (binding, leads, reason) in bindings {
            if let (true, Target::Exchange(next)) = (leads, binding.destination) {
                self.go_on(next);
            }
            let side = match leads {
                true => &mut explained.matching,
                false => &mut explained.others,
            };
            side.push(of_binding(&binding, reason));
        }
        if explained.matching.is_empty()
            && let Some(alternate) = &declared.alternate
        {
            explained.alternate = Some(alternate.clone());
            self.go_on(alternate);
        }
        explained
    }
}

fn explained(name: &Name, exchange_type: &str) -> ExplainedExchange {
    ExplainedExchange {
        name: name.clone(),
        exchange_type: exchange_type.to_owned(),
        internal: false,
        matching: Vec::new(),
        others: Vec::new(),
        alternate: None,
        delay: None,
    }
}

fn of_binding(binding: &BindingRef<'_, Target>, reason: MatchReason) -> ExplainedBinding {
    ExplainedBinding {
        routing_key: binding.routing_key.clone(),
        arguments: binding.arguments.clone(),
        destination: match binding.destination {
            Target::Queue(queue) => ExplainedDestination::Queue(queue.name().clone()),
            Target::Exchange(exchange) => ExplainedDestination::Exchange(exchange.clone()),
        },
        reason,
    }
}
