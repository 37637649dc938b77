//! Values that pass through the broker unchanged, and values that are encoded.

use leveret::{Broker, Bytes, Error, Exchange, Local, Message, Queue};
use serde::{Deserialize, Serialize};

use crate::common::{queue, rest};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u64,
    name: String,
}

fn task() -> Task {
    Task {
        id: 7,
        name: "dig".into(),
    }
}

fn fan_out(broker: &Broker) -> (Exchange, Queue, Queue) {
    let exchange = Exchange::fanout("x");
    let queues = ["a", "b"].map(|name| {
        broker
            .declare(&Queue::new(name).bind(&exchange, ""))
            .unwrap()
    });
    let [a, b] = queues;
    (exchange, a, b)
}

#[test]
fn the_sent_value_itself_arrives() {
    let broker = Broker::new();
    let sent = task();
    let address = sent.name.as_ptr();
    broker.producer(queue()).unwrap().publish(sent).unwrap();
    let delivery = broker.consumer::<Task>(&queue()).unwrap().recv().unwrap();
    assert_eq!(delivery.name.as_ptr(), address);
    assert_eq!(delivery.ack_into().unwrap().name.as_ptr(), address);
}

#[test]
fn ack_into_moves_a_payload_of_one_queue_and_shares_a_payload_of_two() {
    let broker = Broker::new();
    let (exchange, a, b) = fan_out(&broker);
    broker.producer(&exchange).unwrap().publish(task()).unwrap();
    let first = broker.consumer::<Task>(&a).unwrap().recv().unwrap();
    let second = broker.consumer::<Task>(&b).unwrap().recv().unwrap();
    let shared = first.ack_into().unwrap_err();
    assert_eq!(*shared, task());
    drop(shared);
    // The last delivery gets the value itself or a shared reference. Both show the same value.
    match second.ack_into() {
        Ok(owned) => assert_eq!(owned, task()),
        Err(shared) => assert_eq!(*shared, task()),
    }
}

#[test]
fn another_type_with_the_same_shape_is_decoded() {
    #[derive(Deserialize, Serialize)]
    struct OnlyId {
        id: u64,
    }
    let broker = Broker::new();
    broker.producer(queue()).unwrap().publish(task()).unwrap();
    let consumer = broker.consumer::<OnlyId>(&queue()).unwrap();
    let delivery = consumer.recv().unwrap();
    assert_eq!(delivery.id, 7);
    assert_eq!(
        delivery.info().properties().content_type.as_deref(),
        Some("application/json")
    );
    drop(delivery);
    // Decoding did not change the message, so the value itself is delivered again.
    drop(consumer);
    assert_eq!(rest::<Task>(&broker, "q"), [(task(), true)]);
}

#[test]
fn bytes_and_text_are_not_encoded() {
    let broker = Broker::new();
    broker
        .producer(queue())
        .unwrap()
        .publish("hé".to_owned())
        .unwrap();
    broker
        .producer(queue())
        .unwrap()
        .publish(vec![1u8, 2])
        .unwrap();
    let consumer = broker.consumer::<Bytes>(&queue()).unwrap();
    let text = consumer.recv().unwrap();
    assert_eq!(&**text, "hé".as_bytes());
    assert_eq!(
        text.info().properties().content_type.as_deref(),
        Some("text/plain")
    );
    let octets = consumer.recv().unwrap();
    assert_eq!(&**octets, [1, 2]);
    assert_eq!(
        octets.info().properties().content_type.as_deref(),
        Some("application/octet-stream")
    );
}

#[test]
fn always_encode_encodes_and_refuses_values_that_cannot_be_encoded() {
    let broker = Broker::builder().always_encode().build();
    let producer = broker.producer(queue()).unwrap();
    producer.publish(task()).unwrap();
    producer
        .publish_message(Message::new(task()).priority(3))
        .unwrap();
    let consumer = broker.consumer::<Task>(&queue()).unwrap();
    let delivery = consumer.recv().unwrap();
    assert_eq!(*delivery, task());
    assert_eq!(delivery.info().type_name(), "leveret::Bytes");
    assert_eq!(
        delivery.info().properties().content_type.as_deref(),
        Some("application/json")
    );
    assert_eq!(*consumer.recv().unwrap(), task());

    let locals = broker
        .producer::<Local<u32>>(&Queue::new("locals"))
        .unwrap();
    let (error, payload) = locals.publish(Local(7)).unwrap_err().into_parts();
    assert!(matches!(error, Error::Codec(_)), "{error}");
    assert_eq!(payload, Some(Local(7)));
}
