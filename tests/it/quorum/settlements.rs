//! The table of the ways in which a delivery ends, and what each of them counts.

use std::time::Duration;

use leveret::{
    Broker, Delivery, Properties, Queue, Requeue, TryRecvError,
    channel::{AckMode, ConsumeOptions, Event, Multiple, PublishOptions},
};

use crate::common::{SECOND, channel_of, on_a_manual_clock};

/// Ends a delivery, and returns the counts of the next one: acquired and failed.
fn counts_after(queue: &Queue, end: impl FnOnce(Delivery<u32>)) -> (u32, u32) {
    let (broker, clock) = on_a_manual_clock();
    let consumer = broker.consumer::<u32>(queue).unwrap();
    let producer = broker.producer::<u32>(queue).unwrap();
    producer.publish(7).unwrap();
    end(consumer.recv().unwrap());
    clock.advance(SECOND);
    let again = consumer.try_recv().unwrap();
    assert!(again.info().redelivered());
    (again.info().acquired_count(), again.info().delivery_count())
}

#[test]
fn each_settlement_of_a_typed_delivery_counts_on_both_kinds_as_the_table_says() {
    for queue in [Queue::new("q").durable(), Queue::quorum("q")] {
        let yes = counts_after(&queue, |delivery| delivery.nack(Requeue::Yes).unwrap());
        assert_eq!(yes, (1, 0));
        let failed = counts_after(&queue, |delivery| delivery.nack(Requeue::Failed).unwrap());
        assert_eq!(failed, (1, 1));
        let after = Requeue::After(Duration::from_millis(500));
        let after = counts_after(&queue, |delivery| delivery.nack(after).unwrap());
        assert_eq!(after, (1, 0));
        let dropped = counts_after(&queue, drop);
        assert_eq!(dropped, (1, 1));
    }
}

#[test]
fn a_quorum_queue_drops_what_has_failed_too_often_and_not_what_was_given_back() {
    let (broker, _clock) = on_a_manual_clock();
    let queue = Queue::quorum("q").delivery_limit(2);
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    broker.producer::<u32>(&queue).unwrap().publish(7).unwrap();
    for _ in 0..5 {
        consumer.try_recv().unwrap().nack(Requeue::Yes).unwrap();
    }
    for failed in 0..3 {
        let delivery = consumer.try_recv().unwrap();
        assert_eq!(delivery.info().delivery_count(), failed);
        delivery.nack(Requeue::Failed).unwrap();
    }
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_message_that_is_dropped_twenty_one_times_is_gone_from_a_quorum_queue() {
    let (broker, _clock) = on_a_manual_clock();
    let queue = Queue::quorum("q");
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    broker.producer::<u32>(&queue).unwrap().publish(7).unwrap();
    for _ in 0..21 {
        drop(consumer.try_recv().unwrap());
    }
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn what_a_cancelled_consumer_has_not_seen_goes_back_where_it_was_taken_from() {
    let (broker, _clock) = on_a_manual_clock();
    let queue = Queue::quorum("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    for id in 0..4 {
        producer.publish(id).unwrap();
    }
    let first = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(2)
        .build()
        .unwrap();
    let (zero, one) = (first.recv().unwrap(), first.recv().unwrap());
    one.nack(Requeue::Yes).unwrap();
    zero.nack(Requeue::Failed).unwrap();
    // The inbox holds both again, unseen. With the consumer they return unchanged.
    drop(first);
    let second = broker.consumer::<u32>(&queue).unwrap();
    let seen: Vec<_> = std::iter::from_fn(|| second.try_recv().ok())
        .map(|delivery| {
            let info = delivery.info();
            let seen = (*delivery, info.acquired_count(), info.delivery_count());
            delivery.ack().unwrap();
            seen
        })
        .collect();
    assert_eq!(seen, [(1, 1, 0), (0, 1, 1), (2, 0, 0), (3, 0, 0)]);
}

#[test]
fn a_returned_message_comes_behind_the_inbox_and_before_everything_else() {
    let (broker, _clock) = on_a_manual_clock();
    let queue = Queue::quorum("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    for id in 0..6 {
        producer.publish(id).unwrap();
    }
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(3)
        .build()
        .unwrap();
    consumer.recv().unwrap().nack(Requeue::Yes).unwrap();
    let seen: Vec<u32> = std::iter::from_fn(|| consumer.try_recv().ok())
        .map(|delivery| {
            let id = *delivery;
            delivery.ack().unwrap();
            id
        })
        .collect();
    assert_eq!(seen, [1, 2, 0, 3, 4, 5]);
}

#[test]
fn the_longer_of_two_delays_holds() {
    use leveret::DelayedRetryKind::All;
    for (own, asked, longer) in [(3, 1, 3), (1, 3, 3)] {
        let (broker, clock) = on_a_manual_clock();
        let (own, asked) = (SECOND * own, SECOND * asked);
        let queue = Queue::quorum("q").delayed_retry(All, own, own);
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        broker.producer::<u32>(&queue).unwrap().publish(7).unwrap();
        let delivery = consumer.try_recv().unwrap();
        delivery.nack(Requeue::After(asked)).unwrap();
        clock.advance(SECOND * longer - Duration::from_millis(1));
        assert!(consumer.try_recv().is_err());
        clock.advance(Duration::from_millis(1));
        assert_eq!(*consumer.try_recv().unwrap(), 7);
    }
}

#[test]
fn a_quorum_queue_refuses_publishers_from_above_its_limit_down_to_four_fifths() {
    let broker = Broker::new();
    let channel = channel_of(&broker).unwrap();
    let queue = Queue::quorum("q").max_length(10);
    let queue = queue.overflow(leveret::Overflow::RejectPublish);
    channel.queue_declare(&queue).unwrap();
    let producer = broker.producer::<u32>(&queue).unwrap();
    for id in 0..11 {
        producer.publish(id).unwrap();
    }
    assert!(producer.publish(11).is_err());
    let get = || channel.basic_get("q", AckMode::Auto).unwrap().unwrap();
    get();
    get();
    assert!(producer.publish(11).is_err(), "nine are left");
    get();
    producer.publish(11).unwrap();
    // Purging ends the refusal too.
    for id in 12..14 {
        producer.publish(id).unwrap();
    }
    assert!(producer.publish(14).is_err());
    channel.queue_purge("q").unwrap();
    producer.publish(14).unwrap();
}

#[test]
fn a_limit_in_bytes_counts_the_properties_of_a_quorum_queue() {
    let broker = Broker::new();
    let channel = channel_of(&broker).unwrap();
    let queue = Queue::quorum("q").max_length_bytes(14);
    channel.queue_declare(&queue).unwrap();
    let publish = |properties| {
        let options = PublishOptions::new();
        channel
            .basic_publish("", "q", "12345", properties, options)
            .unwrap();
        channel.queue_declare_passive("q").unwrap().message_count
    };
    // Seven bytes each: two of flags, and the body.
    assert_eq!(
        (publish(Properties::new()), publish(Properties::new())),
        (1, 2)
    );
    // Eight bytes: with the delivery mode.
    assert_eq!(publish(Properties::new().persistent()), 1);
    channel.queue_purge("q").unwrap();
    // Fifteen bytes: a table of one field has eight.
    assert_eq!(publish(Properties::new().header("k", true)), 0);
    assert_eq!(publish(Properties::new().persistent()), 1);
    let got = channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
    let tag = got.delivery_tag();
    channel.basic_nack(tag, Multiple::No, Requeue::Yes).unwrap();
    assert_eq!(
        publish(Properties::new()),
        1,
        "a returned message counts as before"
    );
}

#[test]
fn a_commit_publishes_to_a_quorum_queue_before_it_settles() {
    let broker = Broker::new();
    let channel = channel_of(&broker).unwrap();
    channel.queue_declare(&Queue::quorum("q")).unwrap();
    let publish = |body: &'static str| {
        let (properties, options) = (Properties::new(), PublishOptions::new());
        let published = channel.basic_publish("", "q", body, properties, options);
        published.unwrap();
    };
    publish("returned");
    channel.tx_select().unwrap();
    let got = channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
    channel
        .basic_consume("q", ConsumeOptions::new().tag("c"))
        .unwrap();
    let tag = got.delivery_tag();
    channel.basic_nack(tag, Multiple::No, Requeue::Yes).unwrap();
    publish("new");
    channel.tx_commit().unwrap();
    let events = channel.events();
    let bodies = std::iter::from_fn(|| match events.try_recv() {
        Ok(Event::Delivery(delivery)) => Some(delivery.body().unwrap().to_vec()),
        _ => None,
    });
    assert_eq!(
        bodies.collect::<Vec<_>>(),
        [b"new".to_vec(), b"returned".to_vec()]
    );
}

#[test]
fn a_channel_that_closes_returns_what_its_active_consumer_holds() {
    let broker = Broker::new();
    let (control, channel) = (channel_of(&broker).unwrap(), channel_of(&broker).unwrap());
    let queue = Queue::quorum("q").single_active_consumer();
    control.queue_declare(&queue).unwrap();
    broker.producer::<u32>(&queue).unwrap().publish(7).unwrap();
    let active = ConsumeOptions::new().tag("active");
    channel.basic_consume("q", active).unwrap();
    let higher = ConsumeOptions::new().tag("higher").priority(5);
    channel.basic_consume("q", higher).unwrap();
    assert_eq!(control.queue_declare_passive("q").unwrap().message_count, 0);
    channel.close().unwrap();
    let seen = control.queue_declare_passive("q").unwrap();
    assert_eq!((seen.message_count, seen.consumer_count), (1, 0));
}
