//! Exchanges that have more to do: to ten queues, and with ten thousand bindings.

use super::{QUEUES, group::Group, item::Msg, options::Options, raw, routed};

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    vec![
        Group::throughput("1x10")
            .row("raw-fanout", None, messages / QUEUES, raw::fanout)
            .row(
                "leveret-fanout",
                Some(1.0),
                messages / QUEUES,
                routed::fanout,
            ),
        Group::throughput("topic")
            .row("leveret-direct", None, messages, |n| {
                routed::direct::<Msg>(n, 1, 1)
            })
            .row("leveret-topic", Some(0.8), messages, routed::topic),
    ]
}
