//! Workers leave nothing behind. After each kind of failure there are as many threads and payloads
//! as before, and no message is unsettled.
//!
//! The test counts the threads of its process, so it is alone in it. It runs on Linux only.

#![cfg(target_os = "linux")]

#[path = "it/common.rs"]
#[allow(dead_code)]
mod common;

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use common::{HOUR, PATIENCE, SECOND, assert_conserved, block_on, on_a_manual_clock};
use leveret::{
    Backoff, Broker, CancelReason, ManualClock, Queue,
    middleware::{CircuitBreaker, ConcurrencyLimit, Deduplicate, Retry, Throttle},
    worker::{Before, Context, Job, Middleware, Settle, WorkerEnd},
};
use serde::{Deserialize, Serialize};

/// The payloads that exist.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

#[derive(Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
struct Task(u32);

impl From<u32> for Task {
    fn from(number: u32) -> Task {
        ALIVE.fetch_add(1, SeqCst);
        Task(number)
    }
}

impl From<Task> for u32 {
    fn from(task: Task) -> u32 {
        task.0
    }
}

impl Clone for Task {
    fn clone(&self) -> Task {
        Task::from(self.0)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, SeqCst);
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits for something that other threads do.
fn until(what: &str, condition: impl Fn() -> bool) {
    let from = Instant::now();
    while !condition() {
        assert!(from.elapsed() < PATIENCE, "{what}");
        thread::yield_now();
    }
}

/// The queue of the tests, whose dead letters go to the queue "dead".
fn tasks(broker: &Broker) -> Queue {
    broker.declare(&Queue::new("dead")).unwrap();
    let tasks = Queue::new("tasks")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    broker.declare(&tasks).unwrap();
    tasks
}

fn publish(broker: &Broker, count: u32) {
    let tasks = broker.producer::<Task>("tasks").unwrap();
    for number in 0..count {
        tasks.publish(Task::from(number)).unwrap();
    }
}

/// The number of ready messages of a queue.
fn ready(broker: &Broker, queue: &str) -> usize {
    broker.simple_queue::<Task>(queue).unwrap().len().unwrap()
}

fn panics(broker: &Broker, _: &ManualClock) {
    let worker = broker.worker::<Task>(tasks(broker)).concurrency(2);
    let worker = worker.handler(|task, _| -> () { std::panic::resume_unwind(Box::new(task.0)) });
    let worker = worker.spawn().unwrap();
    publish(broker, 10);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.panicked, ready(broker, "dead")), (10, 10));
}

fn does_not_decode(broker: &Broker, _: &ManualClock) {
    let worker = broker.worker::<Task>(tasks(broker)).handler(|_, _| ());
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<String>("tasks").unwrap();
    producer.publish("no number".to_owned()).unwrap();
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.undecoded, ready(broker, "dead")), (1, 1));
}

fn hangs_past_its_time(broker: &Broker, clock: &ManualClock) {
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let worker = broker
        .worker::<Task>(tasks(broker))
        .concurrency(2)
        .timeout(SECOND);
    let worker = worker.handler(move |_, _| {
        begins.send(()).unwrap();
        let _ = may_go_on.lock().unwrap().recv();
    });
    let worker = worker.spawn().unwrap();
    publish(broker, 4);
    for _ in 0..2 {
        begun.recv().unwrap();
        begun.recv().unwrap();
        clock.advance(SECOND);
    }
    until("all are dead letters", || ready(broker, "dead") == 4);
    worker.stop();
    let report = worker.join();
    assert_eq!((report.counts.timed_out, report.running), (4, 4));
    drop(go_on);
}

/// Lets each message wait for an hour.
struct Wait;

impl Middleware for Wait {
    fn before(&self, _: &Context<'_>) -> Before {
        Before::Wait(HOUR)
    }
}

fn is_stopped_while_a_message_waits(broker: &Broker, _: &ManualClock) {
    let worker = broker.worker::<Task>(tasks(broker)).middleware(Wait);
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    publish(broker, 2);
    worker.stop();
    assert_eq!(worker.join().counts.handled, 0);
    assert_eq!(ready(broker, "tasks"), 2);
}

fn is_stopped_while_a_message_is_delayed(broker: &Broker, clock: &ManualClock) {
    let worker = broker.worker::<Task>(tasks(broker));
    let worker = worker
        .handler(|_, _| Settle::Requeue(HOUR))
        .spawn()
        .unwrap();
    publish(broker, 2);
    until("both are delayed", || {
        broker.delayed("tasks").unwrap().len() == 2
    });
    let report = worker.stop_and_drain(Duration::ZERO);
    assert_eq!(
        (report.end, report.counts.requeued),
        (WorkerEnd::TimedOut, 2)
    );
    clock.advance(HOUR);
    assert_eq!(ready(broker, "tasks"), 2);
}

fn loses_its_queue(broker: &Broker, _: &ManualClock) {
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let worker = broker.worker::<Task>(tasks(broker)).handler(move |_, _| {
        begins.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
    });
    let worker = worker.spawn().unwrap();
    publish(broker, 3);
    begun.recv().unwrap();
    broker.delete(&Queue::new("tasks")).unwrap();
    go_on.send(()).unwrap();
    let end = worker.join().end;
    assert_eq!(end, WorkerEnd::Cancelled(CancelReason::QueueDeleted));
}

/// Keys wait for another try, and messages wait behind them.
fn is_stopped_while_keys_wait(broker: &Broker, _: &ManualClock) {
    let worker = broker.worker::<Task>(tasks(broker)).concurrency(2);
    let worker = worker.ordered_by(|task| task.0 % 2);
    let worker = worker
        .handler(|_, _| Settle::Requeue(HOUR))
        .spawn()
        .unwrap();
    publish(broker, 6);
    until("both keys wait", || worker.report().counts.requeued == 2);
    worker.stop();
    let report = worker.join();
    assert_eq!((report.counts.handled, ready(broker, "tasks")), (2, 6));
}

fn is_stopped_while_a_batch_waits_for_more(broker: &Broker, _: &ManualClock) {
    let worker = broker.worker::<Task>(tasks(broker)).batch(10, HOUR);
    let worker = worker.handler(|_| ()).spawn().unwrap();
    publish(broker, 3);
    worker.stop();
    assert_eq!(worker.join().counts.handled, 0);
    assert_eq!(ready(broker, "tasks"), 3);
}

/// Fails at ten messages for ever, and stops in the middle of that.
fn fails_for_ever(broker: &Broker, clock: &ManualClock, retry: Retry) {
    let attempts = Arc::new(AtomicUsize::new(0));
    let worker = broker.worker::<Task>(tasks(broker)).concurrency(2);
    let worker = worker.middleware(retry).handler({
        let attempts = Arc::clone(&attempts);
        move |_, _| {
            attempts.fetch_add(1, SeqCst);
            Err::<(), _>("no")
        }
    });
    let worker = worker.spawn().unwrap();
    publish(broker, 10);
    until("each is tried ten times", || {
        clock.advance(SECOND);
        attempts.load(SeqCst) >= 100
    });
    worker.stop();
    let counts = worker.join().counts;
    assert_eq!((counts.rejected, counts.acked), (0, 0), "{counts:?}");
    // They are all there, wherever they wait.
    clock.advance(HOUR);
    assert_eq!(ready(broker, "tasks"), 10);
}

fn fails_for_ever_in_its_queue(broker: &Broker, clock: &ManualClock) {
    fails_for_ever(broker, clock, Retry::new(Backoff::new(SECOND)));
}

fn fails_for_ever_through_queues(broker: &Broker, clock: &ManualClock) {
    fails_for_ever(
        broker,
        clock,
        Retry::new(Backoff::new(SECOND)).through_queues(),
    );
}

/// Stops workers whose messages wait at each of the middlewares.
fn is_stopped_while_middlewares_hold_messages(broker: &Broker, _: &ManualClock) {
    let limit = ConcurrencyLimit::new(1);
    let breaker = CircuitBreaker::new(1, HOUR);
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<Task>(tasks(broker)).concurrency(4);
    let worker = worker
        .middleware(Deduplicate::new(HOUR).by_key(|_| Some("the same".to_owned())))
        .middleware(breaker)
        .middleware(Throttle::new(10, SECOND))
        .middleware(limit.clone());
    let worker = worker.handler_async(move |_, context| {
        begins.send(()).unwrap();
        async move { context.stop_signal().wait_async().await }
    });
    let worker = worker.spawn().unwrap();
    publish(broker, 4);
    begun.recv().unwrap();
    worker.stop();
    let acked = worker.join().counts.acked;
    assert_eq!(acked as usize + ready(broker, "tasks"), 4);
    assert_eq!(limit.in_use(), 0);
}

/// What a handler of tasks keeps, and drops when its worker has ended.
type Kept = (Job<Task>, Context<'static>);

fn keeps(broker: &Broker) -> Vec<Kept> {
    let (sender, kept) = mpsc::channel();
    let worker = broker
        .worker::<Task>(tasks(broker))
        .handler_async(move |job, context| {
            sender.send((job, context)).unwrap();
            async {}
        });
    let worker = worker.spawn().unwrap();
    publish(broker, 2);
    let kept = kept.iter().take(2).collect();
    worker.stop();
    assert_eq!(block_on(worker.join_async()).counts.handled, 2);
    kept
}

fn drops_its_context_late(broker: &Broker, _: &ManualClock) {
    let kept = keeps(broker);
    assert_eq!(
        kept.iter().map(|(job, _)| job.0).collect::<Vec<_>>(),
        [0, 1]
    );
}

#[test]
fn a_worker_leaves_nothing_behind() {
    type Scenario = (&'static str, fn(&Broker, &ManualClock));
    let scenarios: [Scenario; 12] = [
        ("a handler that panics", panics),
        ("a message that does not decode", does_not_decode),
        ("a handler that hangs past its time", hangs_past_its_time),
        (
            "a stop while a message waits",
            is_stopped_while_a_message_waits,
        ),
        (
            "a stop while a message is delayed",
            is_stopped_while_a_message_is_delayed,
        ),
        ("a stop while keys wait", is_stopped_while_keys_wait),
        (
            "a stop while a batch waits for more",
            is_stopped_while_a_batch_waits_for_more,
        ),
        ("a handler that fails for ever", fails_for_ever_in_its_queue),
        (
            "a handler that fails for ever, with retry queues",
            fails_for_ever_through_queues,
        ),
        (
            "a stop while middlewares hold messages",
            is_stopped_while_middlewares_hold_messages,
        ),
        ("a queue that is deleted", loses_its_queue),
        ("a context that is dropped late", drops_its_context_late),
    ];
    let before = threads();
    for (name, scenario) in scenarios {
        let (broker, clock) = on_a_manual_clock();
        scenario(&broker, &clock);
        let queues = || {
            let snapshot = broker.snapshot().unwrap();
            snapshot.vhosts.into_iter().flat_map(|vhost| vhost.queues)
        };
        until(name, || queues().all(|queue| queue.unsettled.messages == 0));
        queues().for_each(|queue| assert_conserved(&queue));
        drop(broker);
        until(name, || ALIVE.load(SeqCst) == 0 && threads() == before);
    }

    let (broker, _) = on_a_manual_clock();
    let kept = keeps(&broker);
    drop(broker);
    assert_eq!((ALIVE.load(SeqCst), kept.len()), (2, 2));
    drop(kept);
    let name = "a context that is dropped after its broker";
    until(name, || ALIVE.load(SeqCst) == 0 && threads() == before);
}
