//! The whole broker on shuttle's scheduler, through its public handles.
//!
//! Each test is a small program with two or three threads. It runs in many orders of its steps.
//! Shuttle reports a lost wake-up as a deadlock.
//!
//! The tests themselves check conservation. Each published message is acknowledged once, is still
//! ready, or went with a deleted queue. No payload is left when all handles are dropped.
//!
//! Shuttle has no time, so a wait with a time limit uses a manual clock.

mod aliases;
mod batches;
mod blocked;
mod budget;
mod callers;
mod channels;
mod completions;
mod confirms;
mod control;
mod credit;
mod definitions;
mod delayed;
mod drain;
mod ends;
mod expiry;
mod feeds;
mod histories;
mod journal;
mod known_routes;
mod limits;
mod notify;
mod ordered;
mod pause;
mod permissions;
mod policies;
mod quorum;
mod retry;
mod rpc;
mod schedules;
#[cfg(feature = "testing")]
mod settled;
mod snapshots;
mod steering;
mod streams;
mod timeouts;
mod timer;
mod topology;
mod unseen;
mod user_code;
mod waiting;
mod wakeups;
mod windows;
mod worker;

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler},
};

use crate::{
    handles::{
        broker::{Broker, Credentials},
        consumer::Consumer,
    },
    message::{payload::Local, properties::Properties},
    model::descriptions::Queue,
    runtime::{
        block_on::block_on,
        sync::thread::{self, JoinHandle},
        waiter::tests::Flag,
    },
    session::{
        channel::{Channel, PublishOptions},
        receive::TryRecvError,
    },
};

/// Runs the scenario under two schedulers: a uniformly random one, and PCT, which looks for bugs
/// that need few context switches.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let mut config = Config::new();
    // A publish through all layers needs more than shuttle's default stack of 32 KiB in an
    // unoptimised build.
    config.stack_size = 512 * 1024;
    let orders = orders();
    Runner::new(RandomScheduler::new(orders), config.clone()).run(scenario.clone());
    Runner::new(PctScheduler::new(3, orders.div_ceil(2)), config).run(scenario);
}

/// The number of random orders of each scenario. The variable `LEVERET_ORDERS` tells another one.
fn orders() -> usize {
    const DEFAULT: usize = 250;
    std::env::var("LEVERET_ORDERS").map_or(DEFAULT, |it| it.parse().unwrap())
}

/// A payload that tells its tracker when it is dropped.
type Tracked = Local<(u32, Arc<()>)>;

/// Makes payloads and counts those that are not dropped yet.
#[derive(Clone, Default)]
struct Tracker(Arc<()>);

impl Tracker {
    fn payload(&self, id: u32) -> Tracked {
        Local((id, self.0.clone()))
    }

    /// # Panics
    /// If a payload is not dropped. The calling thread must hold the only tracker.
    fn assert_all_dropped(&self) {
        assert_eq!(Arc::strong_count(&self.0), 1, "a payload is left behind");
    }
}

fn queue() -> Queue {
    Queue::new("q")
}

fn channel(broker: &Broker) -> Channel {
    broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap()
}

/// Publishes each number as one byte through the default exchange.
fn publish_bytes(channel: &Channel, queue: &str, numbers: impl IntoIterator<Item = u8>) {
    for number in numbers {
        channel
            .basic_publish(
                "",
                queue,
                vec![number],
                Properties::new(),
                PublishOptions::new(),
            )
            .unwrap();
    }
}

/// Takes the ready messages of the queue. Returns their ids and redelivered flags, in order.
fn rest(broker: &Broker, queue: &str) -> Vec<(u32, bool)> {
    let queue = broker.simple_queue::<u32>(&Queue::existing(queue)).unwrap();
    std::iter::from_fn(|| match queue.try_get() {
        Ok(delivery) => {
            let found = (*delivery, delivery.info().redelivered());
            delivery.ack().unwrap();
            Some(found)
        }
        Err(TryRecvError::Empty) => None,
        Err(error) => panic!("{error}"),
    })
    .collect()
}

fn ids(found: &[(u32, bool)]) -> Vec<u32> {
    found.iter().map(|(id, _)| *id).collect()
}

/// Receives and acknowledges until the consumer ends. Returns the received ids.
fn work(consumer: &Consumer<u32>) -> Vec<u32> {
    consumer
        .iter()
        .map(|delivery| {
            let delivery = delivery.unwrap();
            let id = *delivery;
            delivery.ack().unwrap();
            id
        })
        .collect()
}

fn sorted(mut all: Vec<u32>) -> Vec<u32> {
    all.sort_unstable();
    all
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let threads: Vec<_> = threads.into_iter().collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}
