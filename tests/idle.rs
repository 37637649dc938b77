//! Workers that have nothing to do use no processor time.
//!
//! The test reads the time and the wake-ups of its own process, so it is alone in it. It runs on
//! Linux only.

#![cfg(target_os = "linux")]

use std::{
    fs,
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use futures_lite::future;
use leveret::{
    Broker, Message, Queue,
    middleware::{CircuitBreaker, ConcurrencyLimit, Deduplicate, Throttle},
    worker::{Before, Context, Middleware, Settle},
};

/// Lets a message pass at its second try, so that its worker uses the timers.
struct SecondTry;

impl Middleware for SecondTry {
    fn before(&self, context: &Context<'_>) -> Before {
        match context.acquired_count() {
            0 => Before::Settle(Settle::Requeue(Duration::from_millis(1))),
            _ => Before::Go,
        }
    }
}

/// The processor time of this process, in ticks of a hundredth of a second. It includes the threads
/// that have ended.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split(' ').skip(11).take(2);
    times.map(|time| time.parse::<u64>().unwrap()).sum()
}

/// How many times the threads of this process have waited, with the number of the threads.
fn waits() -> (u64, usize) {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let waits: Vec<u64> = threads
        .map(|thread| {
            let status = thread.unwrap().path().join("status");
            let status = fs::read_to_string(status).unwrap();
            let line = |line: &str| {
                line.strip_prefix("voluntary_ctxt_switches:")
                    .map(str::to_owned)
            };
            let count = status.lines().find_map(line).unwrap();
            count.trim().parse::<u64>().unwrap()
        })
        .collect();
    (waits.iter().sum(), waits.len())
}

#[test]
fn idle_workers_use_no_processor_time() {
    let broker = Broker::new();
    let (done, is_done) = mpsc::channel();
    let hour = Duration::from_secs(3_600);
    let throttle = Throttle::new(100_000, Duration::from_secs(1)).burst(100);
    let (breaker, limit) = (CircuitBreaker::new(1, hour), ConcurrencyLimit::new(3));
    let worker = |queue: &str, concurrency| {
        let worker = broker.worker::<u32>(queue).concurrency(concurrency);
        worker
            .timeout(Duration::from_secs(60))
            .middleware(SecondTry)
            .middleware(Deduplicate::new(hour))
            .middleware(throttle.clone())
            .middleware(breaker.clone())
            .middleware(limit.clone())
    };
    let handler = || {
        let done = done.clone();
        move |number: &u32, _: &Context<'_>| done.send(*number).unwrap()
    };
    let first = worker("first", 4).handler(handler()).spawn().unwrap();
    let second = worker("second", 2).also("third").handler(handler());
    let second = second.spawn().unwrap();
    let in_a_task = worker("fourth", 100).handler(handler());
    let stop_handle = in_a_task.stop_handle().unwrap();
    let in_a_task = thread::spawn(move || future::block_on(in_a_task.run_async()));

    // All of them have worked before they are idle.
    for queue in ["first", "second", "third", "fourth"] {
        let messages = broker.producer::<u32>(queue).unwrap().publish_batch(0..100);
        assert!(messages.iter().all(|published| published.is_ok()));
    }
    for _ in 0..400 {
        is_done.recv().unwrap();
    }
    // The timers wait as well.
    let later = Queue::new("fifth");
    let later = broker.producer::<u32>(&later).unwrap();
    later
        .publish_message(Message::new(7).expiration(hour))
        .unwrap();

    // A message waits for a permit, which another one has.
    let (one, (go_on, may_go_on)) = (ConcurrencyLimit::new(1), mpsc::channel::<()>());
    let may_go_on = Mutex::new(may_go_on);
    let waiting = broker.worker::<u32>("sixth").concurrency(2);
    let waiting = waiting.middleware(one.clone()).handler(move |_, _| {
        let _ = may_go_on.lock().unwrap().recv();
    });
    let waiting = waiting.spawn().unwrap();
    let messages = broker.producer::<u32>("sixth").unwrap().publish_batch(0..2);
    assert!(messages.iter().all(|published| published.is_ok()));

    // The first second is for work that still goes on.
    thread::sleep(Duration::from_secs(1));
    let (ticks_before, (waits_before, threads_before)) = (ticks(), waits());
    thread::sleep(Duration::from_secs(1));
    let (ticks_after, (waits_after, threads_after)) = (ticks(), waits());

    assert_eq!(threads_before, threads_after);
    assert!(threads_after > 4 + 2, "{threads_after} threads");
    let used = ticks_after - ticks_before;
    assert!(used <= 5, "{used} hundredths of a second");
    // The thread of the test itself waits once.
    let woken = waits_after - waits_before;
    assert!(woken <= 10, "{woken} wake-ups in {threads_after} threads");

    assert_eq!(one.in_use(), 1);
    drop(go_on);
    stop_handle.stop();
    in_a_task.join().unwrap().unwrap();
    for worker in [first, second, waiting] {
        worker.stop();
        worker.join();
    }
}
