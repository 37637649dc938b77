//! The exchanges, each with a sample of its own. The default exchange has an empty name.

use crate::management::{
    metrics::{Kind, Metric, Samples},
    snapshot::{ExchangeStats, Snapshot},
};

/// A metric with a sample for each exchange.
macro_rules! per_exchange {
    ($name:literal, $help:literal, $read:expr) => {
        Metric {
            name: concat!("rabbitmq_exchange_messages_", $name, "_total"),
            kind: Kind::Counter,
            help: $help,
            read: |snapshot, samples| per_exchange(snapshot, samples, $read),
        }
    };
}

fn per_exchange(snapshot: &Snapshot, samples: &mut Samples<'_>, read: fn(&ExchangeStats) -> u64) {
    for vhost in &snapshot.vhosts {
        let labels = [("vhost", &*vhost.name), ("exchange", "")];
        samples.add(&labels, read(&vhost.default_exchange));
        for exchange in &vhost.exchanges {
            let labels = [("vhost", &*vhost.name), ("exchange", &*exchange.name)];
            samples.add(&labels, read(&exchange.message_stats));
        }
    }
}

pub(super) const METRICS: &[Metric] = &[
    per_exchange!(
        "published",
        "Messages that were published to the exchange.",
        |it| it.publish_in
    ),
    per_exchange!(
        "unroutable_dropped",
        "Messages that have reached no queue and were dropped.",
        |it| it.drop_unroutable
    ),
    per_exchange!(
        "unroutable_returned",
        "Mandatory messages that have reached no queue and were given back.",
        |it| it.return_unroutable
    ),
    Metric {
        name: "leveret_exchange_messages_routed_total",
        kind: Kind::Counter,
        help: "Copies of published messages in queues.",
        read: |snapshot, samples| per_exchange(snapshot, samples, |it| it.publish_out),
    },
    Metric {
        name: "rabbitmq_cluster_exchange_bindings",
        kind: Kind::Gauge,
        help: "Bindings of the exchange.",
        read: |snapshot, samples| {
            for vhost in &snapshot.vhosts {
                for exchange in &vhost.exchanges {
                    // They are sorted by their sources.
                    let first = vhost
                        .bindings
                        .partition_point(|it| it.source < exchange.name);
                    let bindings = vhost.bindings[first..].iter();
                    let count = bindings.take_while(|it| it.source == exchange.name).count();
                    let labels = [
                        ("vhost", &*vhost.name),
                        ("exchange", &*exchange.name),
                        ("type", exchange.exchange_type.as_str()),
                    ];
                    samples.add(&labels, count);
                }
            }
        },
    },
];
