//! The queues, each with a sample of its own.

use super::{global::module_of, per_queue};
use crate::management::{
    metrics::{Kind, Metric},
    snapshot::QueueSnapshot as Queue,
};

/// A metric of the queues that have a value.
macro_rules! of_some {
    ($name:literal, $help:literal, $read:expr) => {
        Metric {
            name: $name,
            kind: Kind::Gauge,
            help: $help,
            read: |snapshot, samples| {
                for vhost in &snapshot.vhosts {
                    for queue in &vhost.queues {
                        let labels = &[("vhost", &*vhost.name), ("queue", &*queue.name)];
                        if let Some(value) = $read(queue) {
                            samples.add(labels, value);
                        }
                    }
                }
            },
        }
    };
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "rabbitmq_queue_info",
        kind: Kind::Gauge,
        help: "The type of a queue; the value is 1.",
        read: |snapshot, samples| {
            for vhost in &snapshot.vhosts {
                for queue in &vhost.queues {
                    let labels = [
                        ("vhost", &*vhost.name),
                        ("queue", &*queue.name),
                        ("queue_type", &*module_of(&queue.queue_type)),
                        ("membership", "leader"),
                    ];
                    samples.add(&labels, 1.0);
                }
            }
        },
    },
    per_queue!(Gauge "queue_messages_ready", "Messages that are ready.",
        |it: &Queue| it.ready.messages),
    per_queue!(Gauge "queue_messages_unacked", "Messages that were delivered and are not settled.",
        |it: &Queue| it.unsettled.messages),
    per_queue!(Gauge "queue_messages", "Messages in the queue.", Queue::messages),
    per_queue!(Gauge "queue_messages_bytes", "Bytes of the messages in the queue.", Queue::bytes),
    per_queue!(Gauge "queue_messages_ready_bytes", "Bytes of the ready messages.",
        |it: &Queue| it.ready.bytes),
    per_queue!(Gauge "queue_messages_unacked_bytes", "Bytes of the unsettled messages.",
        |it: &Queue| it.unsettled.bytes),
    per_queue!(Gauge "queue_consumers", "Consumers of the queue.", |it: &Queue| it.consumers),
    of_some!(
        "rabbitmq_queue_head_message_timestamp",
        "The property timestamp of the next message, in seconds since 1970.",
        |it: &Queue| it.head_message_timestamp
    ),
    per_queue!(Counter "queue_messages_published_total", "Messages that the queue has taken in.",
        |it: &Queue| it.message_stats.publish),
    per_queue!(Counter "queue_messages_delivered_ack_total",
        "Deliveries that are to be acknowledged.", |it: &Queue| it.message_stats.deliver),
    per_queue!(Counter "queue_messages_delivered_total",
        "Deliveries that count as acknowledged.", |it: &Queue| it.message_stats.deliver_no_ack),
    per_queue!(Counter "queue_messages_redelivered_total",
        "Deliveries that came back, to be delivered again.",
        |it: &Queue| it.message_stats.redeliver),
    per_queue!(Counter "queue_messages_acked_total", "Acknowledgements.",
        |it: &Queue| it.message_stats.ack),
    per_queue!(Counter "queue_get_ack_total", "Gets that are to be acknowledged.",
        |it: &Queue| it.message_stats.get),
    per_queue!(Counter "queue_get_total", "Gets that count as acknowledged.",
        |it: &Queue| it.message_stats.get_no_ack),
    per_queue!(Counter "queue_get_empty_total", "Gets that found no message.",
        |it: &Queue| it.message_stats.get_empty),
    of_some!(
        "rabbitmq_stream_consumer_max_offset_lag",
        "How many messages the last reader of a stream has not read.",
        |it: &Queue| it.stream.as_ref()?.readers.iter().map(|it| it.lag).max()
    ),
    of_some!(
        "leveret_queue_head_age_seconds",
        "How long the next message waits at least.",
        |it: &Queue| it.head_age.map(|age| age.as_secs_f64())
    ),
    of_some!(
        "leveret_queue_messages_delayed",
        "Messages whose delay is not over.",
        |it: &Queue| (it.delayed.messages > 0).then_some(it.delayed.messages)
    ),
    of_some!(
        "leveret_queue_waiting_publishers",
        "Publishers that wait for room.",
        |it: &Queue| (it.waiting_publishers > 0).then_some(it.waiting_publishers)
    ),
];
