//! A paused queue: publishing goes on, and delivery stops.

use std::{thread, time::Duration};

use leveret::{
    Broker, ManualClock, Queue, TryRecvError,
    channel::{AckMode, ConsumeOptions},
};

use super::counts;
use crate::common::{PATIENCE, SECOND, assert_conserved, channel_of, on_a_manual_clock};

#[test]
fn a_paused_queue_delivers_nothing_and_takes_everything() {
    for queue in [
        Queue::new("q"),
        Queue::quorum("q"),
        Queue::new("q").single_active_consumer(),
    ] {
        let broker = Broker::new();
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        let producer = broker.producer::<u32>(&queue).unwrap();
        for number in 0..4 {
            producer.publish(number).unwrap();
        }
        let held = consumer.recv().unwrap();
        broker.pause_queue("q").unwrap();
        broker.pause_queue("q").unwrap();
        assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
        producer.publish(4).unwrap();
        let late = broker.consumer::<u32>(&queue).unwrap();
        assert!(late.try_recv().is_err());
        held.ack().unwrap();
        assert!(consumer.try_recv().is_err());
        let picture = counts(&broker, "q");
        assert!(picture.paused);
        assert_eq!((picture.ready.messages, picture.acked.messages), (4, 1));
        assert_eq!(broker.peek("q", 9).unwrap().len(), 4);

        broker.resume_queue("q").unwrap();
        broker.resume_queue("q").unwrap();
        assert!(!counts(&broker, "q").paused);
        let mut seen = Vec::new();
        while let Ok(delivery) = consumer.try_recv().or_else(|_| late.try_recv()) {
            seen.push((*delivery, delivery.info().redelivered()));
            delivery.ack().unwrap();
        }
        seen.sort_unstable();
        assert_eq!(seen, [(1, false), (2, false), (3, false), (4, false)]);
        assert_conserved(&counts(&broker, "q"));
    }
}

#[test]
fn channels_and_gets_have_nothing_either() {
    let broker = Broker::new();
    let queue = broker.simple_queue::<u32>("q").unwrap();
    let channel = channel_of(&broker).unwrap();
    broker.pause_queue("q").unwrap();
    queue.put(7).unwrap();
    assert!(queue.try_get().is_err());
    assert!(channel.basic_get("q", AckMode::Auto).unwrap().is_none());
    channel.basic_consume("q", ConsumeOptions::new()).unwrap();
    assert!(channel.events().try_recv().is_err());
    broker.resume_queue("q").unwrap();
    assert!(channel.events().try_recv().is_ok());
}

#[test]
fn those_who_wait_go_on_when_the_queue_does() {
    let broker = Broker::new();
    broker.declare(&Queue::new("q")).unwrap();
    broker.pause_queue("q").unwrap();
    let producer = broker.producer::<u32>("q").unwrap();
    let (first, second) = (
        broker.consumer::<u32>("q").unwrap(),
        broker.simple_queue::<u32>("q").unwrap(),
    );
    thread::scope(|scope| {
        let receiver = scope.spawn(move || first.recv_timeout(PATIENCE).map(|it| it.ack()).is_ok());
        let getter = scope.spawn(|| second.get_timeout(PATIENCE).map(|it| it.ack()).is_ok());
        producer.publish(1).unwrap();
        producer.publish(2).unwrap();
        broker.resume_queue("q").unwrap();
        // A consumer that ends gives back what the getter waits for.
        assert!(receiver.join().unwrap());
        assert!(getter.join().unwrap());
    });
}

#[test]
fn expiry_limits_and_purges_go_on() {
    let (broker, clock): (Broker, ManualClock) = on_a_manual_clock();
    let queue = Queue::new("q").message_ttl(SECOND).max_length(2);
    let simple = broker.simple_queue::<u32>(&queue).unwrap();
    broker.pause_queue("q").unwrap();
    (0..3).for_each(|number| drop(simple.put(number)));
    assert_eq!(counts(&broker, "q").dropped.messages, 1);
    clock.advance(2 * SECOND);
    assert_eq!(counts(&broker, "q").expired.messages, 2);
    simple.put(7).unwrap();
    assert_eq!(broker.purge("q").unwrap(), 1);
}

#[test]
fn a_shutdown_does_not_wait_for_a_paused_queue() {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>("q").unwrap();
    broker.pause_queue("q").unwrap();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    let report = broker.shutdown(Duration::from_secs(3_600)).unwrap();
    assert!(!report.timed_out);
    drop(consumer);
}

#[test]
fn a_queue_that_comes_back_is_not_paused() {
    let broker = Broker::new();
    broker.declare(&Queue::new("q")).unwrap();
    broker.pause_queue("q").unwrap();
    broker.delete(&Queue::new("q")).unwrap();
    broker.declare(&Queue::new("q")).unwrap();
    assert!(!counts(&broker, "q").paused);
}
