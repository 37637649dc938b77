//! Streams of the broker beside classic queues.

use std::{hint::black_box, time::Duration};

use leveret::{Broker, Offset, Producer, Queue};

use super::{
    QUEUES,
    exchanges::fanout,
    group::Group,
    item::{Item, Msg},
    options::Options,
    race::{Job, Tally, race},
};

/// The readers of one stream.
const READERS: u64 = QUEUES;

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    vec![
        Group::throughput("stream-publish")
            .row("classic", None, messages, |n| {
                publish(Queue::new("floor"), n)
            })
            .row("stream", Some(1.0), messages, |n| publish(stream(), n)),
        Group::throughput("stream-drain")
            .row("classic", None, messages, |n| {
                consume(Queue::new("floor"), n)
            })
            .row("stream", Some(1.5), messages, drain),
        Group::throughput("stream-readers")
            .row("fanout", None, messages / READERS, fanout)
            .row("readers", Some(2.0), messages / READERS, readers),
    ]
}

fn stream() -> Queue {
    Queue::stream("floor")
}

fn filled(queue: &Queue, messages: u64) -> (Broker, Duration) {
    let broker = Broker::new();
    let producer: Producer<Msg> = broker.producer(queue).expect("a new queue");
    let sending: Job<()> = Box::new(move || {
        for id in 1..=messages {
            let published = producer.publish(Msg::make(id)).expect("the queue is there");
            assert_eq!(published.routed, 1);
        }
    });
    let (time, _) = race(vec![sending], Vec::new(), || {});
    (broker, time)
}

/// One thread publishes, and there is no reader.
fn publish(queue: Queue, messages: u64) -> Duration {
    let (broker, time) = filled(&queue, messages);
    let snapshot = broker.snapshot().expect("the broker is there");
    assert_eq!(snapshot.vhosts[0].queues[0].ready.messages, messages);
    time
}

/// One thread receives and acknowledges what is there.
fn consume(queue: Queue, messages: u64) -> Duration {
    let (broker, _) = filled(&queue, messages);
    let consumer = broker.consumer::<Msg>(&queue).expect("the queue is free");
    let receiving: Job<Tally> = Box::new(move || {
        let mut tally = Tally::default();
        for _ in 0..messages {
            let delivery = consumer.recv().expect("one more");
            tally.add(delivery.id());
            delivery.ack().expect("the broker is there");
        }
        tally
    });
    finish(messages, 1, vec![receiving])
}

/// One thread reads a stream from its first message on.
fn drain(messages: u64) -> Duration {
    let (broker, _) = filled(&stream(), messages);
    finish(messages, 1, vec![reading(&broker, messages)])
}

/// One thread publishes, and ten read at the same time.
fn readers(messages: u64) -> Duration {
    let broker = Broker::new();
    let producer: Producer<Msg> = broker.producer(stream()).expect("a new stream");
    let receiving = (0..READERS).map(|_| reading(&broker, messages)).collect();
    let sending: Job<()> = Box::new(move || {
        for id in 1..=messages {
            let published = producer.publish(Msg::make(id));
            assert_eq!(published.expect("the stream is there").routed, 1);
        }
    });
    let (time, got) = race(vec![sending], receiving, || {});
    assert_eq!(got, Tally::expected(messages, READERS));
    time
}

fn reading(broker: &Broker, messages: u64) -> Job<Tally> {
    let reader = broker.reader::<Msg>(stream()).from(Offset::First);
    let reader = reader.build().expect("the stream is there");
    Box::new(move || {
        let mut tally = Tally::default();
        for _ in 0..messages {
            let entry = reader.recv().expect("one more");
            tally.add(black_box(&*entry).id());
        }
        tally
    })
}

fn finish(messages: u64, copies: u64, receiving: Vec<Job<Tally>>) -> Duration {
    let (time, got) = race(Vec::new(), receiving, || {});
    assert_eq!(got, Tally::expected(messages, copies));
    time
}
