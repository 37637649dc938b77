//! A body that goes to several durable queues is on disk once, by whatever way it gets there.

use leveret::{Broker, Destination, Exchange, ManualClock, Message, Queue};

use super::{Folder, persistent};
use crate::common::advance_until;

const BODY: usize = 64 << 10;
const MESSAGES: usize = 64;
const QUEUES: usize = 4;

fn out() -> Exchange {
    Exchange::fanout("out").durable()
}

fn queue(number: usize) -> Queue {
    Queue::new(format!("q{number}")).durable()
}

/// A broker whose queues are all bound to the exchange `out`.
fn open(folder: &Folder, clock: &ManualClock) -> Broker {
    let broker = Broker::builder().clock(clock.clone()).data_dir(&folder.0);
    let broker = broker.build().unwrap();
    for number in 0..QUEUES {
        broker.declare(&queue(number).bind(out(), "")).unwrap();
    }
    broker
}

fn publish(broker: &Broker, to: impl Into<Destination>) {
    let producer = broker.producer_builder::<Vec<u8>>(to);
    let producer = producer.properties(persistent()).build().unwrap();
    for published in producer.publish_batch((0..MESSAGES).map(|_| vec![7; BODY])) {
        published.unwrap();
    }
}

/// Ends the broker, looks at the folder, and reads the messages of all queues from it.
fn check(folder: &Folder, broker: Broker) {
    drop(broker);
    let (bytes, once) = (folder.bytes(), (BODY * MESSAGES) as u64);
    assert!(bytes < 3 * once, "{bytes} bytes for bodies of {once}");
    let broker = folder.broker();
    for number in 0..QUEUES {
        let consumer = broker.consumer::<Vec<u8>>(&queue(number)).unwrap();
        for _ in 0..MESSAGES {
            let delivery = consumer.try_recv().unwrap();
            assert_eq!(*delivery, [7; BODY]);
            delivery.ack().unwrap();
        }
        assert!(consumer.try_recv().is_err());
    }
}

#[test]
fn a_body_is_on_disk_once_for_all_queues_of_its_route() {
    let folder = Folder::new();
    let broker = open(&folder, &ManualClock::new());
    publish(&broker, out());
    check(&folder, broker);
}

#[test]
fn a_body_is_on_disk_once_for_all_queues_behind_another_exchange() {
    let folder = Folder::new();
    let broker = open(&folder, &ManualClock::new());
    let first = Exchange::fanout("first").durable();
    broker.declare(&out().bind(&first, "")).unwrap();
    publish(&broker, &first);
    check(&folder, broker);
}

#[test]
fn a_body_is_on_disk_once_for_all_queues_of_an_alternate_exchange() {
    let folder = Folder::new();
    let broker = open(&folder, &ManualClock::new());
    publish(
        &broker,
        Exchange::direct("first").durable().alternate("out"),
    );
    check(&folder, broker);
}

#[test]
fn a_dead_letter_is_on_disk_once_for_all_its_queues() {
    let folder = Folder::new();
    let broker = open(&folder, &ManualClock::new());
    let first = Queue::new("first").dead_letter_exchange("out");
    publish(&broker, &first);
    let consumer = broker.consumer::<Vec<u8>>(&first).unwrap();
    for _ in 0..MESSAGES {
        consumer.recv().unwrap().reject().unwrap();
    }
    drop(consumer);
    check(&folder, broker);
}

#[test]
fn a_message_of_a_delayed_exchange_is_on_disk_once_for_all_its_queues() {
    let folder = Folder::new();
    let clock = ManualClock::new();
    let broker = open(&folder, &clock);
    // Its delay queue is in memory.
    let later = Exchange::fanout("later").delayed();
    for number in 0..QUEUES {
        broker.declare(&queue(number).bind(&later, "")).unwrap();
    }
    let producer = broker.producer::<Vec<u8>>(&later).unwrap();
    for _ in 0..MESSAGES {
        let message = Message::new(vec![7; BODY]).persistent();
        let message = message.header("x-delay", 1_000);
        assert_eq!(producer.publish_message(message).unwrap().delayed, 1);
    }
    drop(producer);
    advance_until(&clock, || {
        let snapshot = broker.snapshot().unwrap();
        let mut queues = snapshot.vhosts[0].queues.iter();
        queues.all(|queue| queue.ready.messages == MESSAGES as u64)
    });
    check(&folder, broker);
}
