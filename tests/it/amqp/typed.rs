//! Clients and typed handles share queues: what one side publishes the other side reads.

use leveret::{Broker, Consumer, FieldTable, Message, Payload, Properties, Queue, RecvError};
use serde::{Deserialize, Serialize};

use super::client;
use crate::wire::{Arguments, Client, Incoming, content, method};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u32,
    name: String,
}

fn task() -> Task {
    Task {
        id: 7,
        name: "resize".to_owned(),
    }
}

/// Publishes to a queue by the default exchange.
fn publish(client: &mut Client, queue: &str, properties: &Properties, body: &[u8]) {
    let publish = Arguments::new().short(0).text("").text(queue).octet(0);
    client.send(&method(1, (60, 40), publish));
    let properties = Arguments::new().properties(properties).0;
    client.send(&content(1, &properties, body, 131_064));
}

/// The next delivery to the client.
fn delivery(client: &mut Client) -> Incoming {
    let is_delivery = |it: &Incoming| it.id == (60, 60);
    client.pump_until(|incoming| incoming.iter().any(is_delivery));
    let at = client.incoming.iter().position(is_delivery).unwrap();
    client.incoming.remove(at).unwrap()
}

fn next<T: Payload + Clone>(consumer: &Consumer<T>) -> T {
    let delivery = consumer.recv().unwrap();
    let value = (*delivery).clone();
    delivery.ack().unwrap();
    value
}

#[test]
fn json_of_a_client_arrives_as_a_value_with_and_without_a_content_type() {
    let broker = Broker::new();
    let tasks = broker.consumer::<Task>(&Queue::new("tasks")).unwrap();
    let mut client = client(&broker);
    let body = br#"{"name": "resize", "id": 7}"#;
    // As kombu sends it, and as a client that sets nothing.
    let kombu = Properties::new()
        .content_type("application/json")
        .content_encoding("utf-8");
    for properties in [kombu, Properties::new()] {
        publish(&mut client, "tasks", &properties, body);
        assert_eq!(next(&tasks), task());
    }
}

#[test]
fn text_and_octets_of_a_client_arrive_as_they_are() {
    let broker = Broker::new();
    let texts = broker.consumer::<String>(&Queue::new("texts")).unwrap();
    let octets = broker.consumer::<Vec<u8>>(&Queue::new("octets")).unwrap();
    let mut client = client(&broker);
    let text = Properties::new()
        .content_type("text/plain")
        .content_encoding("utf-8");
    publish(&mut client, "texts", &text, "Grüße".as_bytes());
    assert_eq!(next(&texts), "Grüße");
    let binary = Properties::new()
        .content_type("application/data")
        .content_encoding("binary");
    publish(&mut client, "octets", &binary, b"\xff\0\xfe");
    assert_eq!(next(&octets), b"\xff\0\xfe");
}

#[test]
#[cfg(all(feature = "gzip", feature = "msgpack"))]
fn a_body_that_a_client_has_packed_arrives_as_a_value() {
    use leveret::codec::{Codecs, Gzip, Json, MsgPack};

    let broker = Broker::new();
    let queue = Queue::new("tasks");
    let tasks = broker
        .consumer_builder::<Task>(&queue)
        .codecs(Codecs::default().with(MsgPack))
        .build()
        .unwrap();
    let mut client = client(&broker);
    // The packed bodies are those of typed producers, which a client reads and sends again.
    client.declare(1, "packed").unwrap();
    client
        .consume(1, "packed", "c", [false, true, false, false])
        .unwrap();
    let msgpack = broker
        .producer_builder::<Task>("packed")
        .codec(MsgPack)
        .build()
        .unwrap();
    msgpack.publish(task()).unwrap();
    let came = delivery(&mut client);
    assert_eq!(came.body[0], 0x82); // a map of two
    publish(&mut client, "tasks", &came.properties, &came.body);
    assert_eq!(next(&tasks), task());
    drop(tasks);

    let tasks = broker.consumer::<Task>(&queue).unwrap();
    let gzip = broker
        .producer_builder::<Task>("packed")
        .codec(Gzip::new(Json))
        .build()
        .unwrap();
    gzip.publish(task()).unwrap();
    let came = delivery(&mut client);
    assert_eq!(came.body[..2], [0x1f, 0x8b]);
    publish(&mut client, "tasks", &came.properties, &came.body);
    assert_eq!(next(&tasks), task());
}

#[test]
fn a_body_that_does_not_decode_is_dead_lettered_and_the_next_one_arrives() {
    let broker = Broker::new();
    broker.declare(&Queue::new("dead")).unwrap();
    let queue = Queue::new("tasks")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let tasks = broker.consumer::<Task>(&queue).unwrap();
    let mut client = client(&broker);
    let json = Properties::new().content_type("application/json");
    publish(&mut client, "tasks", &json, b"{\"id\": \"seven\"}");
    publish(
        &mut client,
        "tasks",
        &json,
        br#"{"id": 7, "name": "resize"}"#,
    );
    match tasks.recv() {
        Err(RecvError::Decode(undecoded)) => drop(undecoded),
        other => panic!("{other:?}"),
    }
    assert_eq!(next(&tasks), task());
    assert_eq!(broker.purge(Queue::new("dead")).unwrap(), 1);
}

#[test]
fn a_value_that_was_never_encoded_is_json_for_a_client() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "tasks").unwrap();
    client.consume(1, "tasks", "c", [false; 4]).unwrap();
    let tasks = broker.producer::<Task>("tasks").unwrap();
    let message = Message::new(task()).header("attempt", 1).priority(3);
    tasks.publish_message(message).unwrap();
    let came = delivery(&mut client);
    assert_eq!(serde_json::from_slice::<Task>(&came.body).unwrap(), task());
    let content_type = came.properties.content_type.as_deref();
    assert_eq!(content_type, Some("application/json"));
    let headers = FieldTable::from([("attempt", 1)]);
    assert_eq!(came.properties.headers, Some(headers));
    assert_eq!(came.properties.priority, Some(3));

    let texts = broker.producer::<String>("tasks").unwrap();
    texts.publish("hello".to_owned()).unwrap();
    let came = delivery(&mut client);
    assert_eq!(came.body, b"hello");
    let content_type = came.properties.content_type.as_deref();
    assert_eq!(content_type, Some("text/plain"));
}
