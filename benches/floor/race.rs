//! A round: threads that start together, and their results.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

/// The messages that the consumers of a round received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub messages: u64,
    pub ids: u64,
}

impl Tally {
    pub fn add(&mut self, id: u64) {
        self.messages += 1;
        self.ids = self.ids.wrapping_add(id);
    }

    /// The tally of `copies` of the ids from 1 to `messages`.
    pub fn expected(messages: u64, copies: u64) -> Tally {
        Tally {
            messages: messages * copies,
            ids: messages * (messages + 1) / 2 * copies,
        }
    }
}

pub type Job<R> = Box<dyn FnOnce() -> R + Send>;

/// Starts all threads together and measures from the first start to the last end. `stop` runs when
/// the producers have ended.
pub fn race(
    producers: Vec<Job<()>>,
    consumers: Vec<Job<Tally>>,
    stop: impl FnOnce(),
) -> (Duration, Tally) {
    let start = Arc::new(Barrier::new(producers.len() + consumers.len()));
    let consumers = run(consumers, &start);
    let producers = run(producers, &start);
    let mut times = Vec::new();
    for producer in producers {
        let (time, ()) = producer.join().expect("a producer panicked");
        times.push(time);
    }
    stop();
    let mut total = Tally::default();
    for consumer in consumers {
        let (time, got) = consumer.join().expect("a consumer panicked");
        total.messages += got.messages;
        total.ids = total.ids.wrapping_add(got.ids);
        times.push(time);
    }
    let began = times.iter().map(|(began, _)| *began).min();
    let ended = times.iter().map(|(_, ended)| *ended).max();
    let time = ended.zip(began).map(|(ended, began)| ended - began);
    (time.expect("a race has threads"), total)
}

/// A thread that records its own start and end. The waiting thread cannot measure them, because it
/// may wake last.
type Running<R> = thread::JoinHandle<((Instant, Instant), R)>;

fn run<R: Send + 'static>(jobs: Vec<Job<R>>, start: &Arc<Barrier>) -> Vec<Running<R>> {
    let run = |job: Job<R>| {
        let start = Arc::clone(start);
        thread::spawn(move || {
            start.wait();
            let began = Instant::now();
            let result = job();
            ((began, Instant::now()), result)
        })
    };
    jobs.into_iter().map(run).collect()
}

/// The ids that one producer sends. It is number `index` of `threads`.
pub fn share(messages: u64, threads: usize, index: usize) -> RangeInclusive<u64> {
    let each = messages / threads as u64;
    let first = each * index as u64;
    first + 1..=first + each
}
