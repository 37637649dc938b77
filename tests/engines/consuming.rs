//! Deliveries and their settlement.

use std::time::Duration;

use leveret::{
    CancelReason, Error, Message, Properties, Queue, RecvError, RecvTimeoutError, Requeue,
};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Engine, LONG, SHORT},
    on_each_engine,
};

on_each_engine! {
    values_arrive_in_their_order_and_are_acknowledged
    a_dropped_delivery_comes_again_and_is_marked
    a_rejected_delivery_is_dead_lettered_with_its_history
    a_consumer_holds_at_most_its_prefetch
    two_consumers_share_a_queue
    a_cancelled_consumer_returns_what_it_has_not_shown
    a_deleted_queue_ends_its_consumers
    an_undecodable_body_is_an_error_and_is_rejected
    an_auto_ack_consumer_settles_what_it_shows
    an_exclusive_consumer_keeps_others_out
    a_message_expires_into_the_dead_letter_queue
    priorities_come_first
    a_delivery_outlives_its_consumer
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u64,
}

fn values_arrive_in_their_order_and_are_acknowledged(engine: &Engine) {
    let tasks = engine.queue("tasks");
    let producer = engine.broker.producer::<Task>(&tasks).unwrap();
    let consumer = engine.broker.consumer::<Task>(&tasks).unwrap();
    for id in 0..200 {
        assert_eq!(producer.publish(Task { id }).unwrap().routed, 1);
    }
    for id in 0..200 {
        let delivery = consumer.recv_timeout(LONG).unwrap();
        assert_eq!(*delivery, Task { id });
        let info = delivery.info();
        assert_eq!(
            (&**info.queue(), info.routing_key()),
            (tasks.name(), tasks.name())
        );
        assert!(!info.redelivered() && info.exchange().is_empty());
        delivery.ack().unwrap();
    }
    drop(consumer);
    assert_eq!(engine.broker.purge(&tasks).unwrap(), 0);
}

fn a_dropped_delivery_comes_again_and_is_marked(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    producer.publish(7).unwrap();
    drop(consumer.recv_timeout(LONG).unwrap());
    let again = consumer.recv_timeout(LONG).unwrap();
    assert!(again.info().redelivered());
    again.nack(Requeue::Yes).unwrap();
    let again = consumer.recv_timeout(LONG).unwrap();
    assert_eq!((*again, again.info().redelivered()), (7, true));
    assert_eq!(again.ack_into().unwrap(), 7);
}

fn a_rejected_delivery_is_dead_lettered_with_its_history(engine: &Engine) {
    let dead = engine.queue("dead");
    engine.broker.declare(&dead).unwrap();
    let tasks = engine.queue("tasks").dead_letter_exchange("");
    let tasks = tasks.dead_letter_routing_key(dead.name());
    let producer = engine.broker.producer::<String>(&tasks).unwrap();
    let consumer = engine.broker.consumer::<String>(&tasks).unwrap();
    producer.publish("sweep".to_owned()).unwrap();
    consumer.recv_timeout(LONG).unwrap().reject().unwrap();
    let dead = engine.broker.consumer::<String>(&dead).unwrap();
    let dead = dead.recv_timeout(LONG).unwrap();
    assert_eq!(*dead, "sweep");
    let deaths = dead.info().properties().header_value("x-death").cloned();
    let deaths = deaths.unwrap();
    let death = deaths.as_array().unwrap()[0].as_table().unwrap();
    assert_eq!(death.get("queue").unwrap().as_str(), Some(tasks.name()));
    assert_eq!(death.get("reason").unwrap().as_str(), Some("rejected"));
    assert_eq!(death.get("count").unwrap().as_i64(), Some(1));
    dead.ack().unwrap();
}

fn a_consumer_holds_at_most_its_prefetch(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let consumer = engine.broker.consumer_builder::<u32>(&queue);
    let consumer = consumer.prefetch(2).build().unwrap();
    for number in 0..3 {
        producer.publish(number).unwrap();
    }
    let first = consumer.recv_timeout(LONG).unwrap();
    let _second = consumer.recv_timeout(LONG).unwrap();
    let third = consumer.recv_timeout(SHORT);
    assert!(third.is_err(), "{third:?}");
    first.ack().unwrap();
    assert_eq!(*consumer.recv_timeout(LONG).unwrap(), 2);
}

fn two_consumers_share_a_queue(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let builder = || engine.broker.consumer_builder::<u32>(&queue).prefetch(1);
    let (a, b) = (builder().build().unwrap(), builder().build().unwrap());
    for number in 0..4 {
        producer.publish(number).unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        for consumer in [&a, &b] {
            let delivery = consumer.recv_timeout(LONG).unwrap();
            seen.push(*delivery);
            delivery.ack().unwrap();
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
}

fn a_cancelled_consumer_returns_what_it_has_not_shown(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let first = engine.broker.consumer::<u32>(&queue).unwrap();
    for number in 0..10 {
        producer.publish(number).unwrap();
    }
    let held = first.recv_timeout(LONG).unwrap();
    assert_eq!(*held, 0);
    first.cancel();
    assert!(matches!(
        first.recv(),
        Err(RecvError::Cancelled(CancelReason::ConsumerCancelled))
    ));
    let second = engine.broker.consumer::<u32>(&queue).unwrap();
    let mut seen: Vec<u32> = (0..9)
        .map(|_| second.recv_timeout(LONG).unwrap().ack_into().unwrap())
        .collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(1..10));
    held.ack().unwrap();
    drop(second);
    assert_eq!(engine.broker.purge(&queue).unwrap(), 0);
}

fn a_deleted_queue_ends_its_consumers(engine: &Engine) {
    let queue = engine.queue("q");
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    engine.broker.delete(&queue).unwrap();
    match consumer.recv_timeout(LONG) {
        Err(RecvTimeoutError::Cancelled(CancelReason::QueueDeleted)) => {}
        other => panic!("{other:?}"),
    }
}

fn an_undecodable_body_is_an_error_and_is_rejected(engine: &Engine) {
    let dead = engine.queue("dead");
    engine.broker.declare(&dead).unwrap();
    let queue = engine.queue("q").dead_letter_exchange("");
    let queue = queue.dead_letter_routing_key(dead.name());
    engine.broker.declare(&queue).unwrap();
    let other = engine.broker.producer::<Vec<u8>>(&queue).unwrap();
    let body = Message::new(b"{no json".to_vec())
        .properties(Properties::new().content_type("application/json"));
    other.publish_message(body).unwrap();
    let consumer = engine.broker.consumer::<Task>(&queue).unwrap();
    match consumer.recv_timeout(LONG) {
        Err(RecvTimeoutError::Decode(undecoded)) => drop(undecoded),
        other => panic!("{other:?}"),
    }
    let dead = engine.broker.consumer::<Vec<u8>>(&dead).unwrap();
    let dead = dead.recv_timeout(LONG);
    // The body says that it is JSON, which octets are not.
    assert!(dead.is_ok() || matches!(dead, Err(RecvTimeoutError::Decode(_))));
}

fn an_auto_ack_consumer_settles_what_it_shows(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let builder = engine.broker.consumer_builder::<u32>(&queue);
    let consumer = builder.auto_ack().prefetch(4).build().unwrap();
    for number in 0..10 {
        producer.publish(number).unwrap();
    }
    for number in 0..5 {
        assert_eq!(*consumer.recv_timeout(LONG).unwrap(), number);
    }
    drop(consumer);
    let rest = engine.broker.consumer::<u32>(&queue).unwrap();
    for _ in 5..10 {
        let number = rest.recv_timeout(LONG).unwrap().ack_into().unwrap();
        assert!((5..10).contains(&number), "{number}");
    }
    drop(rest);
    assert_eq!(engine.broker.purge(&queue).unwrap(), 0);
}

fn an_exclusive_consumer_keeps_others_out(engine: &Engine) {
    let queue = engine.queue("q");
    let builder = engine.broker.consumer_builder::<u32>(&queue);
    let only = builder.exclusive().build().unwrap();
    let error = engine.broker.consumer::<u32>(&queue).unwrap_err();
    assert_eq!(error.reply_code(), Some(403), "{error}");
    assert!(matches!(error, Error::AccessRefused(_)), "{error:?}");
    drop(only);
}

fn a_message_expires_into_the_dead_letter_queue(engine: &Engine) {
    let dead = engine.queue("dead");
    let dead = engine.broker.consumer::<u32>(&dead).unwrap();
    let queue = engine.queue("q").dead_letter_exchange("");
    let queue = queue
        .dead_letter_routing_key(&**dead.queue())
        .message_ttl(Duration::from_millis(10));
    engine.broker.producer(&queue).unwrap().publish(7).unwrap();
    assert_eq!(dead.recv_timeout(LONG).unwrap().ack_into().unwrap(), 7);
}

fn priorities_come_first(engine: &Engine) {
    let queue = engine.queue("q").max_priority(5);
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    for (number, priority) in [(0, 0), (1, 5), (2, 3), (3, 5)] {
        let message = Message::new(number).priority(priority);
        producer.publish_message(message).unwrap();
    }
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    let order: Vec<u32> = (0..4)
        .map(|_| consumer.recv_timeout(LONG).unwrap().ack_into().unwrap())
        .collect();
    assert_eq!(order, [1, 3, 2, 0]);
}

fn a_delivery_outlives_its_consumer(engine: &Engine) {
    let queue = engine.queue("q");
    engine.broker.producer(&queue).unwrap().publish(7).unwrap();
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    let held = consumer.recv_timeout(LONG).unwrap();
    drop(consumer);
    drop(held); // it returns
    let consumer = engine
        .broker
        .consumer::<u32>(Queue::existing(queue.name()))
        .unwrap();
    let again = consumer.recv_timeout(LONG).unwrap();
    assert!(again.info().redelivered());
    drop(consumer);
    again.ack().unwrap();
    assert_eq!(engine.broker.purge(&queue).unwrap(), 0);
}
