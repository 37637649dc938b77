//! Graceful shutdown: Ctrl-C lets two stages of workers finish what they have accepted.
//!
//! Photos are first scaled, and then stored. `cargo run --example graceful_shutdown` ends by itself
//! after 20 photos, and prints
//!
//! ```text
//! publishing 20 photos, until Ctrl-C
//! stopping, since all photos are published
//! scale: 20 photos
//! store: 20 photos
//! nothing is left
//! ```
//!
//! `cargo run --example graceful_shutdown 1000000` leaves time for Ctrl-C.

use std::{env, sync::mpsc, thread, time::Duration};

use leveret::{Broker, Overflow, Producer, Queue, Result};

fn main() -> Result {
    let photos = env::args().nth(1).and_then(|photos| photos.parse().ok());
    let photos: u64 = photos.unwrap_or(20);

    let broker = Broker::new();
    // While four photos wait in front of a stage, the stage before waits too.
    let stage = |name| Queue::new(name).max_length(4).overflow(Overflow::Block);
    let (scale, store) = (stage("scale"), stage("store"));
    let scaled = broker.producer(&store)?;
    let scaler = broker.worker::<u64>(&scale).concurrency(2);
    // A handler that holds a message may publish during the shutdown, so the second stage gets it.
    let scaler = scaler.handler(move |photo, _| scaled.publish(*photo).map(drop));
    let scaler = scaler.spawn()?;
    let storer = broker.worker::<u64>(&store);
    let storer = storer.handler(|_, _| thread::sleep(Duration::from_millis(1)));
    let storer = storer.spawn()?;

    // The program stops at Ctrl-C, or after the last photo.
    let (stop, stopping) = mpsc::channel();
    let interrupt = stop.clone();
    let interrupt = move || interrupt.send("there was Ctrl-C").unwrap_or(());
    ctrlc::set_handler(interrupt).expect("there is no other handler");
    println!("publishing {photos} photos, until Ctrl-C");
    let client = broker.producer(&scale)?;
    let client = thread::spawn(move || {
        let published = publish(&client, photos);
        stop.send("all photos are published").unwrap_or(());
        published
    });

    let reason = stopping.recv().expect("the handler keeps a sender");
    println!("stopping, since {reason}");
    // From now on the client is refused. The stages finish what they have, at most in ten seconds.
    let report = broker.shutdown(Duration::from_secs(10))?;
    let published = client.join().expect("the client does not panic");
    for worker in [scaler, storer] {
        let report = worker.join();
        println!("{}: {} photos", report.worker, report.counts.acked);
        assert_eq!(report.counts.acked, published);
    }
    assert!(!report.timed_out && report.queues.is_empty(), "{report:?}");
    println!("nothing is left");
    Ok(())
}

/// Publishes photos until the broker refuses one. Returns the number of those that it has accepted.
fn publish(client: &Producer<u64>, photos: u64) -> u64 {
    (0..photos)
        .take_while(|photo| client.publish(*photo).is_ok())
        .count() as u64
}
