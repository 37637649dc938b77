//! The memory that remains after everything is deleted, and the number of allocations for a
//! message.

use leveret::{Broker, Exchange, Queue};

use super::{Row, count::Count, options::Options};

pub const ROWS: &[Row] = &[
    Row {
        name: "left-after-churn",
        unit: "bytes",
        goal: Some(0.0),
        measure: churn,
    },
    Row {
        name: "allocations-per-message",
        unit: "",
        goal: None,
        measure: allocations,
    },
];

/// A broker keeps the names of up to 4,096 exchanges of published messages. After this number of
/// cycles it holds all of them.
const BEFORE: u64 = 5_000;

/// Declares, binds, publishes, consumes and deletes a million times, under names that are used only
/// once.
fn churn(options: &Options) -> f64 {
    let cycles = options.size(2_000, 1_000_000);
    let broker = Broker::new();
    let cycle = |number: u64| {
        let exchange = Exchange::topic(format!("exchange-{number}"));
        let queue = Queue::new(format!("queue-{number}")).bind(&exchange, "a.*");
        let consumer = broker.consumer::<u64>(&queue).expect("a new queue");
        let producer = broker.producer::<u64>(&exchange).expect("it is there");
        let published = producer.publish_to("a.b", number).expect("it is there");
        assert_eq!(published.routed, 1);
        let delivery = consumer.recv().expect("the queue is there");
        assert_eq!(*delivery, number);
        delivery.ack().expect("the queue is there");
        broker.delete(&queue).expect("it is there");
        broker.delete(&exchange).expect("it is there");
    };
    (0..BEFORE).for_each(cycle);
    let count = Count::begin();
    (BEFORE..BEFORE + cycles).for_each(cycle);
    count.bytes()
}

/// The allocations in the steady state: publish, route, receive, acknowledge. The payload needs
/// none of its own.
fn allocations(options: &Options) -> f64 {
    let messages = options.size(2_000, 1_000_000);
    let broker = Broker::new();
    let exchange = Exchange::direct("memory");
    let queue = Queue::new("memory").bind(&exchange, "memory");
    let consumer = broker.consumer::<[u64; 5]>(&queue).expect("a new queue");
    let producer = broker
        .producer_builder(&exchange)
        .routing_key("memory")
        .build()
        .expect("it is there");
    let pass = |id: u64| {
        producer.publish([id; 5]).expect("the queue is there");
        let delivery = consumer.recv().expect("the queue is there");
        delivery.ack().expect("the queue is there");
    };
    (0..messages / 10).for_each(pass);
    let count = Count::begin();
    (0..messages).for_each(pass);
    count.allocations() / messages as f64
}
