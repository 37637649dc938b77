//! The broker: the same messages through an exchange and queues, acknowledged one by one.

use std::{borrow::Borrow, ops::RangeInclusive, time::Duration};

use leveret::{Broker, Consumer, Exchange, Payload, Producer, Queue};

use super::{
    item::{Item, Msg, STOP},
    race::{Job, Tally, race, share},
};

/// The prefetch limit of a consumer.
const PREFETCH: u32 = 256;
/// The number of messages that are published and received at once, in the rows that measure this.
pub const BATCH: usize = 64;

/// Sends the messages of one producer.
pub fn publish<T: Item + Payload>(producer: Producer<T>, ids: RangeInclusive<u64>) -> Job<()> {
    Box::new(move || {
        for id in ids {
            let published = producer.publish(T::make(id)).expect("the broker is there");
            assert!(published.routed > 0);
        }
    })
}

/// Receives and acknowledges until the stop message. The consumer's other messages then return to
/// the queue, for the other consumers.
pub fn receive<T: Item + Payload>(consumer: Consumer<T>) -> Job<Tally> {
    Box::new(move || {
        let mut tally = Tally::default();
        loop {
            let delivery = consumer.recv().expect("the broker is there");
            let id = delivery.id();
            delivery.ack().expect("the broker is there");
            if id == STOP {
                return tally;
            }
            tally.add(id);
        }
    })
}

/// Receives and acknowledges this number of messages. Later runs may use the same consumer.
pub fn receive_so_many<T: Item + Payload>(
    consumer: impl Borrow<Consumer<T>> + Send + 'static,
    messages: u64,
) -> Job<Tally> {
    Box::new(move || {
        let mut tally = Tally::default();
        for _ in 0..messages {
            let delivery = consumer.borrow().recv().expect("the broker is there");
            tally.add(delivery.id());
            delivery.ack().expect("the broker is there");
        }
        tally
    })
}

pub fn consume<T: Payload>(broker: &Broker, queue: &Queue) -> Consumer<T> {
    broker
        .consumer_builder(queue)
        .prefetch(PREFETCH)
        .build()
        .expect("the queue is free")
}

/// Through a direct exchange and one classic queue.
pub fn direct<T: Item + Payload>(messages: u64, producers: usize, consumers: usize) -> Duration {
    through::<T>(Queue::new("floor"), messages, producers, consumers)
}

/// Through a direct exchange and this queue.
pub fn through<T: Item + Payload>(
    queue: Queue,
    messages: u64,
    producers: usize,
    consumers: usize,
) -> Duration {
    let broker = Broker::new();
    let exchange = Exchange::direct("floor");
    let queue = queue.bind(&exchange, "floor");
    let producer: Producer<T> = broker
        .producer_builder(&exchange)
        .routing_key("floor")
        .build()
        .expect("a new exchange");
    let receiving = (0..consumers)
        .map(|_| receive(consume::<T>(&broker, &queue)))
        .collect();
    let sending = (0..producers)
        .map(|index| publish(producer.clone(), share(messages, producers, index)))
        .collect();
    let (time, got) = race(sending, receiving, || {
        for _ in 0..consumers {
            let stop = producer.publish(T::make(STOP));
            assert_eq!(stop.expect("the broker is there").routed, 1);
        }
    });
    assert_eq!(got, Tally::expected(messages, 1));
    assert_eq!(broker.purge(&queue).expect("the queue is there"), 0);
    time
}

/// As `through`, but the consumers begin when all messages are in the queue. The time is that of
/// the publishes and of the receives.
pub fn backlog<T: Item + Payload>(
    queue: Queue,
    messages: u64,
    producers: usize,
    consumers: usize,
) -> Duration {
    let broker = Broker::new();
    let producer: Producer<T> = broker.producer(&queue).expect("a new queue");
    let sending = (0..producers)
        .map(|index| publish(producer.clone(), share(messages, producers, index)))
        .collect();
    let (published, _) = race(sending, Vec::new(), || {});
    for _ in 0..consumers {
        let stop = producer.publish(T::make(STOP));
        assert_eq!(stop.expect("the broker is there").routed, 1);
    }
    let receiving = (0..consumers)
        .map(|_| receive(consume::<T>(&broker, &queue)))
        .collect();
    let (received, got) = race(Vec::new(), receiving, || {});
    assert_eq!(got, Tally::expected(messages, 1));
    assert_eq!(broker.purge(&queue).expect("the queue is there"), 0);
    published + received
}

/// As `direct` with one producer and one consumer, but with 64 messages at once, which are
/// acknowledged together.
pub fn batches(messages: u64) -> Duration {
    let broker = Broker::new();
    let exchange = Exchange::direct("floor");
    let queue = Queue::new("floor").bind(&exchange, "floor");
    let producer: Producer<Msg> = broker
        .producer_builder(&exchange)
        .routing_key("floor")
        .build()
        .expect("a new exchange");
    let consumer = consume::<Msg>(&broker, &queue);
    let sending: Job<()> = Box::new(move || {
        for first in (1..=messages).step_by(BATCH) {
            let last = messages.min(first + BATCH as u64 - 1);
            for published in producer.publish_batch((first..=last).map(Msg::make)) {
                assert_eq!(published.expect("the broker is there").routed, 1);
            }
        }
    });
    let receiving: Job<Tally> = Box::new(move || {
        let mut tally = Tally::default();
        while tally.messages < messages {
            let wait = Duration::from_secs(60);
            let left = (messages - tally.messages).min(BATCH as u64) as usize;
            let batch = consumer
                .recv_batch(left, wait)
                .expect("the broker is there");
            assert!(!batch.is_empty(), "a message is lost");
            for delivery in &batch {
                tally.add(delivery.id());
            }
            batch.ack_all().expect("the broker is there");
        }
        tally
    });
    let (time, got) = race(vec![sending], vec![receiving], || {});
    assert_eq!(got, Tally::expected(messages, 1));
    assert_eq!(broker.purge(&queue).expect("the queue is there"), 0);
    time
}
