//! The nodes and edges of a picture.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    management::snapshot::{ExchangeSnapshot, ExchangeStats, QueueSnapshot, VhostSnapshot},
    model::{
        descriptions::names as x,
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
};

/// What a virtual host has, as nodes and edges.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) vhost: Name,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
}

/// One thing in a picture.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// The name of it.
    pub(super) name: String,
    /// Its numbers, in a few words.
    pub(super) numbers: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Exchange,
    Queue,
    /// A queue with ready messages and without a consumer.
    UnattendedQueue,
    /// The consumers of a queue.
    Consumers,
}

/// A way of messages between two nodes, by their indices.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kind: EdgeKind,
    pub(super) label: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EdgeKind {
    Binding,
    /// To the exchange for messages that no binding matches.
    Alternate,
    DeadLetter,
    /// From a queue to its consumers.
    Delivery,
}

/// How many binding keys between the same two nodes are shown.
const MOST_KEYS: usize = 3;

/// The name of the default exchange in a picture.
const DEFAULT: &str = "(default)";

impl Graph {
    pub(super) fn of(vhost: &VhostSnapshot) -> Graph {
        let mut builder = Builder::default();
        for exchange in &vhost.exchanges {
            if is_shown(vhost, exchange) {
                builder.exchange(
                    &exchange.name,
                    &exchange.exchange_type,
                    exchange.message_stats,
                );
            }
        }
        let bindings = vhost.bindings.iter().filter(|it| it.to_queue);
        let bound: HashSet<&Name> = bindings.map(|it| &it.destination).collect();
        let by_name = vhost.default_exchange;
        let default = (by_name.publish_in > 0)
            .then(|| builder.node(NodeKind::Exchange, DEFAULT, flow("direct", by_name)));
        for queue in &vhost.queues {
            let place = builder.queue(queue);
            if let Some(default) = default
                && !bound.contains(&queue.name)
                && queue.message_stats.publish > 0
            {
                builder.edge(default, place, EdgeKind::Binding, String::new());
            }
        }
        builder.bindings(vhost);
        for exchange in &vhost.exchanges {
            builder.alternate(exchange);
        }
        for queue in &vhost.queues {
            builder.dead_letters(queue);
        }
        Graph {
            vhost: vhost.name.clone(),
            nodes: builder.nodes,
            edges: builder.edges,
        }
    }
}

/// Whether a picture has the exchange. The predeclared ones are there only if they are used.
fn is_shown(vhost: &VhostSnapshot, exchange: &ExchangeSnapshot) -> bool {
    let mut bindings = vhost.bindings.iter();
    !exchange.name.starts_with("amq.")
        || exchange.message_stats.publish_in > 0
        || bindings.any(|it| it.source == exchange.name)
}

fn flow(exchange_type: &str, stats: ExchangeStats) -> String {
    let mut text = format!(
        "{exchange_type} · {} in · {} out",
        number(stats.publish_in),
        number(stats.publish_out)
    );
    let unroutable = stats.drop_unroutable + stats.return_unroutable;
    if unroutable > 0 {
        text += &format!(" · {} unroutable", number(unroutable));
    }
    text
}

/// A number in few digits: `950`, `12.3k`, `4.5M`.
pub(super) fn number(count: u64) -> String {
    let scaled = |unit: f64| count as f64 / unit;
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.1}k", scaled(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1}M", scaled(1e6)),
        _ => format!("{:.1}G", scaled(1e9)),
    }
}

fn text<'a>(arguments: &'a FieldTable, name: &str) -> Option<&'a str> {
    match arguments.get(name)? {
        FieldValue::LongString(text) => Some(text),
        _ => None,
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    exchanges: HashMap<Name, usize>,
    queues: HashMap<Name, usize>,
}

impl Builder {
    fn node(&mut self, kind: NodeKind, name: &str, numbers: String) -> usize {
        self.nodes.push(Node {
            kind,
            name: name.to_owned(),
            numbers,
        });
        self.nodes.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, kind: EdgeKind, label: String) {
        self.edges.push(Edge {
            from,
            to,
            kind,
            label,
        });
    }

    fn exchange(&mut self, name: &Name, exchange_type: &str, stats: ExchangeStats) {
        let place = self.node(NodeKind::Exchange, name, flow(exchange_type, stats));
        self.exchanges.insert(name.clone(), place);
    }

    fn queue(&mut self, queue: &QueueSnapshot) -> usize {
        let kind = match queue.ready.messages > 0 && queue.consumers == 0 {
            // Readers of a stream are no consumers, and they take nothing out.
            true if queue.stream.is_none() => NodeKind::UnattendedQueue,
            _ => NodeKind::Queue,
        };
        let mut numbers = format!("{} ready", number(queue.ready.messages));
        for (count, what) in [
            (queue.unsettled.messages, "unsettled"),
            (queue.delayed.messages, "delayed"),
        ] {
            if count > 0 {
                numbers += &format!(" · {} {what}", number(count));
            }
        }
        let place = self.node(kind, &queue.name, numbers);
        self.queues.insert(queue.name.clone(), place);
        let readers = queue
            .stream
            .as_ref()
            .map_or(0, |it| it.readers.len() as u64);
        for (count, what) in [(queue.consumers, "consumer"), (readers, "reader")] {
            if count > 0 {
                let plural = if count == 1 { "" } else { "s" };
                let name = format!("{} {what}{plural}", number(count));
                let numbers = match what {
                    "reader" => String::new(),
                    _ => format!("{} delivered", number(queue.message_stats.deliver_get())),
                };
                let consumers = self.node(NodeKind::Consumers, &name, numbers);
                self.edge(place, consumers, EdgeKind::Delivery, String::new());
            }
        }
        place
    }

    fn bindings(&mut self, vhost: &VhostSnapshot) {
        let mut keys: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
        for binding in &vhost.bindings {
            let destinations = match binding.to_queue {
                true => &self.queues,
                false => &self.exchanges,
            };
            let from = self.exchanges.get(&binding.source);
            let to = destinations.get(&binding.destination);
            if let (Some(from), Some(to)) = (from, to) {
                let found = keys.entry((*from, *to)).or_default();
                found.push(&binding.routing_key);
            }
        }
        for ((from, to), keys) in keys {
            let mut label = keys.iter().take(MOST_KEYS).copied().collect::<Vec<_>>();
            label.retain(|key| !key.is_empty());
            let mut label = label.join(", ");
            if keys.len() > MOST_KEYS {
                label += &format!(" and {} more", keys.len() - MOST_KEYS);
            }
            self.edge(from, to, EdgeKind::Binding, label);
        }
    }

    fn alternate(&mut self, exchange: &ExchangeSnapshot) {
        let alternate = text(&exchange.arguments, x::ALTERNATE_EXCHANGE);
        let alternate = alternate.and_then(|name| self.exchanges.get(name)).copied();
        let from = self.exchanges.get(&exchange.name).copied();
        if let (Some(from), Some(to)) = (from, alternate) {
            self.edge(from, to, EdgeKind::Alternate, "unroutable".to_owned());
        }
    }

    fn dead_letters(&mut self, queue: &QueueSnapshot) {
        let Some(exchange) = text(&queue.arguments, x::DEAD_LETTER_EXCHANGE) else {
            return;
        };
        let key = text(&queue.arguments, x::DEAD_LETTER_ROUTING_KEY);
        let to = match exchange.is_empty() {
            // The default exchange leads to the queue with the name of the key.
            true => key.and_then(|key| self.queues.get(key)),
            false => self.exchanges.get(exchange),
        };
        let from = self.queues.get(&queue.name).copied();
        if let (Some(from), Some(to)) = (from, to.copied()) {
            let label = match queue.dead_lettered.messages {
                0 => "dead letters".to_owned(),
                count => format!("{} dead letters", number(count)),
            };
            self.edge(from, to, EdgeKind::DeadLetter, label);
        }
    }
}
