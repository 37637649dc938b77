//! Quorum queues: returned messages, deliveries that are late, the hand-over between consumers, and
//! dead letters that stay until another queue has taken them.

use std::time::Duration;

use super::*;
use crate::{
    management::snapshot::QueueSnapshot,
    model::descriptions::{DeadLetterStrategy, Overflow},
    runtime::clock::ManualClock,
    session::{
        channel::{AckMode, ConsumeOptions, Event, Events, Multiple},
        requeue::Requeue,
    },
};

const TIME: Duration = Duration::from_millis(10);

fn quorum() -> Queue {
    Queue::quorum("q")
}

fn on_a_manual_clock() -> (Broker, ManualClock) {
    let clock = ManualClock::new();
    (Broker::builder().clock(clock.clone()).build(), clock)
}

/// The counts of a queue, which add up.
fn counts(broker: &Broker, queue: &str) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let queues = snapshot.vhosts[0].queues.iter();
    let counts = queues.clone().find(|one| one.name == *queue).unwrap();
    assert_eq!(counts.accounted_for(), counts.taken_in, "{counts:?}");
    counts.clone()
}

/// The bytes and tags of the deliveries that have come.
fn deliveries(events: &Events) -> Vec<(u8, u64)> {
    std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| match event {
            Event::Delivery(delivery) => {
                let byte = delivery.body().unwrap()[0];
                Some((byte, delivery.delivery_tag()))
            }
            _ => None,
        })
        .collect()
}

fn consume(channel: &Channel, tag: &str, priority: i32) {
    let options = ConsumeOptions::new().tag(tag).priority(priority);
    let options = options.argument("x-consumer-timeout", 10);
    channel.basic_consume("q", options).unwrap();
}

fn declare(channel: &Channel, queue: &Queue) {
    channel.queue_declare(queue).unwrap();
}

#[test]
fn what_two_threads_return_comes_once_and_before_what_no_one_has_had() {
    explore(|| {
        let tracker = Tracker::default();
        let broker = Broker::new();
        let producer = broker.producer::<Tracked>(&quorum()).unwrap();
        for id in 0..6 {
            producer.publish(tracker.payload(id)).unwrap();
        }
        let mailbox = broker.simple_queue::<Tracked>(&quorum()).unwrap();
        let take = || [mailbox.try_get().unwrap(), mailbox.try_get().unwrap()];
        let returning = [take(), take()].map(|[first, second]| {
            thread::spawn(move || {
                first.nack(Requeue::Yes).unwrap();
                second.nack(Requeue::Failed).unwrap();
            })
        });
        let receive = || {
            let delivery = mailbox.try_get().ok()?;
            let came = (delivery.0.0, delivery.info().redelivered());
            delivery.ack().unwrap();
            Some(came)
        };
        let mut came: Vec<_> = std::iter::repeat_with(receive).take(2).flatten().collect();
        join(returning);
        // Everything that is returned is in the queue by now.
        let late: Vec<_> = std::iter::from_fn(receive).collect();
        let fresh = late.iter().position(|(_, redelivered)| !redelivered);
        let (back, fresh) = late.split_at(fresh.unwrap_or(late.len()));
        assert!(
            fresh.iter().all(|(_, redelivered)| !redelivered),
            "{late:?}"
        );
        for thread in [[0, 1], [2, 3]] {
            let own = back.iter().filter(|(id, _)| thread.contains(id));
            assert!(own.is_sorted(), "{late:?}");
        }
        came.extend(late);
        assert_eq!(sorted(ids(&came)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(counts(&broker, "q").acked.messages, 6);
        drop((producer, mailbox, broker));
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_late_acknowledgement_against_the_time_out_ends_each_message_once() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let channel = channel(&broker);
        declare(&channel, &quorum());
        consume(&channel, "c", 0);
        let events = channel.events();
        publish_bytes(&channel, "q", [1, 2]);
        let acknowledging = thread::spawn({
            let channel = channel.clone();
            move || {
                channel.basic_ack(1, Multiple::No).unwrap();
                channel.basic_ack(2, Multiple::No).unwrap();
            }
        });
        clock.advance(TIME);
        acknowledging.join().unwrap();
        // It is served again, and gets exactly what was taken back.
        publish_bytes(&channel, "q", [3]);
        let came = deliveries(&events);
        let again: Vec<u8> = came[2..].iter().map(|(byte, _)| *byte).collect();
        let held = counts(&broker, "q");
        assert_eq!(held.ready.messages, 0, "{came:?}");
        assert_eq!(held.acked.messages + held.unsettled.messages, 3);
        assert_eq!(held.unsettled.messages as usize, again.len());
        assert_eq!(again.last(), Some(&3));
        assert!(again.is_sorted() && again.windows(2).all(|two| two[0] < two[1]));
    });
}

#[test]
fn a_channel_that_closes_against_the_time_out_returns_each_message_once() {
    explore(|| {
        let tracker = Tracker::default();
        let (broker, clock) = on_a_manual_clock();
        let producer = broker.producer::<Tracked>(&quorum()).unwrap();
        let closing = channel(&broker);
        consume(&closing, "c", 0);
        for id in 0..2 {
            producer.publish(tracker.payload(id)).unwrap();
        }
        let close = thread::spawn(move || closing.close().unwrap());
        clock.advance(TIME);
        close.join().unwrap();
        let mailbox = broker.simple_queue::<Tracked>(&quorum()).unwrap();
        let came: Vec<_> = std::iter::from_fn(|| mailbox.try_get().ok())
            .map(|delivery| {
                let came = (delivery.0.0, delivery.info().acquired_count());
                delivery.ack().unwrap();
                came
            })
            .collect();
        assert_eq!(came, [(0, 1), (1, 1)]);
        let after = counts(&broker, "q");
        assert_eq!((after.acked.messages, after.consumers), (2, 0));
        drop((producer, mailbox, broker));
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_channel_that_closes_while_messages_are_assigned_to_it_leaves_them_to_another() {
    explore(|| {
        let (broker, _clock) = on_a_manual_clock();
        let (holding, closing, staying) = (channel(&broker), channel(&broker), channel(&broker));
        declare(&holding, &quorum());
        publish_bytes(&holding, "q", [1, 2, 3]);
        consume(&holding, "holder", 0);
        holding.basic_cancel("holder").unwrap();
        for (channel, tag) in [(&closing, "z"), (&closing, "a"), (&staying, "c")] {
            consume(channel, tag, 0);
        }
        let close = thread::spawn(move || closing.close().unwrap());
        holding.basic_nack(0, Multiple::Yes, Requeue::Yes).unwrap();
        close.join().unwrap();
        let mut came: Vec<u8> = deliveries(&staying.events())
            .iter()
            .map(|(byte, _)| *byte)
            .collect();
        came.sort_unstable();
        assert_eq!(came, [1, 2, 3]);
        let after = counts(&broker, "q");
        assert_eq!((after.ready.messages, after.unsettled.messages), (0, 3));
    });
}

#[test]
fn a_rollback_against_the_time_out_leaves_one_delivery_of_each_message() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let channel = channel(&broker);
        declare(&channel, &quorum());
        consume(&channel, "c", 0);
        publish_bytes(&channel, "q", [1, 2]);
        channel.tx_select().unwrap();
        channel.basic_ack(1, Multiple::No).unwrap();
        let ending = thread::spawn({
            let channel = channel.clone();
            move || {
                channel.tx_rollback().unwrap();
                channel.basic_ack(2, Multiple::No).unwrap();
                channel.tx_commit().unwrap();
            }
        });
        clock.advance(TIME);
        ending.join().unwrap();
        let after = counts(&broker, "q");
        assert_eq!(after.acked.messages + after.ready.messages, 2, "{after:?}");
        assert_eq!(after.unsettled.messages, 0);
        assert!(after.ready.messages >= 1, "the first one is late");
    });
}

#[test]
fn a_single_active_consumer_hands_over_with_its_last_settlement() {
    explore(|| {
        let (broker, _clock) = on_a_manual_clock();
        let (low, high) = (channel(&broker), channel(&broker));
        declare(&low, &quorum().single_active_consumer());
        consume(&low, "low", 0);
        let (low_events, high_events) = (low.events(), high.events());
        publish_bytes(&low, "q", [1, 2]);
        let settling = thread::spawn({
            let low = low.clone();
            move || {
                low.basic_ack(1, Multiple::No).unwrap();
                low.basic_ack(2, Multiple::No).unwrap();
            }
        });
        let publishing = thread::spawn({
            let channel = channel(&broker);
            move || publish_bytes(&channel, "q", [3, 4])
        });
        consume(&high, "high", 1);
        join([settling, publishing]);
        let first = deliveries(&low_events);
        let second = deliveries(&high_events);
        assert!(
            first.len() == 2 || second.is_empty(),
            "one holds messages at a time"
        );
        // What it got before the other one came, it settles now. Then the other one is served.
        if first.len() > 2 {
            low.basic_ack(0, Multiple::Yes).unwrap();
        }
        publish_bytes(&low, "q", [5]);
        let rest = deliveries(&high_events);
        assert_eq!(deliveries(&low_events), []);
        let all: Vec<u8> = [first, second, rest]
            .concat()
            .iter()
            .map(|(byte, _)| *byte)
            .collect();
        assert_eq!(all, [1, 2, 3, 4, 5]);
        assert_eq!(counts(&broker, "q").ready.messages, 0);
    });
}

#[test]
fn dead_letters_that_are_kept_survive_the_deletion_of_their_target() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let queue = quorum()
            .dead_letter_exchange("")
            .dead_letter_routing_key("dead")
            .dead_letter_strategy(DeadLetterStrategy::AtLeastOnce)
            .overflow(Overflow::RejectPublish);
        let control = channel(&broker);
        declare(&control, &queue);
        declare(&control, &Queue::new("dead"));
        publish_bytes(&control, "q", [1, 2, 3]);
        let rejecting = thread::spawn({
            let channel = channel(&broker);
            move || {
                for _ in 0..2 {
                    // The purge may have been faster.
                    if let Some(got) = channel.basic_get("q", AckMode::Manual).unwrap() {
                        let tag = got.delivery_tag();
                        channel.basic_reject(tag, Requeue::No).unwrap();
                    }
                }
            }
        });
        let purging = thread::spawn({
            let channel = channel(&broker);
            move || channel.queue_purge("q").unwrap()
        });
        let lost = control
            .queue_delete("dead", Default::default(), Default::default())
            .unwrap();
        rejecting.join().unwrap();
        let purged = purging.join().unwrap();
        let before = counts(&broker, "q");
        assert_eq!(before.purged.messages, purged);
        assert_eq!(before.unsettled.messages, 0);
        declare(&control, &Queue::new("dead"));
        clock.advance(Duration::from_secs(200));
        let after = counts(&broker, "q");
        assert_eq!(after.in_transit.messages, 0);
        let taken = counts(&broker, "dead").taken_in.messages;
        assert_eq!(taken, before.in_transit.messages);
        assert_eq!(
            after.dead_lettered.messages,
            before.dead_lettered.messages + before.in_transit.messages
        );
        // A purge may find a message that its target has taken already.
        assert!(before.dead_lettered.messages <= lost);
        assert!(after.ready.messages + purged + lost + taken >= 3);
    });
}
