//! Times that a quorum queue has of its own: its lease, and its dead letters that wait.

use std::time::Duration;

use leveret::{DeadLetterStrategy::AtLeastOnce, Exchange, Overflow, Queue, Requeue};

use crate::common::{SECOND, channel_of, on_a_manual_clock};

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_lease_ends_at_a_multiple_of_five_seconds_since_the_declaration() {
    for (lease, end) in [(300, 5), (5_000, 5), (5_001, 10)] {
        let (broker, clock) = on_a_manual_clock();
        let channel = channel_of(&broker).unwrap();
        clock.advance(SECOND * 3);
        let queue = Queue::quorum("q").expires(Duration::from_millis(lease));
        channel.queue_declare(&queue).unwrap();
        clock.advance(SECOND * end - MOMENT);
        channel.queue_declare_passive("q").unwrap();
        clock.advance(MOMENT);
        let error = channel.queue_declare_passive("q").unwrap_err();
        assert!(error.is_not_found(), "{error}");
    }
}

#[test]
fn a_dead_letter_that_no_queue_takes_is_tried_again_after_three_minutes() {
    let (broker, clock) = on_a_manual_clock();
    let channel = channel_of(&broker).unwrap();
    let queue = Queue::quorum("q")
        .dead_letter_exchange("later")
        .dead_letter_strategy(AtLeastOnce)
        .overflow(Overflow::RejectPublish);
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    broker.producer::<u32>(&queue).unwrap().publish(7).unwrap();
    consumer.try_recv().unwrap().nack(Requeue::No).unwrap();
    let dead = Queue::new("dead").bind(Exchange::fanout("later"), "");
    broker.declare(&dead).unwrap();
    let waiting = || channel.queue_declare_passive("dead").unwrap().message_count;
    clock.advance(SECOND * 180 - MOMENT);
    assert_eq!(waiting(), 0);
    clock.advance(MOMENT);
    assert_eq!(waiting(), 1);
    assert_eq!(channel.queue_purge("q").unwrap(), 0, "it has left");
}
