//! What the plugin tells of channels, as sums of a virtual host. Dashboards for RabbitMQ before
//! 3.9 ask for these.

use super::per_vhost;
use crate::management::{
    metrics::Metric,
    snapshot::{ChannelSnapshot, VhostSnapshot as Vhost},
};

fn sum(vhost: &Vhost, count: fn(&ChannelSnapshot) -> u64) -> u64 {
    let channels = vhost.connections.iter().flat_map(|it| &it.channels);
    channels.map(count).sum()
}

pub(super) const METRICS: &[Metric] = &[
    per_vhost!(Gauge "channel_consumers", "Consumers.", |it: &Vhost| it.consumers.len()),
    per_vhost!(Gauge "channel_messages_unacked", "Deliveries and gets of channels, not settled.",
        |it| sum(it, |it| it.messages_unsettled)),
    per_vhost!(Gauge "channel_messages_unconfirmed", "Messages without a confirm.",
        |it| sum(it, |it| it.messages_unconfirmed)),
    per_vhost!(Gauge "channel_messages_uncommitted", "Messages of open transactions.",
        |it| sum(it, |it| it.messages_uncommitted)),
    per_vhost!(Gauge "channel_acks_uncommitted", "Settlements of open transactions.",
        |it| sum(it, |it| it.settlements_uncommitted)),
    per_vhost!(Counter "channel_messages_published_total", "Messages that were published.",
        |it: &Vhost| it.totals.published.publish_in),
    per_vhost!(Counter "channel_messages_confirmed_total", "Messages that were confirmed.",
        |it: &Vhost| it.totals.confirmed),
    per_vhost!(Counter "channel_messages_unroutable_dropped_total",
        "Messages that have reached no queue and were dropped.",
        |it: &Vhost| it.totals.published.drop_unroutable),
    per_vhost!(Counter "channel_messages_unroutable_returned_total",
        "Mandatory messages that have reached no queue and were given back.",
        |it: &Vhost| it.totals.published.return_unroutable),
    per_vhost!(Counter "channel_messages_delivered_ack_total",
        "Deliveries that are to be acknowledged.",
        |it: &Vhost| it.totals.message_stats().deliver),
    per_vhost!(Counter "channel_messages_delivered_total",
        "Deliveries that count as acknowledged.",
        |it: &Vhost| it.totals.message_stats().deliver_no_ack),
    per_vhost!(Counter "channel_messages_redelivered_total",
        "Deliveries that came back, to be delivered again.",
        |it: &Vhost| it.totals.message_stats().redeliver),
    per_vhost!(Counter "channel_messages_acked_total", "Acknowledgements.",
        |it: &Vhost| it.totals.message_stats().ack),
    per_vhost!(Counter "channel_get_ack_total", "Gets that are to be acknowledged.",
        |it: &Vhost| it.totals.message_stats().get),
    per_vhost!(Counter "channel_get_total", "Gets that count as acknowledged.",
        |it: &Vhost| it.totals.message_stats().get_no_ack),
    per_vhost!(Counter "channel_get_empty_total", "Gets that found no message.",
        |it: &Vhost| it.totals.message_stats().get_empty),
];
