//! A picture of a broker at one moment, as plain values: what there is, how it is bound, how much is where.

mod budget;

pub use self::budget::BudgetSnapshot;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::model::message_totals::MessageTotals;
use crate::{
    engine::{
        queue::Counts,
        vhost::{Target, VirtualHost},
    },
    handles::broker::Broker,
    model::{error::Result, exchange_kind::ExchangeKind, field_value::FieldTable, name::Name},
};

/// A picture of a broker; [`Display`](fmt::Display) shows its queues as a table.
///
/// Each queue is seen at a moment of its own. Rates are computed by the reader, from two pictures.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue};
///
/// let broker = Broker::new();
/// broker.declare(&Queue::new("q").bind(&Exchange::topic("logs"), "#"))?;
/// broker.producer::<u32>(&Queue::new("q"))?.publish(7)?;
/// let snapshot = broker.snapshot()?;
/// let root = &snapshot.vhosts[0];
/// assert_eq!(root.queues[0].ready.messages, 1);
/// assert_eq!(root.bindings[0].source, "logs");
/// assert!(snapshot.to_string().starts_with("vhost"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// By name.
    pub vhosts: Vec<VhostSnapshot>,
}

/// One virtual host of a [`Snapshot`].
///
/// [`Snapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VhostSnapshot {
    /// Its name.
    pub name: Name,
    /// By name.
    #[serde(default)]
    pub budgets: Vec<BudgetSnapshot>,
    /// By name; the default exchange, which every virtual host has, is left out.
    pub exchanges: Vec<ExchangeSnapshot>,
    /// By name.
    pub queues: Vec<QueueSnapshot>,
    /// By source, destination and key; those of the default exchange are left out.
    pub bindings: Vec<BindingSnapshot>,
}

/// One exchange of a [`Snapshot`].
///
/// [`Snapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExchangeSnapshot {
    /// Its name.
    pub name: Name,
    /// How it routes; of a [delayed exchange](crate::Exchange::delayed), its `x-delayed-type`.
    pub kind: ExchangeKind,
    /// What it keeps back, if it is a delayed exchange.
    pub delayed: Option<MessageTotals>,
    /// As declared.
    pub durable: bool,
    /// As declared.
    pub auto_delete: bool,
    /// As declared.
    pub internal: bool,
    /// As declared.
    pub arguments: FieldTable,
}

/// One queue of a [`Snapshot`]. All that it ever took in is `ready`, `unsettled` or `delayed` now, or one of the other
/// counts.
///
/// # Examples
/// ```
/// use leveret::Broker;
/// # let broker = Broker::new();
/// let queue = broker.simple_queue::<u32>("q")?;
/// queue.put(7)?;
/// queue.put(8)?;
/// queue.get()?.ack()?;
/// let held = queue.get()?;
/// let picture = &broker.snapshot()?.vhosts[0].queues[0];
/// assert_eq!((picture.taken_in.messages, picture.acked.messages), (2, 1));
/// assert_eq!((picture.ready.messages, picture.unsettled.messages), (0, 1));
/// held.ack()?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueSnapshot {
    /// Its name.
    pub name: Name,
    /// As declared.
    pub durable: bool,
    /// As declared.
    pub auto_delete: bool,
    /// As declared.
    pub exclusive: bool,
    /// As declared.
    pub arguments: FieldTable,
    /// How many consumers it has.
    pub consumers: u64,
    /// Waiting for a consumer.
    pub ready: MessageTotals,
    /// Handed to a consumer, or got, and not settled.
    pub unsettled: MessageTotals,
    /// Waiting for its time.
    pub delayed: MessageTotals,
    /// Taken in since the queue exists.
    pub taken_in: MessageTotals,
    /// Acknowledged.
    pub acked: MessageTotals,
    /// Dead-lettered, for whatever reason.
    pub dead_lettered: MessageTotals,
    /// Expired, and not dead-lettered.
    pub expired: MessageTotals,
    /// Rejected, returned too often or over a limit, and not dead-lettered.
    pub dropped: MessageTotals,
    /// Purged, or cancelled while it was delayed.
    pub purged: MessageTotals,
    /// Moved to another queue.
    pub moved: MessageTotals,
}

/// One binding of a [`Snapshot`].
///
/// [`Snapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BindingSnapshot {
    /// The exchange that messages come from.
    pub source: Name,
    /// The queue or exchange that they go to.
    pub destination: Name,
    /// Whether that is a queue.
    pub to_queue: bool,
    /// The binding key.
    pub routing_key: Name,
    /// As bound.
    pub arguments: FieldTable,
}

impl Broker {
    /// Takes a picture of everything there is.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// [`Snapshot`] has an example.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let vhosts = self.virtual_hosts()?;
        Ok(Snapshot {
            vhosts: vhosts.iter().map(snapshot_of).collect(),
        })
    }
}

fn snapshot_of(vhost: &Arc<VirtualHost>) -> VhostSnapshot {
    let (mut exchanges, mut bindings, declared) = vhost.read_topology(|topology| {
        let mut exchanges = Vec::new();
        let mut bindings = Vec::new();
        for (name, declared) in &topology.exchanges {
            exchanges.push(ExchangeSnapshot {
                name: name.clone(),
                kind: declared.kind(),
                delayed: declared.delay_queue.as_ref().map(|shelf| shelf.delayed()),
                durable: declared.description.is_durable(),
                auto_delete: declared.description.is_auto_delete(),
                internal: declared.description.is_internal(),
                arguments: declared.description.argument_table().clone(),
            });
            bindings.extend(declared.state.bindings().map(|binding| BindingSnapshot {
                source: name.clone(),
                destination: match binding.destination {
                    Target::Queue(queue) => queue.name().clone(),
                    Target::Exchange(exchange) => exchange.clone(),
                },
                to_queue: matches!(binding.destination, Target::Queue(_)),
                routing_key: binding.routing_key.clone(),
                arguments: binding.arguments.clone(),
            }));
        }
        let queues = topology.queues.values();
        let declared: Vec<_> = queues
            .map(|declared| (Arc::clone(&declared.queue), declared.description.clone()))
            .collect();
        (exchanges, bindings, declared)
    });
    let mut queues: Vec<QueueSnapshot> = declared
        .into_iter()
        .map(|(queue, description)| {
            let counts = vhost.counts(&queue);
            let Counts {
                ready,
                unsettled,
                delayed,
                taken_in,
                acked,
                dead_lettered,
                expired,
                dropped,
                purged,
                moved,
                ..
            } = counts;
            QueueSnapshot {
                name: queue.name().clone(),
                durable: description.is_durable(),
                auto_delete: description.is_auto_delete(),
                exclusive: description.is_exclusive(),
                arguments: description.argument_table().clone(),
                consumers: counts.consumers as u64,
                ready,
                unsettled,
                delayed,
                taken_in,
                acked,
                dead_lettered,
                expired,
                dropped,
                purged,
                moved,
            }
        })
        .collect();
    exchanges.sort_by(|a, b| a.name.cmp(&b.name));
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    bindings.sort_by(|a, b| {
        (&a.source, &a.destination, &a.routing_key).cmp(&(
            &b.source,
            &b.destination,
            &b.routing_key,
        ))
    });
    VhostSnapshot {
        budgets: budget::snapshots(vhost),
        name: vhost.name().clone(),
        exchanges,
        queues,
        bindings,
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = || {
            self.vhosts
                .iter()
                .flat_map(|vhost| vhost.queues.iter().map(move |queue| (vhost, queue)))
        };
        let width = rows()
            .map(|(_, queue)| queue.name.len())
            .max()
            .unwrap_or(0)
            .max("queue".len());
        let column = self
            .vhosts
            .iter()
            .map(|vhost| vhost.name.len())
            .max()
            .unwrap_or(0)
            .max("vhost".len());
        writeln!(
            f,
            "{:column$}  {:width$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}",
            "vhost", "queue", "ready", "unsettled", "delayed", "consumers", "taken in"
        )?;
        for (vhost, queue) in rows() {
            writeln!(
                f,
                "{:column$}  {:width$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}",
                &*vhost.name,
                &*queue.name,
                queue.ready.messages,
                queue.unsettled.messages,
                queue.delayed.messages,
                queue.consumers,
                queue.taken_in.messages
            )?;
        }
        Ok(())
    }
}
