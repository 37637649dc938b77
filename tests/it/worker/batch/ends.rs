//! The ends of workers with batches, and of their handlers' time.

use std::{sync::mpsc, thread, time::Duration};

use leveret::{Broker, CancelReason, Local, Queue, worker::WorkerEnd};

use super::{ByNumber, numbers, publish, telling, with_dead_letters};
use crate::common::{Alarm, PATIENCE, SECOND, in_time, on_a_manual_clock, rest};

#[test]
fn a_stop_returns_the_messages_of_an_incomplete_batch_unseen() {
    let (broker, _clock) = on_a_manual_clock();
    let middleware = ByNumber::default();
    let worker = broker.worker("tasks").middleware(middleware.clone());
    let (worker, batches) = telling(worker, 10, SECOND);
    publish(&broker, [0, 4, 5]);
    while middleware.0.lock().unwrap().len() < 3 {
        thread::yield_now();
    }
    worker.stop();
    let report = worker.join();
    assert_eq!((report.end, report.counts.handled), (WorkerEnd::Stopped, 0));
    assert!(batches.recv().is_err());
    assert_eq!(
        rest::<u32>(&broker, "tasks"),
        [(0, false), (4, false), (5, false)]
    );
    let log = middleware.0.lock().unwrap();
    let told = log.iter().filter(|entry| entry.ends_with("Requeue(0ns)"));
    assert_eq!(told.count(), 3, "{log:?}");
}

#[test]
fn a_drain_handles_an_incomplete_batch_without_a_wait() {
    let (broker, _clock) = on_a_manual_clock();
    let (worker, batches) = telling(broker.worker("tasks").concurrency(3), 10, SECOND);
    publish(&broker, 0..4);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 4));
    assert_eq!(batches.iter().flatten().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_queue_that_is_deleted_completes_the_batch() {
    let (broker, _clock) = on_a_manual_clock();
    let asked = ByNumber::default();
    let worker = broker.worker("tasks").middleware(asked.clone());
    let (worker, batches) = telling(worker, 10, SECOND);
    publish(&broker, [0, 2]);
    while asked.0.lock().unwrap().len() < 2 {
        thread::yield_now();
    }
    broker.delete(&Queue::new("tasks")).unwrap();
    assert_eq!(batches.recv().unwrap(), [0, 2]);
    let end = in_time(move || worker.join().end).unwrap();
    assert_eq!(end, WorkerEnd::Cancelled(CancelReason::QueueDeleted));
}

#[test]
fn a_batch_past_its_time_fails_as_a_whole() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    publish(&broker, 0..3);
    let (begins, begun) = mpsc::channel();
    let worker = broker
        .worker::<u32>(&tasks)
        .timeout(SECOND)
        .batch(3, PATIENCE);
    let worker = worker.handler(move |batch| {
        begins.send(()).unwrap();
        batch[0].context().stop_signal().wait();
        assert_eq!(numbers(batch), [0, 1, 2]);
    });
    let worker = worker.spawn().unwrap();
    begun.recv().unwrap();
    clock.advance(SECOND);
    for number in 0..3 {
        let letter = dead.recv().unwrap();
        assert_eq!(*letter, number);
        letter.ack().unwrap();
    }
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.timed_out, report.counts.rejected), (3, 3));

    // The future of a handler is dropped.
    publish(&broker, 0..3);
    let worker = broker
        .worker::<u32>(&tasks)
        .timeout(SECOND)
        .batch(3, PATIENCE);
    let worker = worker.handler_async(|_| std::future::pending::<()>());
    let worker = worker.spawn().unwrap();
    while worker.report().counts.timed_out < 3 {
        clock.advance(SECOND);
        thread::yield_now();
    }
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.rejected, 3);
}

#[test]
fn a_batch_of_values_that_cannot_be_copied_is_settled_when_its_handler_ends() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<Local<u32>>("locals").timeout(SECOND);
    let worker = worker.batch(2, PATIENCE).handler(move |batch| {
        begins.send(batch.len()).unwrap();
        batch[0].context().stop_signal().wait();
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<Local<u32>>("locals").unwrap();
    producer.publish(Local(1)).unwrap();
    producer.publish(Local(2)).unwrap();
    assert_eq!(begun.recv().unwrap(), 2);
    while worker.report().counts.timed_out < 2 {
        clock.advance(SECOND);
        thread::yield_now();
    }
    worker.stop();
    let counts = worker.join().counts;
    assert_eq!((counts.late, counts.rejected), (1, 2));
}

#[test]
fn a_task_that_is_dropped_returns_the_messages_of_its_batch() {
    let broker = Broker::new();
    publish(&broker, 0..3);
    let worker = broker.worker::<u32>("tasks").batch(2, Duration::ZERO);
    let (begins, begun) = mpsc::channel();
    let worker = worker.handler_async(move |batch| {
        begins.send(numbers(&batch)).unwrap();
        std::future::pending::<()>()
    });
    let mut running = Box::pin(worker.run_async());
    let alarm = Alarm::new();
    assert!(alarm.poll(running.as_mut()).is_pending());
    assert_eq!(begun.recv().unwrap(), [0, 1]);
    drop(running);
    let left = rest::<u32>(&broker, "tasks");
    assert_eq!(left, [(0, true), (1, true), (2, false)]);

    // And those of one that is not complete.
    publish(&broker, [7]);
    let worker = broker
        .worker::<u32>("tasks")
        .batch(2, PATIENCE)
        .handler(|_| ());
    let mut running = Box::pin(worker.run_async());
    assert!(alarm.poll(running.as_mut()).is_pending());
    drop(running);
    assert_eq!(rest::<u32>(&broker, "tasks"), [(7, false)]);
}
