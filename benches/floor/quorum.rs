//! Quorum queues beside classic ones. All messages have the same priority.

use leveret::Queue;

use super::{
    group::Group,
    item::Msg,
    options::Options,
    routed::{backlog, through},
};

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    let mut groups = Vec::new();
    for (shape, threads) in [("quorum-1x1", 1), ("quorum-4x4", 4)] {
        groups.push(
            Group::throughput(shape)
                .row("classic", None, messages, move |n| {
                    through::<Msg>(Queue::new("floor"), n, threads, threads)
                })
                .row("quorum", Some(0.8), messages, move |n| {
                    through::<Msg>(Queue::quorum("floor"), n, threads, threads)
                }),
        );
        groups.push(
            Group::throughput(format!("{shape}-backlog"))
                .row("classic", None, messages, move |n| {
                    backlog::<Msg>(Queue::new("floor"), n, threads, threads)
                })
                .row("quorum", Some(0.8), messages, move |n| {
                    backlog::<Msg>(Queue::quorum("floor"), n, threads, threads)
                }),
        );
    }
    groups
}
