//! The ends of ordered workers.

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Broker, CancelReason, Queue,
    worker::{Settle, WorkerEnd},
};

use super::{Step, by_key, first_two, gated, next, publish, unsettled};
use crate::common::{
    Alarm, PATIENCE, SECOND, advance_until, in_time, on_a_manual_clock, rest, share_of,
};

#[test]
fn a_stop_returns_the_messages_that_wait_to_their_places() {
    let broker = Broker::new();
    let (worker, begun, gate) = gated(by_key(&broker, 2));
    publish(&broker, [('a', 1), ('a', 2), ('a', 3), ('b', 1)]);
    assert_eq!(first_two(&begun), [('a', 1), ('b', 1)]);
    worker.stop();
    // They are back before the handlers have ended.
    assert_eq!(
        rest::<Step>(&broker, "steps"),
        [(('a', 2), false), (('a', 3), false)]
    );
    gate.open(('a', 1));
    gate.open(('b', 1));
    let report = worker.join();
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Stopped, 2));
    assert_eq!(unsettled(&broker), 0);
}

#[test]
fn a_stop_returns_a_message_that_is_to_be_tried_again_before_the_others_of_its_key() {
    let (broker, _clock) = on_a_manual_clock();
    let worker = by_key(&broker, 2).handler(|step, _| match *step {
        ('a', 1) => Settle::Requeue(SECOND),
        _ => Settle::Ack,
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 1), ('a', 2), ('b', 1)]);
    while worker.report().counts.acked < 1 {
        thread::yield_now();
    }
    worker.stop();
    let counts = worker.join().counts;
    assert_eq!((counts.handled, counts.requeued), (2, 1));
    assert_eq!(
        rest::<Step>(&broker, "steps"),
        [(('a', 1), true), (('a', 2), false)]
    );
}

#[test]
fn a_drain_handles_the_messages_that_wait() {
    let (broker, clock) = on_a_manual_clock();
    let worker = by_key(&broker, 3).handler(|_, context| match context.acquired_count() {
        0 => Settle::Requeue(SECOND),
        _ => Settle::Ack,
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, (1..=5).map(|number| ('a', number)));
    let draining = thread::spawn(move || worker.stop_and_drain(Duration::MAX));
    advance_until(&clock, || draining.is_finished());
    let report = draining.join().unwrap();
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 5));
}

#[test]
fn a_drain_leaves_a_message_whose_next_try_is_after_the_deadline() {
    let (broker, _clock) = on_a_manual_clock();
    let worker = by_key(&broker, 2).handler(|step, _| match step.0 {
        'a' => Settle::Requeue(100 * SECOND),
        _ => Settle::Ack,
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 1), ('a', 2), ('b', 1), ('b', 2)]);
    let report = worker.stop_and_drain(10 * SECOND);
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 2));
    assert_eq!(
        rest::<Step>(&broker, "steps"),
        [(('a', 1), true), (('a', 2), false)]
    );
}

#[test]
fn a_worker_whose_queue_is_deleted_ends_and_forgets_what_waits() {
    let broker = Broker::new();
    let (worker, begun, gate) = gated(by_key(&broker, 2));
    publish(&broker, [('a', 1), ('a', 2), ('a', 3)]);
    assert_eq!(begun.recv().unwrap(), ('a', 1));
    broker.delete(&Queue::new("steps")).unwrap();
    gate.open(('a', 1));
    gate.open(('a', 2));
    gate.open(('a', 3));
    let report = in_time(move || worker.join()).unwrap();
    assert_eq!(report.end, WorkerEnd::Cancelled(CancelReason::QueueDeleted));
    assert!(
        report.counts.handled > 0 && report.running == 0,
        "{report:?}"
    );
}

#[test]
fn a_shutdown_lets_an_ordered_worker_publish() {
    let broker = Broker::new();
    let done = broker.producer::<Step>("done").unwrap();
    let worker = by_key(&broker, 3).handler(move |step, _| done.publish(*step).map(drop));
    let worker = worker.spawn().unwrap();
    let last = broker
        .worker::<Step>("done")
        .handler(|_, _| ())
        .spawn()
        .unwrap();
    publish(
        &broker,
        (0..100).map(|number| (['a', 'b'][number as usize % 2], number)),
    );
    let report = broker.shutdown(PATIENCE).unwrap();
    assert!(!report.timed_out, "{report:?}");
    assert_eq!(
        (worker.join().counts.acked, last.join().counts.acked),
        (100, 100)
    );
}

#[test]
fn a_task_that_is_dropped_returns_the_messages_that_wait() {
    let broker = Broker::new();
    let worker = by_key(&broker, 2).handler_async(|_, _| std::future::pending::<()>());
    publish(&broker, [('a', 1), ('a', 2), ('a', 3)]);
    let mut running = Box::pin(worker.run_async());
    let alarm = Alarm::new();
    assert!(alarm.poll(running.as_mut()).is_pending());
    while alarm.has_rung() {
        assert!(alarm.poll(running.as_mut()).is_pending());
    }
    drop(running);
    let left = rest::<Step>(&broker, "steps");
    assert_eq!(
        left,
        [(('a', 1), true), (('a', 2), false), (('a', 3), false)]
    );
}

#[test]
fn a_drain_waits_for_a_message_whose_handler_is_past_its_time() {
    let (broker, clock) = on_a_manual_clock();
    let worker = broker.worker::<Step>("steps").timeout(SECOND);
    let worker = worker.on_error(|_, _| Settle::Requeue(SECOND));
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let worker = worker.ordered_by(|step| step.0).handler(move |_, context| {
        begins.send(context.acquired_count()).unwrap();
        if context.acquired_count() == 0 {
            may_go_on.lock().unwrap().recv().unwrap();
        }
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 1)]);
    assert_eq!(begun.recv().unwrap(), 0);
    while worker.report().counts.requeued == 0 {
        clock.advance(SECOND);
        thread::yield_now();
    }
    // The message is to be tried again, and its key waits for the first handler.
    let draining = thread::spawn(move || worker.stop_and_drain(Duration::MAX));
    (0..1_000).for_each(|_| thread::yield_now());
    assert!(!draining.is_finished());
    go_on.send(()).unwrap();
    assert_eq!(next(&clock, &begun), 1);
    advance_until(&clock, || draining.is_finished());
    let report = draining.join().unwrap();
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 1));
}

#[test]
fn the_next_worker_at_a_single_active_queue_gets_what_waits_in_its_order() {
    for _ in 0..share_of(64) {
        let broker = Broker::new();
        let queue = Queue::new("steps").single_active_consumer();
        broker.declare(&queue).unwrap();
        let (first, begun, gate) = gated(by_key(&broker, 1));
        publish(&broker, (0..20).map(|number| ('a', number)));
        assert_eq!(begun.recv().unwrap(), ('a', 0));
        let (sender, seen) = mpsc::channel();
        let second = by_key(&broker, 1).handler(move |step, _| sender.send(step.1).unwrap());
        let second = second.spawn().unwrap();
        first.stop();
        gate.open(('a', 0));
        first.join();
        second.stop_and_drain(PATIENCE);
        let seen: Vec<_> = seen.iter().collect();
        assert_eq!(seen, (1..20).collect::<Vec<_>>());
    }
}
