//! The shutdown of a broker.

use std::{thread, time::Duration};

use leveret::{Broker, Error, Message, Queue, Result, TryRecvError};

use crate::common::{HOUR, SECOND, in_time, on_a_manual_clock, queue};

#[test]
fn a_shutdown_lets_consumers_finish_and_reports_the_remaining_messages() -> Result {
    let broker = Broker::new();
    let (worked, idle) = (Queue::new("worked"), Queue::new("idle"));
    let producer = broker.producer::<u32>(&worked)?;
    broker.producer::<u32>(&idle)?.publish(7)?;
    for number in 0..100 {
        producer.publish(number)?;
    }
    let consumer = broker
        .consumer_builder::<u32>(&worked)
        .prefetch(3)
        .build()?;
    let held = consumer.recv()?;
    let closing = broker.clone();
    let shutdown = thread::spawn(move || closing.shutdown(Duration::from_secs(60)));
    // The shutdown ends publishing a moment after its call begins.
    while producer.publish(1_000).is_ok() {
        thread::yield_now();
    }
    let mut received = 1;
    held.ack()?;
    while let Ok(delivery) = consumer.recv() {
        received += 1;
        if delivery.ack().is_err() {
            break;
        }
    }
    let report = shutdown.join().unwrap()?;
    assert!(received >= 100, "{received}");
    assert!(!report.timed_out);
    assert_eq!(report.queues.len(), 1, "{report:?}");
    assert_eq!(
        (&*report.queues[0].queue, report.queues[0].ready),
        ("idle", 1)
    );
    assert!(matches!(broker.snapshot(), Err(Error::ShutDown)));
    Ok(())
}

#[test]
fn a_shutdown_whose_time_is_over_says_so() -> Result {
    let broker = Broker::new();
    let queue = broker.simple_queue::<u32>("q")?;
    queue.put(1)?;
    let held = queue.get()?;
    let report = broker.shutdown(Duration::from_millis(5))?;
    assert!(report.timed_out);
    assert_eq!(report.queues[0].unsettled, 1);
    assert!(matches!(held.ack(), Err(Error::ShutDown)));
    Ok(())
}

/// It is a race whether the shutdown already waits when the credit is counted. So the test runs it
/// several times.
#[test]
fn a_shutdown_is_told_of_the_last_settlement_though_credit_was_counted_meanwhile() {
    for _ in 0..20 {
        let (broker, clock) = on_a_manual_clock();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let ring = Queue::new("elsewhere").max_length(1);
        let elsewhere = broker.producer::<u32>(&ring).unwrap();
        let builder = broker.consumer_builder::<u32>(&queue());
        let consumer = builder.prefetch(16).build().unwrap();
        for number in 0..16 {
            producer.publish(number).unwrap();
        }
        let expiring = Message::new(16).expiration(SECOND);
        producer.publish_message(expiring).unwrap();
        let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
        held.remove(0).ack().unwrap();
        clock.advance(2 * SECOND);
        let ended = thread::spawn(move || broker.shutdown(HOUR).unwrap().timed_out);
        while elsewhere.publish(0).is_ok() {
            thread::yield_now();
        }
        for _ in 0..100 {
            assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
            thread::yield_now();
        }
        for delivery in held {
            delivery.ack().unwrap();
        }
        assert_eq!(in_time(move || ended.join().unwrap()), Some(false));
    }
}
