//! Deliveries that a consumer of a quorum queue does not settle in time.

use std::time::Duration;

use leveret::{
    CancelReason, ManualClock, Properties, Queue, Requeue,
    channel::{
        AckMode, Channel, ConsumeOptions, Event, Events, Multiple, PublishOptions, QosScope,
    },
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
fn a_get_has_all_the_time_and_so_has_a_typed_consumer_without_a_time_that_was_asked_for() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::quorum("q").consumer_timeout(SECOND);
    let channel = channel_of(&broker).unwrap();
    channel.queue_declare(&queue).unwrap();
    let other = Queue::quorum("other");
    let consumer = broker.consumer::<u32>(&other).unwrap();
    broker.producer::<u32>(&other).unwrap().publish(7).unwrap();
    let held = consumer.try_recv().unwrap();
    publish(&channel, &["got"]);
    let got = channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
    clock.advance(SECOND * 3_600);
    assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 0);
    channel.basic_ack(got.delivery_tag(), Multiple::No).unwrap();
    held.ack().unwrap();
    assert!(
        broker
            .simple_queue::<u32>(&other)
            .unwrap()
            .is_empty()
            .unwrap()
    );
}

#[test]
fn two_late_consumers_that_had_the_same_tag_are_told_apart() {
    let (_broker, clock, channel, events) = consuming(&Queue::quorum("q"));
    publish(&channel, &["a"]);
    clock.advance(SECOND);
    channel.basic_cancel("c").unwrap();
    let options = ConsumeOptions::new().tag("c");
    let options = options.argument("x-consumer-timeout", 1_000);
    channel.basic_consume("q", options).unwrap();
    clock.advance(SECOND);
    assert_eq!(seen(&events), ["a#1", "cancelled", "a#2", "cancelled"]);
    channel.basic_ack(2, Multiple::Yes).unwrap();
    assert_eq!(seen(&events), ["a#3"]);
}

#[test]
fn a_delivery_that_an_uncommitted_transaction_settles_is_taken_back() {
    for commits in [true, false] {
        let (_broker, clock, channel, events) = consuming(&Queue::quorum("q"));
        channel.tx_select().unwrap();
        publish(&channel, &["a", "b"]);
        channel.tx_commit().unwrap();
        channel.basic_ack(2, Multiple::No).unwrap();
        clock.advance(SECOND);
        assert_eq!(seen(&events), ["a#1", "b#2", "cancelled"]);
        assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 2);
        match commits {
            true => channel.tx_commit().unwrap(),
            false => {
                channel.tx_rollback().unwrap();
                channel.basic_ack(2, Multiple::No).unwrap();
            }
        }
        channel.basic_ack(1, Multiple::No).unwrap();
        channel.tx_commit().unwrap();
        assert_eq!(seen(&events), ["a#3", "b#4"], "in the order of delivery");
    }
}

#[test]
fn a_delivery_that_is_unsettled_again_after_a_rollback_is_taken_back_in_time() {
    let (_broker, clock, channel, events) = consuming(&Queue::quorum("q"));
    channel.tx_select().unwrap();
    publish(&channel, &["a"]);
    channel.tx_commit().unwrap();
    channel.basic_ack(1, Multiple::No).unwrap();
    channel.tx_rollback().unwrap();
    clock.advance(SECOND);
    assert_eq!(seen(&events), ["a#1", "cancelled"]);
}

#[test]
fn the_common_limit_of_a_channel_has_room_again_once_a_late_delivery_is_settled() {
    let (_broker, clock, channel, events) = consuming(&Queue::quorum("q"));
    publish(&channel, &["a"]);
    channel.queue_declare(&Queue::new("other")).unwrap();
    channel.basic_qos(0, 1, QosScope::Channel).unwrap();
    channel
        .basic_consume("other", ConsumeOptions::new().tag("other"))
        .unwrap();
    let options = PublishOptions::new();
    channel
        .basic_publish("", "other", "b", Properties::new(), options)
        .unwrap();
    clock.advance(SECOND);
    assert_eq!(seen(&events), ["a#1", "cancelled"]);
    channel.basic_cancel("c").unwrap();
    channel.basic_ack(1, Multiple::No).unwrap();
    assert_eq!(seen(&events), ["b#2"]);
}

#[test]
fn the_deliveries_of_a_cancelled_consumer_return_in_time_and_another_one_with_its_tag_is_served() {
    for acks_late in [true, false] {
        let (_broker, clock, channel, events) = consuming(&Queue::quorum("q"));
        publish(&channel, &["a", "b"]);
        channel.basic_cancel("c").unwrap();
        channel.basic_ack(2, Multiple::No).unwrap();
        let options = ConsumeOptions::new().tag("c");
        channel.basic_consume("q", options).unwrap();
        clock.advance(SECOND - Duration::from_millis(1));
        assert_eq!(seen(&events), ["a#1", "b#2"]);
        clock.advance(Duration::from_millis(1));
        assert_eq!(seen(&events), ["a#3"], "and nothing is cancelled");
        if acks_late {
            channel.basic_ack(1, Multiple::No).unwrap();
        }
        channel.basic_ack(3, Multiple::No).unwrap();
        assert_eq!(channel.queue_purge("q").unwrap(), 0);
        channel.close().unwrap();
    }
}
