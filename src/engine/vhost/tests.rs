//! Tests of the number of timers that queues register, and of the lines of their publishers.

use std::{thread, time::Duration};

use crate::{
    handles::broker::Broker,
    message::outgoing::Message,
    model::descriptions::{DelayedRetryKind, Exchange, Overflow, Queue},
    runtime::{block_on::block_on, clock::ManualClock},
    session::requeue::Requeue,
};

fn setting() -> (Broker, ManualClock) {
    let clock = ManualClock::new();
    (Broker::builder().clock(clock.clone()).build(), clock)
}

#[test]
fn a_queue_has_one_timer_however_its_messages_are_due() {
    let (broker, clock) = setting();
    let exchange = Exchange::fanout("x").delayed();
    let queue = Queue::new("q").bind(&exchange, "");
    let mailbox = broker.simple_queue::<u64>(&queue).unwrap();
    let producer = broker.producer::<u64>(&exchange).unwrap();
    // Each message is due earlier than the one before.
    for delay in (1..=50).rev() {
        let delay = Duration::from_secs(delay);
        let late = Message::new(delay.as_secs()).deliver_after(delay);
        mailbox.put_message(late).unwrap();
        producer
            .publish_message(Message::new(0).delay(delay))
            .unwrap();
    }
    assert_eq!(clock.pending_timers(), 2);
    for second in 1..=50 {
        clock.advance(Duration::from_secs(1));
        assert_eq!(mailbox.len().unwrap(), 2 * second);
        assert!(clock.pending_timers() <= 2);
    }
    assert_eq!(clock.pending_timers(), 0);
}

#[test]
fn a_hundred_thousand_messages_under_delayed_retry_are_one_timer() {
    const MESSAGES: u32 = 100_000;
    const PARTS: u32 = 100;
    let (broker, clock) = setting();
    let (delay, step) = (Duration::from_secs(60), Duration::from_millis(1));
    let queue = Queue::quorum("q").delayed_retry(DelayedRetryKind::All, delay, delay);
    let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
    for id in 0..MESSAGES {
        mailbox.put(id).unwrap();
    }
    assert_eq!(clock.pending_timers(), 0);
    // A hundred due times.
    for _ in 0..PARTS {
        for _ in 0..MESSAGES / PARTS {
            mailbox.try_get().unwrap().nack(Requeue::Failed).unwrap();
        }
        assert_eq!(clock.pending_timers(), 1);
        clock.advance(step);
    }
    clock.advance(delay - step * (PARTS + 1));
    for part in 0..PARTS {
        assert_eq!(mailbox.len().unwrap() as u32, part * (MESSAGES / PARTS));
        assert_eq!(clock.pending_timers(), 1);
        clock.advance(step);
    }
    assert_eq!(mailbox.len().unwrap() as u32, MESSAGES);
    assert_eq!(clock.pending_timers(), 0);
}

#[test]
fn a_due_message_without_room_needs_no_timer() {
    let (broker, clock) = setting();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let mailbox = broker.simple_queue::<u64>(&queue).unwrap();
    mailbox.put(0).unwrap();
    for delay in [1, 1, 2, 5] {
        let later = Message::new(delay).deliver_after(Duration::from_secs(delay));
        mailbox.put_message(later).unwrap();
    }
    clock.advance(Duration::from_secs(2));
    assert_eq!((mailbox.len().unwrap(), clock.pending_timers()), (1, 1));
    clock.advance(Duration::from_secs(3));
    assert_eq!((mailbox.len().unwrap(), clock.pending_timers()), (1, 0));
    for delay in [0, 1, 1, 2, 5] {
        let delivery = mailbox.try_get().unwrap();
        assert_eq!((*delivery, clock.pending_timers()), (delay, 0));
        delivery.ack().unwrap();
    }
}

#[test]
fn a_deleted_queue_keeps_no_timer() {
    let (broker, clock) = setting();
    let exchange = Exchange::fanout("x").delayed();
    let hour = Duration::from_secs(3_600);
    let leased = Queue::new("leased").expires(hour);
    let fleeting = Queue::new("fleeting").auto_delete();
    let late = || Message::new(0).deliver_after(hour);
    let connection = broker
        .connect("/", crate::handles::broker::Credentials::guest())
        .unwrap();
    for _ in 0..10 {
        broker.declare(&leased).unwrap();
        let consumer = broker.consumer::<u32>(&fleeting).unwrap();
        broker
            .producer(&fleeting)
            .unwrap()
            .publish_message(late())
            .unwrap();
        let exclusive = connection.declare(&Queue::exclusive()).unwrap();
        connection
            .producer(&exclusive)
            .unwrap()
            .publish_message(late())
            .unwrap();
        let delayed = Message::new(0).delay(hour);
        broker
            .producer(&exchange)
            .unwrap()
            .publish_message(delayed)
            .unwrap();
        broker.delete(&leased).unwrap();
        connection.delete(&exclusive).unwrap();
        broker.delete(&exchange).unwrap();
        drop(consumer);
        assert_eq!(clock.pending_timers(), 0);
    }
    broker.create_vhost("v").unwrap();
    broker.vhost("v").unwrap().declare(&leased).unwrap();
    assert_eq!(clock.pending_timers(), 1);
    broker.delete_vhost("v").unwrap();
    assert_eq!(clock.pending_timers(), 0);
}

#[test]
fn threads_and_tasks_that_wait_for_a_queue_are_served_in_the_order_in_which_they_came() {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(0).unwrap();
    let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
    let root = broker.vhost("/").unwrap();
    let core = root.gate().survey(|topology| topology.queue("q"));
    let core = core.unwrap().unwrap();
    thread::scope(|scope| {
        for id in 1..=24_u32 {
            let producer = producer.clone();
            scope.spawn(move || match id % 3 {
                0 => block_on(producer.publish_async(id)).unwrap(),
                1 => producer.publish_timeout(id, Duration::MAX).unwrap(),
                _ => producer.publish(id).unwrap(),
            });
            while core.blocked_len() < id as usize {
                thread::yield_now();
            }
        }
        for id in 0..=24 {
            let delivery = mailbox.get().unwrap();
            assert_eq!(*delivery, id);
            assert_eq!(core.blocked_len(), 24_usize.saturating_sub(id as usize + 1));
            delivery.ack().unwrap();
        }
    });
}
