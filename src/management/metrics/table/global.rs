//! The totals of all virtual hosts, in which deleted queues still count.

use std::collections::BTreeMap;

use crate::management::{
    metrics::{Kind, Labels, Metric, Samples},
    snapshot::{QueueTotals, Snapshot, VhostTotals},
};

/// Clients of all protocols arrive at the same queues, so there is one value of the label.
const PROTOCOL: (&str, &str) = ("protocol", "amqp091");

/// A metric with one sample, which has a protocol.
macro_rules! of_protocol {
    ($kind:ident $name:literal, $help:literal, $read:expr) => {
        Metric {
            name: concat!("rabbitmq_global_", $name),
            kind: Kind::$kind,
            help: $help,
            read: |snapshot, samples| {
                let counts = snapshot.vhosts.iter().map(|vhost| $read(&vhost.totals));
                samples.add(&[PROTOCOL], counts.sum::<u64>());
            },
        }
    };
}

/// A metric with a sample for each type of queues.
macro_rules! of_type {
    ($name:literal, $help:literal, $read:expr) => {
        Metric {
            name: concat!("rabbitmq_global_messages_", $name, "_total"),
            kind: Kind::Counter,
            help: $help,
            read: |snapshot, samples| {
                by_type(snapshot, |queue_type, totals| {
                    samples.add(&[PROTOCOL, ("queue_type", queue_type)], $read(totals));
                });
            },
        }
    };
}

/// A metric of dead letters and dropped messages.
macro_rules! of_deaths {
    ($reason:ident, $help:literal) => {
        Metric {
            name: concat!(
                "rabbitmq_global_messages_dead_lettered_",
                stringify!($reason),
                "_total"
            ),
            kind: Kind::Counter,
            help: $help,
            read: |snapshot, samples| {
                deaths(snapshot, samples, |totals| {
                    (totals.dead_lettered_by.$reason, totals.dropped_by.$reason)
                });
            },
        }
    };
}

fn by_type(snapshot: &Snapshot, mut with: impl FnMut(&str, &QueueTotals)) {
    let mut all: BTreeMap<&str, QueueTotals> = BTreeMap::new();
    for (queue_type, totals) in snapshot.vhosts.iter().flat_map(|it| &it.totals.queues) {
        let sum = all.entry(queue_type).or_default();
        sum.message_stats += totals.message_stats;
        sum.dead_lettered_by += totals.dead_lettered_by;
        sum.dropped_by += totals.dropped_by;
    }
    for (queue_type, totals) in &all {
        with(&module_of(queue_type), totals);
    }
}

/// RabbitMQ's label for a type of queues.
pub(super) fn module_of(queue_type: &str) -> String {
    format!("rabbit_{queue_type}_queue")
}

/// As in RabbitMQ, a queue without a dead-letter exchange has the strategy `disabled`.
fn deaths(snapshot: &Snapshot, samples: &mut Samples<'_>, of: fn(&QueueTotals) -> (u64, u64)) {
    by_type(snapshot, |queue_type, totals| {
        let (dead_lettered, dropped) = of(totals);
        for (strategy, count) in [("at_most_once", dead_lettered), ("disabled", dropped)] {
            let labels: Labels<'_> = &[
                ("queue_type", queue_type),
                ("dead_letter_strategy", strategy),
            ];
            samples.add(labels, count);
        }
    });
}

pub(super) const METRICS: &[Metric] = &[
    of_protocol!(Counter "messages_received_total", "Messages that were published.",
        |it: &VhostTotals| it.published.publish_in),
    of_protocol!(Counter "messages_received_confirm_total",
        "Messages that channels in confirm mode have published.",
        |it: &VhostTotals| it.published_to_confirm),
    of_protocol!(Counter "messages_confirmed_total", "Messages that channels have confirmed.",
        |it: &VhostTotals| it.confirmed),
    of_protocol!(Counter "messages_routed_total", "Copies of published messages in queues.",
        |it: &VhostTotals| it.published.publish_out),
    of_protocol!(Counter "messages_unroutable_dropped_total",
        "Messages that have reached no queue and were dropped.",
        |it: &VhostTotals| it.published.drop_unroutable),
    of_protocol!(Counter "messages_unroutable_returned_total",
        "Mandatory messages that have reached no queue and were given back.",
        |it: &VhostTotals| it.published.return_unroutable),
    of_protocol!(Gauge "publishers", "Producers. Clones count once.",
        |it: &VhostTotals| it.publishers_opened.saturating_sub(it.publishers_closed)),
    Metric {
        name: "rabbitmq_global_consumers",
        kind: Kind::Gauge,
        help: "Consumers.",
        read: |snapshot, samples| {
            let consumers = snapshot.vhosts.iter().map(|vhost| vhost.consumers.len());
            samples.add(&[PROTOCOL], consumers.sum::<usize>());
        },
    },
    of_type!(
        "delivered_consume_manual_ack",
        "Deliveries that are to be acknowledged.",
        |it: &QueueTotals| it.message_stats.deliver
    ),
    of_type!(
        "delivered_consume_auto_ack",
        "Deliveries that count as acknowledged.",
        |it: &QueueTotals| it.message_stats.deliver_no_ack
    ),
    of_type!(
        "delivered_get_manual_ack",
        "Gets that are to be acknowledged.",
        |it: &QueueTotals| it.message_stats.get
    ),
    of_type!(
        "delivered_get_auto_ack",
        "Gets that count as acknowledged.",
        |it: &QueueTotals| it.message_stats.get_no_ack
    ),
    of_type!(
        "get_empty",
        "Gets that found no message.",
        |it: &QueueTotals| it.message_stats.get_empty
    ),
    of_type!("delivered", "Deliveries and gets.", |it: &QueueTotals| it
        .message_stats
        .deliver_get()),
    of_type!(
        "redelivered",
        "Deliveries that came back, to be delivered again.",
        |it: &QueueTotals| it.message_stats.redeliver
    ),
    of_type!("acknowledged", "Acknowledgements.", |it: &QueueTotals| it
        .message_stats
        .ack),
    of_deaths!(rejected, "Dead letters, since they were rejected."),
    of_deaths!(expired, "Dead letters, since they have expired."),
    of_deaths!(
        maxlen,
        "Dead letters, since their queue was at its length limit."
    ),
    of_deaths!(
        delivery_limit,
        "Dead letters, since they came back too often."
    ),
];
