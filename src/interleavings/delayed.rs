//! Messages that are delayed by an exchange or in a queue, against the end of the delay and the
//! deletion of the exchange, and due messages without room. `timer` has the timer of a queue.

use std::time::Duration;

use super::*;
use crate::{
    message::outgoing::Message,
    model::{
        descriptions::{Exchange, Overflow},
        error::Error,
    },
    runtime::clock::ManualClock,
};

const DELAY: Duration = Duration::from_millis(10);

fn setting() -> (Broker, ManualClock, Exchange) {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let exchange = Exchange::fanout("x").delayed();
    broker.declare(&queue().bind(&exchange, "")).unwrap();
    (broker, clock, exchange)
}

#[test]
fn publishing_against_the_clock_delivers_every_message_once() {
    explore(|| {
        let (broker, clock, exchange) = setting();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        let publishing = thread::spawn(move || {
            for id in 0..2 {
                producer
                    .publish_message(Message::new(id).delay(DELAY))
                    .unwrap();
            }
        });
        let advancing = thread::spawn({
            let clock = clock.clone();
            move || clock.advance(DELAY)
        });
        join([publishing, advancing]);
        clock.advance(DELAY);
        assert_eq!(ids(&rest(&broker, "q")), [0, 1]);
    });
}

#[test]
fn a_message_is_kept_back_by_the_new_exchange_behind_a_deleted_one_or_comes_back() {
    explore(|| {
        let tracker = Tracker::default();
        let (broker, clock, exchange) = setting();
        let producer = broker.producer::<Tracked>(&exchange).unwrap();
        let renewing = thread::spawn({
            let broker = broker.clone();
            move || {
                broker.delete(&exchange).unwrap();
                broker.declare(&queue().bind(&exchange, "")).unwrap();
            }
        });
        let message = Message::new(tracker.payload(7)).delay(DELAY);
        let published = producer.publish_message(message);
        renewing.join().unwrap();
        let kept = match published {
            Ok(published) => {
                assert_eq!((published.routed, published.delayed), (0, 1));
                broker.snapshot().unwrap().vhosts[0]
                    .exchanges
                    .iter()
                    .filter_map(|exchange| exchange.delayed)
                    .map(|delayed| delayed.messages)
                    .sum()
            }
            Err(refused) => {
                assert!(matches!(refused.error(), Error::NotFound { .. }));
                assert_eq!(refused.payload().unwrap().payload().0.0, 7);
                0
            }
        };
        clock.advance(DELAY);
        let mailbox = broker.simple_queue::<Tracked>(&queue()).unwrap();
        assert_eq!(mailbox.len().unwrap(), kept as usize);
        drop(mailbox);
        drop(broker);
        tracker.assert_all_dropped();
    });
}

#[test]
fn the_end_of_a_delay_against_the_deletion_of_its_exchange_leaves_nothing_behind() {
    explore(|| {
        let tracker = Tracker::default();
        let (broker, clock, exchange) = setting();
        let producer = broker.producer::<Tracked>(&exchange).unwrap();
        for id in 0..2 {
            let message = Message::new(tracker.payload(id)).delay(DELAY);
            producer.publish_message(message).unwrap();
        }
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&exchange).unwrap()
        });
        clock.advance(DELAY);
        deleting.join().unwrap();
        let mailbox = broker.simple_queue::<Tracked>(&queue()).unwrap();
        let came: Vec<_> = std::iter::from_fn(|| mailbox.try_get().ok()).collect();
        assert!(came.iter().map(|delivery| delivery.0.0).is_sorted());
        drop((came, mailbox));
        drop(broker);
        tracker.assert_all_dropped();
    });
}

#[test]
fn cancelling_against_the_clock_cancels_or_delivers_every_message() {
    explore(|| {
        let tracker = Tracker::default();
        let (broker, clock, _) = setting();
        let producer = broker.producer::<Tracked>(&queue()).unwrap();
        for id in 0..3 {
            let message = Message::new(tracker.payload(id)).deliver_after(DELAY);
            producer.publish_message(message).unwrap();
        }
        let cancelling = thread::spawn({
            let delayed = broker.delayed(&queue()).unwrap();
            move || delayed.cancel_if(|_| true)
        });
        clock.advance(DELAY);
        let cancelled = cancelling.join().unwrap();
        let mailbox = broker.simple_queue::<Tracked>(&queue()).unwrap();
        assert_eq!(cancelled + mailbox.len().unwrap() as u64, 3);
        drop(mailbox);
        drop(broker);
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_due_message_and_a_blocked_publisher_come_in_as_consumers_make_room() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let queue = queue().max_length(1).overflow(Overflow::Block);
        let producer = broker.producer::<u32>(&queue).unwrap();
        producer.publish(0).unwrap();
        for id in 1..=2 {
            let message = Message::new(id).deliver_after(DELAY);
            producer.publish_message(message).unwrap();
        }
        let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
        let publishing = thread::spawn(move || producer.publish(3).unwrap().routed);
        let advancing = thread::spawn(move || clock.advance(DELAY));
        // The last message cannot be lost: each get waits until the next one is ready.
        let taken: Vec<_> = std::iter::repeat_with(|| {
            let delivery = mailbox.get().unwrap();
            assert!(mailbox.len().unwrap() <= 1);
            let id = *delivery;
            delivery.ack().unwrap();
            id
        })
        .take(4)
        .collect();
        assert_eq!(publishing.join().unwrap(), 1);
        advancing.join().unwrap();
        assert!(taken.iter().filter(|id| **id < 3).is_sorted());
        assert_eq!(
            (sorted(taken), mailbox.len().unwrap()),
            (vec![0, 1, 2, 3], 0)
        );
        let counts = broker.snapshot().unwrap().vhosts[0].queues[0].clone();
        assert_eq!((counts.acked.messages, counts.dropped.messages), (4, 0));
    });
}

#[test]
fn a_due_message_and_a_blocked_publisher_reach_a_consumer_that_acknowledges() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let queue = queue().max_length(1).overflow(Overflow::Block);
        let producer = broker.producer::<u32>(&queue).unwrap();
        let builder = broker.consumer_builder::<u32>(&queue);
        let consumer = builder.prefetch(1).build().unwrap();
        for id in 0..2 {
            producer.publish(id).unwrap();
        }
        let message = Message::new(2).deliver_after(DELAY);
        producer.publish_message(message).unwrap();
        let publishing = thread::spawn(move || producer.publish(3).unwrap().routed);
        let advancing = thread::spawn(move || clock.advance(DELAY));
        let receive = || {
            let delivery = consumer.recv().unwrap();
            let id = *delivery;
            delivery.ack().unwrap();
            id
        };
        let taken: Vec<_> = std::iter::repeat_with(receive).take(4).collect();
        assert_eq!(publishing.join().unwrap(), 1);
        advancing.join().unwrap();
        assert_eq!(sorted(taken), [0, 1, 2, 3]);
    });
}
