//! Values that travel as they are, and what must be encoded.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use leveret::{
    Broker, Bytes, Error, Exchange, Local, LocalArc, Message, Queue, RecvError, TryRecvError,
};
use serde::{Deserialize, Serialize};

use super::{queue, rest};

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
fn the_same_value_arrives_that_was_sent() {
    let broker = Broker::new();
    let sent = task();
    let address = sent.name.as_ptr();
    broker.producer(&queue()).unwrap().publish(sent).unwrap();
    let delivery = broker.consumer::<Task>(&queue()).unwrap().recv().unwrap();
    assert_eq!(delivery.name.as_ptr(), address);
    assert_eq!(delivery.ack_into().unwrap().name.as_ptr(), address);
}

#[test]
fn ack_into_moves_what_one_queue_has_and_shares_what_two_have() {
    let broker = Broker::new();
    let (exchange, a, b) = fan_out(&broker);
    broker.producer(&exchange).unwrap().publish(task()).unwrap();
    let first = broker.consumer::<Task>(&a).unwrap().recv().unwrap();
    let second = broker.consumer::<Task>(&b).unwrap().recv().unwrap();
    let shared = first.ack_into().unwrap_err();
    assert_eq!(*shared, task());
    drop(shared);
    // The last one there is gets it whole, or shared: the same value either way.
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
    broker.producer(&queue()).unwrap().publish(task()).unwrap();
    let consumer = broker.consumer::<OnlyId>(&queue()).unwrap();
    let delivery = consumer.recv().unwrap();
    assert_eq!(delivery.id, 7);
    assert_eq!(
        delivery.info().properties().content_type.as_deref(),
        Some("application/json")
    );
    drop(delivery);
    // Decoding changed nothing: the value itself comes again.
    drop(consumer);
    assert_eq!(rest::<Task>(&broker, "q"), [(task(), true)]);
}

#[test]
fn bytes_and_text_are_what_they_are() {
    let broker = Broker::new();
    broker
        .producer(&queue())
        .unwrap()
        .publish("hé".to_owned())
        .unwrap();
    broker
        .producer(&queue())
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
fn what_does_not_decode_is_rejected_when_dropped_and_the_loop_goes_on() {
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
            Err(RecvError::Decode(undecoded)) => {
                assert_eq!(undecoded.info().queue(), "q");
                bad += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((good, bad), (vec![7, 8], 2));
    drop(consumer);
    assert_eq!(rest::<u64>(&broker, "q"), []);
}

#[test]
fn what_does_not_decode_can_be_given_back_or_acknowledged() {
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
        .producer(&queue())
        .unwrap()
        .publish("text".to_owned())
        .unwrap();
    broker.producer(&queue()).unwrap().publish(task()).unwrap();
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
fn the_very_value_is_not_accepted_either_if_its_content_type_is_not() {
    let broker = Broker::new();
    broker.producer(&queue()).unwrap().publish(task()).unwrap();
    let consumer = broker
        .consumer_builder::<Task>(&queue())
        .accept(["text/plain"])
        .build()
        .unwrap();
    assert!(matches!(consumer.recv(), Err(RecvError::Decode(_))));
}

#[test]
fn a_local_goes_to_one_queue_and_comes_again_if_dropped() {
    let broker = Broker::new();
    let producer = broker
        .producer::<Local<Box<dyn FnOnce() -> u32 + Send>>>(&queue())
        .unwrap();
    producer.publish(Local(Box::new(|| 42))).unwrap();
    let consumer = broker
        .consumer::<Local<Box<dyn FnOnce() -> u32 + Send>>>(&queue())
        .unwrap();
    drop(consumer.recv().unwrap());
    let job = consumer.recv().unwrap().ack_into().ok().unwrap();
    assert_eq!(job.into_inner()(), 42);
}

#[test]
fn a_local_to_two_queues_is_refused_and_comes_back() {
    let broker = Broker::new();
    let (exchange, ..) = fan_out(&broker);
    let producer = broker.producer::<Local<u32>>(&exchange).unwrap();
    let (error, payload) = producer.publish(Local(7)).unwrap_err().into_parts();
    assert!(
        matches!(error, Error::NotShareable { queues: 2, .. }),
        "{error}"
    );
    assert_eq!(payload, Local(7));
    let message = Message::new(Local(8)).header("k", "v");
    let refused = producer.publish_message(message).unwrap_err().into_inner();
    assert_eq!(refused.into_payload(), Local(8));
    for name in ["a", "b"] {
        assert!(broker.simple_queue::<u32>(name).unwrap().is_empty());
    }
}

#[test]
fn a_local_arc_goes_to_many() {
    let broker = Broker::new();
    let (exchange, a, b) = fan_out(&broker);
    let count = Arc::new(AtomicUsize::new(0));
    let producer = broker.producer(&exchange).unwrap();
    assert_eq!(producer.publish(LocalArc(count.clone())).unwrap().routed, 2);
    for queue in [a, b] {
        let consumer = broker.consumer::<LocalArc<AtomicUsize>>(&queue).unwrap();
        let delivery = consumer.recv().unwrap();
        delivery.fetch_add(1, SeqCst);
        delivery.ack().unwrap();
    }
    assert_eq!(count.load(SeqCst), 2);
}

#[test]
fn a_local_asked_for_as_something_else_does_not_decode() {
    let broker = Broker::new();
    let producer = broker.producer::<Local<u32>>(&queue()).unwrap();
    producer.publish(Local(7)).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    match consumer.recv() {
        Err(RecvError::Decode(undecoded)) => {
            assert!(undecoded.info().type_name().contains("u32"));
            assert!(undecoded.info().body().is_err());
            undecoded.nack(leveret::Requeue::Yes).unwrap();
        }
        other => panic!("{other:?}"),
    }
    drop(consumer);
    let consumer = broker.consumer::<Local<u32>>(&queue()).unwrap();
    assert_eq!(consumer.recv().unwrap().ack_into().unwrap(), Local(7));
}

#[test]
fn always_encode_encodes_and_refuses_what_cannot_be() {
    let broker = Broker::builder().always_encode().build();
    let producer = broker.producer(&queue()).unwrap();
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
    assert_eq!(payload, Local(7));
}

#[test]
fn a_batch_ends_before_what_does_not_decode() {
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
        let ids = |batch: Vec<leveret::Delivery<u64>>| {
            batch
                .into_iter()
                .map(|d| d.ack_into().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(batch().unwrap()), [1]);
        assert!(matches!(batch(), Err(RecvError::Decode(_))));
        assert_eq!(ids(batch().unwrap()), [3]);
        assert!(ids(batch().unwrap()).is_empty());
        // Whether it was looked at once or twice, it counts once: the consumer holds four again, and not five.
        let numbers = broker.producer::<u64>(&queue).unwrap();
        for id in 10..16 {
            numbers.publish(id).unwrap();
        }
        assert_eq!(broker.simple_queue::<u64>(&queue).unwrap().len(), 2);
    }
}
