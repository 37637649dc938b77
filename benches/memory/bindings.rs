//! The bytes of a binding in the broker: in the list of its exchange, in the routing table, and at
//! its queue.

use leveret::{Broker, Channel, Credentials, Exchange, FieldTable, Queue};

use super::{Row, count::Count, selective::Selective};

pub const ROWS: &[Row] = &[
    Row {
        name: "binding-topic-1k",
        unit: "bytes",
        goal: Some(200.0),
        measure: |_| selective(1_000, 4),
    },
    Row {
        name: "binding-topic-10k",
        unit: "bytes",
        goal: Some(200.0),
        measure: |options| selective(options.size(2_000, 10_000), 4),
    },
    Row {
        name: "binding-topic-100k",
        unit: "bytes",
        goal: Some(200.0),
        measure: |options| selective(options.size(2_000, 100_000), 4),
    },
    Row {
        name: "binding-topic-1m",
        unit: "bytes",
        goal: Some(200.0),
        measure: |options| selective(options.size(2_000, 1_000_000), 4),
    },
    Row {
        name: "binding-topic-alone",
        unit: "bytes",
        goal: None,
        measure: |options| selective(options.size(2_000, 100_000), 1),
    },
    Row {
        name: "binding-topic-one-queue",
        unit: "bytes",
        goal: None,
        measure: |options| {
            let bindings = options.size(2_000, 100_000);
            selective(bindings, bindings)
        },
    },
    Row {
        name: "binding-topic-churned",
        unit: "bytes",
        goal: None,
        measure: |options| churned(options.size(2_000, 100_000)),
    },
    Row {
        name: "binding-direct",
        unit: "bytes",
        goal: None,
        measure: |options| {
            let bindings = options.size(2_000, 100_000);
            let key = |number| format!("key.number.{number}");
            bound(&Exchange::direct("memory"), bindings, 4, key)
        },
    },
];

/// The bytes of each binding of a topic exchange, with `each` bindings to a queue. The queues exist
/// before.
fn selective(bindings: u64, each: u64) -> f64 {
    let mut selective = Selective::new();
    bound(&Exchange::topic("memory"), bindings, each, |_| {
        selective.pattern()
    })
}

/// The bytes of each binding, after each was replaced several times.
fn churned(bindings: u64) -> f64 {
    let mut selective = Selective::new();
    let broker = Broker::new();
    let channel = open(&broker);
    let exchange = Exchange::topic("memory");
    broker.declare(&exchange).expect("a new exchange");
    broker.declare(&Queue::new("memory")).expect("a new queue");
    let count = Count::begin();
    let mut patterns: Vec<String> = Vec::new();
    for number in 0..bindings * 5 {
        let pattern = selective.pattern();
        channel
            .queue_bind("memory", exchange.name(), &pattern, FieldTable::new())
            .expect("both ends are there");
        if number < bindings {
            patterns.push(pattern);
            continue;
        }
        let place = &mut patterns[(number * 7919 % bindings) as usize];
        let old = std::mem::replace(place, pattern);
        channel
            .queue_unbind("memory", exchange.name(), &old, FieldTable::new())
            .expect("both ends are there");
    }
    drop(patterns);
    count.bytes() / bindings as f64
}

fn open(broker: &Broker) -> Channel {
    let connection = broker.connect("/", Credentials::guest());
    (connection.and_then(|connection| connection.open_channel())).expect("the broker is there")
}

fn bound(exchange: &Exchange, bindings: u64, each: u64, mut key: impl FnMut(u64) -> String) -> f64 {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest());
    let channel: Channel =
        (connection.and_then(|connection| connection.open_channel())).expect("the broker is there");
    broker.declare(exchange).expect("a new exchange");
    let name = |number| format!("memory-{number}");
    for number in 0..bindings / each {
        let queue = Queue::new(name(number));
        channel.queue_declare(&queue).expect("a new queue");
    }
    let count = Count::begin();
    for number in 0..bindings {
        let (queue, key) = (name(number / each), key(number));
        channel
            .queue_bind(&queue, exchange.name(), &key, FieldTable::new())
            .expect("both ends are there");
    }
    let bytes = count.bytes() / bindings as f64;
    // The churn rows measure the memory that remains after a deletion. This row only deletes the
    // exchange.
    broker.delete(exchange).expect("the exchange is there");
    bytes
}
