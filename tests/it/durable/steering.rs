//! Messages that are moved and deleted in a durable broker, after a restart.

use leveret::{Broker, Message, MessageOutcome, Queue, Selection, SlowConsumerPolicy};

use super::Folder;
use crate::common::rest;

fn queues() -> [Queue; 2] {
    [Queue::new("from").durable(), Queue::quorum("to")]
}

fn numbers(broker: &Broker, queue: &str) -> Vec<u32> {
    let found = rest::<u32>(broker, queue).into_iter();
    found.map(|(number, _)| number).collect()
}

#[test]
fn moved_and_deleted_messages_are_where_they_were_after_a_restart() {
    let folder = Folder::new();
    let [from, to] = queues();
    {
        let broker = folder.broker();
        broker.declare(&to).unwrap();
        let producer = broker.producer::<u32>(&from).unwrap();
        for number in 0..6 {
            producer
                .publish_message(Message::new(number).persistent())
                .unwrap();
        }
        let moved = broker
            .move_messages(&from, &to, Selection::first(2))
            .unwrap();
        assert_eq!(moved.moved, 2);
        let id = broker.peek(&from, 1).unwrap()[0].id().unwrap();
        assert_eq!(
            broker.delete_message(&from, id).unwrap(),
            MessageOutcome::Done
        );
        broker.pause_queue(&from).unwrap();
    }
    {
        let broker = folder.broker();
        assert_eq!(broker.peek(&to, 9).unwrap().len(), 2);
        assert_eq!(
            broker
                .move_messages(&from, &to, Selection::first(1))
                .unwrap()
                .moved,
            1
        );
    }
    let broker = folder.broker();
    assert_eq!(numbers(&broker, "to"), [0, 1, 3]);
    assert_eq!(
        numbers(&broker, "from"),
        [4, 5],
        "the pause has ended with the broker"
    );
}

#[test]
fn a_message_that_a_slow_consumer_has_missed_does_not_come_back() {
    let folder = Folder::new();
    let [queue, _] = queues();
    {
        let broker = folder.broker();
        let builder = broker.consumer_builder::<u32>(&queue).prefetch(2);
        let slow = builder
            .on_slow(SlowConsumerPolicy::DropOldest)
            .build()
            .unwrap();
        let producer = broker.producer::<u32>(&queue).unwrap();
        for number in 0..5 {
            producer
                .publish_message(Message::new(number).persistent())
                .unwrap();
        }
        assert_eq!(slow.missed(), 3);
    }
    assert_eq!(numbers(&folder.broker(), "from"), [3, 4]);
}
