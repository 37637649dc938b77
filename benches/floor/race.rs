//! A round: threads that start together, and what they come to.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

/// What the consumers of a round got.
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

    /// What `copies` of the ids from 1 to `messages` come to.
    pub fn expected(messages: u64, copies: u64) -> Tally {
        Tally {
            messages: messages * copies,
            ids: messages * (messages + 1) / 2 * copies,
        }
    }
}

pub type Job<R> = Box<dyn FnOnce() -> R + Send>;

/// Starts all threads at once and times them, from the first that begins to the last that ends; `stop` runs when the producers are
/// through.
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

/// A thread that says when it began and ended. The thread that waits for them cannot tell: it may be woken last.
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

/// The ids that the `index`th of `threads` producers sends.
pub fn share(messages: u64, threads: usize, index: usize) -> RangeInclusive<u64> {
    let each = messages / threads as u64;
    let first = each * index as u64;
    first + 1..=first + each
}
