//! Exchanges and bindings.

use serde::{Deserialize, Serialize};

use crate::{
    engine::vhost::{DeclaredExchange, PublishCounts, Target},
    model::{
        exchange_kind::ExchangeKind, field_value::FieldTable, message_totals::MessageTotals,
        name::Name,
    },
};

#[cfg(doc)]
use super::Snapshot;

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
    /// The messages that were published to it.
    #[serde(default)]
    pub message_stats: ExchangeStats,
    /// The declared `durable` flag.
    pub durable: bool,
    /// The declared `auto_delete` flag.
    pub auto_delete: bool,
    /// The declared `internal` flag.
    pub internal: bool,
    /// The declared arguments.
    pub arguments: FieldTable,
}

/// How many messages were published to an exchange since its declaration.
///
/// As in RabbitMQ, a message counts for the exchange that its publisher has named, and not for
/// those on its way. Dead letters count for none. The copies that a delayed exchange sends later do
/// not count as `publish_out`.
///
/// # RabbitMQ
/// `message_stats` of `/api/exchanges`, and of `/api/channels` for unroutable messages.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue};
///
/// let broker = Broker::new();
/// let logs = Exchange::fanout("logs");
/// let producer = broker.producer::<u32>(&logs)?;
/// producer.publish(1)?; // to no queue
/// broker.declare(&Queue::new("a").bind(&logs, ""))?;
/// broker.declare(&Queue::new("b").bind(&logs, ""))?;
/// producer.publish(2)?;
/// let snapshot = broker.snapshot()?;
/// let stats = snapshot.exchange("logs").unwrap().message_stats;
/// assert_eq!((stats.publish_in, stats.publish_out, stats.drop_unroutable), (2, 2, 1));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExchangeStats {
    /// Messages that were published to it.
    pub publish_in: u64,
    /// The copies of these messages that queues took.
    pub publish_out: u64,
    /// Messages that reached no queue and were dropped.
    pub drop_unroutable: u64,
    /// Mandatory messages that reached no queue and were given back.
    pub return_unroutable: u64,
}

impl From<PublishCounts> for ExchangeStats {
    fn from(counts: PublishCounts) -> ExchangeStats {
        ExchangeStats {
            publish_in: counts.published,
            publish_out: counts.routed,
            drop_unroutable: counts.dropped,
            return_unroutable: counts.returned,
        }
    }
}

impl std::ops::AddAssign for ExchangeStats {
    fn add_assign(&mut self, other: ExchangeStats) {
        self.publish_in += other.publish_in;
        self.publish_out += other.publish_out;
        self.drop_unroutable += other.drop_unroutable;
        self.return_unroutable += other.return_unroutable;
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

pub(super) fn snapshot_of((name, declared): (&Name, &DeclaredExchange)) -> ExchangeSnapshot {
    ExchangeSnapshot {
        name: name.clone(),
        kind: declared.kind(),
        exchange_type: declared.description.kind().to_owned(),
        delayed: declared.delay_queue.as_ref().map(|queue| queue.delayed()),
        history: declared.history.as_ref().map(|history| history.totals()),
        message_stats: declared.tally.counts().into(),
        durable: declared.description.is_durable(),
        auto_delete: declared.description.is_auto_delete(),
        internal: declared.description.is_internal(),
        arguments: declared.description.argument_table().clone(),
    }
}

pub(super) fn bindings_of(
    (name, declared): (&Name, &DeclaredExchange),
) -> impl Iterator<Item = BindingSnapshot> {
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
