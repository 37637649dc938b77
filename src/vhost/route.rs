//! From an exchange and a message to queues: bindings, exchange-to-exchange bindings and alternate exchanges.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::topology::{Target, Topology};
use crate::{
    exchange::Matches,
    field_value::FieldTable,
    name::Name,
    queue::{Queue, after},
    x_delay,
};

/// Where a message goes.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) queues: Vec<Arc<Queue>>,
    /// Where delayed exchanges keep it back.
    pub(crate) shelves: Vec<Arc<Queue>>,
    /// For how long.
    pub(crate) delay: Duration,
}

impl Found {
    pub(crate) fn len(&self) -> usize {
        self.queues.len() + self.shelves.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queues, and after them the shelves with the time until which it stays there.
    pub(crate) fn into_stops(self, now: u64) -> impl Iterator<Item = (Arc<Queue>, Option<u64>)> {
        let due = after(now, self.delay);
        let queues = self.queues.into_iter().map(|queue| (queue, None));
        queues.chain(
            self.shelves
                .into_iter()
                .map(move |shelf| (shelf, Some(due))),
        )
    }
}

/// Where a message published to `exchange` goes: the queues, each once, and the delayed exchanges that keep it back.
///
/// A work list instead of recursion: bindings between exchanges may form chains of any length and cycles. As in
/// RabbitMQ an alternate exchange is used when no binding of *this* exchange matched; a matching binding to another
/// exchange counts, even if that one drops the message.
///
/// A sender may select several keys (CC and BCC): the message goes wherever one of them leads, once.
pub(crate) fn route_keys(
    topology: &Topology,
    exchange: &Name,
    routing_keys: &[&str],
    headers: Option<&FieldTable>,
) -> Found {
    let mut queues = Matches::new();
    let mut shelves = Vec::new();
    let mut delay = None;
    if exchange.is_empty() {
        for queue in routing_keys.iter().filter_map(|key| topology.queue(key)) {
            queues.insert(&queue);
        }
        return Found {
            queues: queues.into_vec(),
            ..Found::default()
        };
    }
    let mut seen = HashSet::from([exchange.clone()]);
    let mut next = vec![exchange.clone()];
    let mut matches = Matches::new();
    while let Some(name) = next.pop() {
        let Some(declared) = topology.exchanges.get(&name) else {
            continue;
        };
        if let Some(shelf) = &declared.shelf {
            delay = x_delay::wanted(headers);
            if delay.is_some() {
                shelves.push(Arc::clone(shelf));
                continue;
            }
        }
        matches.clear();
        for routing_key in routing_keys {
            declared.state.route(routing_key, headers, &mut matches);
        }
        let alternate = match &declared.alternate {
            Some(alternate) if matches.is_empty() => Some(alternate),
            _ => None,
        };
        for target in matches.iter() {
            match target {
                Target::Queue(queue) => {
                    queues.insert(queue);
                }
                Target::Exchange(other) => {
                    if seen.insert(other.clone()) {
                        next.push(other.clone());
                    }
                }
            }
        }
        if let Some(alternate) = alternate {
            if seen.insert(alternate.clone()) {
                next.push(alternate.clone());
            }
        }
    }
    Found {
        queues: queues.into_vec(),
        shelves,
        delay: delay.unwrap_or_default(),
    }
}
