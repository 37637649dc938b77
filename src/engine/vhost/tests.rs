//! Tests of the number of timers that queues register.

use std::time::Duration;

use crate::{
    handles::broker::Broker,
    message::outgoing::Message,
    model::descriptions::{Exchange, Queue},
    runtime::clock::ManualClock,
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
        assert_eq!(mailbox.len(), 2 * second);
        assert!(clock.pending_timers() <= 2);
    }
    assert_eq!(clock.pending_timers(), 0);
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
