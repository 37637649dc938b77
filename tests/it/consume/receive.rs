//! The ways to receive: one message or a batch, with and without a time limit.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use leveret::{Broker, CancelReason, Error, Queue, RecvTimeoutError, Result, TryRecvError};

use crate::common::{SECOND, after_a_full_prefetch, block_on, on_a_manual_clock, queue, reason};

#[test]
fn a_typed_consumer_holds_256_unless_told_otherwise() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 0..300 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let _takes_256 = broker.consumer::<u32>(&queue)?;
    assert_eq!(broker.simple_queue::<u32>(&queue)?.len()?, 300 - 256);
    let _takes_10 = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(10)
        .build()?;
    assert_eq!(broker.simple_queue::<u32>(&queue)?.len()?, 300 - 256 - 10);
    Ok(())
}

#[test]
fn a_consumer_of_two_queues_starves_neither() {
    let broker = Broker::new();
    let (a, b) = (Queue::new("a"), Queue::new("b"));
    let consumer = broker.consumer_builder::<u32>(&a).also(&b).build().unwrap();
    for queue in [&a, &b] {
        let producer = broker.producer::<u32>(queue).unwrap();
        for id in 0..10 {
            producer.publish(id).unwrap();
        }
    }
    let from_a = (0..10)
        .filter(|_| {
            let delivery = consumer.recv().unwrap();
            let from_a = delivery.info().queue() == "a";
            delivery.ack().unwrap();
            from_a
        })
        .count();
    assert_eq!(from_a, 5);
}

#[test]
fn a_batch_has_the_ready_messages_or_those_that_arrive_in_time() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
    for id in 0..5 {
        producer.publish(id).unwrap();
    }
    let ids = |batch: leveret::Batch<u32>| {
        batch
            .map(|delivery| delivery.ack_into().unwrap())
            .collect::<Vec<_>>()
    };
    // Three messages are ready, so the batch is full without a wait. It holds no more than three.
    let full = consumer.recv_batch(3, Duration::MAX).unwrap();
    assert_eq!(ids(full), [0, 1, 2]);
    assert!(consumer.recv_batch(0, Duration::MAX).unwrap().is_empty());
    let waiting = thread::spawn({
        let consumer = Arc::clone(&consumer);
        move || consumer.recv_batch(10, SECOND).map(|batch| batch.len())
    });
    producer.publish(5).unwrap();
    while !waiting.is_finished() {
        clock.advance(Duration::from_millis(100));
        thread::yield_now();
    }
    assert!((2..=3).contains(&waiting.join().unwrap().unwrap()));
    consumer.cancel();
    assert_eq!(
        reason(consumer.recv_batch(1, Duration::ZERO)),
        CancelReason::ConsumerCancelled
    );
}

#[test]
fn a_receive_with_a_time_limit_ends_in_time_and_takes_a_ready_message() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let before = Instant::now();
    let limit = Duration::from_millis(20);
    assert!(matches!(
        consumer.recv_timeout(limit),
        Err(RecvTimeoutError::Timeout)
    ));
    assert!(before.elapsed() >= limit);
    producer.publish(7).unwrap();
    assert_eq!(*consumer.recv_timeout(Duration::ZERO).unwrap(), 7);
}

#[test]
fn a_time_out_goes_by_the_brokers_clock() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let consumer = broker.consumer::<u32>(&Queue::new("q"))?;
    let receiver =
        thread::spawn(move || consumer.recv_timeout(Duration::from_secs(3600)).map(drop));
    while !receiver.is_finished() {
        clock.advance(Duration::from_secs(3600));
        thread::yield_now();
    }
    assert!(matches!(
        receiver.join().unwrap(),
        Err(RecvTimeoutError::Timeout)
    ));
    Ok(())
}

#[test]
fn a_simple_queue_takes_only_requested_messages() {
    let broker = Broker::new();
    let mailbox = broker.simple_queue::<u32>("q").unwrap();
    for id in 0..3 {
        mailbox.put(id).unwrap();
    }
    let first = mailbox.get().unwrap();
    assert_eq!((*first, mailbox.len().unwrap()), (0, 2));
    drop(first);
    assert_eq!(mailbox.len().unwrap(), 3);
    let again = mailbox.get_timeout(Duration::ZERO).unwrap();
    assert!(again.info().redelivered() && again.info().consumer_tag().is_empty());
    again.ack().unwrap();
    assert_eq!(mailbox.purge().unwrap(), 2);
    assert!(matches!(mailbox.try_get(), Err(TryRecvError::Empty)));
    broker.delete(&queue()).unwrap();
    assert_eq!(reason(mailbox.get()), CancelReason::QueueDeleted);
    assert!(mailbox.len().unwrap_err().is_not_found());
}

#[test]
fn the_name_for_direct_replies_is_no_queue_to_a_typed_consumer() {
    let broker = Broker::new();
    let replies = Queue::new("amq.rabbitmq.reply-to").auto_delete();
    assert!(broker.consumer::<u32>(&replies).unwrap_err().is_not_found());
}

#[test]
fn a_time_out_beside_a_full_prefetch_says_so() -> Result {
    let broker = Broker::new();
    let (_, consumer, mut held) = after_a_full_prefetch(&broker, &queue());
    let error = consumer.recv_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(
        error.to_string(),
        "timed out waiting for a message: the consumer holds its whole prefetch of 16 unsettled messages from queue 'q'"
    );
    let error = Error::from(error);
    assert!(
        matches!(&error, Error::PrefetchReached { queue, prefetch: 16 } if queue == "q"),
        "{error}"
    );
    // As soon as there is credit, only the message is missing.
    held.pop().unwrap().ack()?;
    consumer.recv()?.ack()?;
    let error = consumer.recv_timeout(Duration::ZERO).unwrap_err();
    assert!(matches!(error, RecvTimeoutError::Timeout), "{error}");
    Ok(())
}

#[test]
fn a_time_out_names_the_queue_whose_messages_fill_the_prefetch() -> Result {
    let broker = Broker::new();
    let builder = broker.consumer_builder::<u32>("a").also("b").prefetch(1);
    let consumer = builder.build()?;
    let _ = broker.producer("b")?.publish_batch([1, 2]);
    let _held = consumer.recv()?;
    match consumer.recv_timeout(Duration::ZERO) {
        Err(RecvTimeoutError::PrefetchReached { queue, prefetch }) => {
            assert_eq!((&*queue, prefetch), ("b", 1));
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn a_batch_does_not_wait_once_the_consumer_holds_its_prefetch() -> Result {
    for prefetch in [1, 3] {
        // The time stands still, so that a wait would never end.
        let (broker, _clock) = on_a_manual_clock();
        let producer = broker.producer::<u32>(queue())?;
        for number in 0..100 {
            producer.publish(number)?;
        }
        let builder = broker.consumer_builder::<u32>(queue());
        let consumer = builder.prefetch(prefetch).build()?;
        let size = prefetch as usize;
        let batch = consumer.recv_batch(10, SECOND)?;
        assert_eq!(batch.len(), size);
        assert!(consumer.recv_batch(10, Duration::ZERO)?.is_empty());
        drop(batch);
        let batch = block_on(consumer.recv_batch_async(10, SECOND))?;
        assert!(batch.iter().map(|delivery| **delivery).eq(0..prefetch));
    }
    Ok(())
}

#[test]
fn a_batch_of_two_queues_waits_unless_both_are_at_the_prefetch() -> Result {
    let (broker, _clock) = on_a_manual_clock();
    let builder = broker.consumer_builder::<u32>("a").also("b");
    let consumer = builder.prefetch(1).build()?;
    for name in ["a", "b"] {
        broker.producer(name)?.publish(1)?;
        broker.producer(name)?.publish(2)?;
    }
    assert_eq!(consumer.recv_batch(10, SECOND)?.len(), 2);
    Ok(())
}
