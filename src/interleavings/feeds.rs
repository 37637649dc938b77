//! Taps and events come and go while others publish and declare.

use super::*;
use crate::{engine::tap::TapFilter, model::broker_event::EventKind, session::feed::Feed};

fn read<T: Send + 'static>(feed: &Feed<T>) -> Vec<T> {
    std::iter::from_fn(|| feed.try_recv().ok()).collect()
}

#[test]
fn a_publish_after_the_tap_is_there_passes_it() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let other = thread::spawn({
            let broker = broker.clone();
            move || {
                // The connection may forget the taps at this moment.
                drop(broker.tap(TapFilter::publishes()));
                broker
                    .producer::<u32>("other")
                    .unwrap()
                    .publish(0)
                    .map(drop)
            }
        });
        let tap = broker.tap(TapFilter::publishes().queue("q"));
        producer.publish(7).unwrap();
        assert_eq!(read(&tap).len(), 1);
        other.join().unwrap().unwrap();
    });
}

#[test]
fn a_delivery_after_the_tap_is_there_passes_it_once() {
    explore(|| {
        let broker = Broker::new();
        let starting = thread::spawn({
            let broker = broker.clone();
            move || broker.consumer::<u32>(&queue()).unwrap()
        });
        let tap = broker.tap(TapFilter::deliveries());
        let consumer = starting.join().unwrap();
        broker
            .producer::<u32>(&queue())
            .unwrap()
            .publish(7)
            .unwrap();
        consumer.recv().unwrap().ack().unwrap();
        assert_eq!(read(&tap).len(), 1);
    });
}

#[test]
fn the_events_of_a_queue_have_the_order_of_their_causes() {
    explore(|| {
        let broker = Broker::new();
        let events = broker.events();
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&queue()).unwrap()
        });
        broker.declare(&queue()).unwrap();
        broker.declare(&queue()).unwrap();
        deleting.join().unwrap();
        let mut is_there = false;
        for event in read(&events) {
            let comes = event.kind() == EventKind::QueueCreated;
            assert_ne!(std::mem::replace(&mut is_there, comes), comes);
        }
    });
}

#[test]
fn a_reader_that_waits_is_woken_by_an_event_and_by_the_end() {
    explore(|| {
        let broker = Broker::new();
        let events = broker.events();
        let reading = thread::spawn(move || {
            let first = events.recv().map(|event| event.kind());
            (first.ok(), events.iter().count())
        });
        broker.declare(&queue()).unwrap();
        drop(broker);
        assert_eq!(reading.join().unwrap(), (Some(EventKind::QueueCreated), 0));
    });
}
