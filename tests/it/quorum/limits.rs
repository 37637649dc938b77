//! Limits and delays of a quorum queue that change while they hold.

use leveret::{
    Broker, Channel, Message, Policy, Producer, Properties, Queue, QueueSnapshot, Requeue,
    channel::{AckMode, Multiple},
};

use crate::common::{SECOND, assert_conserved, channel_of, on_a_manual_clock};

fn counts(broker: &Broker) -> QueueSnapshot {
    let counts = broker.snapshot().unwrap().vhosts[0].queues[0].clone();
    assert_conserved(&counts);
    counts
}

fn refusing(limit: i64) -> Policy {
    Policy::new("one", "^q$")
        .setting("max-length", limit)
        .setting("overflow", "reject-publish")
}

fn set(broker: &Broker, policy: Policy) {
    broker.vhost("/").unwrap().set_policy(policy).unwrap();
}

/// A quorum queue that refuses publishers above this limit.
fn refusing_queue(limit: i64) -> (Broker, Producer<u32>) {
    let broker = Broker::new();
    set(&broker, refusing(limit));
    let producer = broker.producer(Queue::quorum("q")).unwrap();
    (broker, producer)
}

fn publish(producer: &Producer<u32>, many: u32) {
    for id in 0..many {
        producer.publish(id).unwrap();
    }
}

fn take(channel: &Channel, most: usize) -> Vec<u64> {
    let got = std::iter::from_fn(|| channel.basic_get("q", AckMode::Manual).unwrap());
    got.take(most).map(|got| got.delivery_tag()).collect()
}

#[test]
fn a_queue_that_refuses_follows_its_limit() {
    let (broker, producer) = refusing_queue(10);
    publish(&producer, 11);
    assert!(producer.publish(11).is_err());
    // Eleven are within four fifths of this one.
    set(&broker, refusing(14));
    producer.publish(11).unwrap();
    set(&broker, refusing(10));
    assert!(producer.publish(12).is_err(), "it is over the limit again");
    // Twelve are above four fifths of this one, so the refusal stays.
    set(&broker, refusing(13));
    assert!(producer.publish(12).is_err());
    assert!(broker.vhost("/").unwrap().clear_policy("one").unwrap());
    producer.publish(12).unwrap();
}

#[test]
fn a_refusal_does_not_outlive_another_overflow() {
    let (broker, producer) = refusing_queue(10);
    publish(&producer, 11);
    set(&broker, Policy::new("one", "^q$").setting("max-length", 10));
    assert_eq!(counts(&broker).ready.messages, 10);
    set(&broker, refusing(10));
    producer.publish(11).unwrap();
}

#[test]
fn a_refusal_ends_when_a_look_at_the_queue_finds_it_well_below_its_limit() {
    let (broker, producer) = refusing_queue(10);
    let builder = broker.consumer_builder::<u32>(Queue::quorum("q"));
    let consumer = builder.prefetch(10).build().unwrap();
    publish(&producer, 10 + 3);
    let channel = channel_of(&broker).unwrap();
    take(&channel, 3);
    publish(&producer, 11);
    assert!(producer.publish(0).is_err());
    for _ in 0..4 {
        consumer.recv().unwrap().ack().unwrap();
    }
    assert_eq!(counts(&broker).ready.messages, 7);
    channel.basic_nack(0, Multiple::Yes, Requeue::Yes).unwrap();
    assert_eq!(counts(&broker).ready.messages, 10);
    producer.publish(0).unwrap();
}

#[test]
fn a_returned_message_that_a_consumer_can_take_needs_no_room() {
    let broker = Broker::new();
    let channel = channel_of(&broker).unwrap();
    let queue = Queue::quorum("q").max_length(0);
    channel.queue_declare(&queue).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    broker.producer::<u32>(&queue).unwrap().publish(7).unwrap();
    consumer.try_recv().unwrap().nack(Requeue::Yes).unwrap();
    let again = consumer.try_recv().unwrap();
    drop(consumer);
    again.nack(Requeue::Yes).unwrap();
    assert_eq!(counts(&broker).dropped.messages, 1, "no one can take it");
}

#[test]
fn a_delayed_message_counts_for_the_limit_from_its_publish() {
    let (broker, clock) = on_a_manual_clock();
    set(&broker, refusing(1));
    let producer = broker.producer::<u32>(&Queue::quorum("q")).unwrap();
    let later = |id| Message::new(id).deliver_after(SECOND);
    for id in 0..2 {
        producer.publish_message(later(id)).unwrap();
    }
    assert!(producer.publish_message(later(2)).is_err());
    assert!(producer.publish(2).is_err());
    clock.advance(SECOND);
    assert_eq!(counts(&broker).ready.messages, 2);
}

#[test]
fn a_delayed_message_drops_the_head_of_a_full_quorum_queue() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::quorum("q").max_length(1);
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(0).unwrap();
    let later = Message::new(1).deliver_after(SECOND);
    producer.publish_message(later).unwrap();
    assert_eq!(counts(&broker).dropped.messages, 1);
    clock.advance(SECOND);
    assert_eq!(*broker.consumer::<u32>(&queue).unwrap().recv().unwrap(), 1);
}

#[test]
fn messages_that_are_delayed_already_stay_delayed_without_the_setting() {
    let (broker, clock) = on_a_manual_clock();
    let delaying = Policy::new("one", "^q$")
        .setting("delayed-retry-type", "all")
        .setting("delayed-retry-min", 1_000)
        .setting("delayed-retry-max", 1_000);
    set(&broker, delaying);
    publish(&broker.producer(Queue::quorum("q")).unwrap(), 2);
    let channel = channel_of(&broker).unwrap();
    let tags = take(&channel, 2);
    channel
        .basic_nack(tags[0], Multiple::No, Requeue::Yes)
        .unwrap();
    assert!(broker.vhost("/").unwrap().clear_policy("one").unwrap());
    channel
        .basic_nack(tags[1], Multiple::No, Requeue::Yes)
        .unwrap();
    let (ready, delayed) = (counts(&broker).ready, counts(&broker).delayed);
    assert_eq!((ready.messages, delayed.messages), (1, 1));
    clock.advance(SECOND);
    assert_eq!(counts(&broker).ready.messages, 2);
}

#[test]
fn a_limit_of_bytes_that_comes_later_counts_the_properties_too() {
    let left = |limit_first: bool| {
        let broker = Broker::new();
        let root = broker.vhost("/").unwrap();
        let limit = Policy::new("one", "^q$").setting("max-length-bytes", 400);
        if limit_first {
            root.set_policy(limit.clone()).unwrap();
        }
        let properties = Properties::new().content_type("x".repeat(30));
        let builder = broker.producer_builder::<u8>(&Queue::quorum("q"));
        let marked = builder.properties(properties).build().unwrap();
        let plain = broker.producer::<u8>(&Queue::quorum("q")).unwrap();
        for id in 0..20 {
            marked.publish(id).unwrap();
            plain.publish(id).unwrap();
        }
        root.set_policy(limit).unwrap();
        let in_time = counts(&broker).ready.messages;
        root.clear_policy("one").unwrap();
        take(&channel_of(&broker).unwrap(), 3);
        for id in 0..20 {
            plain.publish(id).unwrap();
        }
        let limit = Policy::new("one", "^q$").setting("max-length-bytes", 400);
        root.set_policy(limit).unwrap();
        (in_time, counts(&broker).ready.messages)
    };
    let (in_time, later) = left(true);
    assert!((2..40).contains(&in_time) && (2..40).contains(&later));
    assert_eq!(left(false), (in_time, later));
}
