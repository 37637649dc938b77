//! Producers that publish again what a queue refuses, against room and against the ends.

use std::time::Duration;

use super::*;
use crate::{
    handles::producer::Producer,
    model::{backoff::Backoff, descriptions::Overflow, error::Error},
    runtime::{
        clock::ManualClock,
        sync::atomic::{AtomicBool, Ordering::SeqCst},
    },
    session::connection::Connection,
};

/// The queue "q" with room for one message, which it has.
fn full(connection: &Connection) -> Producer<u32> {
    let queue = queue().max_length(1).overflow(Overflow::RejectPublish);
    let producer = connection.producer::<u32>(&queue).unwrap();
    producer.publish(0).unwrap();
    producer
}

fn on_a_manual_clock() -> (Broker, Connection, ManualClock) {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    (broker, connection, clock)
}

#[test]
fn the_end_of_the_connection_ends_the_wait_for_the_next_attempt() {
    explore(|| {
        // The time of the clock stands still.
        let (broker, connection, _clock) = on_a_manual_clock();
        let retrying = full(&connection).retry(Backoff::default());
        let publishing = thread::spawn(move || retrying.publish(1));
        let closing = thread::spawn(move || connection.close().unwrap());
        let purged = broker.purge("q").unwrap();
        let got_in = match publishing.join().unwrap() {
            Ok(published) => published.routed as u64,
            Err(refused) => {
                assert_eq!(refused.into_parts(), (Error::ConnectionClosed, Some(1)));
                0
            }
        };
        closing.join().unwrap();
        assert_eq!(purged + rest(&broker, "q").len() as u64, 1 + got_in);
    });
}

#[test]
fn a_shutdown_ends_the_waits_of_threads_and_tasks() {
    explore(|| {
        let (broker, connection, _clock) = on_a_manual_clock();
        let retrying = full(&connection).retry(Backoff::default());
        let publishing = thread::spawn({
            let retrying = retrying.clone();
            move || retrying.publish(1)
        });
        let as_task = thread::spawn(move || block_on(retrying.publish_async(2)));
        let held = broker.simple_queue::<u32>("q").unwrap().get().unwrap();
        broker.producer::<u32>("q").unwrap().try_publish(3).ok();
        let settling = thread::spawn(move || {
            // The message is settled only after the publishers have returned, and the shutdown
            // waits for the settlement. A publisher may have taken the room.
            for published in join([publishing, as_task]) {
                if let Err(refused) = published {
                    assert_eq!(refused.error(), &Error::ShutDown);
                }
            }
            held.ack().ok();
        });
        broker.shutdown(Duration::MAX).unwrap();
        settling.join().unwrap();
    });
}

#[test]
fn a_message_comes_once_however_the_clock_and_the_room_come() {
    explore(|| {
        let (broker, connection, clock) = on_a_manual_clock();
        let second = Duration::from_secs(1);
        let retrying = full(&connection).retry(Backoff::constant(second).max_attempts(2));
        let ended = Arc::new(AtomicBool::new(false));
        let publishing = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let published = block_on(retrying.publish_async(1));
                ended.store(true, SeqCst);
                match published {
                    Ok(published) => published.routed,
                    Err(refused) => {
                        assert!(matches!(refused.error(), Error::Refused { .. }));
                        0
                    }
                }
            }
        });
        let purging = thread::spawn({
            let broker = broker.clone();
            move || broker.purge("q").unwrap() as usize
        });
        // It is enough for the wait, whenever that begins.
        while !ended.load(SeqCst) {
            clock.advance(second);
            thread::yield_now();
        }
        let got_in = publishing.join().unwrap();
        let purged = purging.join().unwrap();
        assert_eq!(purged + rest(&broker, "q").len(), 1 + got_in);
    });
}
