//! Real threads that call all operations at once, in random order: publish, consume, settle in
//! every way, panic, cancel, close and delete.
//!
//! The test checks conservation by message id:
//! - Each published message is settled at most once. In queues that are never purged or deleted it
//!   is settled exactly once.
//! - The messages of one producer to one consumer stay in order.
//! - No thread waits forever. Each thread reports its end, and a watchdog waits for these reports.
//!
//! `LEVERET_SEED=<n>` runs one seed. A failure prints its seed.

mod actors;
mod book;
mod random;

use std::{
    env,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

use leveret::{Broker, Queue};

use crate::common::{PATIENCE, share_of};

use self::{
    actors::{Stage, chaos, ordered_pair, patient, producer},
    book::Book,
    random::Random,
};

const SEEDS: u32 = 6;

#[test]
fn no_message_is_lost_or_settled_twice_and_no_thread_waits_forever() {
    let seeds = match env::var("LEVERET_SEED") {
        Ok(seed) => vec![seed.parse().expect("LEVERET_SEED is a number")],
        Err(_) => (1..=share_of(SEEDS).into()).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("stress: failed with LEVERET_SEED={seed}");
            panic::resume_unwind(failure);
        }
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let broker = Broker::new();
    let book = Arc::new(Book::default());
    let stage = Arc::new(Stage::new(&broker, &book));
    let (done, finished) = mpsc::channel();
    let start = |name: String, act: Box<dyn FnOnce() + Send>| {
        let done = done.clone();
        thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(act));
                done.send((name, outcome.is_ok())).unwrap();
            })
            .unwrap();
    };

    let mut expected = 0;
    let mut stoppers = Vec::new();
    for prefetch in [1, 16] {
        let (stopper, act) = patient(&stage, prefetch);
        stoppers.push(stopper);
        start(format!("patient {prefetch}"), Box::new(act));
    }
    for n in 0..2 {
        start(
            format!("producer {n}"),
            Box::new(producer(&stage, random.fork())),
        );
        start(
            format!("pair {n}"),
            Box::new(ordered_pair(&stage, n, random.fork())),
        );
        expected += 2;
    }
    for n in 0..4 {
        start(format!("chaos {n}"), Box::new(chaos(&stage, random.fork())));
        expected += 1;
    }
    let wait = |count: usize| {
        for _ in 0..count {
            let (name, well) = finished
                .recv_timeout(PATIENCE)
                .expect("a thread is left waiting");
            assert!(well, "{name} panicked");
        }
    };
    wait(expected);
    // Only the patient consumers still run. They must receive all remaining messages of the queue
    // that is never purged or deleted.
    stage.let_go();
    book.wait_until_settled(&stage.safe, PATIENCE);
    for stopper in stoppers {
        stopper.cancel();
    }
    wait(2);
    stage.drain();
    book.check();
    assert!(broker.purge(Queue::existing("safe")).unwrap() == 0);
    drop(stage);
    drop(broker);
    assert_eq!(book.alive(), 0, "payloads outlive their broker");
}
