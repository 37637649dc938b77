//! Dead letters of a quorum queue that no other queue has taken: what counts them, and what becomes
//! of them.

use leveret::{
    Broker, Budget, DeadLetterStrategy, Exchange, ManualClock, Overflow, Policy, Queue,
    QueueSnapshot,
};

use crate::common::{SECOND, assert_conserved, channel_of, on_a_manual_clock, rest};

/// A queue whose dead letters go to the queue "dead", which is not there.
fn queue() -> Queue {
    Queue::quorum("q")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead")
        .dead_letter_strategy(DeadLetterStrategy::AtLeastOnce)
        .overflow(Overflow::RejectPublish)
}

/// Publishes numbers, and rejects all of them.
fn reject(broker: &Broker, queue: &Queue, numbers: &[u32]) {
    let producer = broker.producer::<u32>(queue).unwrap();
    let mailbox = broker.simple_queue::<u32>(queue).unwrap();
    for number in numbers {
        producer.publish(*number).unwrap();
        mailbox.try_get().unwrap().reject().unwrap();
    }
}

fn counts(broker: &Broker) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let queues = snapshot.vhosts[0].queues.iter();
    let counts = queues.clone().find(|queue| queue.name == "q").unwrap();
    assert_conserved(counts);
    counts.clone()
}

fn pass_the_retry(clock: &ManualClock) {
    clock.advance(SECOND * 200);
}

#[test]
fn the_snapshot_counts_a_message_in_transit_until_a_queue_takes_it() {
    let (broker, clock) = on_a_manual_clock();
    reject(&broker, &queue(), &[7, 8]);
    let before = counts(&broker);
    assert_eq!(
        (before.in_transit.messages, before.dead_lettered.messages),
        (2, 0)
    );
    broker.declare(&Queue::new("dead")).unwrap();
    pass_the_retry(&clock);
    let after = counts(&broker);
    assert_eq!(
        (after.in_transit.messages, after.dead_lettered.messages),
        (0, 2)
    );
    assert_eq!(rest::<u32>(&broker, "dead").len(), 2);
}

#[test]
fn a_shutdown_reports_what_is_in_transit_and_does_not_wait_for_it() {
    let (broker, _clock) = on_a_manual_clock();
    reject(&broker, &queue(), &[7]);
    let report = broker.shutdown(SECOND).unwrap();
    assert!(!report.timed_out);
    let left: Vec<_> = (report.queues.iter())
        .map(|left| (&*left.queue, left.ready, left.in_transit))
        .collect();
    assert_eq!(left, [("q", 0, 1)]);
}

#[test]
fn a_policy_that_ends_the_strategy_drops_what_is_in_transit() {
    let (broker, clock) = on_a_manual_clock();
    let budget = Budget::new("memory", 1_000);
    broker.declare(&budget.whole_vhost()).unwrap();
    let root = broker.vhost("/").unwrap();
    let policy = Policy::new("one", "^q$")
        .setting("dead-letter-exchange", "")
        .setting("dead-letter-routing-key", "dead")
        .setting("dead-letter-strategy", "at-least-once")
        .setting("overflow", "reject-publish");
    root.set_policy(policy).unwrap();
    reject(&broker, &Queue::quorum("q"), &[7]);
    assert_eq!(counts(&broker).in_transit.messages, 1);
    assert!(broker.budget("memory").unwrap().used > 0);
    assert!(root.clear_policy("one").unwrap());
    let after = counts(&broker);
    assert_eq!((after.in_transit.messages, after.dropped.messages), (0, 1));
    assert_eq!(broker.budget("memory").unwrap().used, 0);
    pass_the_retry(&clock);
    assert_eq!(counts(&broker).ready.messages, 0, "it does not come back");
}

#[test]
fn a_policy_that_names_another_exchange_sends_the_next_try_there() {
    let (broker, clock) = on_a_manual_clock();
    let root = broker.vhost("/").unwrap();
    let policy = |exchange: &str| {
        Policy::new("one", "^q$")
            .setting("dead-letter-exchange", exchange)
            .setting("dead-letter-strategy", "at-least-once")
            .setting("overflow", "reject-publish")
    };
    root.set_policy(policy("missing")).unwrap();
    reject(&broker, &Queue::quorum("q"), &[7]);
    broker
        .declare(&Queue::new("dead").bind(Exchange::fanout("x"), ""))
        .unwrap();
    root.set_policy(policy("x")).unwrap();
    pass_the_retry(&clock);
    assert_eq!(rest::<u32>(&broker, "dead"), [(7, true)]);
    assert_eq!(counts(&broker).in_transit.messages, 0);
}

#[test]
fn purging_and_deleting_end_what_is_in_transit() {
    let (broker, clock) = on_a_manual_clock();
    let channel = channel_of(&broker).unwrap();
    reject(&broker, &queue(), &[7, 8]);
    assert_eq!(channel.queue_purge("q").unwrap(), 2);
    let after = counts(&broker);
    assert_eq!((after.in_transit.messages, after.purged.messages), (0, 2));
    reject(&broker, &queue(), &[9]);
    broker.delete(&queue()).unwrap();
    broker.declare(&Queue::new("dead")).unwrap();
    pass_the_retry(&clock);
    assert!(rest::<u32>(&broker, "dead").is_empty());
}

#[test]
fn a_payload_without_a_copy_is_dead_lettered_at_most_once() {
    let (broker, _clock) = on_a_manual_clock();
    let mailbox = broker
        .simple_queue::<leveret::Local<u32>>(&queue())
        .unwrap();
    mailbox.put(leveret::Local(7)).unwrap();
    mailbox.try_get().unwrap().reject().unwrap();
    let after = counts(&broker);
    assert_eq!(
        (after.in_transit.messages, after.dead_lettered.messages),
        (0, 1)
    );
    broker.declare(&Queue::new("dead")).unwrap();
    mailbox.put(leveret::Local(8)).unwrap();
    mailbox.try_get().unwrap().reject().unwrap();
    let dead = broker.simple_queue::<leveret::Local<u32>>("dead").unwrap();
    assert_eq!(dead.try_get().unwrap().0, 8);
}
