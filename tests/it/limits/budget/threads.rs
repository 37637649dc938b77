//! Many threads at once. No byte is counted twice or forgotten, and the limit holds as far as it is
//! promised.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use leveret::{Broker, Budget, Queue, Requeue};

const PRODUCERS: usize = 4;
const EACH: usize = 500;
/// The number of bytes of the largest message.
const LARGEST: usize = 64;
const LIMIT: u64 = 1_000;

/// Runs publishers and consumers of two queues. Returns the highest use of the budget that any of
/// them saw.
fn crowd(broker: &Broker, budget: Budget) -> u64 {
    broker.declare(&budget).unwrap();
    let queues = ["one", "two"].map(|name| Queue::new(name).budget("b"));
    let [one, two] = &queues;
    let producers: [_; PRODUCERS] = std::array::from_fn(|n| {
        let queue = if n % 2 == 0 { one } else { two };
        broker.producer::<String>(queue).unwrap()
    });
    let taken = Arc::new(AtomicU64::new(0));
    let consumers: Vec<_> = [one, two, one, two]
        .into_iter()
        .enumerate()
        .map(|(n, queue)| {
            let consumer = broker
                .consumer_builder::<String>(queue)
                .prefetch(7)
                .build()
                .unwrap();
            let taken = Arc::clone(&taken);
            let stopper = consumer.cancel_handle();
            let thread = thread::spawn(move || {
                let mut turn = n;
                while let Ok(delivery) = consumer.recv() {
                    turn += 1;
                    match turn % 5 {
                        0 => delivery.nack(Requeue::Yes).unwrap(),
                        1 => drop(delivery),
                        2 => {
                            taken.fetch_add(1, SeqCst);
                            delivery.reject().unwrap();
                        }
                        _ => {
                            taken.fetch_add(1, SeqCst);
                            delivery.ack().unwrap();
                        }
                    }
                }
            });
            (stopper, thread)
        })
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let observer = {
        let (broker, over) = (broker.clone(), Arc::clone(&over));
        thread::spawn(move || {
            let mut most = 0;
            while !over.load(SeqCst) {
                most = most.max(broker.budget("b").unwrap().used);
                thread::yield_now();
            }
            most
        })
    };
    let publishing = producers.map(|producer| {
        thread::spawn(move || {
            let sizes = (0..EACH).map(|n| n * 7 % LARGEST + 1);
            sizes
                .filter(|size| producer.publish("x".repeat(*size)).is_ok())
                .count() as u64
        })
    });
    let published: u64 = publishing
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    while taken.load(SeqCst) < published {
        thread::yield_now();
    }
    over.store(true, SeqCst);
    for (stopper, thread) in consumers {
        stopper.cancel();
        thread.join().unwrap();
    }
    assert_eq!(taken.load(SeqCst), published);
    assert_eq!(broker.budget("b").unwrap().used, 0);
    observer.join().unwrap()
}

#[test]
fn a_refusing_budget_is_never_exceeded_and_is_empty_when_all_is_settled() {
    let most = crowd(&Broker::new(), Budget::new("b", LIMIT));
    assert!(most <= LIMIT, "{most}");
}

#[test]
fn a_blocking_budget_is_never_exceeded_either() {
    let most = crowd(&Broker::new(), Budget::new("b", LIMIT).block());
    assert!(most <= LIMIT, "{most}");
}

#[test]
fn queues_that_are_deleted_while_they_are_used_leave_nothing_behind() {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", LIMIT).block()).unwrap();
    let workers = [(); 4].map(|()| {
        let broker = broker.clone();
        thread::spawn(move || {
            let queue = Queue::new("q").budget("b");
            for turn in 0..300 {
                let (Ok(producer), Ok(consumer)) = (
                    broker.producer::<String>(&queue),
                    broker.consumer::<String>(&queue),
                ) else {
                    continue;
                };
                for size in 1..6 {
                    // Another thread may delete the queue at any time.
                    let _ = producer.publish("x".repeat(size));
                }
                let held = consumer.try_recv();
                if turn % 3 == 0 {
                    broker.delete(&queue).unwrap();
                }
                drop(held);
                if let Ok(delivery) = consumer.try_recv() {
                    delivery.ack().unwrap();
                }
            }
        })
    });
    for worker in workers {
        worker.join().unwrap();
    }
    broker.delete(&Queue::existing("q")).unwrap();
    let budget = broker.budget("b").unwrap();
    assert_eq!((budget.used, budget.waiting), (0, 0));
}
