//! The properties of a message: its own, and the defaults of its producer.

use std::time::Duration;

use leveret::{Binding, Broker, Exchange, FieldTable, FieldValue, Message, Properties, Queue};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Log {
    text: String,
}

#[test]
fn a_message_arrives_with_the_properties_it_was_given() -> leveret::Result {
    let broker = Broker::new();
    let tasks = Queue::new("tasks").durable().max_length(10_000);
    let producer = broker.producer::<Task>(&tasks)?;
    let consumer = broker.consumer::<Task>(&tasks)?;
    producer.publish(Task { id: 1 })?;
    let task = consumer.recv()?;
    assert_eq!(task.id, 1);
    task.ack()?;

    let logs = Exchange::topic("logs");
    let errors = broker.declare(&Queue::exclusive().bind(&logs, "*.error"))?;
    let publisher = broker.producer::<Log>(&logs)?;
    let log = Log {
        text: "full".to_owned(),
    };
    publisher.publish_to("disk.error", log.clone())?;
    publisher.publish_message(
        Message::new(log.clone())
            .routing_key("disk.error")
            .priority(5)
            .expiration(Duration::from_secs(5))
            .header("k", "v")
            .persistent()
            .mandatory(),
    )?;
    let found = broker.consumer::<Log>(&errors)?;
    found.recv()?.ack()?;
    let second = found.recv()?;
    assert_eq!(*second.payload(), log);
    let properties = second.info().properties();
    assert_eq!(properties.priority, Some(5));
    assert_eq!(properties.expiration.as_deref(), Some("5000"));
    assert!(properties.is_persistent());
    assert_eq!(second.ack_into().unwrap(), log);
    Ok(())
}

#[test]
fn a_message_without_properties_of_its_own_has_those_of_its_producer() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let properties = Properties::new().priority(4).app_id("gate");
    let producer = broker
        .producer_builder(&queue)
        .properties(properties)
        .build()
        .unwrap();
    let consumer = broker.consumer::<String>(&queue).unwrap();
    producer.publish("a".to_owned()).unwrap();
    producer
        .publish_message(Message::new("b".to_owned()))
        .unwrap();
    producer
        .publish_message(Message::new("c".to_owned()).priority(1))
        .unwrap();
    let received = [4, 4, 1].map(|priority| (Some(priority), (priority == 4).then_some("gate")));
    for (priority, app_id) in received {
        let delivery = consumer.recv().unwrap();
        let properties = delivery.info().properties();
        assert_eq!(properties.priority, priority);
        assert_eq!(properties.app_id.as_deref(), app_id);
        assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    }
}

#[test]
fn the_headers_of_a_producer_route_its_messages() {
    let broker = Broker::new();
    let exchange = Exchange::headers("by-headers");
    let red = FieldTable::from([("colour", "red")]);
    let binding = Binding::new(&exchange, "").argument("colour", "red");
    broker.declare(&Queue::new("red").binding(binding)).unwrap();
    let builder = broker.producer_builder::<u32>(&exchange);
    let producer = builder
        .properties(Properties::new().headers(red))
        .build()
        .unwrap();
    assert_eq!(producer.publish(1).unwrap().routed, 1);
    assert_eq!(producer.publish_to("any", 2).unwrap().routed, 1);
    assert_eq!(producer.publish_message(Message::new(3)).unwrap().routed, 1);
    assert!(
        producer
            .publish_batch([4, 5])
            .iter()
            .all(|published| published.as_ref().unwrap().routed == 1)
    );
    assert_eq!(
        producer
            .publish_message(Message::new(6).header("colour", "blue"))
            .unwrap()
            .routed,
        0
    );
}

#[test]
fn a_producer_may_select_further_queues_for_all_its_messages() {
    let broker = Broker::new();
    for name in ["own", "copy", "hidden"] {
        broker.declare(&Queue::new(name)).unwrap();
    }
    let keys = |key: &str| FieldValue::Array(vec![key.into()]);
    let headers = FieldTable::from([("CC", keys("copy")), ("BCC", keys("hidden"))]);
    let builder = broker.producer_builder::<u32>(&Queue::new("own"));
    let producer = builder
        .properties(Properties::new().headers(headers))
        .build()
        .unwrap();
    assert_eq!(producer.publish(1).unwrap().routed, 3);
    assert_eq!(producer.publish_message(Message::new(2)).unwrap().routed, 3);
    let got = broker.simple_queue::<u32>("hidden").unwrap().get().unwrap();
    assert_eq!(got.info().properties().header_value("BCC"), None);
    assert_eq!(
        got.info().properties().header_value("CC"),
        Some(&keys("copy"))
    );
}
