//! The timer of a queue, which several threads set to different times while it fires.
//!
//! Most tests have a timer at 2 and a message due at 9. Then two threads add messages that are due
//! at 1 and at 3, while the clock passes 2. When the clock has passed 9, all of them have come.

use std::time::Duration;

use super::*;
use crate::{
    message::outgoing::Message,
    model::{descriptions::Exchange, error::Error},
    runtime::clock::ManualClock,
    session::requeue::Requeue,
};

fn time(units: u64) -> Duration {
    Duration::from_millis(10 * units)
}

fn on_a_manual_clock() -> (Broker, ManualClock) {
    let clock = ManualClock::new();
    (Broker::builder().clock(clock.clone()).build(), clock)
}

/// Runs both actions and the clock on three threads. Then the clock passes the time of everything.
fn against_the_clock(clock: &ManualClock, actions: [Box<dyn FnOnce() + Send>; 2]) {
    let acting = actions.map(thread::spawn);
    let advancing = thread::spawn({
        let clock = clock.clone();
        move || clock.advance(time(2))
    });
    join(acting.into_iter().chain([advancing]));
    clock.advance(time(9));
}

fn publishing(broker: &Broker, queue: &Queue, message: Message<u32>) -> Box<dyn FnOnce() + Send> {
    let producer = broker.producer::<u32>(queue).unwrap();
    Box::new(move || {
        producer.publish_message(message).unwrap();
    })
}

#[test]
fn delayed_messages_of_two_publishers_all_come() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let message = |due: u32| Message::new(due).deliver_after(time(due.into()));
        for due in [2, 9] {
            publishing(&broker, &queue(), message(due))();
        }
        let actions = [1, 3].map(|due| publishing(&broker, &queue(), message(due)));
        against_the_clock(&clock, actions);
        assert_eq!(sorted(ids(&rest(&broker, "q"))), [1, 2, 3, 9]);
    });
}

#[test]
fn messages_of_a_delayed_exchange_all_come() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let exchange = Exchange::fanout("x").delayed();
        broker.declare(&queue().bind(&exchange, "")).unwrap();
        let publishing = |due: u32| -> Box<dyn FnOnce() + Send> {
            let producer = broker.producer::<u32>(&exchange).unwrap();
            let message = Message::new(due).delay(time(due.into()));
            Box::new(move || {
                producer.publish_message(message).unwrap();
            })
        };
        publishing(2)();
        publishing(9)();
        against_the_clock(&clock, [publishing(1), publishing(3)]);
        assert_eq!(sorted(ids(&rest(&broker, "q"))), [1, 2, 3, 9]);
    });
}

#[test]
fn messages_that_are_requeued_with_a_delay_all_return() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        let requeuing = [2, 9, 1, 3].map(|due| -> Box<dyn FnOnce() + Send> {
            producer.publish(due).unwrap();
            let delivery = consumer.recv().unwrap();
            Box::new(move || delivery.nack(Requeue::After(time(due.into()))).unwrap())
        });
        drop(consumer);
        let [second, last, first, third] = requeuing;
        second();
        last();
        against_the_clock(&clock, [first, third]);
        assert_eq!(sorted(ids(&rest(&broker, "q"))), [1, 2, 3, 9]);
    });
}

#[test]
fn messages_with_a_time_to_live_all_expire() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        // A message expires at the head only, so the priorities make it the first one.
        let queue = queue().max_priority(9);
        let message = |due: u32| {
            Message::new(due)
                .expiration(time(due.into()))
                .priority(9 - due as u8)
        };
        for due in [2, 9] {
            publishing(&broker, &queue, message(due))();
        }
        let actions = [1, 3].map(|due| publishing(&broker, &queue, message(due)));
        against_the_clock(&clock, actions);
        let counts = broker.snapshot().unwrap().vhosts[0].queues[0].clone();
        assert_eq!((counts.ready.messages, counts.expired.messages), (0, 4));
    });
}

#[test]
fn a_queue_whose_lease_is_renewed_while_a_message_expires_is_deleted_in_the_end() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let queue = queue().expires(time(2));
        let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
        let renewing = Box::new(move || drop(mailbox.try_get()));
        let producer = broker.producer::<u32>(&queue).unwrap();
        // It comes back if the queue is deleted already.
        let expiring = Box::new(move || {
            drop(producer.publish_message(Message::new(1).expiration(time(1))));
        });
        against_the_clock(&clock, [renewing, expiring]);
        let gone = broker.simple_queue::<u32>(&Queue::existing("q"));
        assert!(matches!(gone, Err(Error::NotFound { .. })));
    });
}
