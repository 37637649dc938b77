//! From an exchange and a message to queues: bindings, exchange-to-exchange bindings and alternate exchanges.

use std::{collections::HashSet, sync::Arc};

use super::topology::{Target, Topology};
use crate::{exchange::Matches, field_value::FieldTable, name::Name, queue::Queue};

/// The queues that a message published to `exchange` goes to, each once.
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
) -> Vec<Arc<Queue>> {
    let mut queues = Matches::new();
    if exchange.is_empty() {
        for queue in routing_keys.iter().filter_map(|key| topology.queue(key)) {
            queues.insert(&queue);
        }
        return queues.into_vec();
    }
    let mut seen = HashSet::from([exchange.clone()]);
    let mut next = vec![exchange.clone()];
    let mut matches = Matches::new();
    while let Some(name) = next.pop() {
        let Some(declared) = topology.exchanges.get(&name) else {
            continue;
        };
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
    queues.into_vec()
}
