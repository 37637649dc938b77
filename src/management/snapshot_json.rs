//! A snapshot as JSON, with the field names of RabbitMQ's management API.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::snapshot::{
    BindingSnapshot, ChannelSnapshot, ConnectionSnapshot, ConsumerSnapshot, ExchangeRates,
    ExchangeSnapshot, ExchangeStats, MessageStats, QueueRates, QueueSnapshot, Rates, Snapshot,
    VhostSnapshot,
};
use crate::model::descriptions::names as x;

impl Snapshot {
    /// This snapshot as JSON, with the field names of RabbitMQ's management API.
    ///
    /// It is an object. Its fields `overview`, `vhosts`, `exchanges`, `queues`, `bindings`,
    /// `consumers`, `connections` and `channels` hold what `GET /api/overview` and so on give. The
    /// default exchange is among the exchanges and has the empty name. Its bindings are left out,
    /// since every queue has one.
    ///
    /// With an `earlier` snapshot there are the fields `..._details` with the rates between the
    /// two.
    ///
    /// These fields are not RabbitMQ's:
    /// - of a queue `head_age` (in seconds, at least), `dead_lettered_by`, `dropped_by`,
    ///   `messages_expired`, `messages_purged`, `messages_moved`, `owner` (the number of its
    ///   connection), `waiting_publishers`;
    /// - of an exchange `delayed`, the messages that it delays;
    /// - of a consumer `delivered`, `unsettled`, `credit`, `priority`;
    /// - of a connection `number`, `implicit`;
    /// - of a virtual host `budgets`;
    /// - `uptime` in the overview, in milliseconds.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.producer::<u32>(&Queue::new("q"))?.publish(7)?;
    /// let json = broker.snapshot()?.to_json(None);
    /// let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    /// assert_eq!(json["queues"][0]["name"], "q");
    /// assert_eq!(json["queues"][0]["messages_ready"], 1);
    /// assert_eq!(json["queues"][0]["message_stats"]["publish"], 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn to_json(&self, earlier: Option<&Snapshot>) -> String {
        self.to_value(earlier).to_string()
    }

    pub(super) fn to_value(&self, earlier: Option<&Snapshot>) -> Value {
        let rates = earlier.map(|earlier| self.rates(earlier));
        let rates = rates.as_ref();
        json!({
            "overview": overview(self, rates),
            "vhosts": all(&self.vhosts, |vhost| [vhost_json(vhost)]),
            "exchanges": all(&self.vhosts, |vhost| exchanges(vhost, rates)),
            "queues": all(&self.vhosts, |vhost| {
                vhost.queues.iter().map(move |it| queue(vhost, it, rates))
            }),
            "bindings": all(&self.vhosts, |vhost| {
                vhost.bindings.iter().map(move |it| binding(vhost, it))
            }),
            "consumers": all(&self.vhosts, |vhost| {
                vhost.consumers.iter().map(move |it| consumer(vhost, it))
            }),
            "connections": all(&self.vhosts, |vhost| {
                vhost.connections.iter().map(move |it| connection(vhost, it))
            }),
            "channels": all(&self.vhosts, |vhost| {
                let connections = vhost.connections.iter();
                connections.flat_map(move |it| {
                    it.channels.iter().map(move |one| channel(vhost, it, one))
                })
            }),
        })
    }
}

fn all<'a, I: IntoIterator<Item = Value>>(
    vhosts: &'a [VhostSnapshot],
    list: impl FnMut(&'a VhostSnapshot) -> I,
) -> Value {
    vhosts.iter().flat_map(list).collect()
}

/// Adds the field `<name>_details` for each rate.
fn add_details<'a>(to: &mut Value, rates: impl IntoIterator<Item = (&'a str, f64)>) {
    if let Value::Object(fields) = to {
        let details = rates.into_iter();
        fields
            .extend(details.map(|(name, rate)| (format!("{name}_details"), json!({"rate": rate}))));
    }
}

fn overview(snapshot: &Snapshot, rates: Option<&Rates>) -> Value {
    let sum = |count: fn(&VhostSnapshot) -> u64| snapshot.vhosts.iter().map(count).sum::<u64>();
    let (mut published, mut stats) = <(ExchangeStats, MessageStats)>::default();
    for vhost in &snapshot.vhosts {
        published += vhost.totals.published;
        stats += vhost.totals.message_stats();
    }
    let mut message_stats = message_stats(&stats, rates.map(|rates| &rates.total));
    add_published(
        &mut message_stats,
        &published,
        sum(|it| it.totals.confirmed),
    );
    if let Some(rates) = rates {
        add_details(
            &mut message_stats,
            [("publish", rates.published.publish_in)],
        );
    }
    let mut queue_totals = json!({
        "messages": sum(VhostSnapshot::messages),
        "messages_ready": sum(|it| it.queues.iter().map(|it| it.ready.messages).sum()),
        "messages_unacknowledged":
            sum(|it| it.queues.iter().map(|it| it.unsettled.messages).sum()),
    });
    if let Some(rates) = rates {
        add_details(&mut queue_totals, [("messages", rates.total.messages)]);
    }
    json!({
        "product_name": env!("CARGO_PKG_NAME"),
        "product_version": env!("CARGO_PKG_VERSION"),
        "uptime": millis(snapshot.uptime),
        "message_stats": message_stats,
        "churn_rates": {
            "queue_declared": sum(|it| it.totals.queues_declared),
            "queue_created": sum(|it| it.totals.queues_created),
            "queue_deleted": sum(|it| it.totals.queues_deleted),
            "connection_created": sum(|it| it.totals.connections_opened),
            "connection_closed": sum(|it| it.totals.connections_closed),
            "channel_created": sum(|it| it.totals.channels_opened),
            "channel_closed": sum(|it| it.totals.channels_closed),
        },
        "queue_totals": queue_totals,
        "object_totals": {
            "channels": sum(|it| it.connections.iter().map(|it| it.channels.len() as u64).sum()),
            "consumers": sum(|it| it.consumers.len() as u64),
            "exchanges": sum(|it| it.exchanges.len() as u64 + 1),
            "queues": sum(|it| it.queues.len() as u64),
            "connections": sum(|it| it.connections.len() as u64),
        },
    })
}

/// Adds the counts of publishes. Outside of queues `publish` counts the messages that programs have
/// published, and not those that queues have taken in.
fn add_published(stats: &mut Value, published: &ExchangeStats, confirmed: u64) {
    if let Value::Object(fields) = stats {
        fields.insert("publish".into(), published.publish_in.into());
        fields.insert("drop_unroutable".into(), published.drop_unroutable.into());
        fields.insert(
            "return_unroutable".into(),
            published.return_unroutable.into(),
        );
        fields.insert("confirm".into(), confirmed.into());
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn vhost_json(vhost: &VhostSnapshot) -> Value {
    let mut message_stats = message_stats(&vhost.totals.message_stats(), None);
    add_published(
        &mut message_stats,
        &vhost.totals.published,
        vhost.totals.confirmed,
    );
    let ready = vhost.queues.iter().map(|it| it.ready.messages);
    let unsettled = vhost.queues.iter().map(|it| it.unsettled.messages);
    json!({
        "name": vhost.name,
        "messages": vhost.messages(),
        "messages_ready": ready.sum::<u64>(),
        "messages_unacknowledged": unsettled.sum::<u64>(),
        "message_stats": message_stats,
        "budgets": vhost.budgets,
    })
}

fn exchanges<'a>(
    vhost: &'a VhostSnapshot,
    rates: Option<&'a Rates>,
) -> impl Iterator<Item = Value> + 'a {
    let rates_of = move |name: &str| rates?.exchange_in(&vhost.name, name);
    let default = json!({
        "name": "",
        "vhost": vhost.name,
        "type": "direct",
        "durable": true,
        "auto_delete": false,
        "internal": false,
        "arguments": {},
        "message_stats": exchange_stats(&vhost.default_exchange, rates_of("")),
    });
    let others = vhost.exchanges.iter();
    let others = others.map(move |it| exchange(vhost, it, rates_of(&it.name)));
    [default].into_iter().chain(others)
}

fn exchange(
    vhost: &VhostSnapshot,
    exchange: &ExchangeSnapshot,
    rates: Option<&ExchangeRates>,
) -> Value {
    json!({
        "name": exchange.name,
        "vhost": vhost.name,
        "type": exchange.exchange_type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": exchange.arguments,
        "message_stats": exchange_stats(&exchange.message_stats, rates),
        "delayed": exchange.delayed,
    })
}

fn exchange_stats(stats: &ExchangeStats, rates: Option<&ExchangeRates>) -> Value {
    let mut json = json!(stats);
    if let Some(rates) = rates {
        add_details(
            &mut json,
            [
                ("publish_in", rates.publish_in),
                ("publish_out", rates.publish_out),
            ],
        );
    }
    json
}

fn message_stats(stats: &MessageStats, rates: Option<&QueueRates>) -> Value {
    let mut json = json!(stats);
    if let Value::Object(fields) = &mut json {
        fields.insert("deliver_get".into(), stats.deliver_get().into());
    }
    if let Some(rates) = rates {
        add_details(
            &mut json,
            [
                ("publish", rates.publish),
                ("deliver_get", rates.deliver_get),
                ("ack", rates.ack),
                ("redeliver", rates.redeliver),
            ],
        );
    }
    json
}

fn queue(vhost: &VhostSnapshot, queue: &QueueSnapshot, rates: Option<&Rates>) -> Value {
    let rates = rates.and_then(|rates| rates.queue_in(&vhost.name, &queue.name));
    let consumers: Vec<&ConsumerSnapshot> = vhost.consumers_of(&queue.name).collect();
    let tag_of = |wanted: &dyn Fn(&ConsumerSnapshot) -> bool| {
        let found = consumers.iter().find(|consumer| wanted(consumer));
        found.map(|consumer| &consumer.consumer_tag)
    };
    let single_active = queue.arguments.get(x::SINGLE_ACTIVE_CONSUMER).is_some();
    let mut json = json!({
        "name": queue.name,
        "vhost": vhost.name,
        "type": queue.queue_type,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.exclusive,
        "arguments": queue.arguments,
        "policy": queue.policy,
        "operator_policy": queue.operator_policy,
        "effective_policy_definition": vhost.effective_policy_definition(queue),
        "state": "running",
        "consumers": queue.consumers,
        "messages": queue.messages(),
        "messages_ready": queue.ready.messages,
        "messages_unacknowledged": queue.unsettled.messages,
        "messages_delayed": queue.delayed.messages,
        "messages_dlx": queue.in_transit.messages,
        "message_bytes": queue.bytes(),
        "message_bytes_ready": queue.ready.bytes,
        "message_bytes_unacknowledged": queue.unsettled.bytes,
        "message_bytes_dlx": queue.in_transit.bytes,
        "message_stats": message_stats(&queue.message_stats, rates),
        "head_message_timestamp": queue.head_message_timestamp,
        "exclusive_consumer_tag": tag_of(&|it| it.exclusive),
        "single_active_consumer_tag": tag_of(&|it| single_active && it.active),
        "head_age": queue.head_age.map(|age| age.as_secs_f64()),
        "dead_lettered_by": queue.dead_lettered_by,
        "dropped_by": queue.dropped_by,
        "messages_expired": queue.expired.messages,
        "messages_purged": queue.purged.messages,
        "messages_moved": queue.moved.messages,
        "owner": queue.owner,
        "waiting_publishers": queue.waiting_publishers,
    });
    if let Some(rates) = rates {
        add_details(&mut json, [("messages", rates.messages)]);
    }
    if let (Value::Object(fields), Some(stream)) = (&mut json, &queue.stream) {
        fields.insert("first_offset".into(), stream.first_offset.into());
        fields.insert("next_offset".into(), stream.next_offset.into());
        fields.insert("readers".into(), json!(stream.readers));
    }
    json
}

fn binding(vhost: &VhostSnapshot, binding: &BindingSnapshot) -> Value {
    json!({
        "source": binding.source,
        "vhost": vhost.name,
        "destination": binding.destination,
        "destination_type": if binding.to_queue { "queue" } else { "exchange" },
        "routing_key": binding.routing_key,
        "arguments": binding.arguments,
    })
}

fn consumer(vhost: &VhostSnapshot, consumer: &ConsumerSnapshot) -> Value {
    let number = consumer.connection;
    let mut connections = vhost.connections.iter();
    let connection = connections.find(|it| Some(it.number) == number);
    let channel_details = connection.map(|connection| {
        json!({
            "connection_name": connection.name,
            "number": consumer.channel,
            "user": connection.user,
        })
    });
    json!({
        "queue": {"name": consumer.queue, "vhost": vhost.name},
        "consumer_tag": consumer.consumer_tag,
        "channel_details": channel_details,
        "ack_required": consumer.ack_required,
        "exclusive": consumer.exclusive,
        "prefetch_count": consumer.prefetch_count,
        "active": consumer.active,
        "activity_status": activity(consumer),
        "priority": consumer.priority,
        "delivered": consumer.delivered.messages,
        "unsettled": consumer.unsettled.messages,
        "credit": consumer.credit,
    })
}

/// RabbitMQ's word for a consumer that gets messages, or waits behind another.
fn activity(consumer: &ConsumerSnapshot) -> &'static str {
    match consumer.active {
        true => "up",
        false => "waiting",
    }
}

fn connection(vhost: &VhostSnapshot, connection: &ConnectionSnapshot) -> Value {
    let since_1970 = connection.connected_at.duration_since(UNIX_EPOCH);
    let is_local = connection.peer_address.is_empty();
    json!({
        "name": connection.name,
        "vhost": vhost.name,
        "user": connection.user,
        "number": connection.number,
        "implicit": connection.implicit,
        "type": if is_local { "direct" } else { "network" },
        "auth_mechanism": connection.auth_mechanism,
        "peer_host": connection.peer_address,
        "protocol": connection.protocol,
        "client_properties": connection.client_properties,
        "connected_at": millis(since_1970.unwrap_or_default()),
        "state": if connection.blocked { "blocked" } else { "running" },
        "channels": connection.channels.len(),
    })
}

fn channel(
    vhost: &VhostSnapshot,
    connection: &ConnectionSnapshot,
    channel: &ChannelSnapshot,
) -> Value {
    let fields: Map<String, Value> = [
        (
            "name",
            json!(format!("{} ({})", connection.name, channel.number)),
        ),
        ("vhost", json!(vhost.name)),
        ("user", json!(connection.user)),
        ("number", json!(channel.number)),
        (
            "connection_details",
            json!({"name": connection.name, "number": connection.number}),
        ),
        ("state", json!("running")),
        ("confirm", json!(channel.confirm)),
        ("transactional", json!(channel.transactional)),
        ("consumer_count", json!(channel.consumers)),
        ("prefetch_count", json!(channel.prefetch_count)),
        (
            "global_prefetch_count",
            json!(channel.global_prefetch_count),
        ),
        ("messages_unacknowledged", json!(channel.messages_unsettled)),
        ("messages_unconfirmed", json!(channel.messages_unconfirmed)),
        ("messages_uncommitted", json!(channel.messages_uncommitted)),
        ("acks_uncommitted", json!(channel.settlements_uncommitted)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    Value::Object(fields)
}
