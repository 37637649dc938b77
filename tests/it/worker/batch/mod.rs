//! Handlers that get many messages at once.

mod ends;
mod model;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Broker, ManualClock,
    worker::{
        Batch, BatchResult, Before, Context, HandlerError, Middleware, Outcome, Settle,
        WorkerBuilder, WorkerEnd, WorkerHandle,
    },
};

use super::{header, with_dead_letters};
use crate::common::{PATIENCE, SECOND, on_a_manual_clock, rest};

/// Starts a worker that tells of its batches.
fn telling(
    worker: WorkerBuilder<u32, impl leveret::worker::Chain>,
    max: usize,
    max_wait: Duration,
) -> (WorkerHandle, mpsc::Receiver<Vec<u32>>) {
    let (sender, batches) = mpsc::channel();
    let worker = worker.batch(max, max_wait).handler(move |batch| {
        sender.send(numbers(batch)).unwrap();
    });
    (worker.spawn().unwrap(), batches)
}

fn numbers(batch: &Batch<'_, u32>) -> Vec<u32> {
    batch.iter().map(|number| **number).collect()
}

fn publish(broker: &Broker, numbers: impl IntoIterator<Item = u32>) {
    let producer = broker.producer::<u32>("tasks").unwrap();
    for number in numbers {
        producer.publish(number).unwrap();
    }
}

/// Advances the clock until a batch comes.
fn next(clock: &ManualClock, batches: &mpsc::Receiver<Vec<u32>>) -> Vec<u32> {
    loop {
        match batches.try_recv() {
            Ok(batch) => return batch,
            Err(mpsc::TryRecvError::Empty) => clock.advance(SECOND),
            Err(error) => panic!("{error}"),
        }
        thread::yield_now();
    }
}

/// Runs a worker with batches of 10 over the messages 0, 1, 2 until its queue is empty. Returns the
/// numbers and the error messages of the dead letters, and the number of acknowledgements.
fn settle<R: BatchResult>(
    handler: impl Fn(&Batch<'_, u32>) -> R + Send + Sync + 'static,
) -> (Vec<(u32, String)>, u64) {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    publish(&broker, 0..3);
    let worker = broker.worker::<u32>(tasks).batch(10, Duration::ZERO);
    let worker = worker.handler(handler).spawn().unwrap();
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.end, report.counts.handled), (WorkerEnd::Drained, 3));
    let letters = dead.try_iter().map(|letter| {
        let letter = letter.unwrap();
        let headers = letter
            .info()
            .properties()
            .headers
            .clone()
            .unwrap_or_default();
        let found = (*letter, header(&headers, "x-exception-message"));
        letter.ack().unwrap();
        found
    });
    (letters.collect(), report.counts.acked)
}

#[test]
fn a_batch_that_is_full_is_handled_at_once() {
    let (broker, _clock) = on_a_manual_clock();
    let (worker, batches) = telling(broker.worker("tasks"), 3, SECOND);
    publish(&broker, 0..7);
    assert_eq!(batches.recv().unwrap(), [0, 1, 2]);
    assert_eq!(batches.recv().unwrap(), [3, 4, 5]);
    assert!(batches.try_recv().is_err());
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!(batches.recv().unwrap(), [6]);
    let counts = report.counts;
    assert_eq!(
        (report.end, counts.handled, counts.acked),
        (WorkerEnd::Drained, 7, 7)
    );
}

#[test]
fn a_batch_waits_from_its_first_message_on() {
    let (broker, clock) = on_a_manual_clock();
    let (worker, batches) = telling(broker.worker("tasks"), 3, SECOND);
    publish(&broker, [0, 1]);
    assert_eq!(next(&clock, &batches), [0, 1]);
    clock.advance(10 * SECOND);
    publish(&broker, [2]);
    assert_eq!(next(&clock, &batches), [2]);
    worker.stop();
}

#[test]
fn a_batch_of_at_most_0_messages_has_one() {
    let broker = Broker::new();
    let (worker, batches) = telling(broker.worker("tasks"), 0, Duration::MAX);
    publish(&broker, [0, 1]);
    assert_eq!(
        [batches.recv().unwrap(), batches.recv().unwrap()],
        [[0], [1]]
    );
    drop(worker);
}

#[test]
fn a_batch_without_a_wait_has_the_messages_that_are_there() {
    let broker = Broker::new();
    publish(&broker, 0..5);
    let (worker, batches) = telling(broker.worker("tasks"), 10, Duration::ZERO);
    assert_eq!(batches.recv().unwrap(), [0, 1, 2, 3, 4]);
    worker.stop();
}

#[test]
fn the_default_prefetch_lets_every_batch_be_full() {
    let broker = Broker::new();
    publish(&broker, 0..2_000);
    let worker = broker.worker("tasks").concurrency(2);
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (sizes, batches) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let worker = worker
        .batch(1_000, Duration::MAX)
        .handler(move |batch: &Batch<'_, u32>| {
            sizes.send(batch.len()).unwrap();
            let _ = may_go_on.lock().unwrap().recv();
        });
    let worker = worker.spawn().unwrap();
    assert_eq!(
        [batches.recv().unwrap(), batches.recv().unwrap()],
        [1_000, 1_000]
    );
    drop(go_on);
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 2_000);
}

#[test]
fn a_batch_is_complete_when_the_worker_holds_its_prefetch() {
    let broker = Broker::new();
    publish(&broker, 0..4);
    let (worker, batches) = telling(broker.worker("tasks").prefetch(2), 100, Duration::MAX);
    assert_eq!(
        [batches.recv().unwrap(), batches.recv().unwrap()],
        [[0, 1], [2, 3]]
    );
    worker.stop();
}

#[test]
fn one_result_settles_all_messages() {
    assert_eq!(settle(|_| ()), (vec![], 3));
    let dead = |text: &str| {
        (0..3)
            .map(|number| (number, text.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(settle(|_| Err::<(), _>("full")), (dead("full"), 0));
    let panicking = |_: &Batch<'_, u32>| -> () { std::panic::resume_unwind(Box::new("a bug")) };
    assert_eq!(settle(panicking), (dead("a bug"), 0));
    assert_eq!(settle(|_| Settle::Reject).0.len(), 3);
}

#[test]
fn each_message_has_a_result_of_its_own() {
    let odd = |batch: &Batch<'_, u32>| -> Vec<_> {
        let results = batch.iter().map(|number| match **number % 2 {
            0 => Ok(()),
            _ => Err("odd"),
        });
        results.collect()
    };
    let expected = (vec![(1, "odd".to_owned())], 2);
    assert_eq!(settle(odd), expected);
    assert_eq!(settle(move |batch| Ok::<_, String>(odd(batch))), expected);
}

#[test]
fn a_wrong_number_of_results_fails_all_messages() {
    let fails = |numbers: &[u32], text: &str| {
        let numbers = numbers.iter();
        numbers
            .map(|number| (*number, text.to_owned()))
            .collect::<Vec<_>>()
    };
    let few = "the handler returned 1 results for 3 messages";
    assert_eq!(settle(|_| vec![()]), (fails(&[0, 1, 2], few), 0));
    let many = "the handler returned 4 results for 3 messages";
    assert_eq!(settle(|_| vec![(); 4]), (fails(&[0, 1, 2], many), 0));
}

#[test]
fn an_error_whose_text_panics_fails_all_messages() {
    struct Silent;
    impl std::fmt::Display for Silent {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            std::panic::resume_unwind(Box::new("no text"))
        }
    }
    let (dead, acked) = settle(|_| vec![Ok(()), Err(Silent), Ok(())]);
    assert_eq!((dead.len(), acked), (3, 0));
    assert!(dead.iter().all(|(_, text)| text == "no text"));
}

#[test]
fn a_message_of_a_batch_can_be_requeued() {
    let broker = Broker::new();
    publish(&broker, 0..3);
    let worker = broker.worker::<u32>("tasks").batch(3, Duration::ZERO);
    let worker = worker.handler(|batch| -> Vec<_> {
        let settles = batch
            .iter()
            .map(|number| match number.context().acquired_count() {
                0 => Settle::Requeue(Duration::ZERO),
                _ => Settle::Ack,
            });
        settles.collect()
    });
    let counts = worker.spawn().unwrap().stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.requeued, counts.acked, counts.handled), (3, 3, 6));
}

#[test]
fn a_future_owns_its_batch_and_settles_when_a_message_is_dropped() {
    let broker = Broker::new();
    let (sender, kept) = mpsc::channel();
    let worker = broker.worker::<u32>("tasks").batch(3, PATIENCE);
    let worker = worker.handler_async(move |batch| {
        let last = batch.into_iter().last();
        sender.send(last).unwrap();
        async { vec![Ok(()), Err("second"), Ok(())] }
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, 0..3);
    let last = kept.recv().unwrap().unwrap();
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.acked, report.counts.failed), (2, 1));
    let unsettled = || {
        let vhost = &broker.snapshot().unwrap().vhosts[0];
        let mut queues = vhost.queues.iter();
        let tasks = queues.find(|queue| &*queue.name == "tasks").unwrap();
        tasks.unsettled.messages
    };
    assert_eq!(
        (*last, last.info().routing_key(), unsettled()),
        (2, "tasks", 1)
    );
    drop(last);
    assert_eq!(unsettled(), 0);
    assert_eq!(rest::<u32>(&broker, "tasks"), []);
}

#[test]
fn a_worker_in_a_task_handles_batches() {
    let broker = Broker::new();
    publish(&broker, 0..7);
    let worker = broker
        .worker::<u32>("tasks")
        .concurrency(2)
        .batch(3, Duration::ZERO);
    let (sender, batches) = mpsc::channel();
    let worker = worker.handler_async(move |batch| {
        sender.send(numbers(&batch)).unwrap();
        async {}
    });
    let stop_handle = worker.stop_handle().unwrap();
    let running = thread::spawn(move || crate::common::block_on(worker.run_async()).unwrap());
    let mut seen = Vec::new();
    while seen.len() < 7 {
        let batch = batches.recv().unwrap();
        assert!(batch.len() <= 3);
        seen.extend(batch);
    }
    stop_handle.stop();
    assert_eq!(running.join().unwrap().counts.handled, 7);
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
}

/// The number of a message, as text.
fn number_of(context: &Context<'_>) -> String {
    String::from_utf8(context.info().body().unwrap().to_vec()).unwrap()
}

/// Settles or delays messages by their numbers, and notes what it is told.
#[derive(Clone, Default)]
struct ByNumber(Arc<Mutex<Vec<String>>>);

impl Middleware for ByNumber {
    fn before(&self, context: &Context<'_>) -> Before {
        let number = number_of(context);
        let mut log = self.0.lock().unwrap();
        let entry = format!("before {number}");
        let is_new = !log.contains(&entry);
        log.push(entry);
        match number.as_str() {
            "1" => Before::Settle(Settle::Ack),
            "3" if is_new => Before::Wait(SECOND),
            _ => Before::Go,
        }
    }

    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        let settle = format!("after {} {:?}", number_of(context), outcome.settle);
        self.0.lock().unwrap().push(settle);
    }
}

#[test]
fn a_middleware_is_asked_for_each_message() {
    let (broker, clock) = on_a_manual_clock();
    publish(&broker, 0..6);
    let middleware = ByNumber::default();
    let worker = broker.worker("tasks").middleware(middleware.clone());
    let (worker, batches) = telling(worker, 10, Duration::ZERO);
    // The message 1 is settled before, and the message 3 has to wait.
    assert_eq!(batches.recv().unwrap(), [0, 2]);
    assert_eq!(next(&clock, &batches), [3, 4, 5]);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.acked, report.counts.handled), (6, 5));
    let log = middleware.0.lock().unwrap();
    let after = log.iter().filter(|entry| entry.starts_with("after"));
    let expected = [0, 2, 3, 4, 5].map(|number| format!("after {number} Ack"));
    assert!(after.eq(&expected), "{log:?}");
}

#[test]
fn messages_that_do_not_decode_are_in_no_batch() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    publish(&broker, [0]);
    let texts = broker.producer::<String>("tasks").unwrap();
    texts.publish("no number".to_owned()).unwrap();
    publish(&broker, [1]);
    let (worker, batches) = telling(broker.worker(tasks), 2, PATIENCE);
    assert_eq!(batches.recv().unwrap(), [0, 1]);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.undecoded, report.counts.acked), (1, 2));
    assert!(dead.try_iter().next().unwrap().is_err());
}

#[test]
fn a_hook_decides_for_each_message_of_a_failed_batch() {
    let broker = Broker::new();
    publish(&broker, 0..3);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let worker = broker
        .worker::<u32>("tasks")
        .on_error(move |error, context| {
            let entry = format!("{error}: {}", number_of(context));
            seen.lock().unwrap().push(entry);
            Settle::Ack
        });
    let worker = worker
        .batch(3, PATIENCE)
        .handler(|_| Err::<(), _>(HandlerError::new(&"full")));
    let counts = worker.spawn().unwrap().stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.failed, counts.acked), (3, 3));
    assert_eq!(*asked.lock().unwrap(), ["full: 0", "full: 1", "full: 2"]);
}
