//! Publishers that wait for room in a budget, and publishers that wait for room in a queue through
//! a channel.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    thread,
};

use leveret::{
    Broker, Channel, Error, Message, Overflow, Properties, Queue, channel::PublishOptions,
};

use crate::common::{SECOND, channel_of};

use super::{covered, mailbox, ten_bytes, text, used, with_budget};

/// Waits until a publisher waits for room in the budget "b". The loop yields and does not sleep.
fn until_waiting(broker: &Broker, count: u64) {
    while broker.budget("b").unwrap().waiting < count {
        thread::yield_now();
    }
}

#[test]
fn a_blocking_budget_lets_its_publishers_wait_for_room_in_every_form() {
    let (broker, clock) = with_budget(ten_bytes().block());
    let producer = broker.producer::<String>(&covered("q")).unwrap();
    let queue = mailbox(&broker, &covered("q"));
    producer.publish(text(9)).unwrap();
    assert!(producer.try_publish(text(9)).is_err(), "one byte is free");
    producer.try_publish(text(1)).unwrap();
    assert_eq!(used(&broker), 10);
    let full = |error: &Error| matches!(error, Error::Refused { queue, .. } if **queue == *"q");
    assert!(full(producer.try_publish(text(1)).unwrap_err().error()));
    assert!(full(
        producer
            .try_publish_message(Message::new(text(1)))
            .unwrap_err()
            .error()
    ));

    let waits_in_vain = producer.clone();
    let in_vain = thread::spawn(move || waits_in_vain.publish_timeout(text(1), SECOND));
    until_waiting(&broker, 1);
    clock.advance(SECOND);
    let error = in_vain.join().unwrap().unwrap_err();
    assert_eq!(
        (error.error(), error.payload().map(String::len)),
        (&Error::Timeout, Some(1))
    );
    assert_eq!(broker.budget("b").unwrap().waiting, 0);

    let mut context = Context::from_waker(Waker::noop());
    assert!(
        pin!(producer.publish_async(text(1)))
            .poll(&mut context)
            .is_pending()
    );
    assert_eq!(broker.budget("b").unwrap().waiting, 0, "it was dropped");

    let mut future = pin!(producer.publish_async(text(1)));
    assert!(future.as_mut().poll(&mut context).is_pending());
    let held = queue.get().unwrap();
    assert!(
        future.as_mut().poll(&mut context).is_pending(),
        "unsettled counts"
    );
    held.ack().unwrap();
    assert!(future.as_mut().poll(&mut context).is_ready());
    assert_eq!(used(&broker), 2);
    producer.publish(text(8)).unwrap();

    let blocked = producer.clone();
    let blocked = thread::spawn(move || blocked.publish(text(2)));
    until_waiting(&broker, 1);
    queue.get().unwrap().ack().unwrap();
    assert_eq!((used(&broker), broker.budget("b").unwrap().waiting), (9, 1));
    queue.get().unwrap().ack().unwrap();
    assert_eq!(blocked.join().unwrap().unwrap().routed, 1);
    assert_eq!(used(&broker), 10);
}

#[test]
fn a_channel_waits_for_room_as_producers_do_but_not_in_a_transaction() {
    let (broker, _) = with_budget(ten_bytes().block());
    let queue = mailbox(&broker, &covered("q"));
    let channel = channel_of(&broker).unwrap();
    let publish = |channel: &Channel| {
        channel.basic_publish("", "q", text(10), Properties::new(), PublishOptions::new())
    };
    publish(&channel).unwrap();
    let blocked = channel.clone();
    let blocked = thread::spawn(move || {
        blocked.basic_publish("", "q", text(10), Properties::new(), PublishOptions::new())
    });
    until_waiting(&broker, 1);
    queue.get().unwrap().ack().unwrap();
    blocked.join().unwrap().unwrap();
    assert_eq!((used(&broker), queue.len().unwrap()), (10, 1));

    channel.tx_select().unwrap();
    publish(&channel).unwrap();
    assert!(channel.tx_commit().is_err(), "the budget is spent");
    assert_eq!((used(&broker), queue.len().unwrap()), (10, 1));
}

#[test]
fn a_channel_waits_for_room_in_a_blocking_queue() {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let queue = mailbox(&broker, &queue);
    queue.put(text(1)).unwrap();
    let channel = channel_of(&broker).unwrap();
    let blocked = thread::spawn(move || {
        channel.basic_publish("", "q", text(1), Properties::new(), PublishOptions::new())
    });
    queue.get().unwrap().ack().unwrap();
    blocked.join().unwrap().unwrap();
    assert_eq!(queue.len().unwrap(), 1);
}

#[test]
fn a_publisher_blocked_on_a_budget_gets_its_message_back_when_its_queue_is_deleted() {
    let (broker, _) = with_budget(ten_bytes().block());
    let producer = broker.producer::<String>(&covered("q")).unwrap();
    let other = mailbox(&broker, &covered("other"));
    other.put(text(10)).unwrap();
    let blocked = thread::spawn(move || producer.publish(text(4)));
    until_waiting(&broker, 1);
    broker.delete(&Queue::existing("q")).unwrap();
    let error = blocked.join().unwrap().unwrap_err();
    assert_eq!(
        (error.error().reply_code(), error.payload().map(String::len)),
        (Some(312), Some(4))
    );
    assert_eq!(used(&broker), 10, "the budget is spent as before");
}

#[test]
fn a_publisher_blocked_on_a_budget_is_woken_when_the_broker_goes() {
    let (broker, _) = with_budget(ten_bytes().block());
    let producer = broker.producer::<String>(&covered("q")).unwrap();
    producer.publish(text(10)).unwrap();
    let blocked = thread::spawn(move || producer.publish(text(4)));
    until_waiting(&broker, 1);
    drop(broker);
    let error = blocked.join().unwrap().unwrap_err();
    assert_eq!(error.error(), &Error::BrokerDropped);
}
