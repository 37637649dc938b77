//! Ten readers of a stream on threads, beside ten receivers of tokio's `broadcast` channel of
//! `Arc<Msg>`.
//!
//! The channel has room for all messages, so that no receiver lags. Both take turns in each round.
//! The ratio is that of the medians: above 1, leveret is faster. Goal: at least 1.0.
//!
//! `cargo bench --manifest-path benches/tasks/Cargo.toml --bench broadcast`; with `--quick` it only
//! checks that nothing is lost.

#[path = "../floor/item.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod item;

use std::{env, hint::black_box, sync::Arc, thread, time::Instant};

use leveret::{Broker, Offset, Queue};
use tokio::sync::broadcast;

use self::item::{Item, Msg};

const ROUNDS: usize = 31;
const MESSAGES: u64 = 100_000;
const READERS: usize = 10;
const GOAL: f64 = 1.0;

fn main() {
    let quick = env::args().any(|argument| argument == "--quick")
        || !env::args().any(|argument| argument == "--bench");
    let (rounds, messages) = match quick {
        true => (1, 1_000),
        false => (ROUNDS, MESSAGES),
    };
    let (mut tokio, mut leveret) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        tokio.push(time(messages, || by_broadcast(messages)));
        leveret.push(time(messages, || by_stream(messages)));
    }
    let (tokio, leveret) = (median(tokio), median(leveret));
    println!("{READERS} readers, ns per message (medians of {rounds} rounds)\n");
    println!(
        "broadcast {tokio:.1}, stream {leveret:.1}, ratio {:.2}",
        tokio / leveret
    );
    println!("\ngoal: {GOAL}");
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

fn by_broadcast(messages: u64) {
    let room = usize::try_from(messages).expect("few").next_power_of_two();
    let (sender, first) = broadcast::channel::<Arc<Msg>>(room);
    let others = (1..READERS).map(|_| sender.subscribe());
    let receivers: Vec<_> = others.chain([first]).collect();
    thread::scope(|scope| {
        for mut receiver in receivers {
            scope.spawn(move || {
                for id in 0..messages {
                    let message = receiver.blocking_recv().expect("one more");
                    assert_eq!(black_box(&*message).id(), id);
                }
            });
        }
        for id in 0..messages {
            sender
                .send(Arc::new(Msg::make(id)))
                .expect("they are there");
        }
    });
}

fn by_stream(messages: u64) {
    let broker = Broker::new();
    let stream = Queue::stream("stream");
    let producer = broker.producer::<Msg>(&stream).expect("a new stream");
    thread::scope(|scope| {
        for _ in 0..READERS {
            let reader = broker.reader::<Msg>(&stream).from(Offset::First);
            let reader = reader.build().expect("the stream is there");
            scope.spawn(move || {
                for id in 0..messages {
                    let entry = reader.recv().expect("one more");
                    assert_eq!(black_box(&*entry).id(), id);
                }
            });
        }
        for id in 0..messages {
            let published = producer.publish(Msg::make(id));
            assert_eq!(published.expect("the stream is there").routed, 1);
        }
    });
}
