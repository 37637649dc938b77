//! Tests of batches over an engine outside of this process.

use std::{sync::mpsc, thread, time::Duration};

use super::{SECOND, fake::Fake};
use crate::{
    handles::broker::Broker,
    model::{
        backoff::Backoff,
        descriptions::{Overflow, Queue},
        error::Error,
    },
    runtime::{
        block_on::block_on,
        clock::{ManualClock, Time},
    },
};

#[test]
fn a_batch_is_published_while_its_first_messages_are_not_confirmed() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let queue = Queue::new("q").max_length(5);
    let queue = queue.overflow(Overflow::RejectPublish);
    let producer = connection.producer::<u32>(&queue).unwrap();
    for in_a_task in [false, true] {
        let held = fake.hold();
        let (last, taken) = mpsc::channel();
        let payloads = (0..300).inspect(move |number| {
            if *number == 299 {
                last.send(()).unwrap();
            }
        });
        let publishing = thread::spawn({
            let producer = producer.clone();
            move || match in_a_task {
                false => producer.publish_batch(payloads),
                true => block_on(producer.publish_batch_async(payloads)),
            }
        });
        taken.recv_timeout(SECOND).unwrap();
        drop(held);
        let results = publishing.join().unwrap();
        let refused = results.filter_map(|result| result.err()?.into_parts().1);
        assert!(refused.eq(5..300));
        assert_eq!(connection.purge("q").unwrap(), 5);
    }
}

#[test]
fn a_batch_waits_for_its_first_messages_when_too_many_are_not_confirmed() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let queue = Queue::new("q").max_length(2_000);
    let queue = queue.overflow(Overflow::RejectPublish);
    let producer = connection.producer::<u32>(&queue).unwrap();
    let (pulled, pulls) = mpsc::channel();
    let held = fake.hold();
    let publishing = thread::spawn(move || {
        let payloads = (0..2_500).inspect(move |number| pulled.send(*number).unwrap());
        producer.publish_batch(payloads)
    });
    // The payloads come in runs of 64.
    for number in 0..1_024 + 64 {
        assert_eq!(pulls.recv_timeout(SECOND), Ok(number));
    }
    assert!(pulls.recv_timeout(Duration::from_millis(20)).is_err());
    drop(held);
    let results = publishing.join().unwrap();
    let refused = results.filter_map(|result| result.err()?.into_parts().1);
    assert!(refused.eq(2_000..2_500));
}

#[test]
fn a_batch_waits_for_its_first_messages_when_they_are_large() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let producer = connection.producer::<Vec<u8>>("q").unwrap();
    let (pulled, pulls) = mpsc::channel();
    let held = fake.hold();
    let publishing = thread::spawn(move || {
        let payloads = (0..200).map(move |number| {
            pulled.send(number).unwrap();
            vec![0; 1 << 18]
        });
        producer.publish_batch(payloads)
    });
    for number in 0..128 {
        assert_eq!(pulls.recv_timeout(SECOND), Ok(number));
    }
    assert!(pulls.recv_timeout(Duration::from_millis(20)).is_err());
    drop(held);
    let results = publishing.join().unwrap();
    assert_eq!(results.filter(Result::is_ok).count(), 200);
}

#[test]
fn what_a_batch_has_not_published_in_time_comes_back_in_order() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let producer = connection.producer::<u32>("q").unwrap();
    let held = fake.hold();
    let late = producer.publish_batch_timeout(0..300, Duration::from_millis(1));
    let late = late.map(|result| result.unwrap_err().into_parts());
    assert!(late.eq((0..300).map(|number| (Error::Timeout, Some(number)))));
    drop(held);
}

#[test]
fn what_a_batch_has_not_sent_in_time_is_not_sent_later() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let clock = ManualClock::new();
    let connection = fake.handles_at(Time::new(clock.clone()));
    let producer = connection.producer::<u32>("q").unwrap();
    for producer in [producer.clone(), producer.retry(Backoff::default())] {
        let clock = clock.clone();
        let payloads = (0..300).inspect(move |number| {
            // The first of the second run.
            if *number == 64 {
                clock.advance(SECOND);
            }
        });
        let results = producer.publish_batch_timeout(payloads, SECOND);
        let late = results.skip(64).map(|late| late.unwrap_err().into_parts());
        assert!(late.eq((64..300).map(|number| (Error::Timeout, Some(number)))));
        assert_eq!(connection.purge("q").unwrap(), 64);
    }
}
