//! Deliveries that a consumer of a quorum queue does not settle in time.

use std::time::Duration;

use leveret::{
    CancelReason, ManualClock, Properties, Queue, Requeue,
    channel::{AckMode, Channel, ConsumeOptions, Event, Events, Multiple, PublishOptions},
};

use crate::common::{SECOND, channel_of, on_a_manual_clock};

/// A channel with a consumer that has a second for each delivery, and its events.
fn consuming(queue: &Queue) -> (leveret::Broker, ManualClock, Channel, Events) {
    let (broker, clock) = on_a_manual_clock();
    let channel = channel_of(&broker).unwrap();
    channel.queue_declare(queue).unwrap();
    let options = ConsumeOptions::new().tag("c");
    let options = options.argument("x-consumer-timeout", 1_000);
    channel.basic_consume(queue.name(), options).unwrap();
    let events = channel.events();
    (broker, clock, channel, events)
}

fn publish(channel: &Channel, bodies: &[&'static str]) {
    for body in bodies {
        let options = PublishOptions::new();
        channel
            .basic_publish("", "q", *body, Properties::new(), options)
            .unwrap();
    }
}

/// The events that came: the bodies of deliveries with their tags, and `cancelled`.
fn seen(events: &Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| match event {
            Event::Delivery(delivery) => {
                let body = String::from_utf8(delivery.body().unwrap().to_vec()).unwrap();
                format!("{body}#{}", delivery.delivery_tag())
            }
            Event::Cancelled { reason, .. } => {
                assert_eq!(reason, CancelReason::TimedOut);
                "cancelled".to_owned()
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_late_consumer_is_served_again_once_it_has_settled_what_was_taken_back() {
    for settle in [
        |channel: &Channel, tag| channel.basic_ack(tag, Multiple::No),
        |channel: &Channel, tag| channel.basic_reject(tag, Requeue::No),
        |channel: &Channel, tag| channel.basic_nack(tag, Multiple::No, Requeue::No),
    ] {
        let (_broker, clock, channel, events) = consuming(&Queue::quorum("q"));
        publish(&channel, &["a", "b"]);
        clock.advance(SECOND);
        assert_eq!(seen(&events), ["a#1", "b#2", "cancelled"]);
        publish(&channel, &["c"]);
        settle(&channel, 1).unwrap();
        assert!(seen(&events).is_empty(), "another delivery is late");
        settle(&channel, 2).unwrap();
        assert_eq!(seen(&events), ["a#3", "b#4", "c#5"]);
        assert!(settle(&channel, 2).is_err(), "its tag is used up");
    }
}

#[test]
fn to_give_back_what_was_taken_back_already_revives_no_consumer() {
    let (_broker, clock, channel, events) = consuming(&Queue::quorum("q"));
    publish(&channel, &["a"]);
    clock.advance(SECOND);
    channel.basic_nack(1, Multiple::No, Requeue::Yes).unwrap();
    assert_eq!(seen(&events), ["a#1", "cancelled"]);
    assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 1);
    // The consumer still has its tag, until it is cancelled.
    assert_eq!(
        channel
            .basic_consume("q", ConsumeOptions::new().tag("c"))
            .unwrap_err()
            .reply_code(),
        Some(530)
    );
    channel.basic_cancel("c").unwrap();
    channel
        .basic_consume("q", ConsumeOptions::new().tag("c"))
        .unwrap();
    assert_eq!(seen(&events), ["a#2"]);
}

#[test]
fn a_channel_that_closes_with_late_deliveries_returns_each_message_once() {
    let (broker, clock, channel, _events) = consuming(&Queue::quorum("q"));
    publish(&channel, &["a", "b"]);
    clock.advance(Duration::from_millis(600));
    publish(&channel, &["c"]);
    clock.advance(Duration::from_millis(600));
    channel.close().unwrap();
    let other = channel_of(&broker).unwrap();
    assert_eq!(other.queue_purge("q").unwrap(), 3);
    let snapshot = broker.snapshot().unwrap();
    let queue = snapshot.vhosts[0]
        .queues
        .iter()
        .find(|queue| queue.name == "q")
        .unwrap();
    assert_eq!((queue.ready.messages, queue.unsettled.messages), (0, 0));
}

#[test]
fn a_consumer_without_a_time_of_its_own_has_thirty_minutes() {
    let (broker, clock) = on_a_manual_clock();
    let channel = channel_of(&broker).unwrap();
    channel.queue_declare(&Queue::quorum("q")).unwrap();
    let options = ConsumeOptions::new().tag("c");
    channel.basic_consume("q", options).unwrap();
    let events = channel.events();
    publish(&channel, &["a"]);
    clock.advance(SECOND * 1_799);
    assert_eq!(seen(&events), ["a#1"]);
    clock.advance(SECOND);
    assert_eq!(seen(&events), ["cancelled"]);
}

#[test]
fn a_get_and_a_typed_consumer_have_all_the_time() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::quorum("q").consumer_timeout(SECOND);
    let channel = channel_of(&broker).unwrap();
    channel.queue_declare(&queue).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    broker.producer::<u32>(&queue).unwrap().publish(7).unwrap();
    let held = consumer.try_recv().unwrap();
    drop(consumer);
    publish(&channel, &["got"]);
    let got = channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
    clock.advance(SECOND * 3_600);
    assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 0);
    channel.basic_ack(got.delivery_tag(), Multiple::No).unwrap();
    held.ack().unwrap();
}
