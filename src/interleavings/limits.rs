//! Workers that share a limit of messages at the same time.

use super::*;
use crate::{
    patterns::{middleware::ConcurrencyLimit, worker::WorkerBuilder},
    runtime::sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

/// Counts the handlers that run, and checks that there is one at most.
fn alone(running: &AtomicUsize) {
    assert_eq!(running.fetch_add(1, SeqCst), 0);
    thread::yield_now();
    running.fetch_sub(1, SeqCst);
}

fn limited(
    broker: &Broker,
    name: &str,
    limit: &ConcurrencyLimit,
) -> WorkerBuilder<u32, crate::patterns::worker::Stack<(), ConcurrencyLimit>> {
    broker
        .worker::<u32>(&Queue::new(name))
        .middleware(limit.clone())
}

#[test]
fn one_gets_in_at_a_time_and_everyone_does() {
    explore(|| {
        let broker = Broker::new();
        let limit = ConcurrencyLimit::new(1);
        let running = Arc::new(AtomicUsize::new(0));
        let first = limited(&broker, "a", &limit).concurrency(2).handler({
            let running = Arc::clone(&running);
            move |_, _| alone(&running)
        });
        let first = first.spawn().unwrap();
        let second = limited(&broker, "b", &limit).handler_async({
            let running = Arc::clone(&running);
            move |_, _| {
                let running = Arc::clone(&running);
                async move { alone(&running) }
            }
        });
        let second = second.spawn().unwrap();
        for (queue, messages) in [("a", 2), ("b", 1)] {
            let producer = broker.producer::<u32>(queue).unwrap();
            (0..messages).for_each(|id| assert_eq!(producer.publish(id).unwrap().routed, 1));
        }
        let counts = [first, second].map(|worker| worker.stop_and_drain(Duration::MAX).counts);
        assert_eq!(counts.map(|counts| counts.acked), [2, 1]);
        assert_eq!(limit.in_use(), 0);
    });
}

#[test]
fn a_stop_of_one_that_waits_takes_no_permit_with_it() {
    explore(|| {
        let broker = Broker::new();
        let limit = ConcurrencyLimit::new(1);
        let [first, second, third] = ["a", "b", "c"].map(|queue| {
            let worker = limited(&broker, queue, &limit);
            let worker = worker.handler(|_, _| thread::yield_now());
            broker.producer::<u32>(queue).unwrap().publish(0).unwrap();
            worker.spawn().unwrap()
        });
        second.stop();
        let acked = second.join().counts.acked;
        for worker in [first, third] {
            assert_eq!(worker.stop_and_drain(Duration::MAX).counts.acked, 1);
        }
        assert_eq!(acked + rest(&broker, "b").len() as u64, 1);
        assert_eq!(limit.in_use(), 0);
    });
}
