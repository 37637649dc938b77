//! One task publishes and another receives and acknowledges, beside tokio's unbounded channel with
//! the same payload.
//!
//! Both take turns in each round, so that what disturbs one disturbs the other. The ratio is that
//! of the medians: above 1, leveret is faster. Goal: at least 0.9.
//!
//! `cargo bench --manifest-path benches/tasks/Cargo.toml`; with `--quick` it only checks that
//! nothing is lost.

#[path = "../floor/item.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod item;

use std::{env, time::Instant};

use leveret::{Broker, Payload};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    task,
};

use self::item::{Item, Msg, Plain};

const ROUNDS: usize = 31;
const MESSAGES: u64 = 200_000;
const GOAL: f64 = 0.9;

fn main() {
    let quick = env::args().any(|argument| argument == "--quick")
        || !env::args().any(|argument| argument == "--bench");
    let (rounds, messages) = match quick {
        true => (1, 1_000),
        false => (ROUNDS, MESSAGES),
    };
    println!("two tasks, ns per message (medians of {rounds} rounds)\n");
    println!(
        "{:32}{:>10}{:>10}{:>8}",
        "payload", "tokio", "leveret", "ratio"
    );
    for threads in [1, 2] {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(threads).build().expect("a runtime");
        row::<Plain>("40 bytes", threads, &runtime, rounds, messages);
        row::<Msg>(
            "a struct with a string",
            threads,
            &runtime,
            rounds,
            messages,
        );
    }
    println!("\ngoal: {GOAL}");
}

fn row<T: Item + Payload>(
    name: &str,
    threads: usize,
    runtime: &Runtime,
    rounds: usize,
    messages: u64,
) {
    let (mut tokio, mut leveret) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        tokio.push(time(messages, || {
            runtime.block_on(by_channel::<T>(messages))
        }));
        leveret.push(time(messages, || {
            runtime.block_on(by_broker::<T>(messages))
        }));
    }
    let (tokio, leveret) = (median(tokio), median(leveret));
    let name = format!("{name}, {threads} thread(s)");
    println!(
        "{name:32}{tokio:>10.1}{leveret:>10.1}{:>8.2}",
        tokio / leveret
    );
}

fn time(messages: u64, run: impl FnOnce()) -> f64 {
    let began = Instant::now();
    run();
    began.elapsed().as_nanos() as f64 / messages as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// How many messages a task publishes before the other one gets a turn.
const TURN: u64 = 128;

async fn by_channel<T: Item>(messages: u64) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let sending = task::spawn(async move {
        for id in 0..messages {
            sender.send(T::make(id)).ok().expect("it is there");
            if id % TURN == 0 {
                task::yield_now().await;
            }
        }
    });
    let receiving = task::spawn(async move {
        for id in 0..messages {
            assert_eq!(receiver.recv().await.expect("one more").id(), id);
        }
    });
    sending.await.expect("it has sent");
    receiving.await.expect("it has received");
}

async fn by_broker<T: Item + Payload>(messages: u64) {
    let broker = Broker::new();
    let producer = broker.producer::<T>("q").expect("a new queue");
    let consumer = broker.consumer::<T>("q").expect("the queue is free");
    let sending = task::spawn(async move {
        for id in 0..messages {
            let published = producer.publish_async(T::make(id)).await;
            assert_eq!(published.ok().expect("it is there").routed, 1);
            if id % TURN == 0 {
                task::yield_now().await;
            }
        }
    });
    let receiving = task::spawn(async move {
        for id in 0..messages {
            let delivery = consumer.recv_async().await.expect("one more");
            assert_eq!(delivery.id(), id);
            delivery.ack().expect("the broker is there");
        }
    });
    sending.await.expect("it has sent");
    receiving.await.expect("it has received");
}
