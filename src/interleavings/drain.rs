//! The drain of a broker that shuts down: who publishes, and what the report counts.
//!
//! The clock stands still. If a shutdown waited for anything that never comes, it would not return.

use super::*;
use crate::{
    message::outgoing::Message, model::descriptions::Exchange, model::error::Error,
    runtime::clock::ManualClock, session::broker_core::ShutdownReport,
};
use std::time::Duration;

fn broker() -> Broker {
    Broker::builder().clock(ManualClock::new()).build()
}

fn shut_down(broker: &Broker) -> ShutdownReport {
    let report = broker.shutdown(Duration::from_secs(1)).unwrap();
    assert!(!report.timed_out, "{report:?}");
    report
}

/// Receives until the end, and returns the messages that it has acknowledged.
fn receive_all(consumer: Consumer<u32>) -> JoinHandle<Vec<u32>> {
    thread::spawn(move || {
        let mut received = Vec::new();
        while let Ok(delivery) = consumer.recv() {
            received.push(*delivery);
            delivery.ack().unwrap();
        }
        received
    })
}

#[test]
fn a_message_goes_through_all_stages_before_the_broker_ends() {
    explore(|| {
        let broker = broker();
        let (first, second) = (Queue::new("first"), Queue::new("second"));
        let from = broker.consumer::<u32>(&first).unwrap();
        let to = broker.producer::<u32>(&second).unwrap();
        let sink = broker.consumer::<u32>(&second).unwrap();
        broker.producer::<u32>(&first).unwrap().publish(7).unwrap();
        let stage = thread::spawn(move || {
            while let Ok(delivery) = from.recv() {
                to.publish(*delivery).unwrap();
                delivery.ack().unwrap();
            }
        });
        let sink = receive_all(sink);
        let report = shut_down(&broker);
        stage.join().unwrap();
        assert_eq!(sink.join().unwrap(), [7]);
        assert!(report.queues.is_empty(), "{report:?}");
    });
}

#[test]
fn a_task_publishes_for_its_delivery_until_that_is_settled() {
    explore(|| {
        let broker = broker();
        let from = broker.consumer::<u32>("first").unwrap();
        let to = broker.producer::<u32>("second").unwrap();
        let sink = broker.consumer::<u32>("second").unwrap();
        broker.producer::<u32>("first").unwrap().publish(7).unwrap();
        let delivery = from.recv().unwrap();
        let on_behalf = delivery.producer(&to);
        let handler = thread::spawn(move || {
            on_behalf.publish(*delivery).unwrap();
            delivery.ack().unwrap();
        });
        let sink = receive_all(sink);
        shut_down(&broker);
        handler.join().unwrap();
        assert_eq!(sink.join().unwrap(), [7]);
    });
}

#[test]
fn a_publish_from_outside_is_refused_or_in_the_report() {
    explore(|| {
        let broker = broker();
        let producer = broker.producer::<u32>("q").unwrap();
        let outside = thread::spawn(move || {
            let mut published = 0;
            for number in 0..2 {
                match producer.publish(number) {
                    Ok(_) => published += 1,
                    Err(refused) => assert_eq!(refused.error(), &Error::ShutDown),
                }
            }
            published
        });
        let report = shut_down(&broker);
        let published: u64 = outside.join().unwrap();
        let left = report.queues.iter().map(|left| left.ready);
        assert_eq!(left.sum::<u64>(), published, "{report:?}");
    });
}

#[test]
fn a_dead_letter_on_its_way_is_waited_for() {
    explore(|| {
        let broker = broker();
        let work = Queue::new("work")
            .dead_letter_exchange("")
            .dead_letter_routing_key("dead");
        let dead = broker.consumer::<u32>("dead").unwrap();
        let consumer = broker.consumer::<u32>(&work).unwrap();
        broker.producer::<u32>(&work).unwrap().publish(7).unwrap();
        let rejecting = thread::spawn(move || {
            consumer.recv().unwrap().reject().unwrap();
            consumer.recv().map(drop).unwrap_err();
        });
        let dead = receive_all(dead);
        let report = shut_down(&broker);
        rejecting.join().unwrap();
        assert_eq!(dead.join().unwrap(), [7]);
        assert!(report.queues.is_empty(), "{report:?}");
    });
}

#[test]
fn a_message_whose_delay_ends_meanwhile_is_waited_for() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let later = Exchange::fanout("later").delayed();
        let bound = broker
            .declare(&Queue::new("bound").bind(&later, ""))
            .unwrap();
        let sink = receive_all(broker.consumer::<u32>(&bound).unwrap());
        let producer = broker.producer::<u32>(&later).unwrap();
        let delayed = Message::new(7).deliver_after(Duration::from_secs(1));
        producer.publish_message(delayed).unwrap();
        let advancing = thread::spawn(move || clock.advance(Duration::from_secs(1)));
        let report = broker.shutdown(Duration::from_secs(2)).unwrap();
        advancing.join().unwrap();
        assert!(!report.timed_out, "{report:?}");
        assert_eq!(sink.join().unwrap(), [7]);
    });
}

#[test]
fn threads_that_share_a_consumer_all_publish_while_they_hold_deliveries() {
    explore(|| {
        let broker = broker();
        let producer = broker.producer::<u32>(&Queue::new("second")).unwrap();
        let from = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        let first = broker.producer(&queue()).unwrap();
        let threads = [(); 2].map(|()| {
            let (from, producer) = (Arc::clone(&from), producer.clone());
            thread::spawn(move || {
                while let Ok(delivery) = from.recv() {
                    producer.publish(*delivery).unwrap();
                    delivery.ack().unwrap();
                }
            })
        });
        for id in 0..3 {
            first.publish(id).unwrap();
        }
        let report = shut_down(&broker);
        join(threads);
        let second = report.queues.iter().find(|queue| &*queue.queue == "second");
        assert_eq!(second.map(|queue| queue.ready), Some(3), "{report:?}");
    });
}
