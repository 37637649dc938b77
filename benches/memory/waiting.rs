//! The bytes of waiting messages, of delayed messages, and of idle queues.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use leveret::{Broker, Consumer, Message, Payload, Queue};

use super::{Row, count::Count, options::Options};

pub const ROWS: &[Row] = &[
    Row {
        name: "waiting-beyond-payload",
        unit: "bytes",
        goal: Some(96.0),
        measure: |options| waiting::<[u64; 5]>(options, |id| [id; 5]) - 40.0,
    },
    Row {
        name: "waiting-64-bytes",
        unit: "bytes",
        goal: Some(152.0),
        measure: |options| waiting::<[u64; 8]>(options, |id| [id; 8]),
    },
    Row {
        name: "stream-beyond-payload",
        unit: "bytes",
        goal: Some(96.0),
        measure: |options| stream::<[u64; 5]>(options, |id| [id; 5]) - 40.0,
    },
    Row {
        name: "stream-beyond-64-bytes",
        unit: "bytes",
        goal: Some(96.0),
        measure: |options| stream::<[u64; 8]>(options, |id| [id; 8]) - 64.0,
    },
    Row {
        name: "delayed-beyond-payload",
        unit: "bytes",
        goal: None,
        measure: delayed,
    },
    Row {
        name: "queue-new",
        unit: "bytes",
        goal: Some(800.0),
        measure: |options| idle(options, 0, false),
    },
    Row {
        name: "queue-with-consumer",
        unit: "bytes",
        goal: None,
        measure: |options| idle(options, 0, true),
    },
    Row {
        name: "queue-used",
        unit: "bytes",
        // It counts the consumer too, which has been served. The goal was 1,024 when the queue
        // alone had 1,634 and both had 3,230, and no version has met it.
        goal: Some(1_500.0),
        measure: |options| idle(options, 1, true),
    },
    Row {
        name: "queue-used-by-a-burst",
        unit: "bytes",
        // The first backlog leaves something behind that one message does not: 100 bytes at most.
        goal: Some(1_600.0),
        measure: |options| idle(options, 300, true),
    },
];

/// The bytes of each message in one queue with many messages.
fn waiting<T: Payload>(options: &Options, make: fn(u64) -> T) -> f64 {
    let messages = options.size(10_000, 10_000_000);
    let broker = Broker::new();
    let queue = Queue::new("memory");
    let producer = broker.producer::<T>(&queue).expect("a new queue");
    let count = Count::begin();
    for id in 0..messages {
        let published = producer.publish(make(id)).expect("the queue is there");
        assert_eq!(published.routed, 1);
    }
    let bytes = count.bytes() / messages as f64;
    assert_eq!(broker.purge(&queue).expect("the queue is there"), messages);
    bytes
}

/// The bytes of each of a million messages in one stream.
fn stream<T: Payload>(options: &Options, make: fn(u64) -> T) -> f64 {
    let messages = options.size(10_000, 1_000_000);
    let broker = Broker::new();
    let producer = broker.producer::<T>(&Queue::stream("memory"));
    let producer = producer.expect("a new stream");
    let count = Count::begin();
    for id in 0..messages {
        producer.publish(make(id)).expect("the stream is there");
    }
    count.bytes() / messages as f64
}

/// The bytes of each of a million delayed messages.
fn delayed(options: &Options) -> f64 {
    let messages = options.size(10_000, 1_000_000);
    let broker = Broker::new();
    let queue = Queue::new("memory");
    let producer = broker.producer::<[u64; 5]>(&queue).expect("a new queue");
    let count = Count::begin();
    for id in 0..messages {
        // The publishing order is not the order of the due times.
        let delay = Duration::from_secs(3600 + id * 7919 % messages);
        let message = Message::new([id; 5]).deliver_after(delay);
        producer
            .publish_message(message)
            .expect("the queue is there");
    }
    count.bytes() / messages as f64 - 40.0
}

/// The bytes of each of many queues after a burst of `messages` messages, with or without a
/// consumer.
fn idle(options: &Options, messages: u64, with_consumer: bool) -> f64 {
    let queues = options.size(100, 10_000);
    let broker = Broker::new();
    // The first queue allocates the memory that all queues share.
    let _first = used(&broker, "first", messages, true);
    let count = Count::begin();
    let consumers: Vec<Option<Consumer<u64>>> = (0..queues)
        .map(|number| {
            used(
                &broker,
                &format!("memory-{number}"),
                messages,
                with_consumer,
            )
        })
        .collect();
    let bytes = count.bytes() - size_of_val(&*consumers) as f64;
    bytes / queues as f64
}

fn used(broker: &Broker, name: &str, messages: u64, with_consumer: bool) -> Option<Consumer<u64>> {
    let queue = Queue::new(name);
    if !with_consumer {
        broker.declare(&queue).expect("a new queue");
        return None;
    }
    let consumer = broker.consumer::<u64>(&queue).expect("a new queue");
    let producer = broker.producer::<u64>(&queue).expect("the queue is there");
    for id in 0..messages {
        assert_eq!(producer.publish(id).expect("the queue is there").routed, 1);
    }
    for id in 0..messages {
        let delivery = consumer.recv().expect("the queue is there");
        assert_eq!(*delivery, id);
        delivery.ack().expect("the queue is there");
    }
    // A consumer that has received everything waits for more. It waits as a task, so no thread has
    // to block here.
    let waits = pin!(consumer.recv_async()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(waits.is_pending());
    Some(consumer)
}
