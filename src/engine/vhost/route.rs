//! Routing from an exchange to queues, over bindings, exchange-to-exchange bindings and alternate
//! exchanges.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    VirtualHost,
    routers::Routers,
    topology::{Target, Topology},
};
use crate::{
    engine::{
        exchange::Matches,
        queue::{QueueCore, after},
    },
    message::headers::x_delay,
    model::{
        error::{EntityKind, Error, Result},
        field_value::FieldTable,
        name::Name,
    },
};

/// The destinations of a message.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) queues: Vec<Arc<QueueCore>>,
    /// The delay queues of delayed exchanges that keep it.
    pub(crate) delay_queues: Vec<Arc<QueueCore>>,
    /// Its delay there.
    pub(crate) delay: Duration,
}

impl Found {
    pub(crate) fn len(&self) -> usize {
        self.queues.len() + self.delay_queues.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queues, and after them the delay queues with the time at which the message is due.
    pub(crate) fn into_targets(
        self,
        now: u64,
    ) -> impl Iterator<Item = (Arc<QueueCore>, Option<u64>)> {
        let due = after(now, self.delay);
        let queues = self.queues.into_iter().map(|queue| (queue, None));
        queues.chain(
            self.delay_queues
                .into_iter()
                .map(move |queue| (queue, Some(due))),
        )
    }
}

impl VirtualHost {
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
        let (keys, headers) = ([routing_key], Some(headers));
        self.with_routers(&keys, headers, |topology, routers| {
            self.check_up()?;
            if !name.is_empty() && !topology.exchanges.contains_key(&name) {
                return Err(Error::not_found(EntityKind::Exchange, &name, self.name()));
            }
            let found = route_keys(topology, &name, &keys, headers, routers);
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
    headers: Option<&FieldTable>,
    routers: &mut Routers,
) -> Found {
    if exchange.is_empty() {
        let named = routing_keys.iter().filter_map(|key| topology.queue(key));
        return Found {
            queues: unique(named.collect(), routing_keys.len()),
            ..Found::default()
        };
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
        if let Some(queue) = &declared.delay_queue {
            if let Some(delay) = x_delay::wanted(headers) {
                found.delay = delay;
                found.delay_queues.push(Arc::clone(queue));
                continue;
            }
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
        for routing_key in routing_keys {
            state.route(routing_key, headers, &mut matches);
        }
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

/// Keeps each queue once, at its first place. With one way there are no duplicates.
fn unique(mut queues: Vec<Arc<QueueCore>>, ways: usize) -> Vec<Arc<QueueCore>> {
    if ways > 1 && queues.len() > 1 {
        let mut seen = HashSet::with_capacity(queues.len());
        queues.retain(|queue| seen.insert(queue.id()));
    }
    queues
}
