//! Tasks: jobs wait in a bounded queue, two workers publish the results, and a shutdown finishes.
//!
//! All tasks run on one thread, so none of them may block it. The futures need no particular
//! runtime. `cargo run --example async_worker` prints
//!
//! ```text
//! job | square
//! ----+-------
//!   1 |      1
//!   2 |      4
//!   3 |      9
//!   4 |     16
//!   5 |     25
//!   6 |     36
//!   7 |     49
//!   8 |     64
//! 8 jobs done, nothing is left
//! ```

use std::time::Duration;

use futures_lite::{
    StreamExt,
    future::{block_on, try_zip},
};
use leveret::{Broker, Consumer, Overflow, Producer, Queue, Result, ShutdownReport};

fn main() -> Result {
    let broker = Broker::new();
    // While two jobs wait, the client waits for room.
    let jobs = Queue::new("jobs").max_length(2).overflow(Overflow::Block);
    // With a prefetch of 1, a worker gets a job when it has finished the one before.
    let first = broker.consumer_builder(&jobs).prefetch(1).build()?;
    let second = broker.consumer_builder(&jobs).prefetch(1).build()?;
    let squares = broker.consumer("squares")?;
    let results = broker.producer("squares")?;

    let workers = try_zip(work(first, &results), work(second, &results));
    let results = collect(squares);
    let client = request(&broker, &jobs);
    let (report, (_, mut squares)) = block_on(try_zip(client, try_zip(workers, results)))?;

    println!("job | square");
    println!("----+-------");
    squares.sort_unstable();
    for (job, square) in &squares {
        println!("{job:>3} | {square:>6}");
    }
    assert!(!report.timed_out && report.queues.is_empty());
    println!("{} jobs done, nothing is left", squares.len());
    Ok(())
}

/// Publishes the jobs, and shuts the broker down while some of them still wait.
async fn request(broker: &Broker, jobs: &Queue) -> Result<ShutdownReport> {
    let producer = broker.producer::<u64>(jobs)?;
    for job in 1..=8 {
        producer.publish_async(job).await?;
    }
    broker.shutdown_async(Duration::from_secs(60)).await
}

/// Does jobs until the stream ends with the broker.
async fn work(jobs: Consumer<u64>, results: &Producer<(u64, u64)>) -> Result {
    let mut jobs = jobs.into_stream();
    while let Some(job) = jobs.next().await {
        let job = job?;
        // During the shutdown, only the holder of a job may publish.
        let results = job.producer(results);
        results.publish_async((*job, *job * *job)).await?;
        job.ack()?;
    }
    Ok(())
}

/// Collects results until the stream ends with the broker.
async fn collect(squares: Consumer<(u64, u64)>) -> Result<Vec<(u64, u64)>> {
    let mut collected = Vec::new();
    let mut squares = squares.into_stream();
    while let Some(square) = squares.next().await {
        let square = square?;
        collected.push(*square);
        square.ack()?;
    }
    Ok(collected)
}
