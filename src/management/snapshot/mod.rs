//! A snapshot of a broker as plain values: exchanges, queues, bindings, budgets and counts.

mod budget;
mod connection;
mod policy;
mod store;
mod stream;

pub use self::{
    budget::BudgetSnapshot,
    connection::{ChannelSnapshot, ConnectionSnapshot, ConsumerSnapshot},
    policy::PolicySnapshot,
    store::StoreSnapshot,
    stream::{ReaderSnapshot, StreamSnapshot},
};

use self::connection::Connections;
use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::model::message_totals::MessageTotals;
use crate::{
    engine::{
        queue::Counts,
        vhost::{DeclaredExchange, DeclaredQueue, Target},
    },
    handles::broker::Broker,
    model::{
        descriptions::{AliasQueue, ModelQueue},
        error::Result,
        exchange_kind::ExchangeKind,
        field_value::FieldTable,
        name::Name,
    },
    session::{connection::ConnectionCore, gate::Gate},
};

/// A snapshot of a broker. [`Display`](fmt::Display) shows its queues as a table.
///
/// The queues, exchanges, bindings and budgets of a virtual host are those of one moment. The
/// queues are counted one after the other, so their counts are of slightly different moments. The
/// counts of each queue add up. The `used` of a budget is excepted: a settlement does not wait for
/// the snapshot, so `used` can differ from the bytes of the queues.
///
/// A snapshot has no rates. A program computes a rate from two snapshots.
///
/// # RabbitMQ
/// The management API lists most of this: `/api/vhosts`, `/api/exchanges`, `/api/queues` and
/// `/api/bindings`.
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
    /// The virtual hosts, sorted by name.
    pub vhosts: Vec<VhostSnapshot>,
    /// The store, if the broker has a data folder.
    #[serde(default)]
    pub store: Option<StoreSnapshot>,
}

/// One virtual host of a [`Snapshot`].
///
/// [`Snapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VhostSnapshot {
    /// The name of the virtual host.
    pub name: Name,
    /// The budgets, sorted by name.
    #[serde(default)]
    pub budgets: Vec<BudgetSnapshot>,
    /// The exchanges, sorted by name. The default exchange is left out, because every virtual host
    /// has it.
    pub exchanges: Vec<ExchangeSnapshot>,
    /// The queues, sorted by name.
    pub queues: Vec<QueueSnapshot>,
    /// The alias queues, sorted by name.
    #[serde(default)]
    pub aliases: Vec<AliasQueue>,
    /// The model queues, sorted by name.
    #[serde(default)]
    pub model_queues: Vec<ModelQueue>,
    /// The bindings, sorted by source, destination and binding key. The bindings of the default
    /// exchange are left out.
    pub bindings: Vec<BindingSnapshot>,
    /// The policies, and then the operator policies, each in the order in which they are matched.
    #[serde(default)]
    pub policies: Vec<PolicySnapshot>,
    /// The connections, with their channels. The first is the virtual host's own one.
    #[serde(default)]
    pub connections: Vec<ConnectionSnapshot>,
    /// The consumers, by their queues.
    #[serde(default)]
    pub consumers: Vec<ConsumerSnapshot>,
}

/// One exchange of a [`Snapshot`].
///
/// [`Snapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExchangeSnapshot {
    /// The name of the exchange.
    pub name: Name,
    /// The exchange type. For a [delayed exchange](crate::Exchange::delayed) it is the
    /// `x-delayed-type`.
    pub kind: ExchangeKind,
    /// The declared type: the name of one of AMQP's types, of one with a [router](crate::Router),
    /// or `x-delayed-message`.
    #[serde(default)]
    pub exchange_type: String,
    /// The messages that a delayed exchange holds until their delay ends. `None` for other
    /// exchanges.
    pub delayed: Option<MessageTotals>,
    /// The messages that an exchange with a history keeps for new bindings. `None` for other
    /// exchanges.
    #[serde(default)]
    pub history: Option<MessageTotals>,
    /// The declared `durable` flag.
    pub durable: bool,
    /// The declared `auto_delete` flag.
    pub auto_delete: bool,
    /// The declared `internal` flag.
    pub internal: bool,
    /// The declared arguments.
    pub arguments: FieldTable,
}

/// One queue of a [`Snapshot`].
///
/// Each message that the queue ever took in is in exactly one of the other counts: `ready`,
/// `unsettled`, `delayed` and `in_transit` if it is still in the queue, `acked`, `dead_lettered`,
/// `expired`, `dropped`, `purged` or `moved` if it has left it.
///
/// # RabbitMQ
/// `ready` is the management API's `messages_ready`, and `unsettled` is its
/// `messages_unacknowledged`.
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
    /// The name of the queue.
    pub name: Name,
    /// The declared `durable` flag.
    pub durable: bool,
    /// The declared `auto_delete` flag.
    pub auto_delete: bool,
    /// The declared `exclusive` flag.
    pub exclusive: bool,
    /// The declared arguments.
    pub arguments: FieldTable,
    /// The number of consumers.
    pub consumers: u64,
    /// Messages that wait for a consumer. In a stream, all messages that it keeps.
    pub ready: MessageTotals,
    /// Messages that were delivered to a consumer or fetched by a get, and are not settled. In a
    /// stream a delivery takes nothing out, and so there are none.
    pub unsettled: MessageTotals,
    /// Messages that wait for the end of their delay.
    pub delayed: MessageTotals,
    /// Dead letters of a quorum queue that other queues have not taken yet, with
    /// [`DeadLetterStrategy::AtLeastOnce`](crate::DeadLetterStrategy::AtLeastOnce).
    #[serde(default)]
    pub in_transit: MessageTotals,
    /// All messages that the queue has taken in since its declaration.
    pub taken_in: MessageTotals,
    /// Acknowledged messages.
    pub acked: MessageTotals,
    /// Dead-lettered messages, for any reason.
    pub dead_lettered: MessageTotals,
    /// Messages that expired and were not dead-lettered.
    pub expired: MessageTotals,
    /// Messages that were dropped and not dead-lettered: after a reject, over the delivery limit,
    /// or over a length limit. In a stream, those that its retention has dropped.
    pub dropped: MessageTotals,
    /// Purged messages, and delayed messages that were cancelled.
    pub purged: MessageTotals,
    /// Messages that were moved to another queue.
    pub moved: MessageTotals,
    /// Whether the queue is [paused](crate::Connection::pause_queue): it delivers nothing.
    #[serde(default)]
    pub paused: bool,
    /// Offsets and readers, of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamSnapshot>,
}

impl QueueSnapshot {
    /// The messages that are still in the queue, and those that have left it. They are as many as
    /// [`taken_in`](Self::taken_in): a queue loses no message.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// # let broker = Broker::new();
    /// let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// queue.get()?.ack()?;
    /// let picture = &broker.snapshot()?.vhosts[0].queues[0];
    /// assert_eq!(picture.accounted_for(), picture.taken_in);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn accounted_for(&self) -> MessageTotals {
        let mut all = MessageTotals::default();
        for count in [
            self.ready,
            self.unsettled,
            self.delayed,
            self.in_transit,
            self.acked,
            self.dead_lettered,
            self.expired,
            self.dropped,
            self.purged,
            self.moved,
        ] {
            all += count;
        }
        all
    }
}

/// One binding of a [`Snapshot`].
///
/// [`Snapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BindingSnapshot {
    /// The exchange at which the binding begins.
    pub source: Name,
    /// The queue or exchange at which the binding ends.
    pub destination: Name,
    /// Whether the destination is a queue.
    pub to_queue: bool,
    /// The binding key.
    pub routing_key: Name,
    /// The arguments of the binding.
    pub arguments: FieldTable,
}

impl Broker {
    /// Takes a snapshot of all virtual hosts.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// [`Snapshot`] has an example.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let gates = self.core().gates()?;
        // A virtual host that is deleted meanwhile is left out.
        let vhosts = gates.iter().filter_map(|gate| {
            let connections = self.core().connections(gate.vhost_name());
            snapshot_of(gate, &connections).ok()
        });
        Ok(Snapshot {
            vhosts: vhosts.collect(),
            store: StoreSnapshot::of(self),
        })
    }
}

fn snapshot_of(gate: &Gate, connections: &[Arc<ConnectionCore>]) -> Result<VhostSnapshot> {
    let connections = Connections::of(connections);
    let policies = policy::snapshots(gate);
    let mut snapshot = gate.survey(|topology, count| VhostSnapshot {
        name: gate.vhost_name().clone(),
        budgets: topology.budgets.values().map(budget::snapshot_of).collect(),
        exchanges: topology.exchanges.iter().map(exchange).collect(),
        queues: (topology.queues.values())
            .map(|declared| queue(declared, count(&declared.queue)))
            .collect(),
        aliases: topology.aliases.all().cloned().collect(),
        model_queues: topology.models.values().cloned().collect(),
        bindings: topology.exchanges.iter().flat_map(bindings).collect(),
        policies,
        consumers: (topology.queues.values())
            .flat_map(|declared| connections.consumers(declared))
            .collect(),
        connections: connections.snapshots.clone(),
    })?;
    let VhostSnapshot {
        exchanges,
        queues,
        bindings,
        consumers,
        ..
    } = &mut snapshot;
    exchanges.sort_by(|a, b| a.name.cmp(&b.name));
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    // Those of one queue keep their order.
    consumers.sort_by(|a, b| a.queue.cmp(&b.queue));
    bindings.sort_by(|a, b| {
        (&a.source, &a.destination, &a.routing_key).cmp(&(
            &b.source,
            &b.destination,
            &b.routing_key,
        ))
    });
    Ok(snapshot)
}

fn exchange((name, declared): (&Name, &DeclaredExchange)) -> ExchangeSnapshot {
    ExchangeSnapshot {
        name: name.clone(),
        kind: declared.kind(),
        exchange_type: declared.description.kind().to_owned(),
        delayed: declared.delay_queue.as_ref().map(|queue| queue.delayed()),
        history: declared.history.as_ref().map(|history| history.totals()),
        durable: declared.description.is_durable(),
        auto_delete: declared.description.is_auto_delete(),
        internal: declared.description.is_internal(),
        arguments: declared.description.argument_table().clone(),
    }
}

fn bindings((name, declared): (&Name, &DeclaredExchange)) -> impl Iterator<Item = BindingSnapshot> {
    declared.state().bindings().map(|binding| BindingSnapshot {
        source: name.clone(),
        destination: match binding.destination {
            Target::Queue(queue) => queue.name().clone(),
            Target::Exchange(exchange) => exchange.clone(),
        },
        to_queue: matches!(binding.destination, Target::Queue(_)),
        routing_key: binding.routing_key.clone(),
        arguments: binding.arguments.clone(),
    })
}

fn queue(declared: &DeclaredQueue, counts: Counts) -> QueueSnapshot {
    let description = &declared.description;
    QueueSnapshot {
        name: declared.queue.name().clone(),
        durable: description.is_durable(),
        auto_delete: description.is_auto_delete(),
        exclusive: description.is_exclusive(),
        arguments: description.argument_table().clone(),
        consumers: counts.consumers as u64,
        ready: counts.ready,
        unsettled: counts.unsettled,
        delayed: counts.delayed,
        in_transit: counts.in_transit,
        taken_in: counts.taken_in,
        acked: counts.acked,
        dead_lettered: counts.dead_lettered,
        expired: counts.expired,
        dropped: counts.dropped,
        purged: counts.purged,
        moved: counts.moved,
        paused: declared.queue.is_paused(),
        stream: declared
            .queue
            .stream_progress()
            .as_ref()
            .map(stream::snapshot_of),
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
