//! Publishes and their outcomes.

use std::{future::Future, pin::Pin};

use futures_lite::future::block_on;
use leveret::{Error, Exchange, FieldTable, FieldValue, Message, Overflow, Properties, Queue};

use crate::{
    engine::{Engine, LONG},
    on_each_engine,
};

on_each_engine! {
    a_mandatory_message_without_a_queue_comes_back
    a_message_with_blind_copies_to_nowhere_comes_back
    a_message_without_a_queue_is_dropped_if_it_is_not_mandatory
    a_full_queue_gives_the_payload_back
    properties_and_headers_arrive_as_they_were_given
    a_batch_gives_back_exactly_what_is_unroutable
    a_batch_to_a_queue_that_is_gone_comes_back_whole
    futures_of_publishes_run_at_the_same_time
    a_publish_to_a_deleted_exchange_fails_alone
    a_property_that_amqp_cannot_carry_is_refused
}

fn a_mandatory_message_without_a_queue_comes_back(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<String>(&queue).unwrap();
    engine.broker.delete(&queue).unwrap();
    let error = producer.publish("lost".to_owned()).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(312));
    assert_eq!(error.into_inner().as_deref(), Some("lost"));
    let message = Message::new("kept".to_owned()).header("k", 1).mandatory();
    let error = producer.publish_message(message.clone()).unwrap_err();
    assert_eq!(error.into_inner(), Some(message));
}

fn a_message_with_blind_copies_to_nowhere_comes_back(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    engine.broker.delete(&queue).unwrap();
    let keys = vec![FieldValue::from("nowhere")];
    let message = Message::new(7).header("BCC", keys).mandatory();
    let error = producer.publish_message(message).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(312));
}

fn a_message_without_a_queue_is_dropped_if_it_is_not_mandatory(engine: &Engine) {
    let news = Exchange::fanout(engine.exchange("news"));
    let producer = engine.broker.producer::<u32>(&news).unwrap();
    assert_eq!(producer.publish(1).unwrap().routed, 0);
    let queue = engine.queue("q").bind(&news, "");
    engine.broker.declare(&queue).unwrap();
    assert_eq!(producer.publish(2).unwrap().routed, 1);
    assert_eq!(engine.broker.purge(&queue).unwrap(), 1);
}

fn a_full_queue_gives_the_payload_back(engine: &Engine) {
    let small = engine.queue("q").max_length(1);
    let small = small.overflow(Overflow::RejectPublish);
    let producer = engine.broker.producer::<String>(&small).unwrap();
    producer.publish("first".to_owned()).unwrap();
    let refused = producer.publish("second".to_owned()).unwrap_err();
    let Error::Refused { queue, .. } = refused.error() else {
        panic!("{refused:?}");
    };
    assert_eq!(&**queue, small.name());
    assert_eq!(refused.into_inner().as_deref(), Some("second"));
}

fn properties_and_headers_arrive_as_they_were_given(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<String>(&queue).unwrap();
    let inner = FieldTable::from([("deep", 1.5)]);
    let properties = Properties::new()
        .header("text", "v")
        .header("number", -7)
        .header("table", inner)
        .persistent()
        .priority(3)
        .correlation_id("c")
        .reply_to("r")
        .message_id("m")
        .timestamp(1_700_000_000)
        .message_type("t")
        .user_id("guest")
        .app_id("a");
    let message = Message::new("body".to_owned()).properties(properties.clone());
    producer.publish_message(message).unwrap();
    let consumer = engine.broker.consumer::<String>(&queue).unwrap();
    let delivery = consumer.recv_timeout(LONG).unwrap();
    let mut arrived = delivery.info().properties().clone();
    assert_eq!(arrived.content_type.take().as_deref(), Some("text/plain"));
    arrived.content_encoding = None;
    assert_eq!(arrived, properties);
    assert_eq!(*delivery, "body");
    delivery.ack().unwrap();
}

fn a_batch_gives_back_exactly_what_is_unroutable(engine: &Engine) {
    let routes = Exchange::direct(engine.exchange("routes"));
    let queue = engine.queue("q").bind(&routes, "good");
    engine.broker.declare(&queue).unwrap();
    let producer = engine.broker.producer::<u32>(&routes).unwrap();
    let publish = |number: u32| {
        let key = if number.is_multiple_of(3) {
            "bad"
        } else {
            "good"
        };
        let message = Message::new(number).routing_key(key).mandatory();
        producer.publish_message_async(message)
    };
    let mut publishes: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for number in 0..300 {
        publishes.push(Box::pin(publish(number)));
    }
    let outcomes = block_on(join_all(publishes));
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(published) => assert!(number % 3 != 0 && published.routed == 1, "{number}"),
            Err(error) => {
                assert_eq!(error.error().reply_code(), Some(312));
                let message = error.into_inner().unwrap();
                assert_eq!((number % 3, *message.payload()), (0, number as u32));
            }
        }
    }
    assert_eq!(engine.broker.purge(&queue).unwrap(), 200);
}

fn a_batch_to_a_queue_that_is_gone_comes_back_whole(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<Vec<u8>>(&queue).unwrap();
    engine.broker.delete(&queue).unwrap();
    // The first ones return while the others are still handed over.
    let payload = |number: u8| vec![number; 100];
    for _ in 0..20 {
        let results = producer.publish_batch((0..192).map(payload));
        assert_eq!(results.len(), 192);
        for (number, result) in results.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert_eq!(error.error().reply_code(), Some(312), "{number}");
            assert_eq!(error.into_inner(), Some(payload(number as u8)));
        }
    }
}

/// Polls all futures until each is ready.
async fn join_all<T>(mut all: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn futures_of_publishes_run_at_the_same_time(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let mut publishes: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for number in 0..100 {
        publishes.push(Box::pin(producer.publish_async(number)));
    }
    let outcomes = block_on(join_all(publishes));
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.as_ref().is_ok_and(|it| it.routed == 1))
    );
    let results = producer.publish_batch(100..1000);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 900);
    assert_eq!(engine.broker.purge(&queue).unwrap(), 1000);
}

fn a_publish_to_a_deleted_exchange_fails_alone(engine: &Engine) {
    let gone = Exchange::fanout(engine.exchange("gone"));
    let queue = engine.queue("q");
    let good = engine.broker.producer::<u32>(&queue).unwrap();
    let bad = engine.broker.producer::<u32>(&gone).unwrap();
    engine.broker.delete(&gone).unwrap();
    let mut publishes: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for number in 0..30 {
        let producer = if number == 10 || number == 20 {
            &bad
        } else {
            &good
        };
        publishes.push(Box::pin(producer.publish_async(number)));
    }
    for (number, outcome) in block_on(join_all(publishes)).into_iter().enumerate() {
        match outcome {
            Ok(_) => assert!(number != 10 && number != 20),
            Err(error) => {
                assert!(number == 10 || number == 20, "{number}: {error:?}");
                assert!(error.error().is_not_found(), "{error:?}");
            }
        }
    }
    // Those before a bad one may have been sent twice.
    assert!(engine.broker.purge(&queue).unwrap() >= 28);
    good.publish(30).unwrap();
    assert_eq!(
        engine.broker.purge(Queue::existing(queue.name())).unwrap(),
        1
    );
}

fn a_property_that_amqp_cannot_carry_is_refused(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let message = Message::new(1).properties(Properties::new().expiration("soon"));
    let error = producer.publish_message(message).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(406));
    let properties = Properties::new().user_id("ada");
    let message = Message::new(1).properties(properties);
    let error = producer.publish_message(message).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(406));
    assert_eq!(producer.publish(2).unwrap().routed, 1);
}
