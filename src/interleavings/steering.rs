//! Messages are moved, deleted and held back while others publish, receive and end.

use super::*;
use crate::{
    management::{messages::MessageOutcome, selection::Selection},
    model::slow_consumer::SlowConsumerPolicy,
};

/// A broker with the queues `q` and `to`, and this many messages in `q`.
fn filled(count: u32) -> Broker {
    let broker = Broker::new();
    broker.declare(&Queue::new("to")).unwrap();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    (0..count).for_each(|id| drop(producer.publish(id)));
    broker
}

#[test]
fn a_message_is_moved_or_consumed() {
    explore(|| {
        let broker = filled(2);
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        let receiving = thread::spawn(move || {
            let mut seen = Vec::new();
            while let Ok(delivery) = consumer.try_recv() {
                seen.push(*delivery);
                delivery.ack().unwrap();
            }
            seen
        });
        let moved = broker.move_messages("q", "to", Selection::all()).unwrap();
        assert_eq!(moved.refused, 0);
        let mut all = receiving.join().unwrap();
        let arrived = ids(&rest(&broker, "to"));
        assert_eq!(moved.moved, arrived.len() as u64);
        all.extend(arrived);
        all.extend(ids(&rest(&broker, "q")));
        assert_eq!(sorted(all), [0, 1]);
    });
}

#[test]
fn two_moves_in_a_circle_lose_nothing_and_double_nothing() {
    explore(|| {
        let broker = filled(2);
        let back = thread::spawn({
            let broker = broker.clone();
            move || {
                broker
                    .move_messages("to", "q", Selection::first(2))
                    .unwrap()
            }
        });
        broker
            .move_messages("q", "to", Selection::first(2))
            .unwrap();
        back.join().unwrap();
        let mut all = ids(&rest(&broker, "q"));
        all.extend(ids(&rest(&broker, "to")));
        assert_eq!(sorted(all), [0, 1]);
    });
}

#[test]
fn a_move_against_the_end_of_either_queue_leaves_no_payload_behind() {
    for ended in ["q", "to"] {
        explore(move || {
            let tracker = Tracker::default();
            let broker = Broker::new();
            broker.declare(&Queue::new("to")).unwrap();
            let producer = broker.producer::<Tracked>(&queue()).unwrap();
            producer.publish(tracker.payload(7)).unwrap();
            let deleting = thread::spawn({
                let broker = broker.clone();
                move || broker.delete(&Queue::new(ended)).unwrap()
            });
            let moved = broker.move_messages("q", "to", Selection::all());
            deleting.join().unwrap();
            match moved {
                Ok(moved) if ended == "to" && moved.moved == 0 => {
                    let left = broker.simple_queue::<Tracked>(&queue()).unwrap();
                    assert_eq!(left.len(), Ok(1), "it is in its place");
                }
                Ok(moved) => assert!(moved.moved + moved.refused <= 1),
                Err(error) => assert!(error.is_not_found(), "{error}"),
            }
            drop((producer, broker));
            tracker.assert_all_dropped();
        });
    }
}

#[test]
fn a_message_is_deleted_or_delivered() {
    explore(|| {
        let broker = filled(1);
        let id = broker.peek("q", 1).unwrap()[0].id().unwrap();
        let simple = broker.simple_queue::<u32>(&queue()).unwrap();
        let getting = thread::spawn(move || match simple.try_get() {
            Ok(delivery) => delivery.ack().is_ok(),
            Err(_) => false,
        });
        let deleted = broker.delete_message("q", id).unwrap() == MessageOutcome::Done;
        assert_ne!(getting.join().unwrap(), deleted, "one of the two has it");
    });
}

#[test]
fn two_threads_delete_a_message_once() {
    explore(|| {
        let broker = filled(1);
        let id = broker.peek("q", 1).unwrap()[0].id().unwrap();
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete_message("q", id).unwrap()
        });
        let own = broker.delete_message("q", id).unwrap();
        let outcomes = [own, deleting.join().unwrap()];
        let done = outcomes.iter().filter(|it| **it == MessageOutcome::Done);
        assert_eq!(done.count(), 1);
    });
}

#[test]
fn a_receiver_that_waits_is_woken_by_the_end_of_the_pause_of_its_queue() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        let receiving = thread::spawn(move || {
            let delivery = consumer.recv().unwrap();
            let id = *delivery;
            delivery.ack().unwrap();
            id
        });
        let publishing = thread::spawn(move || producer.publish(7).map(drop).unwrap());
        broker.pause_queue("q").unwrap();
        broker.resume_queue("q").unwrap();
        publishing.join().unwrap();
        assert_eq!(receiving.join().unwrap(), 7);
    });
}

#[test]
fn a_paused_queue_has_all_messages_that_no_receiver_has() {
    explore(|| {
        let broker = filled(2);
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        let receiving = thread::spawn(move || {
            let received = consumer.try_recv().ok().map(|delivery| {
                let id = *delivery;
                delivery.ack().unwrap();
                id
            });
            (consumer, received)
        });
        broker.pause_queue("q").unwrap();
        let (consumer, received) = receiving.join().unwrap();
        assert!(consumer.try_recv().is_err());
        let ready = broker.peek("q", 9).unwrap().len();
        assert_eq!(ready + usize::from(received.is_some()), 2);
    });
}

#[test]
fn a_getter_that_waits_is_woken_by_the_end_of_the_pause() {
    explore(|| {
        let broker = filled(1);
        broker.pause_queue("q").unwrap();
        let simple = broker.simple_queue::<u32>(&queue()).unwrap();
        let getting = thread::spawn(move || {
            let delivery = simple.get().unwrap();
            delivery.ack().unwrap();
        });
        broker.resume_queue("q").unwrap();
        getting.join().unwrap();
    });
}

#[test]
fn a_slow_consumer_receives_or_misses_each_message_once() {
    explore(|| {
        let broker = Broker::new();
        let builder = broker.consumer_builder::<u32>(&queue()).prefetch(1);
        let slow = builder
            .on_slow(SlowConsumerPolicy::DropOldest)
            .build()
            .unwrap();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let publishing = thread::spawn(move || {
            (0..3).for_each(|id| drop(producer.publish(id)));
        });
        let mut seen = Vec::new();
        let mut receive = |slow: &Consumer<u32>| {
            while let Ok(delivery) = slow.try_recv() {
                seen.push(*delivery);
                delivery.ack().unwrap();
            }
        };
        receive(&slow);
        publishing.join().unwrap();
        receive(&slow);
        assert_eq!(seen.len() as u64 + slow.missed(), 3);
        assert_eq!(seen.last(), Some(&2), "the newest is never missed");
        assert!(seen.is_sorted());
    });
}

#[test]
fn a_slow_consumer_that_is_cancelled_leaves_everything_to_others() {
    explore(|| {
        let broker = Broker::new();
        let builder = broker.consumer_builder::<u32>(&queue()).prefetch(1);
        let slow = builder.on_slow(SlowConsumerPolicy::Cancel).build().unwrap();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let publishing = thread::spawn(move || {
            (0..3).for_each(|id| drop(producer.publish(id)));
        });
        let mut all = Vec::new();
        if let Ok(delivery) = slow.try_recv() {
            all.push(*delivery);
            delivery.ack().unwrap();
        }
        publishing.join().unwrap();
        drop(slow);
        all.extend(ids(&rest(&broker, "q")));
        assert_eq!(sorted(all), [0, 1, 2]);
    });
}
