//! Late consumers and handlers, and those that end.

use std::{sync::mpsc, thread};

use leveret::Queue;

use super::{MILLISECOND, all, both_kinds, counts, publish, ready, seen, slow_consumer};
use crate::common::{HOUR, PATIENCE, SECOND, in_time, on_a_manual_clock};

#[test]
fn the_deliveries_of_a_consumer_that_was_dropped_return_in_time_too() {
    for queue in both_kinds() {
        let (broker, clock, consumer) = slow_consumer(&queue, [1, 2]);
        let held = consumer.recv().unwrap();
        drop(consumer);
        assert_eq!(ready(&broker), 1);
        clock.advance(SECOND - MILLISECOND);
        assert_eq!(ready(&broker), 1);
        clock.advance(MILLISECOND);
        assert_eq!(ready(&broker), 2);
        held.ack().unwrap();
        let other = broker.consumer::<u32>(&queue).unwrap();
        assert_eq!(all(&other), [(1, 1, 0), (2, 0, 0)]);
        assert_eq!(counts(&broker).acked.messages, 2);
    }
}

#[test]
fn another_single_active_consumer_takes_over_from_a_late_one() {
    for queue in both_kinds().map(Queue::single_active_consumer) {
        let (broker, clock, consumer) = slow_consumer(&queue, [1, 2]);
        let other = broker.consumer::<u32>(&queue).unwrap();
        let held = consumer.recv().unwrap();
        assert_eq!(all(&other), []);
        clock.advance(SECOND);
        assert_eq!(all(&other), [(1, 1, 0), (2, 0, 0)]);
        held.ack().unwrap();
        publish(&broker, &queue, [3]);
        assert_eq!(all(&consumer), [], "it waits until the other one is gone");
        drop(other);
        publish(&broker, &queue, [4]);
        assert_eq!(all(&consumer), [(3, 0, 0), (4, 0, 0)]);
    }
}

#[test]
fn a_shutdown_waits_for_a_late_consumer_which_may_publish_what_its_delivery_leads_to() {
    for queue in both_kinds() {
        let (broker, clock, consumer) = slow_consumer(&queue, [1, 2]);
        let producer = broker.producer::<u32>("results").unwrap();
        let held = consumer.recv().unwrap();
        clock.advance(SECOND);
        let (publishing, published) = mpsc::channel();
        let shutdown = thread::spawn({
            let (broker, producer) = (broker.clone(), producer.clone());
            move || {
                // A thread without a delivery is refused once the shutdown has begun.
                let refused = thread::spawn(move || {
                    while producer.publish(0).is_ok() {
                        thread::yield_now();
                    }
                    publishing.send(()).unwrap();
                });
                let report = broker.shutdown(HOUR);
                refused.join().unwrap();
                report
            }
        });
        published.recv_timeout(PATIENCE).unwrap();
        producer.publish(10).unwrap();
        held.ack().unwrap();
        let mut came = Vec::new();
        while let Ok(delivery) = consumer.recv() {
            came.push(seen(&delivery));
            let _ = delivery.ack();
        }
        assert_eq!(came, [(1, 1, 0), (2, 0, 0)]);
        let report = shutdown.join().unwrap().unwrap();
        assert!(!report.timed_out);
        let left: Vec<_> = report
            .queues
            .iter()
            .map(|left| left.queue.to_string())
            .collect();
        assert_eq!(left, ["results"]);
    }
}

#[test]
fn a_handler_that_owns_its_payload_is_late_as_any_other() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<String>("q").unwrap();
    producer.publish("task".to_owned()).unwrap();
    let (begun, begins) = crossbeam_channel::bounded(0);
    let (go_on, goes_on) = crossbeam_channel::bounded::<()>(0);
    let worker = broker.worker::<String>("q").consumer_timeout(SECOND);
    let worker = worker.handler_owned(move |task: String, _| {
        begun.send(task).unwrap();
        goes_on.recv()
    });
    let worker = worker.spawn().unwrap();
    assert_eq!(begins.recv().unwrap(), "task");
    clock.advance(SECOND);
    assert_eq!(ready(&broker), 1);
    go_on.send(()).unwrap();
    assert_eq!(begins.recv_timeout(PATIENCE).unwrap(), "task");
    go_on.send(()).unwrap();
    in_time(move || worker.stop_and_drain(PATIENCE)).unwrap();
    assert_eq!(counts(&broker).acked.messages, 1);
}

#[test]
fn a_worker_whose_delivery_is_late_goes_on_after_its_handler() {
    for queue in both_kinds() {
        for fails in [false, true] {
            let (broker, clock) = on_a_manual_clock();
            publish(&broker, &queue, [1, 2]);
            let (begun, begins) = crossbeam_channel::bounded(0);
            let (go_on, goes_on) = crossbeam_channel::bounded::<()>(0);
            let worker = broker.worker::<u32>(&queue);
            let worker = worker
                .consumer_timeout(SECOND)
                .handler(move |task, context| {
                    let again = context.info().acquired_count();
                    begun.send((*task, again)).unwrap();
                    goes_on.recv().unwrap();
                    match fails && again == 0 {
                        true => Err("it has failed"),
                        false => Ok(()),
                    }
                });
            let worker = worker.spawn().unwrap();
            assert_eq!(begins.recv().unwrap(), (1, 0));
            clock.advance(SECOND);
            assert_eq!(ready(&broker), 2, "with what the worker has in advance");
            go_on.send(()).unwrap();
            for task in [(1, 1), (2, 0)] {
                assert_eq!(begins.recv_timeout(PATIENCE).unwrap(), task);
                go_on.send(()).unwrap();
            }
            let report = in_time(move || worker.stop_and_drain(PATIENCE)).unwrap();
            // The failure that came late has rejected nothing, and the other one has.
            let after = counts(&broker);
            let ends = (after.acked.messages, after.dropped.messages);
            let expected = if fails { (1, 1) } else { (2, 0) };
            assert_eq!(ends, expected, "{report:?}");
        }
    }
}
