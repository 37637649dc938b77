//! Messages at full speed: producers and consumers at one queue.

use super::{
    group::Group,
    item::{Msg, Plain},
    options::Options,
    raw, routed,
};

/// The number of producers, the number of consumers, and the goal.
const SHAPES: [(&str, usize, usize, f64); 4] = [
    ("1x1", 1, 1, 1.0),
    ("4x4", 4, 4, 0.9),
    ("4x1", 4, 1, 0.9),
    ("1x4", 1, 4, 0.9),
];

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    let mut groups = Vec::new();
    for (shape, producers, consumers, goal) in SHAPES {
        groups.push(
            Group::throughput(shape)
                .row("raw-msg", None, messages, move |n| {
                    raw::channel::<Msg>(n, producers, consumers)
                })
                .row("leveret", Some(goal), messages, move |n| {
                    routed::direct::<Msg>(n, producers, consumers)
                }),
        );
    }
    groups.push(
        Group::throughput("plain")
            .row("raw-plain", None, messages, |n| {
                raw::channel::<Plain>(n, 1, 1)
            })
            .row("leveret-plain", Some(0.4), messages, |n| {
                routed::direct::<Plain>(n, 1, 1)
            }),
    );
    groups.push(
        Group::throughput("batch")
            .row("raw-msg", None, messages, |n| raw::channel::<Msg>(n, 1, 1))
            .row("leveret-batch", Some(1.8), messages, routed::batches),
    );
    groups
}
