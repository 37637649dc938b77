//! Workers that stop and drain while messages come.

use super::*;
use crate::{
    patterns::worker::{Settle, WorkerEnd},
    runtime::clock::ManualClock,
};

#[test]
fn a_drain_handles_every_message_once() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.handler(|_, _| ()).spawn().unwrap();
        for id in 0..3 {
            producer.publish(id).unwrap();
        }
        let report = worker.stop_and_drain(Duration::MAX);
        assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 3));
    });
}

#[test]
fn a_message_that_its_handler_requeues_during_a_drain_is_handled_again() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.handler(|_, context| match context.acquired_count() {
            0 => Settle::Requeue(Duration::ZERO),
            _ => Settle::Ack,
        });
        let worker = worker.spawn().unwrap();
        producer.publish(0).unwrap();
        let counts = worker.stop_and_drain(Duration::MAX).counts;
        assert_eq!((counts.acked, counts.requeued), (1, 1));
        assert_eq!(rest(&broker, "q"), []);
    });
}

#[test]
fn a_stop_loses_no_message_and_doubles_none() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let broker = Broker::new();
            let producer = broker.producer::<Tracked>(&queue()).unwrap();
            let worker = broker.worker::<Tracked>(&queue()).concurrency(2);
            let worker = worker.handler(|_, _| ()).spawn().unwrap();
            let payloads = (0..3).map(|id| tracker.payload(id)).collect::<Vec<_>>();
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
            assert_eq!(report.counts.acked + left, 3);
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_worker_whose_queue_is_deleted_ends() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.handler_async(|_, _| async {}).spawn().unwrap();
        let publishing = thread::spawn(move || producer.publish(0).is_ok());
        broker.delete(&queue()).unwrap();
        publishing.join().unwrap();
        assert!(matches!(worker.join().end, WorkerEnd::Cancelled(_)));
    });
}

#[test]
fn a_task_with_several_handlers_handles_every_message_once() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.handler_async(|_, _| async {});
        let stop_handle = worker.stop_handle().unwrap();
        let running = thread::spawn(move || block_on(worker.run_async()).unwrap());
        for id in 0..2 {
            producer.publish(id).unwrap();
        }
        stop_handle.stop();
        let report = running.join().unwrap();
        assert_eq!(report.counts.acked + rest(&broker, "q").len() as u64, 2);
    });
}

#[test]
fn a_message_is_settled_once_when_its_handler_ends_as_its_time_is_over() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let worker = broker
            .worker::<u32>(&queue())
            .timeout(Duration::from_secs(1));
        let worker = worker.handler(|_, _| thread::yield_now()).spawn().unwrap();
        producer.publish(0).unwrap();
        clock.advance(Duration::from_secs(1));
        producer.publish(1).unwrap();
        let report = worker.stop_and_drain(Duration::MAX);
        let counts = report.counts;
        assert_eq!(report.end, WorkerEnd::Drained);
        assert_eq!(counts.acked + counts.timed_out, 2, "{report:?}");
        assert_eq!(counts.timed_out, counts.rejected);
        assert_eq!(rest(&broker, "q"), []);
    });
}
