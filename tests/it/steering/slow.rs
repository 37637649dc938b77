//! Consumers that are too slow, and the policies for that.

use std::collections::VecDeque;

use leveret::{
    Broker, CancelReason, Consumer, Exchange, Queue, RecvError, SlowConsumerPolicy, TryRecvError,
};
use proptest::prelude::*;

use super::counts;
use crate::common::{assert_conserved, cases, rest};

fn consumer(
    broker: &Broker,
    queue: &Queue,
    prefetch: u32,
    policy: SlowConsumerPolicy,
) -> Consumer<u32> {
    let builder = broker.consumer_builder::<u32>(queue).prefetch(prefetch);
    builder.on_slow(policy).build().unwrap()
}

fn publish(broker: &Broker, numbers: impl IntoIterator<Item = u32>) {
    let producer = broker.producer::<u32>("q").unwrap();
    for number in numbers {
        producer.publish(number).unwrap();
    }
}

fn received(consumer: &Consumer<u32>) -> Vec<u32> {
    std::iter::from_fn(|| {
        let delivery = consumer.try_recv().ok()?;
        let number = *delivery;
        delivery.ack().unwrap();
        Some(number)
    })
    .collect()
}

#[test]
fn messages_wait_if_nothing_else_is_said() {
    let broker = Broker::new();
    let slow = consumer(&broker, &Queue::new("q"), 2, SlowConsumerPolicy::default());
    publish(&broker, 0..10);
    assert_eq!(received(&slow), Vec::from_iter(0..10));
    assert_eq!(slow.missed(), 0);
}

#[test]
fn the_oldest_messages_make_room_for_the_newest() {
    for queue in [
        Queue::new("q"),
        Queue::quorum("q"),
        Queue::new("q").single_active_consumer(),
    ] {
        let broker = Broker::new();
        let slow = consumer(&broker, &queue, 3, SlowConsumerPolicy::DropOldest);
        publish(&broker, 0..10);
        assert_eq!(slow.missed(), 7);
        let first = slow.recv().unwrap();
        assert_eq!(*first, 7);
        // It holds one of its three.
        publish(&broker, 10..12);
        assert_eq!(slow.missed(), 9);
        first.ack().unwrap();
        assert_eq!(received(&slow), [10, 11]);
        let counts = counts(&broker, "q");
        assert_eq!((counts.dropped.messages, counts.acked.messages), (9, 3));
        assert_conserved(&counts);
    }
}

#[test]
fn what_its_user_holds_stays_and_the_newest_message_waits() {
    let broker = Broker::new();
    let slow = consumer(&broker, &Queue::new("q"), 2, SlowConsumerPolicy::DropOldest);
    publish(&broker, 0..2);
    let held = [slow.recv().unwrap(), slow.recv().unwrap()];
    publish(&broker, 2..6);
    assert_eq!((counts(&broker, "q").ready.messages, slow.missed()), (1, 3));
    held.into_iter()
        .for_each(|delivery| delivery.ack().unwrap());
    assert_eq!(received(&slow), [5]);
    assert_conserved(&counts(&broker, "q"));
}

#[test]
fn what_is_dropped_is_dead_lettered_if_the_queue_says_so() {
    let broker = Broker::new();
    broker.declare(&Queue::new("dead")).unwrap();
    let queue = Queue::new("q")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let slow = consumer(&broker, &queue, 1, SlowConsumerPolicy::DropOldest);
    publish(&broker, 0..3);
    assert_eq!(rest::<u32>(&broker, "dead").len(), 2);
    assert_eq!(received(&slow), [2]);
}

#[test]
fn a_slow_consumer_is_cancelled_and_its_messages_go_to_others() {
    let broker = Broker::new();
    let slow = consumer(&broker, &Queue::new("q"), 2, SlowConsumerPolicy::Cancel);
    publish(&broker, 0..2);
    let held = slow.recv().unwrap();
    publish(&broker, [2]);
    let end = slow.recv().unwrap_err();
    assert!(
        matches!(end, RecvError::Cancelled(CancelReason::SlowConsumer)),
        "{end}"
    );
    assert_eq!(counts(&broker, "q").consumers, 0);
    assert_eq!(rest::<u32>(&broker, "q"), [(1, false), (2, false)]);
    held.ack().unwrap();
    assert_conserved(&counts(&broker, "q"));
}

#[test]
fn a_consumer_that_another_one_helps_is_not_slow() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let slow = consumer(&broker, &queue, 1, SlowConsumerPolicy::Cancel);
    let other = consumer(&broker, &queue, 100, SlowConsumerPolicy::Wait);
    publish(&broker, 0..10);
    let held = slow.try_recv().unwrap();
    assert_eq!(received(&other).len(), 9);
    held.ack().unwrap();
    // A pause is no slowness.
    slow.pause();
    drop(other);
    publish(&broker, 0..10);
    assert!(matches!(slow.try_recv(), Err(TryRecvError::Empty)));
    assert_eq!(slow.ended(), None);
}

#[test]
fn a_slow_subscriber_harms_no_other_one() {
    let broker = Broker::new();
    let news = Exchange::fanout("news");
    let subscribe = |policy| {
        let queue = Queue::temporary().bind(&news, "");
        let builder = broker.consumer_builder::<u32>(queue).prefetch(2);
        builder.on_slow(policy).build().unwrap()
    };
    let waits = subscribe(SlowConsumerPolicy::Wait);
    let drops = subscribe(SlowConsumerPolicy::DropOldest);
    let ends = subscribe(SlowConsumerPolicy::Cancel);
    let producer = broker.producer::<u32>(&news).unwrap();
    for number in 0..5 {
        producer.publish(number).unwrap();
    }
    assert_eq!(received(&waits), [0, 1, 2, 3, 4]);
    assert_eq!(received(&drops), [3, 4]);
    assert_eq!(ends.ended(), Some(CancelReason::SlowConsumer));
}

#[test]
fn a_consumer_that_starts_with_a_backlog_is_cancelled_by_the_next_message() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    broker.declare(&queue).unwrap();
    publish(&broker, 0..10);
    let slow = consumer(&broker, &queue, 2, SlowConsumerPolicy::Cancel);
    publish(&broker, 10..11);
    assert_eq!(slow.ended(), Some(CancelReason::SlowConsumer));
    drop(slow);
    assert_eq!(counts(&broker, "q").ready.messages, 11);
}

#[test]
fn a_stream_has_no_slow_consumers() {
    let broker = Broker::new();
    let builder = broker
        .consumer_builder::<u32>(Queue::stream("log"))
        .prefetch(1);
    let error = builder
        .on_slow(SlowConsumerPolicy::Cancel)
        .build()
        .unwrap_err();
    assert_eq!(error.reply_code(), Some(540));
}

proptest! {

    #![proptest_config(cases())]

    /// `true` publishes, `false` receives; the number settles the n-th delivery that is held.
    #[test]
    fn a_consumer_that_drops_has_the_newest_messages(
        prefetch in 1..4_u32,
        steps in proptest::collection::vec((0..4_u8, 0..4_usize), 1..80),
    ) {
        let broker = Broker::new();
        let slow = consumer(&broker, &Queue::new("q"), prefetch, SlowConsumerPolicy::DropOldest);
        let (mut unseen, mut held) = (VecDeque::new(), Vec::new());
        let (mut next, mut missed, mut ready) = (0, 0, None);
        for (step, which) in steps {
            match step {
                0 | 1 => {
                    publish(&broker, [next]);
                    match unseen.len() + held.len() < prefetch as usize {
                        true => unseen.push_back(next),
                        false if unseen.is_empty() => {
                            missed += u64::from(ready.replace(next).is_some());
                        }
                        false => {
                            unseen.pop_front();
                            missed += 1;
                            unseen.push_back(next);
                        }
                    }
                    next += 1;
                }
                2 => {
                    let got = slow.try_recv().ok();
                    prop_assert_eq!(got.as_ref().map(|it| **it), unseen.pop_front());
                    held.extend(got);
                }
                _ if which < held.len() => {
                    held.remove(which).ack().unwrap();
                    unseen.extend(ready.take());
                }
                _ => {}
            }
            prop_assert_eq!(slow.missed(), missed);
            assert_conserved(&counts(&broker, "q"));
        }
    }
}
