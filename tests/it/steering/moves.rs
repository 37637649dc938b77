//! Moving messages from one queue to another.

use std::{sync::Barrier, thread};

use leveret::{Broker, Message, MessageOutcome, Overflow, Queue, Requeue, Selection};

use super::counts;
use crate::common::{assert_conserved, rest};

#[test]
fn moved_messages_keep_their_order_and_their_properties() {
    for (from, to) in [
        (Queue::new("from"), Queue::new("to")),
        (Queue::quorum("from"), Queue::new("to")),
        (Queue::new("from"), Queue::quorum("to")),
        (Queue::new("from"), Queue::stream("to")),
    ] {
        let broker = Broker::new();
        broker.declare(&to).unwrap();
        let producer = broker.producer::<u32>(&from).unwrap();
        for number in 0..600 {
            let message = Message::new(number)
                .message_id(format!("m-{number}"))
                .priority(3);
            producer.publish_message(message).unwrap();
        }
        let moved = broker
            .move_messages(&from, &to, Selection::first(599))
            .unwrap();
        assert_eq!((moved.moved, moved.refused), (599, 0));
        let seen = broker.peek(&to, 1_000).unwrap();
        for (number, message) in seen.iter().enumerate() {
            let id = format!("m-{number}");
            assert_eq!(message.properties().message_id.as_deref(), Some(&*id));
            assert_eq!(message.properties().priority, Some(3));
            assert_eq!(message.routing_key(), "to");
            assert!(!message.redelivered());
        }
        assert_eq!(seen.len(), 599);
        assert_eq!(counts(&broker, "from").moved.messages, 599);
        assert_conserved(&counts(&broker, "from"));
    }
}

#[test]
fn a_queue_that_refuses_leaves_the_rest_in_its_place() {
    for overflow in [Overflow::RejectPublish, Overflow::Block] {
        let broker = Broker::new();
        let from = broker.simple_queue::<u32>("from").unwrap();
        (0..5).for_each(|number| drop(from.put(number)));
        let to = Queue::new("to").max_length(2).overflow(overflow);
        broker.declare(&to).unwrap();
        let moved = broker.move_messages("from", &to, Selection::all()).unwrap();
        assert_eq!((moved.moved, moved.refused), (2, 3));
        assert_eq!(
            rest::<u32>(&broker, "from"),
            [(2, false), (3, false), (4, false)]
        );
        from.put(7).unwrap();
        let id = broker.peek("from", 1).unwrap()[0].id().unwrap();
        let outcome = broker.move_message("from", id, &to).unwrap();
        assert_eq!(outcome, MessageOutcome::Refused);
        assert_eq!(rest::<u32>(&broker, "to"), [(0, false), (1, false)]);
        // There is room now.
        let outcome = broker.move_message("from", id, &to).unwrap();
        assert_eq!(outcome, MessageOutcome::Done);
    }
}

#[test]
fn messages_move_through_an_alias_and_in_a_circle() {
    let broker = Broker::new();
    let queues = ["a", "b"].map(|name| broker.simple_queue::<u32>(name).unwrap());
    broker
        .declare(&leveret::AliasQueue::of_queue("alias", "b"))
        .unwrap();
    queues[0].put(7).unwrap();
    assert_eq!(
        broker
            .move_messages("a", "alias", Selection::all())
            .unwrap()
            .moved,
        1
    );
    let back = broker
        .move_messages("alias", "b", Selection::all())
        .unwrap_err();
    assert_eq!(
        back.reply_code(),
        Some(406),
        "the alias is the queue itself"
    );
    assert_eq!(
        broker
            .move_messages("alias", "a", Selection::all())
            .unwrap()
            .moved,
        1
    );
    assert_eq!(*queues[0].get().unwrap(), 7);
}

#[test]
fn threads_that_move_consume_and_delete_lose_and_double_nothing() {
    const MESSAGES: u32 = 2_000;
    let broker = Broker::new();
    for name in ["a", "b"] {
        broker.declare(&Queue::new(name)).unwrap();
    }
    let start = Barrier::new(5);
    let (mut consumed, mut deleted) = (Vec::new(), 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let producer = broker.producer::<u32>("a").unwrap();
            start.wait();
            for number in 0..MESSAGES {
                producer.publish(number).unwrap();
            }
        });
        for (from, to) in [("a", "b"), ("b", "a")] {
            let (broker, start) = (&broker, &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..200 {
                    broker
                        .move_messages(from, to, Selection::first(10))
                        .unwrap();
                }
            });
        }
        let consumer = scope.spawn(|| {
            let consumer = broker.consumer::<u32>("b").unwrap();
            start.wait();
            let mut seen = Vec::new();
            while seen.len() < 200 {
                let Ok(delivery) = consumer.try_recv() else {
                    thread::yield_now();
                    if counts(&broker, "a").taken_in.messages >= u64::from(MESSAGES) {
                        break;
                    }
                    continue;
                };
                seen.push(*delivery);
                delivery.ack().unwrap();
            }
            seen
        });
        let deleter = scope.spawn(|| {
            start.wait();
            let mut deleted = 0;
            for _ in 0..100 {
                for message in broker.peek("a", 2).unwrap() {
                    let id = message.id().unwrap();
                    let outcome = broker.delete_message("a", id).unwrap();
                    deleted += u32::from(outcome == MessageOutcome::Done);
                }
            }
            deleted
        });
        consumed = consumer.join().unwrap();
        deleted = deleter.join().unwrap();
    });
    let mut left: Vec<u32> = Vec::new();
    for name in ["a", "b"] {
        assert_conserved(&counts(&broker, name));
        left.extend(rest::<u32>(&broker, name).iter().map(|(number, _)| *number));
    }
    let mut all = left.clone();
    all.extend(&consumed);
    all.sort_unstable();
    let before = all.len();
    all.dedup();
    assert_eq!(all.len(), before, "none is doubled");
    assert_eq!(all.len() as u32 + deleted, MESSAGES, "none is lost");
}

#[test]
fn a_message_that_was_delivered_and_returned_is_moved_as_a_new_one() {
    let broker = Broker::new();
    let from = broker.simple_queue::<u32>("from").unwrap();
    from.put(7).unwrap();
    from.get().unwrap().nack(Requeue::Yes).unwrap();
    broker.declare(&Queue::new("to")).unwrap();
    assert_eq!(
        broker
            .move_messages("from", "to", Selection::all())
            .unwrap()
            .moved,
        1
    );
    assert_eq!(rest::<u32>(&broker, "to"), [(7, false)]);
}
