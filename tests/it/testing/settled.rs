//! When a test broker is settled.

use std::{thread, time::Duration};

use leveret::{
    Broker, Exchange, Message, Overflow, Queue, Requeue, channel::AckMode, testing::TestBroker,
};

use crate::common::{SECOND, channel_of};

const MOMENT: Duration = Duration::from_millis(1);

/// The text of the error of a broker that is not settled.
fn why_not(test: &TestBroker) -> String {
    let error = test.wait_settled_timeout(MOMENT).unwrap_err();
    let text = error.to_string();
    assert!(!test.settled());
    text.strip_prefix("not settled after 1ms: ")
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

#[test]
fn a_new_broker_and_one_that_is_shut_down_are_settled() {
    let test = TestBroker::new();
    assert!(test.settled());
    let consumer = test.consumer::<u32>("q").unwrap();
    test.producer::<u32>("q").unwrap().publish(7).unwrap();
    assert!(!test.settled());
    test.shutdown(Duration::ZERO).unwrap();
    assert!(test.settled());
    let _busy = test.busy();
    drop(consumer);
}

#[test]
fn messages_without_a_consumer_do_not_count() {
    let test = TestBroker::new();
    let producer = test.producer::<u32>("q").unwrap();
    producer.publish(7).unwrap();
    assert!(test.settled());
    let consumer = test.consumer::<u32>("q").unwrap();
    assert_eq!(
        why_not(&test),
        "queue 'q': 0 ready, 1 unsettled, 1 consumer"
    );
    consumer.cancel();
    assert!(test.settled());
}

#[test]
fn a_message_that_was_got_counts_until_it_is_settled() {
    let test = TestBroker::new();
    let queue = test.simple_queue::<u32>("q").unwrap();
    queue.put(7).unwrap();
    queue.put(8).unwrap();
    let held = queue.get().unwrap();
    assert_eq!(
        why_not(&test),
        "queue 'q': 1 ready, 1 unsettled, 0 consumers"
    );
    held.nack(Requeue::Yes).unwrap();
    assert!(test.settled());
}

#[test]
fn the_error_names_every_queue_with_its_virtual_host() {
    let test = TestBroker::new();
    test.create_vhost("other").unwrap();
    let other = test.vhost("other").unwrap();
    let _idle = test.consumer::<u32>("idle").unwrap();
    let _here = test.consumer_builder::<u32>("a").prefetch(1).build();
    let _here_too = test.consumer_builder::<u32>("a").prefetch(1).build();
    let _there = other.consumer::<u32>("b").unwrap();
    for number in 0..3 {
        test.producer::<u32>("a").unwrap().publish(number).unwrap();
    }
    other.producer::<u32>("b").unwrap().publish(7).unwrap();
    assert_eq!(
        why_not(&test),
        "queue 'a': 1 ready, 2 unsettled, 2 consumers; \
         queue 'b' in vhost 'other': 0 ready, 1 unsettled, 1 consumer"
    );
    let error = test.wait_settled_timeout(MOMENT).unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
}

#[test]
fn a_delayed_message_counts_from_its_time_on() {
    let test = TestBroker::new();
    let consumer = test.consumer::<u32>("q").unwrap();
    let producer = test.producer::<u32>("q").unwrap();
    let delayed = Message::new(7).deliver_after(60 * SECOND);
    producer.publish_message(delayed).unwrap();
    assert!(test.settled());
    test.advance(59 * SECOND);
    assert!(test.settled());
    test.advance(SECOND);
    assert!(!test.settled());
    let delivery = consumer.recv().unwrap();
    delivery.nack(Requeue::After(SECOND)).unwrap();
    assert!(test.settled());
    test.advance(SECOND);
    consumer.recv().unwrap().ack().unwrap();
    assert!(test.settled());
}

#[test]
fn a_delayed_exchange_counts_when_it_has_routed_its_message() {
    let test = TestBroker::new();
    let later = Exchange::fanout("later").delayed();
    let bound = test.declare(&Queue::new("q").bind(&later, "")).unwrap();
    let consumer = test.consumer::<u32>(&bound).unwrap();
    let producer = test.producer::<u32>(&later).unwrap();
    producer
        .publish_message(Message::new(7).delay(SECOND))
        .unwrap();
    assert!(test.settled());
    test.advance(SECOND);
    assert!(!test.settled());
    consumer.recv().unwrap().ack().unwrap();
    assert!(test.settled());
}

#[test]
fn a_publish_that_waits_for_room_counts() {
    let test = TestBroker::new();
    let full = Queue::new("full").max_length(1).overflow(Overflow::Block);
    let queue = test.simple_queue::<u32>(&full).unwrap();
    queue.put(7).unwrap();
    let producer = test.producer::<u32>(&full).unwrap();
    let waiting = thread::spawn(move || producer.publish(8).unwrap());
    while test.publishes().len() < 2 {
        thread::yield_now();
    }
    assert_eq!(why_not(&test), "1 publish has not returned");
    let last = test.publishes().pop().unwrap();
    assert_eq!(last.outcome(), None);
    assert_eq!(
        last.to_string(),
        "default exchange, routing key 'full', `u32` 8, not ended"
    );
    queue.get().unwrap().ack().unwrap();
    test.wait_settled().unwrap();
    waiting.join().unwrap();
    assert_eq!(queue.len().unwrap(), 1);
}

#[test]
fn a_busy_program_is_not_settled() {
    let test = TestBroker::new();
    let busy = [test.busy(), test.busy()];
    assert_eq!(why_not(&test), "2 handlers run");
    let [first, second] = busy;
    drop(first);
    assert_eq!(why_not(&test), "1 handler runs");
    let ending = thread::spawn(move || drop(second));
    test.wait_settled().unwrap();
    ending.join().unwrap();
}

#[test]
fn a_shutdown_waits_for_a_busy_program() {
    let test = TestBroker::new();
    let busy = test.busy();
    assert!(test.shutdown(Duration::ZERO).unwrap().timed_out);
    drop(busy);
    assert!(test.settled());
}

#[test]
fn an_unsettled_delivery_of_a_channel_counts_after_the_consumer_is_gone() {
    let test = TestBroker::new();
    let channel = channel_of(&test).unwrap();
    test.producer::<u32>("q").unwrap().publish(7).unwrap();
    let got = channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
    assert!(!test.settled());
    drop(got);
    assert!(!test.settled());
    channel.close().unwrap();
    assert!(test.settled());
}

#[test]
fn a_test_broker_takes_the_settings_of_a_builder_and_its_own_clock() {
    let test = TestBroker::with_builder(Broker::builder().always_encode());
    let producer = test.producer::<u32>("q").unwrap();
    producer.publish(7).unwrap();
    test.published::<u32>("", "q")
        .assert_count(1)
        .assert_all(|number| **number == 7);
    let message = Message::new(8).expiration(SECOND);
    producer.publish_message(message).unwrap();
    let queue = test.simple_queue::<u32>("q").unwrap();
    queue.get().unwrap().ack().unwrap();
    test.advance(SECOND);
    assert!(queue.is_empty().unwrap());
}
