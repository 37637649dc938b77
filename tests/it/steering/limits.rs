//! Limits that are changed while a queue lives.

use std::time::Duration;

use leveret::{Broker, Overflow, Policy, Queue, QueueLimits};

use super::counts;
use crate::common::{SECOND, assert_conserved, on_a_manual_clock, rest};

#[test]
fn lower_limits_take_effect_at_once_and_the_declared_ones_come_back() {
    for queue in [
        Queue::new("q").max_length(5),
        Queue::quorum("q").max_length(5),
    ] {
        let broker = Broker::new();
        let simple = broker.simple_queue::<u32>(&queue).unwrap();
        (0..9).for_each(|number| drop(simple.put(number)));
        assert_eq!(simple.len().unwrap(), 5);
        broker
            .set_queue_limits("q", QueueLimits::new().max_length(2))
            .unwrap();
        assert_eq!(simple.len().unwrap(), 2);
        broker.declare(&queue).unwrap();
        broker.set_queue_limits("q", QueueLimits::none()).unwrap();
        (0..9).for_each(|number| drop(simple.put(number)));
        assert_eq!(simple.len().unwrap(), 11);
        broker.set_queue_limits("q", QueueLimits::new()).unwrap();
        assert_eq!(simple.len().unwrap(), 5);
        assert_conserved(&counts(&broker, "q"));
    }
}

#[test]
fn a_publisher_that_waits_goes_on_with_a_higher_limit() {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| producer.publish(2).unwrap());
        while broker.snapshot().unwrap().vhosts[0].queues[0]
            .taken_in
            .messages
            < 2
        {
            let limits = QueueLimits::new().max_length(2);
            broker.set_queue_limits("q", limits).unwrap();
            std::thread::yield_now();
        }
    });
    assert_eq!(rest::<u32>(&broker, "q").len(), 2);
}

#[test]
fn policies_are_merged_with_the_new_limits() {
    let broker = Broker::new();
    let simple = broker.simple_queue::<u32>("q").unwrap();
    let root = broker.vhost("/").unwrap();
    root.set_operator_policy(Policy::new("most", "").setting("max-length", 4))
        .unwrap();
    broker
        .set_queue_limits("q", QueueLimits::new().max_length(6))
        .unwrap();
    (0..9).for_each(|number| drop(simple.put(number)));
    assert_eq!(simple.len().unwrap(), 4);
    root.clear_operator_policy("most").unwrap();
    (0..9).for_each(|number| drop(simple.put(number)));
    assert_eq!(
        simple.len().unwrap(),
        6,
        "they outlive a change of the policies"
    );
}

#[test]
fn times_are_changed_too() {
    let (broker, clock) = on_a_manual_clock();
    let simple = broker.simple_queue::<u32>("q").unwrap();
    simple.put(1).unwrap();
    let limits = QueueLimits::new()
        .message_ttl(SECOND)
        .expires(Duration::from_secs(60));
    broker.set_queue_limits("q", limits).unwrap();
    simple.put(2).unwrap();
    clock.advance(2 * SECOND);
    assert_eq!(
        rest::<u32>(&broker, "q"),
        [(1, false)],
        "only later messages expire"
    );
    clock.advance(Duration::from_secs(61));
    assert!(broker.purge("q").unwrap_err().is_not_found());
}

#[test]
fn a_limit_that_does_not_apply_is_an_error_and_changes_nothing() {
    let broker = Broker::new();
    broker.declare(&Queue::stream("log")).unwrap();
    let limits = QueueLimits::new().message_ttl(SECOND);
    let error = broker
        .set_queue_limits(Queue::existing("log"), limits)
        .unwrap_err();
    assert_eq!(error.reply_code(), Some(406));
    let bytes = QueueLimits::new().max_length_bytes(1_000);
    broker
        .set_queue_limits(Queue::existing("log"), bytes)
        .unwrap();
    let missing = broker
        .set_queue_limits("nowhere", QueueLimits::new())
        .unwrap_err();
    assert!(missing.is_not_found());
    broker.declare(&Queue::new("q")).unwrap();
    let block = QueueLimits::new().max_length(0).overflow(Overflow::Block);
    assert_eq!(
        broker
            .set_queue_limits("q", block)
            .unwrap_err()
            .reply_code(),
        Some(406)
    );
}
