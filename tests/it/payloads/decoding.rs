//! Messages that do not decode.

use std::time::Duration;

use leveret::{Broker, Error, Queue, RecvError, TryRecvError};
use serde::{Deserialize, Serialize};

use crate::common::{channel_of, queue, rest};

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

#[test]
fn an_undecodable_message_is_rejected_when_dropped_and_the_loop_continues() {
    let broker = Broker::new();
    let words = broker.producer::<String>(&queue()).unwrap();
    let numbers = broker.producer::<u64>(&queue()).unwrap();
    words.publish("seven".into()).unwrap();
    numbers.publish(7).unwrap();
    words.publish("eight".into()).unwrap();
    numbers.publish(8).unwrap();
    let consumer = broker
        .consumer_builder::<u64>(&queue())
        .prefetch(1)
        .build()
        .unwrap();
    let mut good = Vec::new();
    let mut bad = 0;
    for received in consumer.iter().take(4) {
        match received {
            Ok(delivery) => {
                good.push(*delivery);
                delivery.ack().unwrap();
            }
            Err(undecoded) => {
                assert_eq!(undecoded.info().queue(), "q");
                bad += 1;
            }
        }
    }
    assert_eq!((good, bad), (vec![7, 8], 2));
    drop(consumer);
    assert_eq!(rest::<u64>(&broker, "q"), []);
}

#[test]
fn an_undecodable_message_can_be_returned_or_acknowledged() {
    let broker = Broker::new();
    let words = broker.producer::<String>(&queue()).unwrap();
    words.publish("seven".into()).unwrap();
    let consumer = broker.consumer::<u64>(&queue()).unwrap();
    let undecoded = || match consumer.recv() {
        Err(RecvError::Decode(undecoded)) => undecoded,
        other => panic!("{other:?}"),
    };
    undecoded().nack(leveret::Requeue::Yes).unwrap();
    let again = undecoded();
    assert!(again.info().redelivered());
    assert_eq!(again.info().type_name(), "alloc::string::String");
    again.ack().unwrap();
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_content_type_that_is_not_accepted_does_not_decode() {
    let broker = Broker::new();
    broker
        .producer(queue())
        .unwrap()
        .publish("text".to_owned())
        .unwrap();
    broker.producer(queue()).unwrap().publish(task()).unwrap();
    let consumer = broker
        .consumer_builder::<serde_json::Value>(&queue())
        .accept(["json"])
        .build()
        .unwrap();
    match consumer.recv() {
        Err(RecvError::Decode(undecoded)) => {
            assert_eq!(&*undecoded.info().body().unwrap(), b"text")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(consumer.recv().unwrap()["id"], 7);
    let unknown = broker
        .consumer_builder::<Task>(&queue())
        .accept(["no-such-codec"])
        .build();
    assert!(matches!(unknown.unwrap_err(), Error::Codec(_)));
}

#[test]
fn a_stored_value_with_another_content_type_is_not_accepted() {
    let broker = Broker::new();
    broker.producer(queue()).unwrap().publish(task()).unwrap();
    let consumer = broker
        .consumer_builder::<Task>(&queue())
        .accept(["text/plain"])
        .build()
        .unwrap();
    assert!(matches!(consumer.recv(), Err(RecvError::Decode(_))));
}

#[test]
fn a_batch_ends_before_an_undecodable_message() {
    let broker = Broker::new();
    let words = broker.producer::<String>(&queue()).unwrap();
    let numbers = broker.producer::<u64>(&queue()).unwrap();
    numbers.publish(1).unwrap();
    words.publish("two".into()).unwrap();
    numbers.publish(3).unwrap();
    for auto_ack in [false, true] {
        let queue = match auto_ack {
            false => queue(),
            true => Queue::new("auto"),
        };
        if auto_ack {
            let words = broker.producer::<String>(&queue).unwrap();
            let numbers = broker.producer::<u64>(&queue).unwrap();
            numbers.publish(1).unwrap();
            words.publish("two".into()).unwrap();
            numbers.publish(3).unwrap();
        }
        let builder = broker.consumer_builder::<u64>(&queue).prefetch(4);
        let consumer = match auto_ack {
            false => builder.build().unwrap(),
            true => builder.auto_ack().build().unwrap(),
        };
        let batch = || consumer.recv_batch(10, std::time::Duration::ZERO);
        let ids = |batch: leveret::Batch<u64>| {
            batch
                .into_iter()
                .map(|d| d.ack_into().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(batch().unwrap()), [1]);
        assert!(matches!(batch(), Err(RecvError::Decode(_))));
        assert_eq!(ids(batch().unwrap()), [3]);
        assert!(ids(batch().unwrap()).is_empty());
        // The undecodable message returns its credit once, whether the consumer looked at it once
        // or twice. So the consumer takes four messages again, not five.
        let numbers = broker.producer::<u64>(&queue).unwrap();
        for id in 10..16 {
            numbers.publish(id).unwrap();
        }
        assert_eq!(
            broker.simple_queue::<u64>(&queue).unwrap().len().unwrap(),
            2
        );
    }
}

#[test]
fn an_undecodable_message_of_an_auto_ack_batch_is_acknowledged_once() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let numbers = broker.producer::<u64>(&queue).unwrap();
    let words = broker.producer::<String>(&queue).unwrap();
    numbers.publish(1).unwrap();
    words.publish("two".to_owned()).unwrap();
    let consumer = broker
        .consumer_builder::<u64>(&queue)
        .auto_ack()
        .build()
        .unwrap();
    assert_eq!(consumer.recv_batch(8, Duration::ZERO).unwrap().len(), 1);
    assert!(matches!(consumer.recv(), Err(RecvError::Decode(_))));
    let channel = channel_of(&broker).unwrap();
    assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 0);
}
