//! Failed messages wait in queues of their own.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use leveret::{
    Backoff, Broker, Error, Local, ManualClock, Message, Queue, Selection,
    middleware::Retry,
    worker::{WorkerEnd, WorkerHandle},
};

use crate::{
    common::{PATIENCE, SECOND, on_a_manual_clock, rest},
    worker::{header, with_dead_letters},
};

fn through_queues(attempts: u32) -> Retry {
    let backoff = Backoff::new(SECOND).jitter(0.0).max_attempts(attempts);
    Retry::new(backoff).through_queues()
}

/// The ready messages of a queue.
fn ready(broker: &Broker, queue: &str) -> u64 {
    let queue = Queue::existing(queue);
    broker.simple_queue::<u32>(&queue).unwrap().len().unwrap() as u64
}

fn until_ready(broker: &Broker, queue: &str) {
    while ready(broker, queue) == 0 {
        std::thread::yield_now();
    }
}

/// A worker that fails at every message, and sends the number of each.
fn failing(broker: &Broker, queue: &Queue, retry: Retry) -> (WorkerHandle, mpsc::Receiver<u32>) {
    let (sender, attempts) = mpsc::channel();
    let worker = broker.worker::<u32>(queue).middleware(retry);
    let worker = worker.handler(move |number, _| {
        sender.send(*number).unwrap();
        Err::<(), _>("no")
    });
    (worker.spawn().unwrap(), attempts)
}

fn advance_by(clock: &ManualClock, broker: &Broker, queue: &str, delay: Duration) {
    until_ready(broker, queue);
    clock.advance(delay - Duration::from_nanos(1));
    assert_eq!(ready(broker, queue), 1);
    clock.advance(Duration::from_nanos(1));
    // Its timer may be set only now.
    while ready(broker, queue) > 0 {
        clock.advance(Duration::ZERO);
        std::thread::yield_now();
    }
}

#[test]
fn a_message_that_fails_for_ever_goes_through_each_queue_and_ends_as_a_dead_letter() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    let (worker, attempts) = failing(&broker, &tasks, through_queues(4));
    let message = Message::new(7).message_id("id").expiration(100 * SECOND);
    let producer = broker.producer(&tasks).unwrap();
    producer.publish_message(message).unwrap();
    for delay in [1, 2, 4] {
        assert_eq!(attempts.recv().unwrap(), 7);
        let queue = format!("tasks.retry.{delay}000");
        advance_by(&clock, &broker, &queue, delay * SECOND);
    }
    assert_eq!(attempts.recv().unwrap(), 7);
    let letter = dead.recv().unwrap();
    let properties = letter.info().properties().clone();
    let headers = properties.headers.clone().unwrap();
    assert_eq!(header(&headers, "x-exception-reason"), "failed 4 times: no");
    assert_eq!(headers.get("x-retry-count").unwrap().as_i64(), Some(3));
    assert_eq!(properties.message_id.as_deref(), Some("id"));
    assert_eq!(properties.expiration, None);
    letter.ack().unwrap();
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!(
        (counts.failed, counts.forwarded, counts.rejected),
        (4, 3, 1)
    );
}

#[test]
fn a_dead_letter_that_is_redriven_has_all_its_attempts_again() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, _dead) = with_dead_letters(&broker);
    broker.declare(&Queue::new("letters")).unwrap();
    let tasks = Queue::new("others")
        .dead_letter_exchange("")
        .dead_letter_routing_key(if tasks.name() == "tasks" {
            "letters"
        } else {
            ""
        });
    let (worker, attempts) = failing(&broker, &tasks, through_queues(2));
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    for _ in 0..2 {
        assert_eq!(attempts.recv().unwrap(), 7);
        advance_by(&clock, &broker, "others.retry.1000", SECOND);
        assert_eq!(attempts.recv().unwrap(), 7);
        until_ready(&broker, "letters");
        let letters = Queue::existing("letters");
        let root = broker.vhost("/").unwrap();
        assert_eq!(root.redrive(&letters, Selection::all()).unwrap(), 1);
    }
    assert_eq!(attempts.recv().unwrap(), 7);
    until_ready(&broker, "others.retry.1000");
    worker.stop();
}

#[test]
fn returns_to_the_queue_count_as_attempts() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    let producer = broker.producer::<u32>(&tasks).unwrap();
    producer.publish(7).unwrap();
    let return_once = || drop(broker.simple_queue::<u32>(&tasks).unwrap().get().unwrap());
    return_once();
    let (worker, attempts) = failing(&broker, &tasks, through_queues(3));
    assert_eq!(attempts.recv().unwrap(), 7);
    // The second attempt has failed, so it is the second delay.
    advance_by(&clock, &broker, "tasks.retry.2000", 2 * SECOND);
    assert_eq!(attempts.recv().unwrap(), 7);
    let letter = dead.recv().unwrap();
    letter.ack().unwrap();
    worker.stop();
}

#[test]
fn each_queue_of_a_worker_has_retry_queues_of_its_own() {
    let (broker, clock) = on_a_manual_clock();
    let (sender, attempts) = mpsc::channel();
    let worker = broker.worker::<u32>("first").also("second");
    let worker = worker
        .middleware(through_queues(3))
        .handler(move |number, context| {
            sender
                .send((*number, context.info().queue().to_string()))
                .unwrap();
            match context.headers() {
                None => Err("no"),
                Some(_) => Ok(()),
            }
        });
    let worker = worker.spawn().unwrap();
    for (number, queue) in [(1, "first"), (2, "second")] {
        broker.producer(queue).unwrap().publish(number).unwrap();
        assert_eq!(attempts.recv().unwrap(), (number, queue.to_owned()));
        let retry = format!("{queue}.retry.1000");
        advance_by(&clock, &broker, &retry, SECOND);
        assert_eq!(attempts.recv().unwrap(), (number, queue.to_owned()));
    }
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 2);
}

#[test]
fn the_payload_itself_comes_back() {
    let broker = Broker::new();
    let value = Arc::new(7);
    let backoff = Backoff::constant(Duration::from_millis(1));
    let (sender, payloads) = mpsc::channel();
    let worker = broker.worker::<Local<Arc<u32>>>("tasks");
    let worker = worker.middleware(Retry::new(backoff).through_queues());
    let worker = worker.handler(move |value, context| {
        sender.send(Arc::clone(&value.0)).unwrap();
        match context.headers() {
            None => Err("no"),
            Some(_) => Ok(()),
        }
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer("tasks").unwrap();
    producer.publish(Local(Arc::clone(&value))).unwrap();
    for _ in 0..2 {
        assert!(Arc::ptr_eq(&payloads.recv().unwrap(), &value));
    }
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
}

#[test]
fn a_delay_with_jitter_is_the_expiration_of_the_message_in_the_queue_of_its_step() {
    let (broker, _clock) = on_a_manual_clock();
    let backoff = Backoff::new(SECOND).seed(7);
    let delay = backoff.delay(1).unwrap();
    let tasks = Queue::new("tasks");
    let (worker, attempts) = failing(&broker, &tasks, Retry::new(backoff).through_queues());
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    attempts.recv().unwrap();
    let millis = delay.as_nanos().div_ceil(1_000_000);
    assert!(millis < 1_000, "{millis}");
    until_ready(&broker, "tasks.retry.1000");
    let waiting = broker.simple_queue::<u32>(&Queue::existing("tasks.retry.1000"));
    let waiting = waiting.unwrap().get().unwrap();
    let expiration = waiting.info().properties().expiration.clone();
    assert_eq!(expiration, Some(millis.to_string()));
    waiting.ack().unwrap();
    worker.stop();
}

#[test]
fn a_message_without_its_retry_queue_stays_in_its_own() {
    let (broker, clock) = on_a_manual_clock();
    let tasks = Queue::new("tasks");
    let (worker, attempts) = failing(&broker, &tasks, through_queues(2));
    broker.delete(&Queue::existing("tasks.retry.1000")).unwrap();
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    attempts.recv().unwrap();
    while broker.delayed("tasks").unwrap().is_empty() {
        std::thread::yield_now();
    }
    // The second attempt is the last one. Its timer may be set after an advance.
    while attempts.try_recv().is_err() {
        clock.advance(SECOND);
        std::thread::yield_now();
    }
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.rejected, 1);
}

#[test]
fn a_stop_during_the_backoff_leaves_the_message_in_its_retry_queue() {
    let (broker, clock) = on_a_manual_clock();
    let tasks = Queue::new("tasks");
    let (worker, attempts) = failing(&broker, &tasks, through_queues(2));
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    attempts.recv().unwrap();
    until_ready(&broker, "tasks.retry.1000");
    worker.stop();
    assert_eq!(worker.join().end, WorkerEnd::Stopped);
    clock.advance(SECOND);
    assert_eq!(rest::<u32>(&broker, "tasks"), [(7, false)]);
}

#[test]
fn a_queue_that_can_have_no_retry_queues_ends_the_start() {
    let broker = Broker::new();
    let start = |queue: &Queue| {
        let worker = broker.worker::<u32>(queue).middleware(through_queues(2));
        worker.handler(|_, _| ()).spawn().map(drop)
    };
    let error = start(&Queue::new("n".repeat(250))).unwrap_err();
    assert!(matches!(error, Error::InvalidName(_)), "{error:?}");
    let error = start(&Queue::exclusive()).unwrap_err();
    assert!(matches!(error, Error::AccessRefused { .. }), "{error:?}");
    let other = Queue::new("tasks.retry.1000");
    broker.declare(&other).unwrap();
    let error = start(&Queue::new("tasks")).unwrap_err();
    assert!(matches!(error, Error::Inequivalent { .. }), "{error:?}");
}

#[test]
fn a_backoff_with_many_delays_has_at_most_32_queues() {
    let broker = Broker::new();
    let backoff = Backoff::new(Duration::from_millis(10)).factor(1.001);
    let worker = broker.worker::<u32>("tasks");
    let worker = worker.middleware(Retry::new(backoff).through_queues());
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    let queues = broker.snapshot().unwrap().vhosts[0].queues.len();
    assert!((20..=33).contains(&queues), "{queues}");
    broker.declare(&Queue::existing("tasks.retry.10")).unwrap();
    broker
        .declare(&Queue::existing("tasks.retry.60000"))
        .unwrap();
    worker.stop();
}
