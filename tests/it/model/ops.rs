//! The steps of a program. The choices are few, so steps often affect the same queue or message.

use proptest::prelude::*;

pub const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];
pub const EXCHANGES: [&str; 4] = ["", "d", "f", "t"];
pub const KEYS: [&str; 4] = ["q0", "a.b", "a.*", "#.b"];
pub const TAGS: [&str; 2] = ["c0", "c1"];
pub const CHANNELS: usize = 2;

/// The arguments of a queue's declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    AutoDelete,
    /// At most two ready messages. Dead letters go to `q3`.
    DropHead,
    /// At most two ready messages.
    RejectPublish,
    /// A time to live of 50 milliseconds. Dead letters go to `q3`.
    Ttl,
    /// Priorities from 0 to 2.
    Priority,
    /// At most one return. Dead letters go to `q3`.
    DeliveryLimit,
}

#[derive(Clone, Debug)]
pub enum Op {
    Declare {
        queue: usize,
        kind: Kind,
    },
    Delete {
        queue: usize,
    },
    Purge {
        queue: usize,
    },
    Bind {
        exchange: usize,
        queue: usize,
        key: usize,
    },
    Unbind {
        exchange: usize,
        queue: usize,
        key: usize,
    },
    Publish {
        channel: usize,
        exchange: usize,
        key: usize,
        mandatory: bool,
        priority: u8,
        ttl: Option<u64>,
    },
    Get {
        channel: usize,
        queue: usize,
        auto: bool,
    },
    Consume {
        channel: usize,
        queue: usize,
        tag: usize,
        auto: bool,
        priority: i32,
    },
    Cancel {
        channel: usize,
        tag: usize,
    },
    Qos {
        channel: usize,
        count: u16,
        global: bool,
    },
    /// `tag` is an index among the unsettled deliveries. `World::resolve` turns it into a delivery
    /// tag.
    Ack {
        channel: usize,
        tag: u64,
        multiple: bool,
    },
    Nack {
        channel: usize,
        tag: u64,
        multiple: bool,
        requeue: bool,
    },
    Recover {
        channel: usize,
    },
    Reopen {
        channel: usize,
    },
    TxSelect {
        channel: usize,
    },
    TxCommit {
        channel: usize,
    },
    TxRollback {
        channel: usize,
    },
    Advance {
        millis: u64,
    },
}

fn kind(queue: usize) -> BoxedStrategy<Kind> {
    use Kind::*;
    // The last queue takes the dead letters of the others.
    match queue {
        3 => Just(Plain).boxed(),
        _ => prop_oneof![
            4 => Just(Plain), 1 => Just(AutoDelete), 1 => Just(DropHead), 1 => Just(RejectPublish),
            1 => Just(Ttl), 1 => Just(Priority), 1 => Just(DeliveryLimit),
        ]
        .boxed(),
    }
}

pub fn any() -> impl Strategy<Value = Op> {
    let (q, x, k, c, t) = (0..4usize, 1..4usize, 0..4usize, 0..CHANNELS, 0..2usize);
    let declare = q
        .clone()
        .prop_flat_map(|queue| kind(queue).prop_map(move |kind| Op::Declare { queue, kind }));
    let publish = (
        c.clone(),
        prop_oneof![3 => Just(0usize), 2 => 1..4usize],
        k.clone(),
        any_bool(4),
        0..4u8,
        ttl(),
    )
        .prop_map(
            |(channel, exchange, key, mandatory, priority, ttl)| Op::Publish {
                channel,
                exchange,
                key,
                mandatory,
                priority,
                ttl,
            },
        );
    prop_oneof![
        5 => declare,
        1 => q.clone().prop_map(|queue| Op::Delete { queue }),
        1 => q.clone().prop_map(|queue| Op::Purge { queue }),
        3 => (x.clone(), q.clone(), k.clone())
            .prop_map(|(exchange, queue, key)| Op::Bind { exchange, queue, key }),
        1 => (x, q.clone(), k)
            .prop_map(|(exchange, queue, key)| Op::Unbind { exchange, queue, key }),
        16 => publish,
        3 => (c.clone(), q.clone(), any_bool(3))
            .prop_map(|(channel, queue, auto)| Op::Get { channel, queue, auto }),
        6 => (c.clone(), q, t.clone(), any_bool(4), 0..2i32)
            .prop_map(|(channel, queue, tag, auto, priority)| {
                Op::Consume { channel, queue, tag, auto, priority }
            }),
        2 => (c.clone(), t).prop_map(|(channel, tag)| Op::Cancel { channel, tag }),
        3 => (c.clone(), 0..4u16, any_bool(2))
            .prop_map(|(channel, count, global)| Op::Qos { channel, count, global }),
        7 => (c.clone(), 0..6u64, any_bool(3))
            .prop_map(|(channel, tag, multiple)| Op::Ack { channel, tag, multiple }),
        6 => (c.clone(), 0..6u64, any_bool(3), any_bool(2))
            .prop_map(|(channel, tag, multiple, requeue)| {
                Op::Nack { channel, tag, multiple, requeue }
            }),
        1 => c.clone().prop_map(|channel| Op::Recover { channel }),
        1 => c.clone().prop_map(|channel| Op::Reopen { channel }),
        1 => c.clone().prop_map(|channel| Op::TxSelect { channel }),
        2 => c.clone().prop_map(|channel| Op::TxCommit { channel }),
        1 => c.prop_map(|channel| Op::TxRollback { channel }),
        3 => (0..60u64).prop_map(|millis| Op::Advance { millis }),
    ]
}

fn any_bool(one_in: u32) -> impl Strategy<Value = bool> {
    prop_oneof![1 => Just(true), one_in - 1 => Just(false)]
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![5 => Just(None), 1 => (0..40u64).prop_map(Some)]
}
