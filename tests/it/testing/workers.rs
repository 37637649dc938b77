//! Workers as tasks of a test.

use std::time::Duration;

use leveret::{
    Broker, Error, Queue, Result,
    testing::{Fault, TestBroker},
    worker::{Context, Job, Settle, Worker},
};

use crate::common::{HOUR, SECOND};

/// Passes a number on. A publish that fails is repeated after a second.
async fn pass_on(number: Job<u32>, context: Context<'_>) -> Result<Settle> {
    let next = context.producer_to::<u32>("next")?;
    let passed = next.publish_async(*number).await;
    Ok(match passed {
        Ok(_) => Settle::Ack,
        Err(_) => Settle::Requeue(SECOND),
    })
}

fn passing_on(broker: &Broker) -> Worker<u32> {
    broker
        .worker("numbers")
        .concurrency(3)
        .handler_async(pass_on)
}

#[test]
fn a_worker_loses_nothing_though_half_of_its_publishes_fail() {
    for seed in 0..20 {
        let test = TestBroker::new().seed(seed);
        let fault = Fault::fail(Error::Timeout).to_queue("next").chance(0.5);
        let fault = test.inject(fault);
        test.spawn(passing_on(&test).run_async());
        test.run_until_settled().unwrap();
        let producer = test.producer::<u32>("numbers").unwrap();
        assert!(producer.publish_batch(0..10).iter().all(Result::is_ok));
        test.run_for(HOUR);
        test.run_until_settled().unwrap();
        let passed = test.published::<u32>("", "next");
        let mut numbers: Vec<u32> = passed.iter().map(|number| **number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        assert!(fault.fired() > 0);
    }
}

#[test]
fn a_run_with_the_same_seed_is_the_same_run() {
    let run = |seed| {
        let test = TestBroker::new().seed(seed);
        test.inject(Fault::fail(Error::Timeout).to_queue("next").chance(0.3));
        for _ in 0..3 {
            test.spawn(passing_on(&test).run_async());
        }
        test.run_until_settled().unwrap();
        let producer = test.producer::<u32>("numbers").unwrap();
        assert!(producer.publish_batch(0..30).iter().all(Result::is_ok));
        test.run_for(HOUR);
        let publishes = test.publishes();
        publishes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_test_waits_for_the_threads_of_a_worker() {
    let test = TestBroker::new();
    let dead = Queue::new("numbers")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    test.declare(&dead).unwrap();
    let worker = test.worker::<u32>("numbers").concurrency(2);
    let worker = worker.handler(|number, _| match number % 2 {
        0 => Settle::Ack,
        _ => Settle::Reject,
    });
    let worker = worker.spawn().unwrap();
    let burying = test.worker::<u32>("dead").handler(|_, _| ());
    let burying = burying.spawn().unwrap();
    let producer = test.producer::<u32>("numbers").unwrap();
    assert!(producer.publish_batch(0..100).iter().all(Result::is_ok));
    test.wait_settled().unwrap();
    let counts = worker.stop_and_drain(Duration::ZERO).counts;
    assert_eq!((counts.acked, counts.rejected), (50, 50));
    assert_eq!(burying.stop_and_drain(Duration::ZERO).counts.acked, 50);
}

#[test]
fn a_handler_that_never_ends_is_named() {
    let test = TestBroker::new();
    let worker = test.worker::<u32>("numbers").prefetch(1);
    let worker = worker.handler_async(|_, _| std::future::pending::<()>());
    test.spawn(worker.run_async());
    test.run_until_settled().unwrap();
    let producer = test.producer::<u32>("numbers").unwrap();
    assert!(producer.publish_batch(0..3).iter().all(Result::is_ok));
    assert_eq!(
        test.run_until_settled().unwrap_err().to_string(),
        "not settled: queue 'numbers': 2 ready, 1 unsettled, 1 consumer"
    );
}

#[test]
fn a_paused_consumer_does_not_count() {
    let test = TestBroker::new();
    let consumer = test.consumer::<u32>("q").unwrap();
    consumer.pause();
    test.producer::<u32>("q").unwrap().publish(7).unwrap();
    assert!(test.settled());
    consumer.resume();
    assert!(!test.settled());
    consumer.recv().unwrap().ack().unwrap();
    assert!(test.settled());
}
