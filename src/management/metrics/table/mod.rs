//! The table of the metrics.

mod broker;
mod channels;
mod exchanges;
mod global;
mod queues;

use super::Metric;

/// All metrics, in the order of the text.
pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    [
        broker::METRICS,
        global::METRICS,
        queues::METRICS,
        exchanges::METRICS,
        channels::METRICS,
    ]
    .into_iter()
    .flatten()
}

/// A metric with one sample.
macro_rules! single {
    ($kind:ident $name:literal, $help:literal, $read:expr) => {
        $crate::management::metrics::Metric {
            name: concat!("rabbitmq_", $name),
            kind: $crate::management::metrics::Kind::$kind,
            help: $help,
            read: |snapshot, samples| samples.add(&[], $read(snapshot)),
        }
    };
}

/// A metric with a sample for each virtual host.
macro_rules! per_vhost {
    ($kind:ident $name:literal, $help:literal, $read:expr) => {
        $crate::management::metrics::Metric {
            name: concat!("rabbitmq_", $name),
            kind: $crate::management::metrics::Kind::$kind,
            help: $help,
            read: |snapshot, samples| {
                for vhost in &snapshot.vhosts {
                    samples.add(&[("vhost", &*vhost.name)], $read(vhost));
                }
            },
        }
    };
}

/// A metric with a sample for each queue.
macro_rules! per_queue {
    ($kind:ident $name:literal, $help:literal, $read:expr) => {
        $crate::management::metrics::Metric {
            name: concat!("rabbitmq_", $name),
            kind: $crate::management::metrics::Kind::$kind,
            help: $help,
            read: |snapshot, samples| {
                for vhost in &snapshot.vhosts {
                    for queue in &vhost.queues {
                        let labels = &[("vhost", &*vhost.name), ("queue", &*queue.name)];
                        samples.add(labels, $read(queue));
                    }
                }
            },
        }
    };
}

use {per_queue, per_vhost, single};
