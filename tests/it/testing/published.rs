//! Captured publishes, and the texts of failed assertions.

use std::{fmt, sync::Arc};

use leveret::{
    Bytes, CodecError, Error, Exchange, Local, LocalArc, Message, Overflow, Properties, Queue,
    channel::PublishOptions,
    codec::{Codec, Reader, Value},
    testing::{PublishRecord, TestBroker},
};

use super::failure;
use crate::common::channel_of;

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Order {
    id: u32,
}

fn lines(publishes: &[PublishRecord]) -> Vec<String> {
    publishes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_message_is_captured_with_its_target_its_properties_and_its_value() {
    let test = TestBroker::new();
    let orders = Exchange::topic("orders");
    for queue in ["one", "two"] {
        test.declare(&Queue::new(queue).bind(&orders, "#")).unwrap();
    }
    let producer = test.producer::<Order>(&orders).unwrap();
    let message = Message::new(Order { id: 7 }).routing_key("new").priority(3);
    producer.publish_message(message).unwrap();
    producer.publish_to("old", Order { id: 8 }).unwrap();

    let new = test.published::<Order>("orders", "new");
    new.assert_count(1).assert_any(|order| order.id == 7);
    let record = new[0].record();
    assert_eq!(record.properties().priority, Some(3));
    assert_eq!(&**record.vhost(), "/");
    let published = record.outcome().unwrap().clone().unwrap();
    assert_eq!((published.routed, published.refused), (2, 0));
    assert_eq!(new[0].payload(), Some(&Order { id: 7 }));
    test.published::<Order>("orders", "old")
        .assert_all(|order| order.id == 8);
}

#[test]
fn a_captured_payload_still_belongs_to_its_consumer() {
    let test = TestBroker::new();
    let producer = test.producer::<Order>("orders").unwrap();
    producer.publish(Order { id: 7 }).unwrap();
    let delivery = test.consumer::<Order>("orders").unwrap().recv().unwrap();
    assert_eq!(delivery.ack_into().unwrap(), Order { id: 7 });
    test.published::<Order>("", "orders").assert_count(1);
}

#[test]
fn a_message_is_of_each_type_that_could_receive_it() {
    let test = TestBroker::new();
    let producer = test.producer::<Order>("orders").unwrap();
    producer.publish(Order { id: 7 }).unwrap();
    let json = serde_json::json!({"id": 7});
    test.published::<serde_json::Value>("", "orders")
        .assert_any(|value| **value == json);
    test.published::<Bytes>("", "orders")
        .assert_any(|octets| ***octets == *br#"{"id":7}"#);
    test.published::<String>("", "orders").assert_count(0);
}

#[test]
fn a_value_that_cannot_be_encoded_is_captured_without_it() {
    let test = TestBroker::new();
    let jobs = test.producer::<Local<fn() -> u32>>("jobs").unwrap();
    jobs.publish(Local(|| 7)).unwrap();
    let jobs = test.published::<Local<fn() -> u32>>("", "jobs");
    jobs.assert_count(1);
    assert!(jobs[0].payload().is_none());
    let text = failure(|| assert_eq!(jobs[0](), 7));
    assert!(
        text.starts_with("the value of this message is not recorded: default exchange"),
        "{text}"
    );
    test.published::<Local<u32>>("", "jobs").assert_count(0);
    // The job itself is unharmed.
    let queue = test.simple_queue::<Local<fn() -> u32>>("jobs").unwrap();
    assert_eq!(queue.get().unwrap()(), 7);
}

#[test]
fn a_shared_value_is_captured_as_it_is() {
    let test = TestBroker::new();
    let value = Arc::new(7);
    let shared = test.producer::<LocalArc<u32>>("q").unwrap();
    shared.publish(LocalArc(Arc::clone(&value))).unwrap();
    let published = test.published::<LocalArc<u32>>("", "q");
    published.assert_any(|found| Arc::ptr_eq(&found.0, &value));
}

/// Hexadecimal digits, for numbers only.
#[derive(Debug)]
struct Hex;

impl Codec for Hex {
    fn content_type(&self) -> &str {
        "application/hex"
    }

    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
        let number = serde_json::to_value(value).map_err(|it| self.error(it))?;
        Ok(format!("{:x}", number.as_u64().unwrap_or_default()).into_bytes())
    }

    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let text = std::str::from_utf8(octets).map_err(|it| self.error(it))?;
        let number = u64::from_str_radix(text, 16).map_err(|it| self.error(it))?;
        let json = serde_json::Value::from(number);
        reader.read(json)
    }
}

impl Hex {
    fn error(&self, error: impl fmt::Display) -> CodecError {
        CodecError::new(self.content_type(), error.to_string())
    }
}

#[test]
fn a_value_is_read_by_the_codec_of_its_producer() {
    let test = TestBroker::new();
    let producer = test.producer_builder::<u32>("q").codec(Hex).build();
    producer.unwrap().publish(255).unwrap();
    test.published::<u32>("", "q")
        .assert_any(|number| **number == 255);
    assert_eq!(
        lines(&test.publishes()),
        ["default exchange, routing key 'q', `u32` ff, to 1 queue"]
    );
}

#[test]
fn failed_publishes_are_captured_with_their_errors() {
    let test = TestBroker::new();
    let full = Queue::new("full")
        .max_length(0)
        .overflow(Overflow::RejectPublish);
    test.declare(&full).unwrap();
    test.producer::<u32>("full")
        .unwrap()
        .publish(7)
        .unwrap_err();
    let nowhere = test.producer::<u32>(&Exchange::fanout("nowhere")).unwrap();
    nowhere.publish(8).unwrap();
    let mandatory = Message::new(9).mandatory();
    nowhere.publish_message(mandatory).unwrap_err();
    test.delete(&Exchange::existing("nowhere")).unwrap();
    nowhere.publish(10).unwrap_err();
    assert_eq!(
        lines(&test.publishes()),
        [
            "default exchange, routing key 'full', `u32` 7, failed: queue 'full' refused the message: it is at its length limit, or its byte budget is spent",
            "exchange 'nowhere', routing key '', `u32` 8, to 0 queues",
            "exchange 'nowhere', routing key '', `u32` 9, failed: NO_ROUTE - no queue is bound to exchange 'nowhere' for routing key ''",
            "exchange 'nowhere', routing key '', failed: NOT_FOUND - no exchange 'nowhere' in vhost '/'",
        ]
    );
    assert_eq!(test.publishes()[3].payload_type(), None);
    test.published::<u32>("nowhere", "").assert_count(1);
    let refused = test.publishes()[0].outcome().cloned();
    assert!(matches!(refused, Some(Err(Error::Refused { .. }))));
}

#[test]
fn every_way_to_publish_is_captured() {
    let test = TestBroker::new();
    let producer = test.producer::<u32>("q").unwrap();
    producer.publish(1).unwrap();
    producer.try_publish(2).unwrap();
    producer.publish_to("q", 3).unwrap();
    producer.publish_message(Message::new(4)).unwrap();
    assert!(producer.publish_batch(5..7).iter().all(Result::is_ok));
    test.simple_queue("q").unwrap().put(7).unwrap();
    let task = producer.clone();
    test.spawn(async move { task.publish_async(8).await.unwrap() });
    test.run_until_stalled();
    let channel = channel_of(&test).unwrap();
    let options = PublishOptions::new();
    let body = |text: &str| (text.to_owned(), Properties::new());
    let (octets, properties) = body("9");
    channel
        .basic_publish("", "q", octets, properties, options)
        .unwrap();
    channel.tx_select().unwrap();
    for text in ["10", "11"] {
        let (octets, properties) = body(text);
        channel
            .basic_publish("", "q", octets, properties, options)
            .unwrap();
    }
    test.published::<u32>("", "q").assert_count(9);
    channel.tx_commit().unwrap();
    let published = test.published::<u32>("", "q");
    let numbers: Vec<u32> = published.iter().map(|number| **number).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
    assert_eq!(test.simple_queue::<u32>("q").unwrap().len().unwrap(), 11);
}

#[test]
fn a_wrong_count_shows_the_messages_and_the_others() {
    let test = TestBroker::new();
    let producer = test.producer::<u32>("jobs").unwrap();
    producer.publish(7).unwrap();
    let other = test.producer::<u32>("jbos").unwrap();
    other.publish(8).unwrap();
    let text = failure(|| {
        test.published::<u32>("", "jobs").assert_count(2);
    });
    assert_eq!(
        text,
        "expected 2 messages of `u32` to default exchange, routing key 'jobs', and there is 1\n\
         published there:\n  \
         1. default exchange, routing key 'jobs', `u32` 7, to 1 queue\n\
         published elsewhere:\n  \
         1. default exchange, routing key 'jbos', `u32` 8, to 1 queue\n"
    );
    let text = failure(|| {
        test.published::<u32>("", "jobs").assert_count(0);
    });
    assert!(
        text.starts_with("expected no message of `u32` to default exchange"),
        "{text}"
    );
}

#[test]
fn a_missing_message_shows_the_nearest_one() {
    let test = TestBroker::new();
    let text = failure(|| {
        test.published::<u32>("orders", "new").assert_count(1);
    });
    assert!(
        text.ends_with("there are 0\nnothing was published\n"),
        "{text}"
    );

    let orders = Exchange::topic("orders");
    test.producer::<u32>("new").unwrap().publish(1).unwrap();
    let producer = test.producer::<u32>(&orders).unwrap();
    producer.publish_to("nwe", 2).unwrap();
    producer.publish_to("something", 3).unwrap();
    let text = failure(|| {
        test.published::<u32>("orders", "new").assert_any(|_| true);
    });
    let expected = "no message of `u32` to exchange 'orders', routing key 'new' matches\n\
                    nearest: exchange 'orders', routing key 'nwe', `u32` 2, to 0 queues\n         \
                    the routing key differs\npublished elsewhere:\n  1. default exchange";
    assert!(text.starts_with(expected), "{text}");

    producer.publish_to("new", 4).unwrap();
    let text = failure(|| {
        test.published::<Order>("orders", "new").assert_count(1);
    });
    assert!(text.contains("nearest: exchange 'orders', routing key 'new', `u32` 4"));
    assert!(text.contains("the payload differs: "), "{text}");
}

#[test]
fn a_message_that_does_not_match_is_numbered() {
    let test = TestBroker::new();
    let producer = test.producer::<u32>("q").unwrap();
    assert!(producer.publish_batch([1, 2, 3]).iter().all(Result::is_ok));
    let published = test.published::<u32>("", "q");
    let text = failure(|| {
        published.assert_all(|number| **number < 3);
    });
    assert!(
        text.starts_with("message 3 of `u32` to default exchange, routing key 'q' does not match"),
        "{text}"
    );
    let text = failure(|| {
        published.assert_any(|number| **number > 3);
    });
    assert!(text.contains("matches\npublished there:\n  1. "), "{text}");
}

#[test]
fn long_lists_and_long_payloads_are_cut() {
    let test = TestBroker::new();
    let producer = test.producer::<String>("q").unwrap();
    for _ in 0..30 {
        producer.publish("ä".repeat(100)).unwrap();
    }
    let text = failure(|| test.assert_nothing_published());
    assert!(text.starts_with("published, and nothing should be:\n  1. default"));
    assert!(text.ends_with("  and 10 more\n"), "{text}");
    assert!(text.contains(&format!("`alloc::string::String` {}…, to", "ä".repeat(60))));
}

#[test]
fn nothing_is_published_by_a_publish_that_fails() {
    let test = TestBroker::new();
    let exchange = test.producer::<u32>(&Exchange::fanout("nowhere")).unwrap();
    let mandatory = Message::new(7).mandatory();
    exchange.publish_message(mandatory).unwrap_err();
    test.assert_nothing_published();
    assert_eq!(test.publishes().len(), 1);
    test.clear_publishes();
    assert_eq!(test.publishes().len(), 0);
}
