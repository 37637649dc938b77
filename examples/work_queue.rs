//! Tutorial 2, "Work Queues": two workers share the tasks of one queue, and each task is done once.
//!
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-two-python>.
//! `cargo run --example work_queue` prints
//!
//! ```text
//! fast: task 2 done at delivery 1
//! fast: task 3 done at delivery 1
//! fast: task 4 done at delivery 1
//! fast: task 5 failed and goes back
//! fast: task 5 done at delivery 2
//! fast: task 6 done at delivery 1
//! fast: task 7 done at delivery 1
//! fast: task 8 done at delivery 1
//! fast: task 9 done at delivery 1
//! fast: task 10 done at delivery 1
//! slow: task 1 done at delivery 1
//! 10 tasks done: 9 by fast, 1 by slow
//! ```

use std::{sync::mpsc, thread};

use leveret::{Broker, Consumer, Delivery, Queue, Result};

fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let tasks = Queue::new("tasks").durable();
    // With a prefetch of 1, a worker gets a task when it has finished the one before.
    let slow = broker.consumer_builder(&tasks).prefetch(1).build()?;
    let fast = broker.consumer_builder(&tasks).prefetch(1).build()?;

    // Task 1 takes as long as the other nine together.
    let (end_task_1, task_1) = mpsc::channel();
    let slow = thread::spawn(move || {
        let work = |_: &Delivery<u32>| task_1.recv().is_ok();
        worker("slow", &slow, 1, work)
    });
    // Task 5 fails at the first try.
    let fast = thread::spawn(move || {
        let work = |task: &Delivery<u32>| **task != 5 || task.info().redelivered();
        worker("fast", &fast, 9, work)
    });

    let producer = broker.producer::<u32>(&tasks)?;
    for task in 1..=10 {
        assert_eq!(producer.publish(task)?.routed, 1);
    }
    let fast = fast.join().unwrap()?;
    end_task_1.send(()).unwrap();
    let slow = slow.join().unwrap()?;

    let (nine, one) = (fast.len(), slow.len());
    println!("10 tasks done: {nine} by fast, {one} by slow");
    assert_eq!((fast, slow), ((2..=10).collect(), vec![1]));
    assert_eq!(broker.purge(&tasks)?, 0); // nothing is left
    Ok(())
}

/// Does `count` tasks and returns them.
fn worker(
    name: &str,
    tasks: &Consumer<u32>,
    count: usize,
    work: impl Fn(&Delivery<u32>) -> bool,
) -> Result<Vec<u32>> {
    let mut done = Vec::new();
    while done.len() < count {
        let task = tasks.recv()?;
        let (number, delivery) = (*task, task.info().acquired_count() + 1);
        if work(&task) {
            println!("{name}: task {number} done at delivery {delivery}");
            done.push(number);
            task.ack()?;
        } else {
            println!("{name}: task {number} failed and goes back"); // by `drop`, without an ack
        }
    }
    Ok(done)
}
