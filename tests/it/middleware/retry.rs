//! Failed messages are tried again.

use std::sync::mpsc;

use leveret::{
    Backoff, Broker, ManualClock, Message,
    middleware::Retry,
    worker::{Failure, Settle, WorkerEnd},
};

use crate::{
    common::{PATIENCE, SECOND, on_a_manual_clock, rest},
    worker::{header, with_dead_letters},
};

/// Waits until a message is delayed: a handler that has failed is told of it before its message is.
fn until_delayed(broker: &Broker, queue: &str) {
    while broker.delayed(queue).unwrap().is_empty() {
        std::thread::yield_now();
    }
}

/// Advances the clock when a message is delayed.
fn pass(broker: &Broker, clock: &ManualClock, time: std::time::Duration) {
    until_delayed(broker, "tasks");
    clock.advance(time);
    // Its timer may be set only now.
    let delayed = broker.delayed("tasks").unwrap();
    while delayed.iter().any(|message| message.due_in().is_zero()) {
        clock.advance(std::time::Duration::ZERO);
        std::thread::yield_now();
    }
}

fn exact(attempts: u32) -> Retry {
    Retry::new(Backoff::new(SECOND).jitter(0.0).max_attempts(attempts))
}

#[test]
fn a_message_that_fails_for_ever_is_tried_at_its_times_and_ends_as_a_dead_letter() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    let (sender, attempts) = mpsc::channel();
    let worker = broker.worker::<u32>(&tasks).middleware(exact(4));
    let worker = worker.handler(move |number, _| {
        sender.send(*number).unwrap();
        match number {
            0 => Err("no"),
            _ => Ok(()),
        }
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer(&tasks).unwrap();
    producer.publish(0).unwrap();
    for delay in [1, 2, 4] {
        assert_eq!(attempts.recv().unwrap(), 0);
        until_delayed(&broker, "tasks");
        clock.advance(delay * SECOND - std::time::Duration::from_nanos(1));
        // Other messages pass.
        producer.publish(1).unwrap();
        assert_eq!(attempts.recv().unwrap(), 1);
        clock.advance(std::time::Duration::from_nanos(1));
    }
    let letter = dead.recv().unwrap();
    let headers = letter.info().properties().headers.clone().unwrap();
    assert_eq!(header(&headers, "x-exception-reason"), "failed 4 times: no");
    assert_eq!(header(&headers, "x-exception-message"), "no");
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!(
        (counts.failed, counts.requeued, counts.rejected),
        (4, 3, 1),
        "{counts:?}"
    );
    assert_eq!(counts.acked, 3);
}

#[test]
fn a_message_that_succeeds_at_last_is_acknowledged() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, _dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(&tasks).middleware(exact(3));
    let worker = worker.handler(|_, context| match context.acquired_count() {
        0 => Err("no"),
        1 => panic!("no"),
        _ => Ok(()),
    });
    let worker = worker.spawn().unwrap();
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    pass(&broker, &clock, SECOND);
    pass(&broker, &clock, 2 * SECOND);
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.failed, counts.panicked, counts.acked), (1, 1, 1));
}

#[test]
fn a_failure_that_the_filter_refuses_settles_its_message_at_once() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let retry = exact(3).when(|error| {
        assert_ne!(error.message(), "the filter panics");
        error.failure() != Failure::Error
    });
    let worker = broker.worker::<u32>(&tasks).middleware(retry);
    let worker = worker.handler(|number, _| match number {
        0 => Err::<(), _>("no"),
        _ => Err("the filter panics"),
    });
    let worker = worker.spawn().unwrap();
    for number in [0, 1] {
        broker.producer(&tasks).unwrap().publish(number).unwrap();
        let letter = dead.recv().unwrap();
        let headers = letter.info().properties().headers.clone().unwrap();
        assert_eq!((*letter, headers.get("x-exception-reason")), (number, None));
        assert!(headers.get("x-exception-message").is_some());
        letter.ack().unwrap();
    }
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.rejected, 2);
}

#[test]
fn an_outcome_without_a_failure_is_left_alone() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(&tasks).middleware(exact(1));
    let worker = worker.handler(|number, _| match number {
        0 => Settle::Reject,
        _ => Settle::Ack,
    });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer(&tasks).unwrap().publish_batch([0, 1]);
    assert_eq!(*dead.recv().unwrap(), 0);
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.rejected, counts.acked), (1, 1));
}

#[test]
fn one_retry_serves_workers_of_threads_and_of_tasks() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let retry = Retry::new(Backoff::default().max_attempts(1));
    let first = broker.worker::<u32>(&tasks).middleware(retry.clone());
    let first = first.handler(|_, _| Err::<(), _>("no")).spawn().unwrap();
    let second = broker.worker::<u32>("others").middleware(retry);
    let second = second.handler_async(|_, context| async move {
        assert_eq!(context.acquired_count(), 0);
        Err::<(), _>("no")
    });
    let second = second.spawn().unwrap();
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    let others = broker.producer::<u32>("others").unwrap();
    others.publish_message(Message::new(8)).unwrap();
    let letter = dead.recv().unwrap();
    let headers = letter.info().properties().headers.clone().unwrap();
    assert_eq!(header(&headers, "x-exception-reason"), "failed once: no");
    for worker in [first, second] {
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.rejected, 1);
    }
}

#[test]
fn a_stop_during_the_backoff_leaves_the_message_delayed_in_its_queue() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, _dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(&tasks).middleware(exact(3));
    let worker = worker.handler(|_, _| Err::<(), _>("no")).spawn().unwrap();
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    until_delayed(&broker, "tasks");
    worker.stop();
    assert_eq!(worker.join().end, WorkerEnd::Stopped);
    assert_eq!(rest::<u32>(&broker, "tasks"), []);
    clock.advance(SECOND);
    assert_eq!(rest::<u32>(&broker, "tasks"), [(7, true)]);
}
