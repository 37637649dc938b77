//! The ways in which a delivery ends: settled, dropped, or dropped by a panic.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use leveret::{Broker, Queue, Requeue, Result, TryRecvError};

use crate::common::{SECOND, on_a_manual_clock, queue, rest};

#[test]
fn a_dropped_delivery_returns_to_its_place() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .prefetch(2)
        .build()
        .unwrap();
    for id in 0..4 {
        producer.publish(id).unwrap();
    }
    let (first, second) = (consumer.recv().unwrap(), consumer.recv().unwrap());
    drop(second);
    drop(first);
    drop(consumer);
    assert_eq!(
        rest::<u32>(&broker, "q"),
        [(0, true), (1, true), (2, false), (3, false)]
    );
}

#[test]
fn a_rejected_delivery_is_gone() {
    let broker = Broker::new();
    broker.producer(queue()).unwrap().publish(7u32).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    consumer.recv().unwrap().reject().unwrap();
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn an_auto_acked_delivery_is_settled_from_the_start() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    for id in 0..4 {
        producer.publish(id).unwrap();
    }
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .auto_ack()
        .prefetch(1)
        .build()
        .unwrap();
    drop(consumer.recv().unwrap());
    consumer.recv().unwrap().ack().unwrap();
    consumer.recv().unwrap().nack(Requeue::Yes).unwrap();
    // The message in the inbox was not received, so it is not lost with the consumer.
    drop(consumer);
    assert_eq!(rest::<u32>(&broker, "q"), [(3, false)]);
}

#[test]
fn a_worker_that_panics_gives_its_message_back_to_its_place() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 1..=3 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let consumer = broker.consumer_builder::<u32>(&queue).prefetch(1).build()?;
    let worker = AssertUnwindSafe(|| {
        let _held = consumer.recv().unwrap();
        panic::resume_unwind(Box::new("a worker's accident"));
    });
    assert!(panic::catch_unwind(worker).is_err());
    let first = consumer.recv()?;
    assert_eq!((*first, first.info().redelivered()), (1, true));
    first.ack()?;
    let second = consumer.recv()?;
    assert_eq!((*second, second.info().redelivered()), (2, false));
    Ok(())
}

#[test]
fn a_thread_that_panics_with_its_consumer_returns_its_delivery() {
    let broker = Broker::new();
    broker.producer(queue()).unwrap().publish(7u32).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let worker = std::thread::spawn(move || {
        let _delivery = consumer.recv().unwrap();
        panic!("expected by this test");
    });
    assert!(worker.join().is_err());
    assert_eq!(rest::<u32>(&broker, "q"), [(7, true)]);
}

#[test]
fn deliveries_count_how_often_they_came_back() {
    let broker = Broker::new();
    let _ = broker.producer(queue()).unwrap().publish_batch([6, 7u32]);
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let first = consumer.recv().unwrap();
    assert_eq!(first.info().position(), 0);
    for count in 0..3 {
        let delivery = consumer.recv().unwrap();
        assert_eq!(delivery.info().acquired_count(), count);
        assert_eq!(delivery.info().redelivered(), count > 0);
        assert_eq!(delivery.info().position(), 1);
    }
}

#[test]
fn a_delivery_limit_of_n_allows_n_returns() {
    let broker = Broker::new();
    let limited = queue().classic_delivery_limit(2);
    broker.producer(&limited).unwrap().publish(7u32).unwrap();
    let consumer = broker.consumer::<u32>(&limited).unwrap();
    for _ in 0..3 {
        drop(consumer.recv().unwrap());
    }
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_returned_message_does_not_overtake_delivered_ones() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 1..=3 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let consumer = broker.consumer_builder::<u32>(&queue).prefetch(2).build()?;
    consumer.recv()?.nack(Requeue::Yes)?;
    let mut order = Vec::new();
    for _ in 0..3 {
        let delivery = consumer.recv()?;
        order.push(*delivery);
        delivery.ack()?;
    }
    assert_eq!(order, [2, 1, 3]);
    Ok(())
}

#[test]
fn a_message_requeued_for_later_comes_back_to_its_place_when_its_time_has_come() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = broker.simple_queue::<u32>("q")?;
    for number in [1, 2, 3] {
        queue.put(number)?;
    }
    queue.get()?.nack(Requeue::After(SECOND))?;
    assert_eq!(queue.len().unwrap(), 2);
    let second = queue.get()?;
    assert_eq!(*second, 2);
    clock.advance(SECOND);
    let first = queue.get()?;
    assert_eq!(*first, 1);
    assert_eq!(first.info().acquired_count(), 1);
    assert_eq!(*queue.get()?, 3);
    Ok(())
}

#[test]
fn a_message_can_wait_before_it_comes_again() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q");
    assert_eq!(broker.producer::<u32>(&queue)?.publish(1)?.routed, 1);
    let consumer = broker.consumer::<u32>(&queue)?;
    consumer
        .recv()?
        .nack(Requeue::After(Duration::from_secs(10)))?;
    clock.advance(Duration::from_secs(9));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    clock.advance(SECOND);
    assert!(consumer.recv()?.info().redelivered());
    Ok(())
}
