//! Full queues: the messages that they count, drop, refuse or keep.

use std::time::Duration;

use leveret::{Broker, Overflow, Policy, Queue, Requeue, Result};

use crate::common::{PATIENCE, SECOND, after_a_full_prefetch, assert_conserved, on_a_manual_clock};

#[test]
fn a_blocking_queue_without_any_room_is_refused_and_a_policy_leaves_room_for_one() -> Result {
    let broker = Broker::new();
    let blocking = Queue::new("q").overflow(Overflow::Block);
    for (none, argument) in [
        (blocking.clone().max_length(0), "x-max-length"),
        (blocking.clone().max_length_bytes(0), "x-max-length-bytes"),
    ] {
        let error = broker.declare(&none).unwrap_err();
        assert_eq!(error.reply_code(), Some(406));
        assert!(
            error.to_string().contains(&format!("'{argument}'")),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .ends_with("expected 1 or more where x-overflow is block")
        );
    }
    // Without `Overflow::Block` a limit of 0 works as in RabbitMQ. A message that no consumer takes
    // at once is dropped or refused.
    broker.declare(&Queue::new("dropping").max_length(0))?;
    // A policy may bring a limit of 0 to a blocking queue. The queue then lets one message in.
    broker
        .vhost("/")?
        .set_policy(Policy::new("none", "^q$").setting("max-length", 0))?;
    let producer = broker.producer::<u32>(&blocking)?;
    producer.try_publish(1)?;
    assert!(producer.try_publish(2).is_err());
    assert_eq!(broker.purge(&blocking)?, 1);
    Ok(())
}

#[test]
fn a_limit_of_4_holds_4_and_the_prefetch_of_each_consumer() -> Result {
    let default = None;
    for overflow in [Overflow::Block, Overflow::RejectPublish] {
        for (prefetch, consumers, all) in [
            (default, 0, 4),
            (default, 1, 260),
            (Some(1), 1, 5),
            (Some(1), 3, 7),
        ] {
            let broker = Broker::new();
            let queue = Queue::new("q").max_length(4).overflow(overflow);
            let consumer = || {
                let builder = broker.consumer_builder::<u32>(&queue);
                match prefetch {
                    Some(prefetch) => builder.prefetch(prefetch).build(),
                    None => builder.build(),
                }
            };
            let consumers: Vec<_> = (0..consumers).map(|_| consumer()).collect::<Result<_>>()?;
            let producer = broker.producer(&queue)?;
            let taken = (0..1_000).take_while(|number| producer.try_publish(*number).is_ok());
            assert_eq!(
                taken.count(),
                all,
                "{overflow:?}, prefetch {prefetch:?}, {consumers:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_limit_has_no_effect_beside_a_consumer_without_a_prefetch() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(4).overflow(Overflow::Block);
    let builder = broker.consumer_builder::<u32>(&queue);
    let _consumer = builder.prefetch(0).build()?;
    let producer = broker.producer(&queue)?;
    assert!((0..1_000).all(|number| producer.try_publish(number).is_ok()));
    Ok(())
}

#[test]
fn a_message_returned_to_a_full_blocking_queue_is_not_dropped_when_the_clock_ticks() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(1)
        .build()
        .unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap();
    let first = consumer.recv().unwrap();
    consumer.cancel();
    first.nack(Requeue::After(SECOND)).unwrap();
    clock.advance(Duration::from_secs(2));
    let simple = broker.simple_queue::<u32>(&queue).unwrap();
    assert_eq!(*simple.try_get().unwrap(), 1);
}

#[test]
fn a_consumer_that_publishes_into_its_own_full_queue_counts_what_it_has_settled() {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let (producer, _consumer, mut held) = after_a_full_prefetch(&broker, &queue);
    held.remove(0).ack().unwrap();
    producer.publish_timeout(17, PATIENCE).unwrap();
    held.remove(0).ack().unwrap();
    producer.try_publish(18).unwrap();
}

#[test]
fn a_refusing_queue_counts_what_was_settled() {
    let broker = Broker::new();
    let queue = Queue::new("q")
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    let (producer, _consumer, mut held) = after_a_full_prefetch(&broker, &queue);
    assert!(producer.publish(17).is_err());
    held.remove(0).ack().unwrap();
    producer.publish(17).unwrap();
}

#[test]
fn the_lower_number_of_a_policy_and_an_operator_policy_holds() -> Result {
    let broker = Broker::new();
    let queue = broker.simple_queue::<u32>("events")?;
    let vhost = broker.vhost("/")?;
    vhost.set_policy(Policy::new("user", "^ev").setting("max-length", 5))?;
    vhost.set_operator_policy(Policy::new("operator", ".").setting("max-length", 3))?;
    for number in 0..10 {
        queue.put(number)?;
    }
    assert_eq!(queue.len().unwrap(), 3);
    assert!(vhost.clear_operator_policy("operator")?);
    for number in 0..10 {
        queue.put(number)?;
    }
    assert_eq!(queue.len().unwrap(), 5);
    assert!(
        vhost
            .set_policy(Policy::new("bad", "(").setting("max-length", 1))
            .is_err()
    );
    Ok(())
}

#[test]
fn the_counts_of_a_queue_add_up() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(4);
    let producer = broker.producer::<String>(&queue)?;
    for _ in 0..6 {
        producer.publish("four".to_owned())?;
    }
    let consumer = broker
        .consumer_builder::<String>(&queue)
        .prefetch(2)
        .build()?;
    consumer.recv()?.ack()?;
    let held = consumer.recv()?;
    let snapshot = broker.snapshot()?;
    let counts = &snapshot.vhosts[0].queues[0];
    assert_eq!(counts.taken_in.messages, 6);
    assert_eq!(counts.taken_in.bytes, 24);
    assert_eq!(counts.dropped.messages, 2);
    assert_eq!(counts.acked.messages, 1);
    assert_conserved(counts);
    drop(held);
    Ok(())
}

#[test]
fn enormous_sizes_cause_no_panic() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker
        .producer_builder::<u32>(&queue)
        .sized_by(|_| u64::MAX)
        .build()
        .unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    consumer.recv().unwrap().ack().unwrap();
    drop(consumer.recv().unwrap());
    assert_eq!(*consumer.recv().unwrap(), 2);
}
