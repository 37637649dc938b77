//! Messages at full speed: producers and consumers at one queue.

use super::{
    group::Group,
    item::{Msg, Plain},
    kanal,
    options::Options,
    raw, routed,
};

/// Producers and consumers at one queue, and the goals.
struct Shape {
    name: &'static str,
    producers: usize,
    consumers: usize,
    /// Beside crossbeam's channel.
    goal: f64,
    /// The same if an allocator hides no cost.
    mimalloc: Option<f64>,
    /// Beside kanal, near and far.
    kanal: Option<(f64, f64)>,
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "1x1",
        producers: 1,
        consumers: 1,
        goal: 1.0,
        mimalloc: Some(0.85),
        kanal: Some((1.0, 0.6)),
    },
    Shape {
        name: "4x4",
        producers: 4,
        consumers: 4,
        goal: 0.9,
        mimalloc: Some(0.85),
        kanal: Some((1.0, 0.6)),
    },
    Shape {
        name: "4x1",
        producers: 4,
        consumers: 1,
        goal: 0.9,
        mimalloc: None,
        kanal: None,
    },
    Shape {
        name: "1x4",
        producers: 1,
        consumers: 4,
        goal: 0.9,
        mimalloc: Some(0.85),
        kanal: None,
    },
];

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    let mut groups = Vec::new();
    for shape in SHAPES {
        let (producers, consumers) = (shape.producers, shape.consumers);
        let (goal, to_kanal) = match options.mimalloc {
            true => (shape.mimalloc, None),
            false => (Some(shape.goal), shape.kanal),
        };
        groups.push(
            Group::throughput(shape.name)
                .row("raw-msg", None, messages, move |n| {
                    raw::channel::<Msg>(n, producers, consumers)
                })
                .row("kanal", None, messages, move |n| {
                    kanal::channel::<Msg>(n, producers, consumers)
                })
                .row("leveret", goal, messages, move |n| {
                    routed::direct::<Msg>(n, producers, consumers)
                })
                .against("kanal", to_kanal),
        );
    }
    groups.push(
        Group::throughput("plain")
            .row("raw-plain", None, messages, |n| {
                raw::channel::<Plain>(n, 1, 1)
            })
            .row("kanal", None, messages, |n| {
                kanal::channel::<Plain>(n, 1, 1)
            })
            .row("leveret-plain", Some(0.4), messages, |n| {
                routed::direct::<Plain>(n, 1, 1)
            })
            .against("kanal", None),
    );
    groups.push(
        Group::throughput("batch")
            .row("raw-msg", None, messages, |n| raw::channel::<Msg>(n, 1, 1))
            .row("kanal", None, messages, |n| kanal::channel::<Msg>(n, 1, 1))
            .row("raw-vectors", None, messages, |n| {
                raw::vectors(n, routed::BATCH)
            })
            .row("leveret-batch", Some(1.8), messages, routed::batches)
            .against("kanal", None),
    );
    groups
}
