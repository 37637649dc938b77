//! Publishes to several queues by a remembered route, and the acknowledgement of whole batches.

use super::*;
use crate::model::descriptions::{Exchange, Overflow};

fn names() -> [&'static str; 3] {
    ["a", "b", "c"]
}

/// A broker with a fanout to three queues.
fn fanout() -> (Broker, Exchange) {
    let (broker, exchange) = (Broker::new(), Exchange::fanout("x"));
    for name in names() {
        let queue = Queue::new(name).bind(&exchange, "");
        broker.declare(&queue).unwrap();
    }
    (broker, exchange)
}

#[test]
fn a_queue_that_is_deleted_during_a_publish_has_the_message_or_does_not_count() {
    explore(|| {
        let (broker, exchange) = fanout();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        // The next publish knows the route.
        assert_eq!(producer.publish(0).unwrap().routed, 3);
        let publishing = thread::spawn(move || producer.publish(1).unwrap().routed);
        broker.delete(&Queue::new("b")).unwrap();
        let routed = publishing.join().unwrap();
        assert!((2..=3).contains(&routed), "{routed}");
        for name in ["a", "c"] {
            assert_eq!(ids(&rest(&broker, name)), [0, 1]);
        }
    });
}

#[test]
fn a_publish_waits_for_the_full_queue_of_a_remembered_route_only() {
    explore(|| {
        let (broker, exchange) = fanout();
        let full = Queue::new("full").max_length(1).overflow(Overflow::Block);
        let full = full.bind(&exchange, "");
        broker.declare(&full).unwrap();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        assert_eq!(producer.publish(0).unwrap().routed, 4);
        let publishing = thread::spawn(move || producer.publish(1).unwrap().routed);
        let consumer = broker.consumer::<u32>("full").unwrap();
        for id in 0..2 {
            let delivery = consumer.recv().unwrap();
            assert_eq!(*delivery, id);
            delivery.ack().unwrap();
        }
        assert_eq!(publishing.join().unwrap(), 4);
        for name in names() {
            assert_eq!(ids(&rest(&broker, name)), [0, 1]);
        }
    });
}

#[test]
fn a_batch_is_acknowledged_once_while_its_consumer_is_cancelled() {
    explore(|| {
        let broker = Broker::new();
        let results = broker.producer(&queue()).unwrap().publish_batch(0..4_u32);
        assert!(results.iter().all(Result::is_ok));
        let builder = broker.consumer_builder::<u32>(&queue());
        let consumer = builder.prefetch(2).build().unwrap();
        let batch = consumer.recv_batch(2, Duration::ZERO).unwrap();
        assert_eq!(batch.len(), 2);
        let acknowledging = thread::spawn(move || batch.ack_all().unwrap());
        consumer.cancel();
        acknowledging.join().unwrap();
        assert_eq!(ids(&rest(&broker, "q")), [2, 3]);
    });
}

#[test]
fn the_acknowledgement_of_a_batch_gives_its_credit_to_a_receiver_that_waits() {
    explore(|| {
        let broker = Broker::new();
        let results = broker.producer(&queue()).unwrap().publish_batch(0..4_u32);
        assert!(results.iter().all(Result::is_ok));
        let builder = broker.consumer_builder::<u32>(&queue());
        let consumer = builder.prefetch(2).build().unwrap();
        let batch = consumer.recv_batch(2, Duration::ZERO).unwrap();
        let receiving = thread::spawn(move || {
            for id in 2..4 {
                let delivery = consumer.recv().unwrap();
                assert_eq!(*delivery, id);
                delivery.ack().unwrap();
            }
        });
        batch.ack_all().unwrap();
        receiving.join().unwrap();
        assert!(rest(&broker, "q").is_empty());
    });
}
