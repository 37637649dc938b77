//! Deliveries of typed consumers that have to be settled in time, on both kinds of queues.

use super::*;
use crate::{
    engine::policy::Policy, management::snapshot::QueueSnapshot, runtime::clock::ManualClock,
    session::delivery::Delivery,
};

const TIME: Duration = Duration::from_millis(10);

/// The messages are numbers here: a [`Local`] has all the time.
type Numbers = Consumer<u32>;

fn both_kinds() -> [Queue; 2] {
    [queue().durable(), Queue::quorum("q")]
}

/// A broker with the numbers 0 to 2 in a queue, and a consumer that has a time for each of them.
fn slow_consumer(queue: &Queue) -> (Broker, ManualClock, Numbers) {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let builder = broker.consumer_builder::<u32>(queue);
    let consumer = builder.timeout(TIME).build().unwrap();
    let producer = broker.producer::<u32>(queue).unwrap();
    for number in 0..3 {
        producer.publish(number).unwrap();
    }
    (broker, clock, consumer)
}

fn counts(broker: &Broker) -> QueueSnapshot {
    let mut snapshot = broker.snapshot().unwrap();
    let queues = &mut snapshot.vhosts[0].queues;
    let at = queues.iter().position(|queue| queue.name == "q").unwrap();
    queues.swap_remove(at)
}

/// The number of a delivery, and how often it was acquired before.
fn seen(delivery: &Delivery<u32>) -> (u32, u32) {
    (**delivery, delivery.info().acquired_count())
}

/// Everything that the consumer gets, acknowledged.
fn all(consumer: &Numbers) -> Vec<(u32, u32)> {
    std::iter::from_fn(|| consumer.try_recv().ok())
        .map(|delivery| {
            let seen = seen(&delivery);
            delivery.ack().unwrap();
            seen
        })
        .collect()
}

#[test]
fn a_late_acknowledgement_against_the_time_out_ends_each_message_once() {
    for queue in both_kinds() {
        explore(move || {
            let (broker, clock, consumer) = slow_consumer(&queue);
            let held = [(); 2].map(|()| consumer.recv().unwrap());
            let acknowledging = thread::spawn(move || held.map(|one| one.ack().unwrap()));
            clock.advance(TIME);
            acknowledging.join().unwrap();
            // It is served again, and gets exactly what was taken back, and what it never saw.
            let came = all(&consumer);
            let fresh = came.iter().filter(|(_, acquired)| *acquired == 0);
            assert_eq!(fresh.count(), 1, "{came:?}");
            let after = counts(&broker);
            assert_eq!((after.acked.messages, after.unsettled.messages), (3, 0));
        });
    }
}

#[test]
fn a_delivery_that_is_dropped_against_the_time_out_returns_once() {
    for queue in both_kinds() {
        explore(move || {
            let (broker, clock, consumer) = slow_consumer(&queue);
            let held = [(); 2].map(|()| consumer.recv().unwrap());
            let dropping = thread::spawn(move || drop(held));
            clock.advance(TIME);
            dropping.join().unwrap();
            let mut came = all(&consumer);
            came.sort_unstable();
            assert_eq!(came, [(0, 1), (1, 1), (2, 0)]);
            assert_eq!(counts(&broker).acked.messages, 3);
        });
    }
}

#[test]
fn what_a_late_consumer_has_in_advance_is_received_once_by_it_or_by_another() {
    for queue in both_kinds() {
        explore(move || {
            let (broker, clock, consumer) = slow_consumer(&queue);
            let consumer = Arc::new(consumer);
            let held = consumer.recv().unwrap();
            let receiving = thread::spawn({
                let consumer = Arc::clone(&consumer);
                move || all(&consumer)
            });
            let other = thread::spawn({
                let broker = broker.clone();
                move || {
                    let other = broker.consumer::<u32>(Queue::existing("q")).unwrap();
                    all(&other)
                }
            });
            clock.advance(TIME);
            let mut came = receiving.join().unwrap();
            came.extend(other.join().unwrap());
            held.ack().unwrap();
            came.extend(all(&consumer));
            came.sort_unstable();
            // One that was late in the hands of the receiver comes once more.
            came.retain(|seen| !matches!(seen, (1 | 2, 1)));
            assert_eq!(came, [(0, 1), (1, 0), (2, 0)]);
            assert_eq!(counts(&broker).acked.messages, 3);
        });
    }
}

#[test]
fn a_consumer_that_ends_against_the_time_out_leaves_each_message_once() {
    for queue in both_kinds() {
        explore(move || {
            let (broker, clock, consumer) = slow_consumer(&queue);
            let held = consumer.recv().unwrap();
            let ending = thread::spawn(move || {
                drop(consumer);
                held.ack().unwrap();
            });
            clock.advance(TIME);
            ending.join().unwrap();
            let after = counts(&broker);
            assert_eq!(after.acked.messages + after.ready.messages, 3, "{after:?}");
            let other = broker.consumer::<u32>(Queue::existing("q")).unwrap();
            let came = all(&other);
            assert_eq!(came.len() as u64, after.ready.messages);
            assert!(came.ends_with(&[(1, 0), (2, 0)]), "{came:?}");
        });
    }
}

#[test]
fn a_time_that_a_policy_sets_holds_for_a_consumer_that_starts_meanwhile() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let queue = Queue::quorum("q");
        broker.producer(&queue).unwrap().publish(7_u32).unwrap();
        let setting = [10, 20].map(|millis| {
            let root = broker.vhost("/").unwrap();
            let policy = Policy::new("p", "q").setting("consumer-timeout", millis);
            thread::spawn(move || root.set_policy(policy).unwrap())
        });
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        join(setting);
        let held = consumer.recv().unwrap();
        clock.advance(2 * TIME);
        assert_eq!(counts(&broker).ready.messages, 1);
        held.ack().unwrap();
        assert_eq!(all(&consumer), [(7, 1)]);
    });
}
