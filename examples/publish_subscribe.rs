//! Tutorial 3, "Publish/Subscribe": every subscriber gets every message, through its own queue.
//!
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-three-python>.
//! `cargo run --example publish_subscribe` prints
//!
//! ```text
//! Nobody listens: routed to 0 queues
//! Two subscribers: routed to 2 queues, 10 times
//! A got INFO 1, INFO 2, INFO 3, INFO 4, INFO 5, INFO 6, INFO 7, INFO 8, INFO 9, INFO 10
//! B got INFO 1, INFO 2, INFO 3, INFO 4, INFO 5, INFO 6, INFO 7, INFO 8, INFO 9, INFO 10
//! C came late and got nothing
//! All have gone: routed to 0 queues
//! ```

use std::thread;

use leveret::{Broker, Consumer, Exchange, Queue, Result, TryRecvError};

fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let logs = Exchange::fanout("logs");
    let publisher = broker.producer::<String>(&logs)?;
    // A nameless queue: each use of this description makes a new queue, which is deleted with its
    // consumer.
    let queue = Queue::temporary().bind(&logs, "");

    let published = publisher.publish("INFO: to nobody".to_owned())?;
    println!("Nobody listens: routed to {} queues", published.routed);
    assert_eq!(published.routed, 0);

    let a = broker.consumer::<String>(&queue)?;
    let b = broker.consumer::<String>(&queue)?;
    let [a, b] = [a, b].map(|consumer| thread::spawn(move || subscriber(consumer)));
    let lines: Vec<String> = (1..=10).map(|n| format!("INFO {n}")).collect();
    for line in &lines {
        // This broker counts the queues. A RabbitMQ only tells whether there is one.
        let published = publisher.publish(line.clone())?;
        assert!(published.routed > 0);
    }
    println!("Two subscribers: routed to 2 queues, 10 times");

    // It gets only later messages, and there are none.
    let late = broker.consumer::<String>(&queue)?;
    for (name, subscriber) in [("A", a), ("B", b)] {
        let got = subscriber.join().expect("a subscriber does not panic")?;
        println!("{name} got {}", got.join(", "));
        assert_eq!(got, lines);
    }
    assert!(matches!(late.try_recv(), Err(TryRecvError::Empty)));
    println!("C came late and got nothing");

    drop(late); // the last consumer of the last queue
    let published = loop {
        // A RabbitMQ deletes the queue a moment later.
        let published = publisher.publish("INFO: to nobody".to_owned())?;
        if published.routed == 0 {
            break published;
        }
    };
    println!("All have gone: routed to {} queues", published.routed);
    Ok(())
}

/// Listens to ten messages, then leaves.
fn subscriber(consumer: Consumer<String>) -> Result<Vec<String>> {
    let mut got = Vec::new();
    for line in consumer.iter().take(10) {
        let line = line?;
        got.push(line.payload().clone());
        line.ack()?;
    }
    Ok(got)
}
