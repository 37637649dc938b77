//! Publishing against changes of the topology.

use super::*;
use crate::{
    model::{descriptions::Exchange, error::Error, field_value::FieldTable},
    session::channel::ConsumeOptions,
};

fn setting() -> (Broker, Exchange) {
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    broker.declare(&queue().bind(&exchange, "")).unwrap();
    (broker, exchange)
}

/// Publishes while another thread unbinds the only queue, and after that.
fn unbind_beside_publishes(broker: &Broker, exchange: &Exchange) {
    let producer = broker.producer::<u32>(exchange).unwrap();
    let channel = channel(broker);
    let unbinding = thread::spawn(move || {
        channel
            .queue_unbind("q", "x", "", FieldTable::new())
            .unwrap();
        channel
    });
    let routed: usize = (0..2).map(|id| producer.publish(id).unwrap().routed).sum();
    unbinding.join().unwrap();
    assert_eq!(producer.publish(2).unwrap().routed, 0);
    assert_eq!(
        ids(&rest(broker, "q")),
        (0..routed as u32).collect::<Vec<_>>()
    );
}

#[test]
fn a_publish_that_begins_after_an_unbind_finds_it_done() {
    explore(|| {
        let (broker, exchange) = setting();
        unbind_beside_publishes(&broker, &exchange);
    });
}

#[test]
fn a_publish_that_begins_after_a_bind_finds_it_done() {
    explore(|| {
        let (broker, exchange) = setting();
        broker.declare(&Queue::new("p")).unwrap();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        let channel = channel(&broker);
        let binding = thread::spawn(move || {
            channel.queue_bind("p", "x", "", FieldTable::new()).unwrap();
            channel
        });
        let routed = producer.publish(0).unwrap().routed;
        binding.join().unwrap();
        assert_eq!(producer.publish(1).unwrap().routed, 2);
        assert_eq!(ids(&rest(&broker, "q")), [0, 1]);
        assert_eq!(rest(&broker, "p").len(), routed);
    });
}

#[test]
fn a_message_that_a_router_has_sent_to_a_queue_is_there_and_to_an_unbound_one_is_not() {
    explore(|| {
        let broker = Broker::new();
        let exchange = Exchange::modulus_hash("x");
        broker.declare(&queue().bind(&exchange, "")).unwrap();
        unbind_beside_publishes(&broker, &exchange);
    });
}

#[test]
fn publishing_against_the_deletion_of_the_exchange_loses_nothing_that_was_routed() {
    explore(|| {
        let (broker, exchange) = setting();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        let deleting = thread::spawn({
            let (broker, exchange) = (broker.clone(), exchange.clone());
            move || broker.delete(&exchange).unwrap()
        });
        let mut routed = 0;
        for id in 0..2 {
            match producer.publish(id) {
                Ok(published) => routed += published.routed,
                Err(refused) => {
                    assert!(matches!(refused.error(), Error::NotFound { .. }));
                    assert_eq!(refused.into_inner(), Some(id));
                }
            }
        }
        deleting.join().unwrap();
        assert!(producer.publish(2).unwrap_err().error().is_not_found());
        assert_eq!(
            ids(&rest(&broker, "q")),
            (0..routed as u32).collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_fan_out_against_the_deletion_of_one_queue_reaches_the_other() {
    explore(|| {
        let (broker, exchange) = setting();
        broker
            .declare(&Queue::new("p").bind(&exchange, ""))
            .unwrap();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&Queue::new("p")).unwrap()
        });
        for id in 0..2 {
            assert!([1, 2].contains(&producer.publish(id).unwrap().routed));
        }
        deleting.join().unwrap();
        assert_eq!(ids(&rest(&broker, "q")), [0, 1]);
    });
}

#[test]
fn declaring_against_deleting_leaves_a_whole_queue_or_none() {
    explore(|| {
        let (broker, exchange) = setting();
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&queue()).unwrap()
        });
        let producer = broker.producer::<u32>(&exchange).unwrap();
        let declared = broker.declare(&queue().bind(&exchange, ""));
        deleting.join().unwrap();
        let there = broker.declare(&Queue::existing("q")).is_ok();
        let routed = producer.publish(0).unwrap().routed;
        assert_eq!(routed, usize::from(there));
        // If the queue is deleted between its declaration and its binding, the declaration fails.
        assert!(declared.is_ok() || !there);
    });
}

fn auto_delete(exchange: &Exchange) -> Queue {
    queue().auto_delete().bind(exchange, "")
}

#[test]
fn a_consumer_that_comes_as_the_last_one_leaves_is_reached() {
    explore(|| {
        let broker = Broker::new();
        let exchange = Exchange::fanout("x");
        let last = broker.consumer::<u32>(&auto_delete(&exchange)).unwrap();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        let leaving = thread::spawn(move || drop(last));
        let next = broker.consumer::<u32>(&auto_delete(&exchange)).unwrap();
        assert_eq!(producer.publish(1).unwrap().routed, 1);
        let delivery = next.recv().unwrap();
        assert_eq!(*delivery, 1);
        delivery.ack().unwrap();
        leaving.join().unwrap();
        drop(next);
        assert!(broker.declare(&Queue::existing("q")).is_err());
    });
}

#[test]
fn a_simple_queue_is_opened_as_the_last_consumer_leaves() {
    explore(|| {
        let broker = Broker::new();
        let exchange = Exchange::fanout("x");
        let last = broker.consumer::<u32>(&auto_delete(&exchange)).unwrap();
        let leaving = thread::spawn(move || drop(last));
        let opened = broker.simple_queue::<u32>(&auto_delete(&exchange));
        opened.unwrap();
        leaving.join().unwrap();
    });
}

/// An exclusive consumer of the second queue comes at the same time. Either of the two consumers
/// is refused, and the first queue keeps its message.
#[test]
fn a_consumer_of_two_queues_starts_at_both_or_at_none() {
    explore(|| {
        let broker = Broker::new();
        let first = Queue::new("p").auto_delete();
        broker.producer::<u32>(&first).unwrap().publish(1).unwrap();
        broker.declare(&queue()).unwrap();
        let channel = channel(&broker);
        let taking = thread::spawn(move || {
            let options = ConsumeOptions::new().exclusive();
            channel
                .basic_consume("q", options)
                .is_ok()
                .then_some(channel)
        });
        let both = broker.consumer_builder::<u32>(&first).also(&queue());
        let both = both.build();
        let taken = taking.join().unwrap();
        assert_eq!(both.is_ok(), taken.is_none());
        if let Ok(consumer) = &both {
            assert_eq!(*consumer.recv().unwrap(), 1);
        } else {
            assert_eq!(rest(&broker, "p"), [(1, false)]);
        }
    });
}

/// One thread declares a queue and fills it. Another one fails to declare it with a second binding.
#[test]
fn a_failed_declaration_leaves_what_others_declare_alone() {
    explore(|| {
        let broker = Broker::new();
        let exchange = Exchange::fanout("x");
        let failing = thread::spawn({
            let (broker, exchange) = (broker.clone(), exchange.clone());
            move || {
                let bad = queue().bind(&exchange, "");
                let bad = bad.bind(Exchange::existing("missing"), "");
                assert!(broker.declare(&bad).unwrap_err().is_not_found());
            }
        });
        broker.declare(&queue()).unwrap();
        let producer = broker.producer::<u32>(&Queue::existing("q")).unwrap();
        assert_eq!(producer.publish(1).unwrap().routed, 1);
        failing.join().unwrap();
        assert_eq!(rest(&broker, "q"), [(1, false)]);
        assert!(broker.declare(&Exchange::existing("x")).is_err());
    });
}

#[test]
fn a_snapshot_beside_a_deletion_has_the_whole_queue_or_nothing_of_it() {
    explore(|| {
        let (broker, exchange) = setting();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        assert_eq!(producer.publish(1).unwrap().routed, 1);
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&queue()).unwrap()
        });
        let snapshot = broker.snapshot().unwrap();
        let vhost = &snapshot.vhosts[0];
        assert_eq!(vhost.queues.len(), vhost.bindings.len());
        for queue in &vhost.queues {
            assert_eq!(queue.taken_in, queue.ready);
        }
        deleting.join().unwrap();
    });
}
