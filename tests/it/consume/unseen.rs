//! The messages that a consumer has in advance: how they are taken back, and how they expire.

use std::{pin::pin, time::Duration};

use leveret::{
    Broker, Consumer, DeathReason, Message, Producer, Queue, QueueSnapshot, Result, TryRecvError,
};

use crate::common::{
    Alarm, SECOND, assert_conserved, block_on, channel_of, on_a_manual_clock, queue,
};

fn counts(broker: &Broker, name: &str) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let queues = snapshot.vhosts.into_iter().flat_map(|vhost| vhost.queues);
    queues
        .into_iter()
        .find(|queue| &*queue.name == name)
        .unwrap()
}

/// A consumer that has received one message and has nine more in advance.
fn stuck(broker: &Broker, queue: &Queue) -> (Consumer<u32>, leveret::Delivery<u32>) {
    let consumer = broker.consumer::<u32>(queue).unwrap();
    let producer = broker.producer(queue).unwrap();
    let _ = producer.publish_batch(0..5);
    let held = consumer.recv().unwrap();
    // Five are in the run that was taken, and five in the inbox.
    let _ = producer.publish_batch(5..10);
    (consumer, held)
}

/// Receives and acknowledges what there is.
fn take(consumer: &Consumer<u32>) -> Vec<(u32, bool)> {
    let taken = consumer.try_iter().map(|delivery| {
        let delivery = delivery.unwrap();
        let taken = (*delivery, delivery.info().redelivered());
        delivery.ack().unwrap();
        taken
    });
    taken.collect()
}

fn unmarked(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, bool)> {
    numbers.into_iter().map(|number| (number, false)).collect()
}

#[test]
fn a_stuck_consumer_gives_back_what_it_has_not_seen_to_another() {
    type TakeBack = fn(&Broker, &Consumer<u32>) -> u64;
    let ways: [TakeBack; 4] = [
        |_, consumer| consumer.return_unseen(),
        |broker, _| broker.return_unseen("q").unwrap(),
        |broker, _| broker.vhost("/").unwrap().return_unseen("q").unwrap(),
        |broker, _| channel_of(broker).unwrap().return_unseen("q").unwrap(),
    ];
    for take_back in ways {
        let broker = Broker::new();
        let (consumer, held) = stuck(&broker, &queue());
        assert_eq!(take_back(&broker, &consumer), 9);
        assert_eq!(counts(&broker, "q").ready.messages, 9);
        assert_eq!(counts(&broker, "q").unsettled.messages, 1);
        // They stay in the queue, which gives them to another consumer.
        let other = broker.consumer::<u32>("q").unwrap();
        assert_eq!(take(&other), unmarked(1..10));
        held.ack().unwrap();
        assert_eq!(take_back(&broker, &consumer), 0);
        assert_conserved(&counts(&broker, "q"));
    }
}

#[test]
fn a_consumer_that_gave_back_gets_nothing_until_it_receives_again() -> Result {
    let broker = Broker::new();
    let (consumer, held) = stuck(&broker, &queue());
    consumer.return_unseen();
    broker.producer(queue())?.publish(10)?;
    held.ack()?;
    assert_eq!(counts(&broker, "q").ready.messages, 10);
    assert_eq!(take(&consumer), unmarked(1..11));
    // From now on the queue delivers to it in advance again.
    broker.producer(queue())?.publish(11)?;
    assert_eq!(counts(&broker, "q").unsettled.messages, 1);
    Ok(())
}

#[test]
fn giving_back_returns_the_credit() -> Result {
    let broker = Broker::new();
    let consumer = broker
        .consumer_builder::<u32>(queue())
        .prefetch(4)
        .build()?;
    let producer = broker.producer(queue())?;
    let _ = producer.publish_batch(0..8);
    let held = [consumer.recv()?, consumer.recv()?];
    assert_eq!(consumer.return_unseen(), 2);
    let more = [consumer.recv()?, consumer.recv()?];
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    assert_eq!([*more[0], *more[1]], [2, 3]);
    held.into_iter()
        .chain(more)
        .try_for_each(|held| held.ack())?;
    assert_eq!(take(&consumer), unmarked(4..8));
    Ok(())
}

#[test]
fn a_receiver_that_waits_is_not_paused() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    let alarm = Alarm::new();
    let mut next = pin!(consumer.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    assert_eq!(
        (consumer.return_unseen(), broker.return_unseen("q")?),
        (0, 0)
    );
    broker.producer(queue())?.publish(7)?;
    assert!(alarm.has_rung());
    assert_eq!(*block_on(next)?, 7);
    Ok(())
}

#[test]
fn a_message_behind_a_future_that_is_never_polled_again_can_be_taken_back() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    let mut kept = Box::pin(consumer.recv_async());
    assert!(Alarm::new().poll(kept.as_mut()).is_pending());
    let _ = broker.producer(queue())?.publish_batch(0..3);
    assert_eq!(broker.return_unseen("q")?, 3);
    let other = broker.consumer::<u32>(queue())?;
    assert_eq!(take(&other), unmarked(0..3));
    drop(kept);
    Ok(())
}

#[test]
fn two_stuck_consumers_do_not_get_the_messages_of_each_other() -> Result {
    let broker = Broker::new();
    let consumers = [broker.consumer::<u32>(queue())?, broker.consumer(queue())?];
    let _ = broker.producer(queue())?.publish_batch(0..10);
    assert_eq!(broker.return_unseen("q")?, 10);
    assert_eq!(counts(&broker, "q").ready.messages, 10);
    assert_eq!(take(&consumers[1]), unmarked(0..10));
    Ok(())
}

#[test]
fn a_consumer_of_two_queues_gives_back_to_both() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer_builder::<u32>("a").also("b").build()?;
    let _ = broker.producer("a")?.publish_batch(0..2);
    let _ = broker.producer("b")?.publish_batch(0..3);
    assert_eq!(broker.return_unseen("b")?, 3);
    assert_eq!(consumer.return_unseen(), 2);
    assert_eq!(take(&consumer).len(), 5);
    Ok(())
}

#[test]
fn a_single_active_consumer_that_gave_back_stays_active() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").single_active_consumer();
    let active = broker.consumer::<u32>(&queue)?;
    let next = broker.consumer::<u32>(&queue)?;
    let _ = broker.producer(&queue)?.publish_batch(0..3);
    assert_eq!(active.return_unseen(), 3);
    assert_eq!(take(&next), []);
    assert_eq!(*active.recv()?, 0);
    drop(active);
    assert_eq!(take(&next).len(), 3);
    Ok(())
}

#[test]
fn taking_back_from_a_queue_that_is_missing_or_gone_is_an_error_or_nothing() -> Result {
    let broker = Broker::new();
    assert!(broker.return_unseen("q").unwrap_err().is_not_found());
    let (consumer, _held) = stuck(&broker, &queue());
    broker.delete(&queue())?;
    assert_eq!(consumer.return_unseen(), 0);
    Ok(())
}

/// A queue of messages that live for a second, and whose dead letters are kept. A stuck consumer
/// has ten messages.
fn short_lived(broker: &Broker) -> (Producer<u32>, Consumer<u32>, Consumer<u32>) {
    let queue = Queue::new("q").message_ttl(SECOND).max_length(20);
    let queue = queue
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let dead = broker.consumer::<u32>("dead").unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    let producer = broker.producer(&queue).unwrap();
    let _ = producer.publish_batch(0..10);
    (producer, consumer, dead)
}

#[test]
fn what_a_stuck_consumer_has_in_advance_expires_by_the_timer() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, consumer, dead) = short_lived(&broker);
    let held = consumer.recv()?;
    clock.advance(SECOND / 2);
    producer.publish(10)?;
    clock.advance(SECOND / 2);
    // Nothing was received meanwhile.
    let expired: Vec<_> = dead.try_iter().collect::<Result<_, _>>()?;
    assert_eq!(
        expired.iter().map(|dead| **dead).collect::<Vec<_>>(),
        (1..10).collect::<Vec<_>>()
    );
    let deaths = expired[0]
        .info()
        .properties()
        .header_value("x-death")
        .cloned();
    assert!(
        format!("{deaths:?}").contains(&DeathReason::Expired.to_string()),
        "{deaths:?}"
    );
    assert_eq!(counts(&broker, "q").unsettled.messages, 2);
    assert_eq!(take(&consumer), unmarked([10]));
    held.ack()?;
    assert_conserved(&counts(&broker, "q"));
    drop(expired);
    clock.advance(SECOND);
    assert_eq!(dead.try_iter().count(), 9);
    Ok(())
}

#[test]
fn expiry_in_advance_returns_the_credit() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q").message_ttl(SECOND);
    let consumer = broker.consumer_builder::<u32>(&queue).prefetch(2).build()?;
    let producer = broker.producer(&queue)?;
    let _ = producer.publish_batch(0..2);
    clock.advance(SECOND / 2);
    let _ = producer.publish_batch(2..4);
    clock.advance(SECOND / 2);
    let next = [consumer.try_recv()?, consumer.try_recv()?];
    assert_eq!([*next[0], *next[1]], [2, 3]);
    assert_eq!(counts(&broker, "q").expired.messages, 2);
    Ok(())
}

#[test]
fn a_message_with_a_longer_life_holds_back_those_behind_it_as_in_the_queue() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let consumer = broker.consumer::<u32>(queue())?;
    let producer = broker.producer::<u32>(queue())?;
    for (number, life) in [(0, 1), (1, 60), (2, 1), (3, 1)] {
        let message = Message::new(number).expiration(SECOND * life);
        producer.publish_message(message)?;
    }
    producer.publish(4)?;
    clock.advance(SECOND);
    assert_eq!(counts(&broker, "q").expired.messages, 1);
    assert_eq!(take(&consumer), unmarked([1, 4]));
    assert_eq!(counts(&broker, "q").expired.messages, 3);
    assert_conserved(&counts(&broker, "q"));
    Ok(())
}

#[test]
fn a_message_without_time_to_live_reaches_a_consumer_with_credit() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let consumer = broker
        .consumer_builder::<u32>(queue())
        .prefetch(1)
        .build()?;
    let producer = broker.producer::<u32>(queue())?;
    let brief = |number| Message::new(number).expiration(Duration::ZERO);
    producer.publish_message(brief(0))?;
    producer.publish_message(brief(1))?; // the consumer has no credit
    clock.advance(SECOND);
    assert_eq!(take(&consumer), unmarked([0]));
    assert_eq!(counts(&broker, "q").expired.messages, 1);
    Ok(())
}

#[test]
fn a_message_that_has_woken_a_receiver_does_not_expire_before_it_comes() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q").message_ttl(SECOND);
    let consumer = broker.consumer::<u32>(&queue)?;
    let producer = broker.producer(&queue)?;
    let alarm = Alarm::new();
    let mut next = pin!(consumer.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    producer.publish(0)?;
    producer.publish(1)?;
    clock.advance(SECOND * 5);
    assert_eq!(counts(&broker, "q").expired.messages, 1);
    assert_eq!(*block_on(next)?, 0);
    Ok(())
}

#[test]
fn what_was_taken_back_expires_in_the_queue() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (_producer, consumer, dead) = short_lived(&broker);
    assert_eq!(consumer.return_unseen(), 10);
    clock.advance(SECOND);
    assert_eq!(take(&dead).len(), 10);
    assert_eq!(take(&consumer), []);
    Ok(())
}
