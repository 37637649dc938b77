//! Deliveries that a typed consumer does not settle in time, on both kinds of queues.

mod ends;
mod model;

use std::{pin::pin, thread, time::Duration};

use leveret::{
    Broker, Consumer, DelayedRetryKind, Delivery, Local, ManualClock, Policy, Queue, QueueSnapshot,
    Requeue, Select, TryRecvError,
};

use crate::common::{Alarm, HOUR, PATIENCE, SECOND, assert_conserved, on_a_manual_clock};

const MILLISECOND: Duration = Duration::from_millis(1);

fn both_kinds() -> [Queue; 2] {
    [Queue::new("q").durable(), Queue::quorum("q")]
}

/// A consumer that has a second for each delivery, and the numbers in its queue.
fn slow_consumer(
    queue: &Queue,
    numbers: impl IntoIterator<Item = u32>,
) -> (Broker, ManualClock, Consumer<u32>) {
    let (broker, clock) = on_a_manual_clock();
    let builder = broker.consumer_builder::<u32>(queue);
    let consumer = builder.timeout(SECOND).build().unwrap();
    publish(&broker, queue, numbers);
    (broker, clock, consumer)
}

fn publish(broker: &Broker, queue: &Queue, numbers: impl IntoIterator<Item = u32>) {
    let producer = broker.producer::<u32>(queue).unwrap();
    for number in numbers {
        producer.publish(number).unwrap();
    }
}

/// The counts of the queue, which add up.
fn counts(broker: &Broker) -> QueueSnapshot {
    let mut snapshot = broker.snapshot().unwrap();
    let queues = &mut snapshot.vhosts[0].queues;
    let at = queues.iter().position(|queue| queue.name == "q").unwrap();
    let counts = queues.swap_remove(at);
    assert_conserved(&counts);
    counts
}

fn ready(broker: &Broker) -> u64 {
    counts(broker).ready.messages
}

/// The payload of a delivery, and how often it was acquired and failed before.
fn seen(delivery: &Delivery<u32>) -> (u32, u32, u32) {
    let info = delivery.info();
    assert_eq!(info.redelivered(), info.acquired_count() > 0);
    (**delivery, info.acquired_count(), info.delivery_count())
}

fn next(consumer: &Consumer<u32>) -> Option<(u32, u32, u32)> {
    match consumer.try_recv() {
        Ok(delivery) => {
            let seen = seen(&delivery);
            delivery.ack().unwrap();
            Some(seen)
        }
        Err(TryRecvError::Empty) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Everything that the consumer gets, acknowledged.
fn all(consumer: &Consumer<u32>) -> Vec<(u32, u32, u32)> {
    std::iter::from_fn(|| next(consumer)).collect()
}

/// Ways to end a delivery.
fn endings() -> Vec<fn(Delivery<u32>)> {
    vec![
        |delivery| delivery.ack().unwrap(),
        |delivery| delivery.reject().unwrap(),
        |delivery| delivery.nack(Requeue::Yes).unwrap(),
        |delivery| delivery.nack(Requeue::No).unwrap(),
        |delivery| delivery.nack(Requeue::Failed).unwrap(),
        |delivery| delivery.nack(Requeue::After(SECOND)).unwrap(),
        |delivery| drop(delivery.ack_into()),
        drop,
    ]
}

#[test]
fn a_late_delivery_returns_and_however_it_ends_then_only_its_consumer_is_served_again() {
    for queue in both_kinds() {
        for end in endings() {
            let (broker, clock, consumer) = slow_consumer(&queue, [1, 2, 3]);
            let first = consumer.recv().unwrap();
            let second = consumer.recv().unwrap();
            clock.advance(SECOND - MILLISECOND);
            assert_eq!(ready(&broker), 0);
            clock.advance(MILLISECOND);
            assert_eq!(ready(&broker), 3);
            assert_eq!(counts(&broker).unsettled.messages, 0);
            end(first);
            assert_eq!(next(&consumer), None, "another delivery is late");
            assert_eq!(ready(&broker), 3);
            end(second);
            assert_eq!(all(&consumer), [(1, 1, 0), (2, 1, 0), (3, 0, 0)]);
            assert_eq!(counts(&broker).acked.messages, 3);
        }
    }
}

#[test]
fn a_delivery_that_ends_in_time_does_not_return() {
    for queue in both_kinds() {
        for end in endings() {
            let (broker, clock, consumer) = slow_consumer(&queue, [1]);
            let delivery = consumer.recv().unwrap();
            clock.advance(SECOND - MILLISECOND);
            end(delivery);
            clock.advance(HOUR);
            let after = counts(&broker);
            let (acked, dropped) = (after.acked.messages, after.dropped.messages);
            let again = all(&consumer);
            assert_eq!(acked + dropped + again.len() as u64, 1, "{after:?}");
            assert!(again.iter().all(|(_, acquired, _)| *acquired == 1));
            assert_eq!(counts(&broker).unsettled.messages, 0);
        }
    }
}

#[test]
fn the_time_is_that_of_the_consumer_or_the_lower_of_queue_and_policy_or_that_of_the_broker() {
    let seconds = |seconds: u32| SECOND * seconds;
    let times = [None, Some(3), Some(5)];
    for own in times {
        for declared in [None, Some(4), Some(2)] {
            for policy in times {
                for of_broker in [None, Some(1), Some(6)] {
                    let clock = ManualClock::new();
                    let mut builder = Broker::builder().clock(clock.clone());
                    if let Some(time) = of_broker {
                        builder = builder.consumer_timeout(seconds(time));
                    }
                    let broker = builder.build();
                    let mut queue = Queue::quorum("q");
                    if let Some(time) = declared {
                        queue = queue.consumer_timeout(seconds(time));
                    }
                    if let Some(time) = policy {
                        let policy =
                            Policy::new("p", "q").setting("consumer-timeout", time * 1_000);
                        broker.vhost("/").unwrap().set_policy(policy).unwrap();
                    }
                    let mut builder = broker.consumer_builder::<u32>(&queue);
                    if let Some(time) = own {
                        builder = builder.timeout(seconds(time));
                    }
                    let consumer = builder.build().unwrap();
                    publish(&broker, &queue, [1]);
                    let held = consumer.recv().unwrap();
                    let lower = declared.into_iter().chain(policy).min();
                    let expected = own.or(lower).or(of_broker).map(seconds);
                    let Some(expected) = expected else {
                        clock.advance(HOUR);
                        assert_eq!(ready(&broker), 0, "it has all the time");
                        held.ack().unwrap();
                        continue;
                    };
                    clock.advance(expected - MILLISECOND);
                    assert_eq!(ready(&broker), 0);
                    clock.advance(MILLISECOND);
                    assert_eq!(ready(&broker), 1);
                    drop(held);
                }
            }
        }
    }
}

#[test]
fn a_classic_queue_knows_only_the_time_of_the_consumer() {
    let clock = ManualClock::new();
    let builder = Broker::builder().clock(clock.clone());
    let broker = builder.consumer_timeout(SECOND).build();
    let policy = Policy::new("p", "q").setting("consumer-timeout", 1_000);
    broker.vhost("/").unwrap().set_policy(policy).unwrap();
    let queue = Queue::new("q").durable();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    publish(&broker, &queue, [1]);
    let held = consumer.recv().unwrap();
    clock.advance(HOUR);
    assert_eq!(ready(&broker), 0);
    held.ack().unwrap();
    assert_eq!(counts(&broker).acked.messages, 1);
}

#[test]
fn a_policy_holds_for_the_deliveries_after_its_change() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::quorum("q");
    let root = broker.vhost("/").unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    publish(&broker, &queue, 1..=4);
    let first = consumer.recv().unwrap();
    let policy = Policy::new("p", "q").setting("consumer-timeout", 1_000);
    root.set_policy(policy).unwrap();
    let second = consumer.recv().unwrap();
    clock.advance(SECOND);
    assert_eq!(ready(&broker), 3, "the second one, and what was not shown");
    second.ack().unwrap();
    root.clear_policy("p").unwrap();
    let third = consumer.recv().unwrap();
    assert_eq!(seen(&third), (2, 1, 0));
    clock.advance(HOUR);
    assert_eq!(ready(&broker), 0);
    first.ack().unwrap();
    third.ack().unwrap();
    assert_eq!(all(&consumer), [(3, 0, 0), (4, 0, 0)]);
}

#[test]
fn what_no_receiver_was_shown_has_all_the_time_and_returns_with_the_late_ones_unchanged() {
    for queue in both_kinds() {
        let (broker, clock, consumer) = slow_consumer(&queue, 1..=4);
        clock.advance(HOUR);
        assert_eq!(
            ready(&broker),
            0,
            "all of it is with the consumer in advance"
        );
        let held = consumer.recv().unwrap();
        publish(&broker, &queue, [5]);
        clock.advance(SECOND);
        // Another consumer gets the late message, and the rest of the run and of the inbox.
        let other = broker.consumer::<u32>(&queue).unwrap();
        let expected = [(1, 1, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0), (5, 0, 0)];
        assert_eq!(all(&other), expected);
        held.ack().unwrap();
        assert_eq!(counts(&broker).acked.messages, 5);
    }
}

#[test]
fn late_messages_come_in_the_order_in_which_they_are_due_behind_what_has_returned_before() {
    let (broker, clock, consumer) = slow_consumer(&Queue::quorum("q"), 1..=5);
    let [first, second, third] = [(); 3].map(|()| {
        clock.advance(MILLISECOND);
        consumer.recv().unwrap()
    });
    // It returns behind what the consumer has in advance, and that is not shown yet.
    second.nack(Requeue::Yes).unwrap();
    clock.advance(SECOND);
    let other = broker.consumer::<u32>("q").unwrap();
    let expected = [(2, 1, 0), (1, 1, 0), (3, 1, 0), (4, 0, 0), (5, 0, 0)];
    assert_eq!(all(&other), expected);
    drop((first, third));
}

#[test]
fn a_message_waits_for_the_delayed_retry_of_its_queue_when_it_returns_late() {
    for (kind, waits) in [
        (DelayedRetryKind::All, true),
        (DelayedRetryKind::Returned, true),
        (DelayedRetryKind::Failed, false),
    ] {
        let queue = Queue::quorum("q").delayed_retry(kind, SECOND, SECOND);
        let (broker, clock, consumer) = slow_consumer(&queue, [1]);
        let held = consumer.recv().unwrap();
        clock.advance(SECOND);
        assert_eq!(counts(&broker).delayed.messages, u64::from(waits));
        held.ack().unwrap();
        clock.advance(SECOND);
        assert_eq!(all(&consumer), [(1, 1, 0)]);
    }
}

#[test]
fn the_time_begins_when_the_receiver_gets_the_message_in_every_form_of_receiving() {
    type Receive = fn(&Consumer<u32>) -> Vec<Delivery<u32>>;
    let forms: [Receive; 6] = [
        |consumer| vec![consumer.recv().unwrap()],
        |consumer| vec![consumer.recv_timeout(SECOND).unwrap()],
        |consumer| vec![consumer.iter().next().unwrap().unwrap()],
        |consumer| consumer.recv_batch(1, Duration::ZERO).unwrap().collect(),
        |consumer| {
            let batch = consumer.recv_batch_async(1, Duration::ZERO);
            crate::common::block_on(batch).unwrap().collect()
        },
        |consumer| {
            let mut select = Select::new();
            let own = select.recv(consumer);
            let ready = select.select();
            assert_eq!(ready.index(), own);
            vec![ready.recv(consumer).unwrap()]
        },
    ];
    for receive in forms {
        let (broker, clock, consumer) = slow_consumer(&Queue::quorum("q"), [1, 2]);
        assert_eq!(next(&consumer), Some((1, 0, 0)));
        clock.advance(SECOND - MILLISECOND);
        let held = receive(&consumer);
        assert_eq!(held.len(), 1);
        clock.advance(SECOND - MILLISECOND);
        assert_eq!(ready(&broker), 0);
        clock.advance(MILLISECOND);
        assert_eq!(ready(&broker), 1);
        drop(held);
        assert_eq!(all(&consumer), [(2, 1, 0)]);
    }
}

#[test]
fn the_messages_of_a_batch_that_still_waits_for_more_are_not_shown_yet() {
    let (broker, clock, consumer) = slow_consumer(&Queue::quorum("q"), [1]);
    let alarm = Alarm::new();
    let mut receiving = pin!(consumer.recv_batch_async(2, HOUR));
    assert!(alarm.poll(receiving.as_mut()).is_pending());
    clock.advance(SECOND * 10);
    assert_eq!(ready(&broker), 0);
    publish(&broker, &Queue::quorum("q"), [2]);
    let std::task::Poll::Ready(batch) = alarm.poll(receiving.as_mut()) else {
        panic!("the batch is complete");
    };
    let batch = batch.unwrap();
    clock.advance(SECOND - MILLISECOND);
    assert_eq!(ready(&broker), 0);
    clock.advance(MILLISECOND);
    assert_eq!(ready(&broker), 2);
    drop(batch);
    assert_eq!(all(&consumer), [(1, 1, 0), (2, 1, 0)]);
}

#[test]
fn a_message_that_a_crossbeam_channel_hands_over_has_its_time_from_then_on() {
    let (broker, clock, consumer) = slow_consumer(&Queue::quorum("q"), [1, 2]);
    let receiver = consumer.into_crossbeam();
    let held = receiver.recv().unwrap();
    clock.advance(SECOND);
    // The feeder may be about to hand over the second one, which is not shown.
    assert!((1..=2).contains(&ready(&broker)));
    held.ack().unwrap();
    let mut came: Vec<_> = (0..2)
        .map(|_| {
            let delivery = receiver.recv_timeout(PATIENCE).unwrap();
            let seen = seen(&delivery);
            delivery.ack().unwrap();
            seen
        })
        .collect();
    came.sort_unstable();
    assert_eq!(came, [(1, 1, 0), (2, 0, 0)]);
}

#[test]
fn a_receiver_that_waits_gets_the_message_once_the_late_delivery_is_settled() {
    for queue in both_kinds() {
        let (_broker, clock, consumer) = slow_consumer(&queue, [1]);
        let held = consumer.recv().unwrap();
        let receiving = thread::spawn(move || {
            let delivery = consumer.recv().unwrap();
            let seen = seen(&delivery);
            delivery.ack().unwrap();
            seen
        });
        clock.advance(SECOND);
        held.reject().unwrap();
        assert_eq!(receiving.join().unwrap(), (1, 1, 0));
    }
}

#[test]
fn a_time_of_zero_is_over_at_once() {
    let (broker, clock) = on_a_manual_clock();
    let builder = broker.consumer_builder::<u32>("q").timeout(Duration::ZERO);
    let consumer = builder.build().unwrap();
    publish(&broker, &Queue::new("q"), [1]);
    let held = consumer.recv().unwrap();
    clock.advance(Duration::ZERO);
    assert_eq!(ready(&broker), 1);
    held.ack().unwrap();
    assert_eq!(*consumer.recv().unwrap(), 1);
}

#[test]
fn a_payload_that_can_be_in_one_place_only_and_auto_ack_have_all_the_time() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q");
    let builder = broker.consumer_builder::<Local<u32>>(&queue);
    let consumer = builder.timeout(SECOND).build().unwrap();
    let producer = broker.producer::<Local<u32>>(&queue).unwrap();
    producer.publish(Local(7)).unwrap();
    let held = consumer.recv().unwrap();
    clock.advance(HOUR);
    assert_eq!(ready(&broker), 0);
    assert_eq!(held.ack_into().unwrap().0, 7);
    drop(consumer);

    let builder = broker.consumer_builder::<u32>(&queue).auto_ack();
    let consumer = builder.timeout(SECOND).build().unwrap();
    publish(&broker, &queue, [8]);
    let held = consumer.recv().unwrap();
    clock.advance(HOUR);
    assert_eq!((ready(&broker), counts(&broker).acked.messages), (0, 2));
    drop(held);
}

#[test]
fn a_payload_moves_out_of_a_delivery_that_is_settled_in_time() {
    let (broker, clock) = on_a_manual_clock();
    let builder = broker.consumer_builder::<String>("q").timeout(SECOND);
    let consumer = builder.build().unwrap();
    let producer = broker.producer::<String>("q").unwrap();
    producer.publish("mine".to_owned()).unwrap();
    assert_eq!(consumer.recv().unwrap().ack_into().unwrap(), "mine");

    producer.publish("ours".to_owned()).unwrap();
    let late = consumer.recv().unwrap();
    clock.advance(SECOND);
    let shared = late.ack_into().unwrap_err();
    assert_eq!(*shared, "ours");
    assert_eq!(*consumer.recv().unwrap(), "ours");
}
