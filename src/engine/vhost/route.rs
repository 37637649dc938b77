//! Routing from an exchange to queues, over bindings, exchange-to-exchange bindings and alternate
//! exchanges.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use super::{
    AliasEnd, VirtualHost,
    found::Found,
    history::{self, History},
    publish_counts::RouteTally,
    record::has_stored,
    replies::Reply,
    routers::Routers,
    topology::{Target, Topology},
};
use crate::{
    engine::{exchange::Matches, queue::QueueCore},
    message::{
        envelope::Address,
        headers::{cc_bcc, x_delay},
        properties::RoutingProperties,
    },
    model::{
        error::{EntityKind, Error, Result},
        field_value::FieldTable,
        name::Name,
    },
    runtime::sync::atomic::{AtomicU64, Ordering::SeqCst},
};

/// The queues for one exchange and routing key, at the noted epoch of the exchange.
pub(crate) struct Route {
    pub(crate) address: Address,
    pub(super) queues: Vec<Arc<QueueCore>>,
    /// The delay queues of delayed exchanges that keep the message.
    pub(super) delay_queues: Vec<Arc<QueueCore>>,
    /// The delay of the message there.
    pub(super) delay: Duration,
    /// The exchange's epoch. The epoch of the default exchange is raised only when the broker
    /// begins to drain. Its routes end with their queue, which refuses messages once it is deleted.
    epoch: (Arc<AtomicU64>, u64),
    to_default: bool,
    /// Whether the route is valid for one message only, because it depends on the message's
    /// properties or on a router, because a history keeps the message, or because the broker
    /// drains.
    pub(crate) by_headers: bool,
    /// The ways to requesters, if the message is a direct reply.
    pub(super) replies: Vec<Reply>,
    /// The histories that keep the message.
    pub(super) histories: Vec<Arc<History>>,
    /// Whether a queue of the route is durable, in a broker with a store.
    pub(super) is_stored: bool,
    /// Whether it leads to queues only. Read at each publish.
    is_plain: bool,
    /// Counts the publishes by it.
    pub(crate) tally: Arc<RouteTally>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

impl Route {
    /// Whether the exchange still routes messages to the same queues.
    pub(crate) fn is_current(&self) -> bool {
        let (epoch, seen) = &self.epoch;
        // The default exchange may have found no queue, and the queue may exist now.
        epoch.load(SeqCst) == *seen && !(self.to_default && self.queues.is_empty())
    }

    /// The queue, if the route leads to one queue and nothing else. This is nearly always so.
    #[inline]
    pub(crate) fn only_queue(&self) -> Option<&Arc<QueueCore>> {
        match self.queues.as_slice() {
            [queue] if self.is_plain => Some(queue),
            _ => None,
        }
    }

    /// Whether the route leads to queues only.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether histories keep the message.
    #[inline]
    pub(crate) fn has_histories(&self) -> bool {
        !self.histories.is_empty()
    }

    /// The number of requesters, queues and delay queues of the route.
    pub(crate) fn len(&self) -> usize {
        self.replies.len() + self.queues.len() + self.delay_queues.len()
    }

    /// The addresses and the queues of the route, and the delayed exchanges that keep the message.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        let addresses = self.replies.iter().map(Reply::address);
        addresses.chain(self.targets().map(|queue| queue.name()))
    }

    /// The queues of the route, and the delay queues of delayed exchanges.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Arc<QueueCore>> {
        self.queues.iter().chain(&self.delay_queues)
    }
}

impl VirtualHost {
    /// Finds the queues for a message.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such exchange, [`Error::AccessRefused`] if it is
    /// internal, [`Error::PreconditionFailed`] for a CC or BCC header that is not an array,
    /// [`Error::ShutDown`].
    pub(crate) fn resolve(
        &self,
        exchange: &Name,
        routing_key: &Name,
        properties: RoutingProperties<'_>,
    ) -> Result<Route> {
        let origin = self.exchange_names().of(exchange);
        let headers = properties.headers;
        let selected = cc_bcc::is_selected_by_sender(headers);
        let keys = cc_bcc::routing_keys(routing_key, headers);
        let known_keys = keys.as_deref().unwrap_or_default();
        self.with_routers(known_keys, properties, |topology, routers| {
            self.check_up()?;
            // During a drain no producer remembers a route, so that each publish is asked who it
            // is.
            let mut by_headers = self.drain.has_begun() || selected;
            let by_alias = match exchange.is_empty() {
                true => topology.aliases.end_of(routing_key),
                false => AliasEnd::Itself,
            };
            // An alias may stand for an exchange.
            let at = match by_alias {
                AliasEnd::Exchange(exchange) => exchange,
                _ => exchange,
            };
            // As in RabbitMQ, a message counts for the exchange that was named.
            let counted = match topology.exchanges.get(exchange) {
                Some(declared) => &declared.tally,
                None => &self.default_tally,
            };
            let epoch = match topology.exchanges.get(at) {
                _ if at.is_empty() && by_alias == AliasEnd::Itself => &self.default_epoch,
                None if exchange.is_empty() => topology.aliases.epoch(),
                None => {
                    let vhost = self.name();
                    return Err(Error::not_found(EntityKind::Exchange, exchange, vhost));
                }
                Some(declared) if declared.description.is_internal() => {
                    let inner = Name::of_entity(at)?;
                    return Err(Error::internal_exchange(&inner, self.name()));
                }
                Some(declared) => {
                    by_headers |= topology.differs_by_message(declared);
                    &declared.epoch
                }
            };
            // Read under the lock under which it is raised, so it matches the topology that the
            // route is found in.
            let epoch = (Arc::clone(epoch), epoch.load(SeqCst));
            if let Err(invalid) = &keys {
                return Err(invalid.clone());
            }
            let found = self.find(topology, exchange, known_keys, properties, routers);
            let is_plain = found.is_plain();
            let Found {
                queues,
                delay_queues,
                delay,
                replies,
                histories,
            } = found;
            // A requester that waits for this reply may not wait for the next one.
            by_headers |= !replies.is_empty() || !histories.is_empty();
            Ok(Route {
                address: Address::new(&origin, routing_key),
                is_stored: has_stored(&queues) || has_stored(&delay_queues),
                queues,
                delay_queues,
                delay,
                epoch,
                to_default: exchange.is_empty(),
                by_headers,
                replies,
                histories,
                is_plain,
                tally: counted.of_route(!by_headers),
            })
        })
    }

    /// A route that leads to no queue of this process: an engine elsewhere routes the message.
    pub(crate) fn route_elsewhere(&self, exchange: &Name, routing_key: &Name) -> Route {
        let exchange = self.exchange_names().of(exchange);
        Route {
            address: Address::new(&exchange, routing_key),
            queues: Vec::new(),
            delay_queues: Vec::new(),
            delay: Duration::ZERO,
            epoch: (Arc::clone(&self.default_epoch), 0),
            to_default: false,
            by_headers: true,
            replies: Vec::new(),
            histories: Vec::new(),
            is_stored: false,
            is_plain: true,
            tally: Arc::default(),
        }
    }

    /// Whether a queue of the route is deleted. A remembered route of the default exchange does not
    /// notice that until it is used.
    pub(crate) fn has_deleted(&self, route: &Route) -> bool {
        let topology = self.topology.read();
        let mut queues = route.queues.iter();
        queues.any(|queue| topology.queue(queue.name()).as_ref() != Some(queue))
    }

    /// The route of a message that was published in a transaction, at the commit. A queue that was
    /// deleted since and has a successor of the same name is not in it. Also returns how many of
    /// them there are.
    ///
    /// # Errors
    /// [`Error::ResourceError`] if a queue was deleted and has no successor, [`Error::ShutDown`].
    pub(crate) fn route_of_commit(&self, route: &Route) -> Result<(Route, usize)> {
        let topology = self.topology.read();
        self.check_up()?;
        let is_same = |now: Option<&Arc<QueueCore>>, entity, queue: &Arc<QueueCore>| match now {
            Some(now) => Ok(now == queue),
            None => Err(Error::commit_to_deleted(entity, queue.name(), self.name())),
        };
        let (mut queues, mut delay_queues) = (Vec::new(), Vec::new());
        for queue in &route.queues {
            let now = topology.queue(queue.name());
            if is_same(now.as_ref(), EntityKind::Queue, queue)? {
                queues.push(Arc::clone(queue));
            }
        }
        for queue in &route.delay_queues {
            let exchange = topology.exchanges.get(queue.name());
            let now = exchange.and_then(|exchange| exchange.delay_queue.as_ref());
            if is_same(now, EntityKind::Exchange, queue)? {
                delay_queues.push(Arc::clone(queue));
            }
        }
        let recalled = Route {
            address: route.address.clone(),
            queues,
            delay_queues,
            delay: route.delay,
            epoch: route.epoch.clone(),
            to_default: route.to_default,
            by_headers: route.by_headers,
            replies: route.replies.clone(),
            // They have kept it when it was published.
            histories: Vec::new(),
            is_stored: route.is_stored,
            is_plain: route.delay_queues.is_empty() && route.replies.is_empty(),
            tally: Arc::clone(&route.tally),
        };
        let replaced = route.len() - recalled.len();
        Ok((recalled, replaced))
    }

    /// As [`route_keys`], and finds the requesters that a message to the default exchange reaches.
    pub(super) fn find(
        &self,
        topology: &Topology,
        exchange: &Name,
        routing_keys: &[&str],
        properties: RoutingProperties<'_>,
        routers: &mut Routers,
    ) -> Found {
        let mut found = route_keys(topology, exchange, routing_keys, properties, routers);
        if exchange.is_empty() {
            found.replies = self.replies.addressed(routing_keys);
        }
        found
    }

    /// The queues that a message would reach if it had no other keys in its headers and no delay.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such exchange, [`Error::InvalidName`] for a key over 255
    /// bytes, [`Error::InvalidTable`], [`Error::ShutDown`].
    pub(crate) fn route(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Vec<Name>> {
        let name = Name::of_entity(exchange)?;
        Name::check(routing_key)?;
        headers.check_depth()?;
        let without_delay;
        let headers = match x_delay::wanted(Some(headers)) {
            None => headers,
            Some(_) => {
                without_delay = x_delay::without(headers);
                &without_delay
            }
        };
        let (keys, properties) = ([routing_key], RoutingProperties::of_headers(Some(headers)));
        self.with_routers(&keys, properties, |topology, routers| {
            self.check_up()?;
            if !name.is_empty() && !topology.exchanges.contains_key(&name) {
                return Err(Error::not_found(EntityKind::Exchange, &name, self.name()));
            }
            let found = route_keys(topology, &name, &keys, properties, routers);
            let names = found.queues.iter().map(|queue| queue.name().clone());
            Ok(names.collect())
        })
    }
}

/// Finds the destinations of a message published to `exchange`: the queues, each once, and the
/// delayed exchanges that keep it.
///
/// Uses a work list instead of recursion, because bindings between exchanges may form cycles and
/// chains of any length. As in RabbitMQ, an alternate exchange is used if no binding of *this*
/// exchange matches. A matching binding to another exchange counts, even if that exchange drops the
/// message.
///
/// A sender may select several keys (CC and BCC). A queue that several of them lead to gets the
/// message once.
///
/// At an exchange with a router the way goes on as `routers` know it. If they do not know it yet,
/// it ends there with a question.
pub(super) fn route_keys(
    topology: &Topology,
    exchange: &Name,
    routing_keys: &[&str],
    properties: RoutingProperties<'_>,
    routers: &mut Routers,
) -> Found {
    if exchange.is_empty() {
        return queues_named(topology, routing_keys, properties, routers);
    }
    let (answers, mut questions) = routers.asked();
    let mut found = Found::default();
    let mut matches = Matches::new();
    // Most exchanges lead to queues only, and then neither of the two allocates.
    let (mut seen, mut next) = (HashSet::new(), Vec::new());
    let mut ways = 0;
    let mut here = Some(exchange);
    while let Some(name) = here.take().or_else(|| next.pop()) {
        let Some(declared) = topology.exchanges.get(name) else {
            continue;
        };
        declared.note_use();
        if let Some(queue) = &declared.delay_queue
            && let Some(delay) = x_delay::wanted(properties.headers)
        {
            found.delay = delay;
            found.delay_queues.push(Arc::clone(queue));
            continue;
        }
        if let Some(history) = &declared.history
            && !history::keeps_out(properties.headers)
        {
            found.histories.push(Arc::clone(history));
        }
        let state = declared.state();
        let chosen: &[Target] = match &declared.routed_by {
            None => &[],
            Some(routed_by) => match answers.iter().find(|(exchange, _)| exchange == name) {
                Some((_, chosen)) => chosen,
                None => {
                    questions.add(name, routed_by, state);
                    continue;
                }
            },
        };
        ways += 1;
        matches.clear();
        state.route(routing_keys, properties, &mut matches);
        let mut go_on = |name| {
            if seen.is_empty() {
                seen.insert(exchange);
            }
            if seen.insert(name) {
                next.push(name);
            }
        };
        let chosen = chosen.iter().filter(|target| state.has_destination(target));
        let mut is_routed = false;
        for target in state.found(&matches).chain(chosen) {
            is_routed = true;
            match target {
                Target::Queue(queue) => found.queues.push(Arc::clone(queue)),
                Target::Exchange(name) => go_on(name),
            }
        }
        if !is_routed {
            declared.alternate.iter().for_each(go_on);
        }
    }
    found.queues = unique(found.queues, ways);
    found
}

/// Finds the queues with these names. An alias may stand for an exchange, which routes then.
fn queues_named(
    topology: &Topology,
    names: &[&str],
    properties: RoutingProperties<'_>,
    routers: &mut Routers,
) -> Found {
    let mut found = Found::default();
    for name in names {
        match topology.aliases.end_of(name) {
            AliasEnd::Itself => found.queues.extend(topology.queue(name)),
            AliasEnd::Queue(queue) => found.queues.extend(topology.queue(queue)),
            AliasEnd::Exchange(exchange) => {
                let Ok(exchange) = Name::of_entity(exchange) else {
                    continue;
                };
                let routed = route_keys(topology, &exchange, &[name], properties, routers);
                found.join(routed);
            }
        }
    }
    found.queues = unique(found.queues, names.len());
    found
}

/// Keeps each queue once, at its first place. With one way there are no duplicates.
fn unique(mut queues: Vec<Arc<QueueCore>>, ways: usize) -> Vec<Arc<QueueCore>> {
    if ways > 1 && queues.len() > 1 {
        let mut seen = HashSet::with_capacity(queues.len());
        queues.retain(|queue| seen.insert(queue.id()));
    }
    queues
}
