//! The number of things in the broker, and of those that came and went.

use super::{per_vhost, single};
use crate::management::{
    metrics::{Kind, Metric},
    snapshot::{Snapshot, StoreSnapshot, VhostSnapshot, VhostTotals},
};

fn sum(snapshot: &Snapshot, count: fn(&VhostSnapshot) -> u64) -> u64 {
    snapshot.vhosts.iter().map(count).sum()
}

fn total(snapshot: &Snapshot, count: fn(&VhostTotals) -> u64) -> u64 {
    snapshot
        .vhosts
        .iter()
        .map(|vhost| count(&vhost.totals))
        .sum()
}

/// A metric of the store, which a broker without a folder has not.
const fn of_store(
    name: &'static str,
    help: &'static str,
    read: fn(&Snapshot, &mut super::super::Samples<'_>),
) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        help,
        read,
    }
}

fn store(snapshot: &Snapshot) -> Option<&StoreSnapshot> {
    snapshot.store.as_ref()
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "rabbitmq_build_info",
        kind: Kind::Gauge,
        help: "The version of leveret; the value is 1.",
        read: |_, samples| {
            samples.add(&[("rabbitmq_version", env!("CARGO_PKG_VERSION"))], 1.0);
        },
    },
    Metric {
        name: "rabbitmq_identity_info",
        kind: Kind::Gauge,
        help: "The labels that RabbitMQ's dashboards ask for; the value is 1.",
        read: |_, samples| {
            let labels = [
                ("rabbitmq_node", "leveret"),
                ("rabbitmq_cluster", "leveret"),
                ("rabbitmq_endpoint", "aggregated"),
            ];
            samples.add(&labels, 1.0);
        },
    },
    single!(Gauge "erlang_uptime_seconds", "How long the broker has been there.",
        |it: &Snapshot| it.uptime.as_secs_f64()),
    single!(Gauge "connections", "Open connections.",
        |it| sum(it, |it| it.connections.len() as u64)),
    single!(Gauge "channels", "Open channels.",
        |it| sum(it, |it| it.connections.iter().map(|it| it.channels.len() as u64).sum())),
    single!(Gauge "consumers", "Consumers.", |it| sum(it, |it| it.consumers.len() as u64)),
    single!(Gauge "queues", "Queues.", |it| sum(it, |it| it.queues.len() as u64)),
    single!(Counter "connections_opened_total", "Connections that were opened.",
        |it| total(it, |it| it.connections_opened)),
    single!(Counter "connections_closed_total", "Connections that were closed.",
        |it| total(it, |it| it.connections_closed)),
    single!(Counter "channels_opened_total", "Channels that were opened.",
        |it| total(it, |it| it.channels_opened)),
    single!(Counter "channels_closed_total", "Channels that were closed.",
        |it| total(it, |it| it.channels_closed)),
    single!(Counter "queues_declared_total", "Declarations of queues, also of those that exist.",
        |it| total(it, |it| it.queues_declared)),
    single!(Counter "queues_created_total", "Queues that were made.",
        |it| total(it, |it| it.queues_created)),
    single!(Counter "queues_deleted_total", "Queues that were deleted.",
        |it| total(it, |it| it.queues_deleted)),
    per_vhost!(Gauge "cluster_vhost_status", "Whether the virtual host runs; the value is 1.",
        |_: &VhostSnapshot| 1.0),
    of_store(
        "rabbitmq_disk_space_available_bytes",
        "Free bytes of the disk.",
        |it, samples| {
            if let Some(free) = store(it).and_then(|it| it.disk_free_bytes) {
                samples.add(&[], free);
            }
        },
    ),
    of_store(
        "rabbitmq_disk_space_available_limit_bytes",
        "Below so much free space, messages to durable queues wait.",
        |it, samples| {
            if let Some(store) = store(it) {
                samples.add(&[], store.disk_free_limit);
            }
        },
    ),
    of_store(
        "rabbitmq_alarms_free_disk_space_watermark",
        "Whether there is too little free space: 1 or 0.",
        |it, samples| {
            if let Some(store) = store(it) {
                samples.add(&[], store.is_blocked);
            }
        },
    ),
];
