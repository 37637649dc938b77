//! The acknowledgement of a whole batch.

use std::time::Duration;

use leveret::{Batch, Broker, Budget, Consumer, Error, Exchange, Local, Queue, Result};

use crate::common::{SECOND, rest};

fn ready_unsettled_acked(broker: &Broker, queue: &str) -> (u64, u64, u64) {
    let snapshot = broker.snapshot().expect("the broker is there");
    let counts = snapshot.queue(queue).expect("the queue is there");
    (
        counts.ready.messages,
        counts.unsettled.messages,
        counts.acked.messages,
    )
}

/// A consumer with this prefetch, and the first messages of many.
fn batch_of(broker: &Broker, queue: &Queue, prefetch: u32) -> Result<(Consumer<u32>, Batch<u32>)> {
    let results = broker.producer::<u32>(queue)?.publish_batch(0..10);
    assert!(results.iter().all(Result::is_ok));
    let builder = broker.consumer_builder::<u32>(queue);
    let consumer = builder.prefetch(prefetch).build()?;
    let batch = consumer.recv_batch(10, Duration::ZERO)?;
    Ok((consumer, batch))
}

#[test]
fn a_batch_that_is_acknowledged_is_settled_and_gives_its_credit_back() -> Result {
    let broker = Broker::new();
    let (consumer, batch) = batch_of(&broker, &Queue::new("q"), 4)?;
    assert!(batch.iter().map(|delivery| **delivery).eq(0..4));
    assert_eq!(ready_unsettled_acked(&broker, "q"), (6, 4, 0));
    batch.ack_all()?;
    let next = consumer.recv_batch(10, SECOND)?;
    assert!(next.iter().map(|delivery| **delivery).eq(4..8));
    assert_eq!(ready_unsettled_acked(&broker, "q"), (2, 4, 4));
    next.ack_all()
}

#[test]
fn the_deliveries_that_were_taken_out_are_not_acknowledged_with_the_others() -> Result {
    let broker = Broker::new();
    let (consumer, mut batch) = batch_of(&broker, &Queue::new("q"), 5)?;
    let first = batch.next();
    drop(batch.next());
    assert_eq!(batch.len(), 3);
    batch.ack_all()?;
    drop(first);
    drop(consumer);
    let left = [(0, true), (1, true)].into_iter();
    let unseen = (5..10).map(|number| (number, false));
    assert_eq!(rest(&broker, "q"), Vec::from_iter(left.chain(unseen)));
    Ok(())
}

#[test]
fn a_batch_that_is_dropped_returns_in_its_order() -> Result {
    let broker = Broker::new();
    let (consumer, batch) = batch_of(&broker, &Queue::new("q"), 3)?;
    drop(batch);
    let again = consumer.recv_batch(3, Duration::ZERO)?;
    let seen = again.iter().map(|it| (**it, it.info().redelivered()));
    assert!(seen.eq((0..3).map(|number| (number, true))));
    again.ack_all()
}

#[test]
fn a_batch_of_several_queues_settles_each_of_them() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer_builder::<u32>("a").also("b").build()?;
    for name in ["a", "b"] {
        let results = broker.producer::<u32>(name)?.publish_batch(0..3);
        assert!(results.iter().all(Result::is_ok));
    }
    let batch = consumer.recv_batch(6, SECOND)?;
    assert_eq!(batch.len(), 6);
    batch.ack_all()?;
    for name in ["a", "b"] {
        assert_eq!(ready_unsettled_acked(&broker, name), (0, 0, 3));
    }
    Ok(())
}

#[test]
fn a_delivery_that_has_made_a_producer_is_acknowledged_with_the_others() -> Result {
    let broker = Broker::new();
    let (_consumer, batch) = batch_of(&broker, &Queue::new("q"), 4)?;
    let producer = broker.producer::<u32>("next")?;
    batch[1].producer(&producer).publish(7)?;
    batch.ack_all()?;
    // The next four are in the inbox.
    assert_eq!(ready_unsettled_acked(&broker, "q"), (2, 4, 4));
    Ok(())
}

#[test]
fn a_batch_of_payloads_that_are_decoded_or_taken_out_is_acknowledged() -> Result {
    let broker = Broker::new();
    let numbers = broker.producer::<u32>("numbers")?.publish_batch(0..3);
    assert!(numbers.iter().all(Result::is_ok));
    let decoded = broker.consumer::<u64>("numbers")?;
    decoded.recv_batch(3, SECOND)?.ack_all()?;
    assert_eq!(ready_unsettled_acked(&broker, "numbers"), (0, 0, 3));
    let local = || Local::new((|| 7) as fn() -> u32);
    let locals = broker.producer("locals")?.publish_batch([local(), local()]);
    assert!(locals.iter().all(Result::is_ok));
    let consumer = broker.consumer::<Local<fn() -> u32>>("locals")?;
    let batch = consumer.recv_batch(2, SECOND)?;
    assert_eq!(batch.iter().map(|closure| (***closure)()).sum::<u32>(), 14);
    batch.ack_all()?;
    assert_eq!(ready_unsettled_acked(&broker, "locals"), (0, 0, 2));
    Ok(())
}

#[test]
fn a_batch_of_a_consumer_with_auto_ack_or_of_a_broker_that_is_gone_settles_nothing() -> Result {
    let broker = Broker::new();
    let results = broker.producer::<u32>("q")?.publish_batch(0..3);
    assert!(results.iter().all(Result::is_ok));
    let consumer = broker.consumer_builder::<u32>("q").auto_ack().build()?;
    consumer.recv_batch(3, SECOND)?.ack_all()?;
    assert_eq!(ready_unsettled_acked(&broker, "q"), (0, 0, 3));
    drop(consumer);
    let (_consumer, batch) = batch_of(&broker, &Queue::new("other"), 3)?;
    drop(broker);
    assert_eq!(batch.ack_all(), Err(Error::BrokerDropped));
    Ok(())
}

#[test]
fn the_bytes_of_a_batch_come_back_to_the_budget_and_admit_a_waiting_publisher() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 40).block())?;
    let queue = Queue::new("q").budget("b");
    let producer = broker.producer::<u32>(&queue)?;
    for number in 0..10 {
        producer.publish(number)?;
    }
    assert!(producer.try_publish(10).is_err());
    let consumer = broker.consumer::<u32>(&queue)?;
    let batch = consumer.recv_batch(10, Duration::ZERO)?;
    assert!(producer.try_publish(10).is_err());
    let waiting = std::thread::spawn(move || producer.publish(10));
    batch.ack_all()?;
    assert_eq!(waiting.join().unwrap()?.routed, 1);
    assert_eq!(broker.budget("b").unwrap().used, 4);
    consumer.recv()?.ack()?;
    assert_eq!(broker.budget("b").unwrap().used, 0);
    Ok(())
}

#[test]
fn a_copy_in_each_queue_of_a_fanout_is_settled_by_its_own_batch() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    let names = ["a", "b", "c"];
    for name in names {
        broker.declare(&Queue::new(name).bind(&exchange, ""))?;
    }
    let producer = broker.producer::<String>(&exchange)?;
    for result in producer.publish_batch(["one", "two"].map(str::to_owned)) {
        assert_eq!(result?.routed, 3);
    }
    for name in names {
        let consumer = broker.consumer::<String>(name)?;
        let batch = consumer.recv_batch(2, SECOND)?;
        assert!(batch.iter().map(|text| text.as_str()).eq(["one", "two"]));
        batch.ack_all()?;
        assert_eq!(ready_unsettled_acked(&broker, name), (0, 0, 2));
    }
    Ok(())
}
