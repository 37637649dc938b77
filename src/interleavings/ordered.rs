//! Workers that keep the order within a key, while messages come.

use super::*;
use crate::{
    patterns::worker::{Settle, WorkerEnd},
    runtime::{
        clock::ManualClock,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
    },
};

/// The messages that handlers have seen, in the order of their begins.
type Seen = Arc<Mutex<Vec<u32>>>;

/// The messages of one key: the even ones, or the odd ones.
fn of_key(seen: &Seen, key: u32) -> Vec<u32> {
    let seen = seen.lock();
    seen.iter().copied().filter(|id| id % 2 == key).collect()
}

#[test]
fn an_ordered_drain_handles_every_message_once_and_in_order() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.ordered_by(|id| **id % 2);
        let worker = worker.handler(move |id, _| {
            log.lock().push(*id);
            thread::yield_now();
        });
        let worker = worker.spawn().unwrap();
        for id in [0, 2, 1, 4] {
            producer.publish(id).unwrap();
        }
        let report = worker.stop_and_drain(Duration::MAX);
        assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 4));
        assert_eq!(
            (of_key(&seen, 0), of_key(&seen, 1)),
            (vec![0, 2, 4], vec![1])
        );
    });
}

#[test]
fn a_key_waits_for_the_other_try_of_its_message_during_a_drain() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.ordered_by(|_| ());
        let worker = worker.handler_async(move |job, context| {
            log.lock().push(*job);
            let settle = match context.acquired_count() {
                0 => Settle::Requeue(Duration::ZERO),
                _ => Settle::Ack,
            };
            async { settle }
        });
        let worker = worker.spawn().unwrap();
        for id in 0..2 {
            producer.publish(id).unwrap();
        }
        let counts = worker.stop_and_drain(Duration::MAX).counts;
        assert_eq!((counts.acked, counts.requeued), (2, 2));
        assert_eq!(*seen.lock(), [0, 0, 1, 1]);
        assert_eq!(rest(&broker, "q"), []);
    });
}

#[test]
fn a_slot_that_waits_finds_out_when_a_try_is_due() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.ordered_by(|id| **id % 2);
        let worker = worker.handler(move |id, context| {
            log.lock().push(*id);
            match context.acquired_count() {
                0 => Settle::Requeue(Duration::from_secs(1)),
                _ => Settle::Ack,
            }
        });
        let worker = worker.spawn().unwrap();
        for id in [0, 2] {
            producer.publish(id).unwrap();
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let draining = thread::spawn(move || {
            let report = worker.stop_and_drain(Duration::MAX);
            over.store(true, SeqCst);
            report
        });
        while !is_over.load(SeqCst) {
            clock.advance(Duration::from_secs(1));
            thread::yield_now();
        }
        let report = draining.join().unwrap();
        assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 2));
        assert_eq!(*seen.lock(), [0, 0, 2, 2]);
    });
}

#[test]
fn an_ordered_stop_loses_no_message_and_doubles_none() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let broker = Broker::new();
            let producer = broker.producer::<Tracked>(&queue()).unwrap();
            let worker = broker.worker::<Tracked>(&queue()).concurrency(2);
            let worker = worker.ordered_by(|payload| payload.0.0 % 2);
            let worker =
                worker.handler(
                    |payload, context| match (payload.0.0, context.acquired_count()) {
                        (2, 0) => Settle::Requeue(Duration::ZERO),
                        _ => Settle::Ack,
                    },
                );
            let worker = worker.spawn().unwrap();
            let payloads = [0, 2, 1, 4].map(|id| tracker.payload(id));
            let publishing = thread::spawn(move || {
                for payload in payloads {
                    producer.publish(payload).unwrap();
                }
            });
            worker.stop();
            publishing.join().unwrap();
            let report = worker.join();
            assert_eq!(report.end, WorkerEnd::Stopped);
            let left = broker.purge("q").unwrap();
            assert_eq!(report.counts.acked + left, 4);
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn an_ordered_worker_whose_queue_is_deleted_ends() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker
            .ordered_by(|_| ())
            .handler(|_, _| ())
            .spawn()
            .unwrap();
        let publishing = thread::spawn(move || {
            let _ = producer.publish_batch(0..3);
        });
        broker.delete(&queue()).unwrap();
        publishing.join().unwrap();
        assert!(matches!(worker.join().end, WorkerEnd::Cancelled(_)));
    });
}
