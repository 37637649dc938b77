//! Payloads that cannot be encoded.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
    mpsc,
};

use leveret::{Broker, Error, Exchange, Local, LocalArc, Message, Queue, RecvError, Result};

use crate::common::queue;

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
    assert_eq!(payload, Some(Local(7)));
    let message = Message::new(Local(8)).header("k", "v");
    let refused = producer.publish_message(message).unwrap_err().into_inner();
    assert_eq!(refused.unwrap().into_payload(), Local(8));
    for name in ["a", "b"] {
        assert!(
            broker
                .simple_queue::<u32>(name)
                .unwrap()
                .is_empty()
                .unwrap()
        );
    }
}

#[test]
fn a_local_reaches_one_queue_or_none() -> Result {
    let broker = Broker::new();
    let jobs = Exchange::fanout("jobs");
    let [a, b] = ["a", "b"].map(|name| Queue::new(name).bind(&jobs, ""));
    broker.declare(&a)?;
    let producer = broker.producer::<Local<mpsc::Sender<u32>>>(&jobs)?;
    let (sender, receiver) = mpsc::channel();
    assert_eq!(producer.publish(Local(sender.clone()))?.routed, 1);
    broker.declare(&b)?;
    let refused = producer.publish(Local(sender)).unwrap_err();
    assert!(matches!(
        refused.error(),
        Error::NotShareable { queues: 2, .. }
    ));

    let job = broker.consumer::<Local<mpsc::Sender<u32>>>(&a)?.recv()?;
    job.send(42).unwrap();
    assert_eq!(receiver.recv(), Ok(42));
    job.ack()
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
