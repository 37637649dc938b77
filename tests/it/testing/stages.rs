//! Messages that go through stages on threads of their own. The broker is never settled while one
//! of them is on its way.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use leveret::{Broker, Queue, Requeue, testing::TestBroker};

use crate::common::share_of;

const STAGES: u32 = 3;
const PUBLISHERS: u32 = 2;

fn queue(stage: u32) -> Queue {
    Queue::new(format!("stage {stage}"))
        .dead_letter_exchange("")
        .dead_letter_routing_key(format!("stage {}", stage + 1))
}

/// Receives until the broker ends. Passes each message on, by a publish or as a dead letter. Some
/// go back first. The last stage counts the messages that have arrived.
fn work(broker: &Broker, stage: u32, open: &AtomicU64) {
    let consumer = broker
        .consumer_builder::<u32>(&queue(stage))
        .prefetch(3)
        .build()
        .unwrap();
    let next = broker.producer::<u32>(&queue(stage + 1)).unwrap();
    let mut turn = stage;
    while let Ok(delivery) = consumer.recv() {
        turn += 1;
        match turn % 5 {
            0 if !delivery.info().redelivered() => delivery.nack(Requeue::Yes).unwrap(),
            1 if !delivery.info().redelivered() => drop(delivery),
            _ if stage == STAGES => {
                open.fetch_sub(1, SeqCst);
                delivery.ack().unwrap();
            }
            2 => delivery.reject().unwrap(),
            _ => {
                next.publish(*delivery).unwrap();
                delivery.ack().unwrap();
            }
        }
    }
}

#[test]
fn a_broker_with_work_in_any_stage_is_not_settled() {
    let test = TestBroker::new();
    let messages = share_of(2_000);
    // The messages that have not reached the end of the last stage.
    let open = AtomicU64::new(0);
    // Held during a publish from outside, and during a look.
    let outside = Mutex::new(());
    let mut looks = (0, 0);
    thread::scope(|scope| {
        for stage in 1..=STAGES {
            test.declare(&queue(stage)).unwrap();
            for _ in 0..2 {
                let (broker, open) = (test.broker().clone(), &open);
                scope.spawn(move || work(&broker, stage, open));
            }
        }
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|_| {
                let producer = test.producer::<u32>(&queue(1)).unwrap();
                let (open, outside) = (&open, &outside);
                scope.spawn(move || {
                    for number in 0..messages {
                        let _publishing = outside.lock().unwrap();
                        open.fetch_add(1, SeqCst);
                        producer.publish(number).unwrap();
                    }
                })
            })
            .collect();
        while !publishers.iter().all(|publisher| publisher.is_finished()) {
            let looking = outside.lock().unwrap();
            let settled = test.settled();
            assert!(!settled || open.load(SeqCst) == 0);
            drop(looking);
            looks.0 += 1;
            looks.1 += u32::from(settled);
            thread::yield_now();
        }
        test.wait_settled().unwrap();
        assert_eq!(open.load(SeqCst), 0);
        test.shutdown(std::time::Duration::ZERO).unwrap();
    });
    let all = u64::from(messages * PUBLISHERS);
    let publishes = test.publishes();
    assert!(publishes.len() as u64 >= all, "{looks:?}");
}

#[test]
fn several_threads_wait_for_the_same_moment() {
    let test = Arc::new(TestBroker::new());
    let consumer = test.consumer::<u32>("q").unwrap();
    let producer = test.producer::<u32>("q").unwrap();
    producer.publish(7).unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let test = Arc::clone(&test);
            thread::spawn(move || test.wait_settled())
        })
        .collect();
    consumer.recv().unwrap().ack().unwrap();
    for waiting in waiting {
        waiting.join().unwrap().unwrap();
    }
}
