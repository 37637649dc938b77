//! A work queue that survives its program: kill it at any moment, start it again, and it goes on.
//!
//! `cargo run --features durable --example durable_work_queue` keeps its data in a folder of its
//! own for this run. With a folder as its argument it keeps them there, and the next run with the
//! same folder goes on where this one has stopped. It prints
//!
//! ```text
//! 30 jobs are on disk
//! job 1 is done
//! job 2 is done
//! job 3 is done
//! ...
//! nothing is left to do
//! ```

use std::{env, fs, path::PathBuf, process, thread, time::Duration};

use leveret::{Broker, Properties, Queue, Result, TryRecvError};

fn main() -> Result {
    let (folder, is_own) = match env::args_os().nth(1) {
        Some(folder) => (PathBuf::from(folder), false),
        None => {
            let name = format!("durable_work_queue-{}", process::id());
            (env::temp_dir().join(name), true)
        }
    };
    work(&folder)?;
    if is_own {
        fs::remove_dir_all(&folder).unwrap();
    }
    Ok(())
}

fn work(folder: &PathBuf) -> Result {
    // All that was on disk is in the broker again when this returns.
    let broker = Broker::builder().data_dir(folder).build()?;
    let jobs = Queue::new("jobs").durable();
    // A queue without messages, which exists once all jobs are published.
    let published = Queue::new("jobs are published").durable();
    if broker
        .declare(&Queue::existing("jobs are published"))
        .is_ok()
    {
        let left = broker.simple_queue::<u32>(&jobs)?.len()?;
        println!("{left} jobs are left");
    } else {
        // A run before this one may have been killed while it published.
        broker.declare(&jobs)?;
        broker.purge(&jobs)?;
        let persistent = Properties::new().persistent();
        let producer = broker
            .producer_builder(&jobs)
            .properties(persistent)
            .build()?;
        for published in producer.publish_batch(1..=30) {
            published?; // the job is on disk
        }
        broker.declare(&published)?;
        println!("30 jobs are on disk");
    }

    // With a prefetch of 1, at most one job is done twice if the program is killed.
    let consumer = broker.consumer_builder::<u32>(&jobs).prefetch(1).build()?;
    loop {
        match consumer.try_recv() {
            Ok(job) => {
                thread::sleep(Duration::from_millis(2)); // the work
                println!("job {} is done", *job);
                job.ack()?;
            }
            Err(TryRecvError::Empty) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("nothing is left to do");
    Ok(())
}
