//! Connections, channels and consumers.

use std::{sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    engine::{queue::ListedConsumer, vhost::DeclaredQueue},
    model::{field_value::FieldTable, message_totals::MessageTotals, name::Name},
    session::connection::{ChannelView, ConnectionCore},
};

/// A connection at one moment. One of the virtual host itself is always there: the implicit one,
/// which all handles of the broker share.
///
/// # RabbitMQ
/// `rabbitmqctl list_connections`.
///
/// # Examples
/// ```
/// use leveret::{Broker, ConnectionOptions, Credentials, Queue, channel::ConsumeOptions};
///
/// let broker = Broker::new();
/// let user = broker.authenticate(Credentials::guest())?;
/// let connection = broker.connect_as(&user, "/", ConnectionOptions::new().name("worker 7"))?;
/// let channel = connection.open_channel()?;
/// channel.queue_declare(&Queue::new("q"))?;
/// channel.basic_consume("q", ConsumeOptions::new().tag("c"))?;
///
/// let vhost = &broker.snapshot()?.vhosts[0];
/// let [implicit, worker] = &vhost.connections[..] else { panic!("{:?}", vhost.connections) };
/// assert!(implicit.implicit && !worker.implicit);
/// assert_eq!((&*worker.name, &*worker.user), ("worker 7", "guest"));
/// assert_eq!((worker.channels[0].number, worker.channels[0].consumers), (1, 1));
/// let [consumer] = &vhost.consumers[..] else { panic!("{:?}", vhost.consumers) };
/// assert_eq!((&*consumer.queue, &*consumer.consumer_tag), ("q", "c"));
/// assert_eq!((consumer.connection, consumer.channel), (Some(worker.number), Some(1)));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// The number of the connection in its broker. No other connection has had it.
    pub number: u64,
    /// The [name](crate::ConnectionOptions::name) of the connection; empty for none.
    pub name: String,
    /// The user.
    pub user: Name,
    /// Whether it is the virtual host's own connection.
    pub implicit: bool,
    /// The mechanism of the login, such as `PLAIN`; empty for the implicit connection.
    pub auth_mechanism: String,
    /// The address of the client; empty inside of the process.
    pub peer_address: String,
    /// The protocol of the client; empty inside of the process.
    pub protocol: String,
    /// The properties of the client.
    pub client_properties: FieldTable,
    /// When it was opened.
    pub connected_at: SystemTime,
    /// Whether a publish through it waits for room.
    pub blocked: bool,
    /// Its channels, by their numbers.
    pub channels: Vec<ChannelSnapshot>,
}

/// A channel at one moment.
///
/// # RabbitMQ
/// `rabbitmqctl list_channels`.
///
/// [`ConnectionSnapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChannelSnapshot {
    /// The number of the channel in its connection.
    pub number: u16,
    /// Whether it is in [confirm mode](crate::Channel::confirm_select).
    pub confirm: bool,
    /// Whether it is [transactional](crate::Channel::tx_select).
    pub transactional: bool,
    /// The number of its consumers, that of direct replies included.
    pub consumers: u64,
    /// The prefetch of consumers that start from now on; 0 is no limit.
    pub prefetch_count: u16,
    /// The limit of unsettled deliveries of all its consumers together; 0 is no limit.
    pub global_prefetch_count: u32,
    /// The number of unsettled deliveries and gets.
    pub messages_unsettled: u64,
    /// The number of published messages without a confirm.
    pub messages_unconfirmed: u64,
    /// The number of messages that were published in confirm mode.
    #[serde(default)]
    pub published_to_confirm: u64,
    /// The number of messages that the transaction publishes.
    pub messages_uncommitted: u64,
    /// The number of deliveries that the transaction settles.
    pub settlements_uncommitted: u64,
    /// The [window](crate::channel::ChannelOptions::window) of unread deliveries; 0 is no limit.
    pub window: u32,
    /// The number of unread deliveries, on a channel with a window.
    pub deliveries_unread: u64,
}

/// A consumer of a queue at one moment: one of a channel, or a typed one.
///
/// # RabbitMQ
/// `rabbitmqctl list_consumers`.
///
/// [`ConnectionSnapshot`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConsumerSnapshot {
    /// The queue.
    pub queue: Name,
    /// The tag of the consumer.
    pub consumer_tag: Name,
    /// The [number](ConnectionSnapshot::number) of its connection. `None` in a snapshot of an
    /// earlier version, if it was just being made or just gone.
    pub connection: Option<u64>,
    /// The number of its channel; `None` for a typed consumer of the connection itself.
    pub channel: Option<u16>,
    /// Whether its deliveries are to be acknowledged.
    pub ack_required: bool,
    /// Whether it is the only consumer that the queue may have.
    pub exclusive: bool,
    /// How many unsettled deliveries it may hold; 0 is no limit.
    pub prefetch_count: u32,
    /// Consumers of a higher priority are served first.
    pub priority: i64,
    /// Whether it may get messages: it is not paused, and no other is the single active consumer.
    pub active: bool,
    /// Deliveries so far, those that wait unseen in the consumer among them.
    #[serde(default)]
    pub delivered: MessageTotals,
    /// Deliveries that it holds unsettled, those that wait unseen in it among them. A consumer that
    /// acknowledges by delivery holds none.
    #[serde(default)]
    pub unsettled: MessageTotals,
    /// Deliveries that wait unseen in it, as far as it has not taken them over yet.
    #[serde(default)]
    pub waiting: u64,
    /// How many more messages it may get now; `None` is no limit.
    #[serde(default)]
    pub credit: Option<u64>,
}

/// The connections of a virtual host.
pub(super) fn snapshots_of(connections: &[Arc<ConnectionCore>]) -> Vec<ConnectionSnapshot> {
    connections.iter().map(|it| connection_of(it)).collect()
}

/// The consumers of a queue.
pub(super) fn consumers_of(declared: &DeclaredQueue) -> Vec<ConsumerSnapshot> {
    let queue = declared.queue.name();
    let consumers = declared.queue.list_consumers().into_iter();
    consumers
        .map(|consumer| consumer_of(queue, consumer))
        .collect()
}

fn consumer_of(queue: &Name, consumer: ListedConsumer) -> ConsumerSnapshot {
    // A settlement may be under way.
    let messages = consumer
        .delivered
        .messages
        .saturating_sub(consumer.settled.messages);
    let bytes = consumer
        .delivered
        .bytes
        .saturating_sub(consumer.settled.bytes);
    let unsettled = MessageTotals::new(messages, bytes);
    ConsumerSnapshot {
        queue: queue.clone(),
        connection: Some(consumer.by.connection),
        channel: consumer.by.channel,
        consumer_tag: consumer.tag,
        ack_required: !consumer.auto_ack,
        exclusive: consumer.exclusive,
        prefetch_count: consumer.prefetch,
        priority: consumer.priority,
        active: consumer.active,
        delivered: consumer.delivered,
        unsettled,
        waiting: consumer.in_inbox,
        credit: (consumer.prefetch > 0)
            .then(|| u64::from(consumer.prefetch).saturating_sub(unsettled.messages)),
    }
}

fn connection_of(connection: &ConnectionCore) -> ConnectionSnapshot {
    let (about, gate) = (connection.about(), connection.gate());
    let options = about.options.clone();
    ConnectionSnapshot {
        number: gate.connection(),
        name: options.name,
        user: gate.user().clone(),
        implicit: about.is_implicit(),
        auth_mechanism: about.mechanism.as_deref().unwrap_or_default().to_owned(),
        peer_address: options.peer_address,
        protocol: options.protocol,
        client_properties: options.client_properties,
        connected_at: about.connected_at,
        blocked: gate.is_blocked(),
        channels: (connection.view_channels().into_iter())
            .map(channel_of)
            .collect(),
    }
}

fn channel_of(view: ChannelView) -> ChannelSnapshot {
    ChannelSnapshot {
        number: view.number,
        confirm: view.confirm,
        transactional: view.transactional,
        consumers: view.consumers as u64,
        prefetch_count: view.prefetch,
        global_prefetch_count: view.global_prefetch,
        messages_unsettled: view.unsettled as u64,
        messages_unconfirmed: view.unconfirmed as u64,
        published_to_confirm: view.published_to_confirm,
        messages_uncommitted: view.uncommitted as u64,
        settlements_uncommitted: view.uncommitted_settlements as u64,
        window: view.window,
        deliveries_unread: view.unread,
    }
}
