//! A snapshot of a broker as plain values: exchanges, queues, bindings, budgets and counts.

mod budget;
mod connection;
mod exchange;
mod message_stats;
mod policy;
mod queue;
mod rates;
mod store;
mod stream;
mod table;
mod totals;
mod vhost;

pub use self::{
    budget::BudgetSnapshot,
    connection::{ChannelSnapshot, ConnectionSnapshot, ConsumerSnapshot},
    exchange::{BindingSnapshot, ExchangeSnapshot, ExchangeStats},
    message_stats::MessageStats,
    policy::PolicySnapshot,
    queue::QueueSnapshot,
    rates::{ExchangeRates, QueueRates, Rates},
    store::StoreSnapshot,
    stream::{ReaderSnapshot, StreamSnapshot},
    totals::{QueueTotals, VhostTotals},
};

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    handles::broker::Broker,
    model::{
        descriptions::{AliasQueue, ModelQueue},
        error::Result,
        name::Name,
    },
};

/// A snapshot of a broker. [`Display`](std::fmt::Display) shows it as tables.
///
/// The queues, exchanges and bindings of a virtual host are those of one moment, except that a
/// queue that is deleted while the snapshot is taken is left out. The queues are counted one after
/// the other, and the budgets at the end, so their counts are of slightly different moments. The
/// counts of each queue add up. The `used` of a budget is excepted: a publish and a settlement do
/// not wait for the snapshot, so `used` can differ from the bytes of the queues.
///
/// The totals of a virtual host are of the end. So they also count what has come after the lists
/// were made: a queue that was declared, or a message that was published to an exchange. The
/// policies are listed at the beginning. A policy that is set after that may be named by a queue
/// and missing from their list.
///
/// Publishers and consumers go on meanwhile: while a queue is counted, no other queue is locked.
///
/// Two snapshots make [rates](Snapshot::rates). [`to_json`](Snapshot::to_json) has RabbitMQ's field
/// names, [`to_prometheus`](Snapshot::to_prometheus) its metrics, and
/// [`to_svg`](Snapshot::to_svg) is a picture of the topology.
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
/// assert_eq!(snapshot.queue("q").unwrap().ready.messages, 1);
/// assert_eq!(snapshot.vhosts[0].bindings[0].source, "logs");
/// println!("{snapshot}");
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The time of day at which it was taken, by the broker's clock.
    #[serde(default = "epoch")]
    pub taken_at: SystemTime,
    /// How long the broker has been there, by its clock.
    #[serde(default)]
    pub uptime: Duration,
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
    /// The messages that were published to the default exchange.
    #[serde(default)]
    pub default_exchange: ExchangeStats,
    /// The totals since the start of the virtual host, deleted queues and exchanges included.
    #[serde(default)]
    pub totals: VhostTotals,
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

impl Snapshot {
    /// The virtual host of this name.
    #[must_use]
    pub fn vhost(&self, name: &str) -> Option<&VhostSnapshot> {
        self.vhosts.iter().find(|vhost| vhost.name == *name)
    }

    /// The queue of this name in the virtual host `/`.
    ///
    /// [`Snapshot`] has an example.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&QueueSnapshot> {
        self.vhost("/")?.queue(name)
    }

    /// The exchange of this name in the virtual host `/`. The default exchange is
    /// [`VhostSnapshot::default_exchange`].
    ///
    /// [`ExchangeStats`] has an example.
    #[must_use]
    pub fn exchange(&self, name: &str) -> Option<&ExchangeSnapshot> {
        self.vhost("/")?.exchange(name)
    }
}

impl VhostSnapshot {
    /// The queue of this name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&QueueSnapshot> {
        let place = self
            .queues
            .binary_search_by(|queue| (*queue.name).cmp(name));
        self.queues.get(place.ok()?)
    }

    /// The exchange of this name.
    #[must_use]
    pub fn exchange(&self, name: &str) -> Option<&ExchangeSnapshot> {
        let place = self
            .exchanges
            .binary_search_by(|exchange| (*exchange.name).cmp(name));
        self.exchanges.get(place.ok()?)
    }

    /// The messages in all queues.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.queues.iter().map(QueueSnapshot::messages).sum()
    }

    /// The consumers of a queue.
    pub fn consumers_of(&self, queue: &str) -> impl Iterator<Item = &ConsumerSnapshot> {
        let before = |consumer: &ConsumerSnapshot| *consumer.queue < *queue;
        let first = self.consumers.partition_point(before);
        let consumers = self.consumers[first..].iter();
        consumers.take_while(move |consumer| consumer.queue == *queue)
    }
}

fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH
}

impl Broker {
    /// Takes a snapshot of all virtual hosts.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// [`Snapshot`] has an example.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let core = self.core();
        let (taken_at, uptime) = (core.time().system_now(), core.uptime());
        let gates = core.gates()?;
        // A virtual host that is deleted meanwhile is left out.
        let vhosts = gates.iter().filter_map(|gate| {
            let connections = core.connections(gate.vhost_name());
            vhost::snapshot_of(gate, &connections).ok()
        });
        Ok(Snapshot {
            taken_at,
            uptime,
            vhosts: vhosts.collect(),
            store: StoreSnapshot::of(self),
        })
    }
}
