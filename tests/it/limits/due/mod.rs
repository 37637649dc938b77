//! Delayed messages that are due while their blocking queue is full. They stay delayed until there
//! is room, ahead of every publisher that waits, and none is dropped.

mod model;

use std::{any::Any, thread};

use leveret::{
    Broker, Budget, Error, Exchange, Message, Overflow, Policy, Producer, QueueSnapshot, Requeue,
    Result, SimpleQueue, TryRecvError, channel::AckMode,
};

use crate::common::{
    Alarm, HOUR, SECOND, assert_conserved, block_on, channel_of, on_a_manual_clock, queue, rest,
};

/// A producer for the queue `q`, which has the limit by a policy. It holds one message: `0`.
fn full(broker: &Broker, limit: u64) -> Result<(Producer<u32>, SimpleQueue<u32>)> {
    let policy = Policy::new("limit", ".*").setting("max-length", limit as i64);
    let policy = policy.setting("overflow", "block");
    broker.vhost("/")?.set_policy(policy)?;
    let producer = broker.producer::<u32>(&queue())?;
    producer.publish(0)?;
    Ok((producer, broker.simple_queue(queue())?))
}

fn delay(producer: &Producer<u32>, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        let later = Message::new(id).deliver_after(SECOND);
        assert_eq!(producer.publish_message(later).unwrap().routed, 1);
    }
}

fn counts(broker: &Broker) -> QueueSnapshot {
    let counts = broker.snapshot().unwrap().vhosts[0].queues[0].clone();
    assert_conserved(&counts);
    counts
}

/// The numbers of ready and of delayed messages.
fn places(broker: &Broker) -> (u64, u64) {
    let counts = counts(broker);
    assert_eq!(counts.dropped.messages, 0);
    (counts.ready.messages, counts.delayed.messages)
}

fn take(mailbox: &SimpleQueue<u32>) -> u32 {
    let delivery = mailbox.try_get().unwrap();
    let id = *delivery;
    delivery.ack().unwrap();
    id
}

fn all(broker: &Broker) -> Vec<u32> {
    rest(broker, "q").into_iter().map(|(id, _)| id).collect()
}

#[test]
fn due_messages_of_publishers_become_ready_one_by_one_as_there_is_room() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, mailbox) = full(&broker, 1)?;
    assert_eq!(take(&mailbox), 0);
    delay(&producer, [1, 2, 3]);
    clock.advance(SECOND);
    for id in 1..=3 {
        assert_eq!(places(&broker), (1, 3 - u64::from(id)));
        assert_eq!(take(&mailbox), id);
    }
    assert_eq!(places(&broker), (0, 0));
    Ok(())
}

#[test]
fn a_message_that_returns_later_goes_over_the_bound_and_drops_none() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, mailbox) = full(&broker, 1)?;
    mailbox.try_get()?.nack(Requeue::After(SECOND))?;
    producer.publish(1)?;
    delay(&producer, [2]);
    clock.advance(SECOND);
    assert_eq!(places(&broker), (2, 1));
    for id in 0..=2 {
        assert_eq!(take(&mailbox), id);
    }
    Ok(())
}

#[test]
fn a_due_message_comes_before_a_blocked_publisher_and_that_one_before_a_newcomer() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, mailbox) = full(&broker, 1)?;
    let alarm = Alarm::new();
    let mut blocked = Box::pin(producer.publish_async(9));
    assert!(alarm.poll(blocked.as_mut()).is_pending());
    delay(&producer, [1, 2]);
    clock.advance(SECOND);
    for id in 0..2 {
        assert_eq!(take(&mailbox), id);
        assert!(!alarm.has_rung());
        assert!(producer.try_publish(7).is_err());
    }
    assert_eq!(take(&mailbox), 2);
    assert!(alarm.has_rung());
    assert!(producer.try_publish(7).is_err());
    assert_eq!(block_on(blocked).unwrap().routed, 1);
    assert_eq!(all(&broker), [9]);
    Ok(())
}

#[test]
fn a_due_message_takes_the_room_of_a_publisher_that_has_not_used_it() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, mailbox) = full(&broker, 1)?;
    let alarm = Alarm::new();
    let mut blocked = Box::pin(producer.publish_async(9));
    assert!(alarm.poll(blocked.as_mut()).is_pending());
    delay(&producer, [1]);
    assert_eq!(take(&mailbox), 0);
    assert!(alarm.has_rung());
    clock.advance(SECOND);
    assert_eq!(places(&broker), (1, 0));
    assert!(alarm.poll(blocked.as_mut()).is_pending());
    assert_eq!(take(&mailbox), 1);
    assert!(alarm.has_rung());
    assert_eq!(block_on(blocked).unwrap().routed, 1);
    assert_eq!(all(&broker), [9]);
    Ok(())
}

#[test]
fn a_publisher_that_waits_for_the_bytes_of_a_due_message_does_not_keep_it_out() -> Result {
    let (broker, clock) = on_a_manual_clock();
    broker.declare(&Budget::new("b", 4).block())?;
    let queue = queue().max_length(1).overflow(Overflow::Block).budget("b");
    let producer = broker.producer::<u32>(&queue)?;
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    delay(&producer, [1]);
    // It has room in the queue, and waits for the budget.
    let alarm = Alarm::new();
    let mut blocked = Box::pin(producer.publish_async(2));
    assert!(alarm.poll(blocked.as_mut()).is_pending());
    clock.advance(SECOND);
    assert_eq!(take(&mailbox), 1);
    assert!(alarm.has_rung());
    assert_eq!(block_on(blocked).unwrap().routed, 1);
    assert_eq!(take(&mailbox), 2);
    assert_eq!(broker.budget("b")?.used, 0);
    Ok(())
}

#[test]
fn whatever_makes_room_lets_a_due_message_in_without_the_clock() -> Result {
    /// Returns what must stay until the counts are read.
    type MakesRoom = fn(&Broker) -> Result<Box<dyn Any>>;
    let ways: [(&str, MakesRoom); 6] = [
        ("a get", |broker| {
            let mailbox = broker.simple_queue::<u32>(&queue())?;
            Ok(Box::new(mailbox.try_get().unwrap()))
        }),
        ("a get of a channel", |broker| {
            let got = channel_of(broker)?.basic_get("q", AckMode::Auto)?;
            Ok(Box::new(got.is_some()))
        }),
        ("a purge", |broker| Ok(Box::new(broker.purge("q")?))),
        ("a higher limit", |broker| {
            let policy = Policy::new("limit", ".*").setting("max-length", 2);
            let policy = policy.setting("overflow", "block");
            Ok(Box::new(broker.vhost("/")?.set_policy(policy)?))
        }),
        ("no limit", |broker| {
            Ok(Box::new(broker.vhost("/")?.clear_policy("limit")?))
        }),
        ("a consumer", |broker| {
            let builder = broker.consumer_builder::<u32>(&queue());
            Ok(Box::new(builder.prefetch(1).build()?))
        }),
    ];
    for (what, makes_room) in ways {
        let (broker, clock) = on_a_manual_clock();
        let (producer, _mailbox) = full(&broker, 1)?;
        delay(&producer, [1]);
        clock.advance(SECOND);
        assert_eq!(places(&broker), (1, 1), "{what}");
        let _kept = makes_room(&broker)?;
        assert_eq!(counts(&broker).delayed.messages, 0, "{what}");
    }
    Ok(())
}

#[test]
fn a_due_message_becomes_ready_when_the_one_before_it_expires() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = queue().max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue)?;
    let brief = Message::new(0).expiration(2 * SECOND);
    producer.publish_message(brief).map_err(Error::from)?;
    // The time to live of the second one is over before there is room.
    let brief = Message::new(1).deliver_after(SECOND).expiration(SECOND);
    producer.publish_message(brief).map_err(Error::from)?;
    // That of the third begins at the end of the delay as well, and is over later.
    let brief = Message::new(2).deliver_after(SECOND).expiration(3 * SECOND);
    producer.publish_message(brief).map_err(Error::from)?;
    clock.advance(SECOND);
    assert_eq!(places(&broker), (1, 2));
    clock.advance(SECOND);
    assert_eq!(places(&broker), (1, 0));
    assert_eq!(counts(&broker).expired.messages, 2);
    clock.advance(2 * SECOND);
    assert_eq!(places(&broker), (0, 0));
    assert_eq!(counts(&broker).expired.messages, 3);
    Ok(())
}

#[test]
fn a_queue_that_does_not_block_any_more_takes_all_due_messages_and_keeps_its_limit() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, _) = full(&broker, 2)?;
    producer.publish(1)?;
    delay(&producer, [2, 3, 4]);
    clock.advance(SECOND);
    assert_eq!(places(&broker), (2, 3));
    let policy = Policy::new("limit", ".*").setting("max-length", 2);
    broker.vhost("/")?.set_policy(policy)?;
    let after = counts(&broker);
    assert_eq!((after.delayed.messages, after.dropped.messages), (0, 3));
    assert_eq!(all(&broker), [3, 4]);
    Ok(())
}

#[test]
fn each_due_message_wakes_one_that_waits_for_a_message() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, mailbox) = full(&broker, 1)?;
    assert_eq!(take(&mailbox), 0);
    let alarms = [(); 3].map(|()| Alarm::new());
    let mut getting = [(); 3].map(|()| Box::pin(mailbox.get_async()));
    for (alarm, getting) in alarms.iter().zip(&mut getting) {
        assert!(alarm.poll(getting.as_mut()).is_pending());
    }
    producer.publish(1)?;
    delay(&producer, [2, 3]);
    clock.advance(SECOND);
    assert!(alarms[0].has_rung() && !alarms[2].has_rung());
    for (getting, id) in getting.into_iter().zip(1..) {
        let delivery = block_on(getting).unwrap();
        assert_eq!(*delivery, id);
        delivery.ack()?;
        assert!(id != 1 || alarms[2].has_rung());
    }
    Ok(())
}

#[test]
fn a_consumer_gets_due_messages_beyond_the_limit_of_its_queue() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, _) = full(&broker, 2)?;
    delay(&producer, 1..=9);
    clock.advance(SECOND);
    assert_eq!(places(&broker), (2, 8));
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .prefetch(5)
        .build()?;
    assert_eq!(places(&broker), (2, 3));
    for id in 0..=9 {
        let delivery = consumer.try_recv().unwrap();
        assert_eq!(*delivery, id);
        delivery.ack()?;
    }
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    assert_eq!(places(&broker), (0, 0));
    Ok(())
}

#[test]
fn a_due_message_without_room_is_listed_and_can_be_cancelled() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, mailbox) = full(&broker, 1)?;
    delay(&producer, [1, 2, 3]);
    let alarm = Alarm::new();
    let mut blocked = Box::pin(producer.publish_async(9));
    assert!(alarm.poll(blocked.as_mut()).is_pending());
    let delayed = broker.delayed(queue())?;
    let listed: Vec<_> = delayed.iter().map(|message| message.id()).collect();
    clock.advance(2 * SECOND);
    let due: Vec<_> = delayed.iter().collect();
    assert!(due.iter().all(|message| message.due_in().is_zero()));
    let ids: Vec<_> = due.iter().map(|message| message.id()).collect();
    assert_eq!(ids, listed);
    assert!(delayed.cancel(ids[1]));
    assert_eq!((take(&mailbox), take(&mailbox)), (0, 1));
    assert!(!alarm.has_rung());
    assert!(!delayed.cancel(ids[2]), "it is ready");
    delay(&producer, [4]);
    clock.advance(SECOND);
    assert_eq!((places(&broker), delayed.cancel_all()), ((1, 1), 1));
    assert_eq!(take(&mailbox), 3);
    assert_eq!(block_on(blocked).unwrap().routed, 1);
    assert_eq!(
        (all(&broker), counts(&broker).purged.messages),
        (vec![9], 2)
    );
    Ok(())
}

#[test]
fn a_smaller_message_behind_a_cancelled_one_has_room() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = queue().max_length_bytes(4).overflow(Overflow::Block);
    let producer = broker.producer::<String>(&queue)?;
    let text = |bytes| "x".repeat(bytes);
    producer.publish(text(2))?;
    for bytes in [3, 1] {
        let later = Message::new(text(bytes)).deliver_after(SECOND);
        producer.publish_message(later).map_err(Error::from)?;
    }
    clock.advance(SECOND);
    let alarm = Alarm::new();
    let mut blocked = Box::pin(producer.publish_async(text(1)));
    assert!(
        alarm.poll(blocked.as_mut()).is_pending(),
        "it is behind the due ones"
    );
    assert_eq!(places(&broker), (1, 2));
    let delayed = broker.delayed(&queue)?;
    let large = delayed.iter().next().expect("two wait");
    assert!(delayed.cancel(large.id()));
    assert_eq!(places(&broker), (2, 0));
    assert!(alarm.has_rung());
    assert_eq!(block_on(blocked).unwrap().routed, 1);
    Ok(())
}

#[test]
fn a_message_of_a_delayed_exchange_drops_the_head_and_no_due_message() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, mailbox) = full(&broker, 1)?;
    let exchange = Exchange::fanout("x").delayed();
    broker.declare(&queue().bind(&exchange, ""))?;
    delay(&producer, [1]);
    let later = Message::new(2).delay(2 * SECOND);
    let to_exchange = broker.producer::<u32>(&exchange)?;
    to_exchange.publish_message(later).map_err(Error::from)?;
    clock.advance(2 * SECOND);
    assert_eq!(counts(&broker).dropped.messages, 1);
    assert_eq!((take(&mailbox), take(&mailbox)), (2, 1));
    Ok(())
}

#[test]
fn a_deleted_queue_takes_its_due_messages_along() -> Result {
    let (broker, clock) = on_a_manual_clock();
    broker.declare(&Budget::new("all", 100).whole_vhost())?;
    let (producer, _) = full(&broker, 1)?;
    delay(&producer, [1, 2]);
    clock.advance(SECOND);
    broker.delete(&queue())?;
    assert_eq!(broker.budget("all")?.used, 0);
    Ok(())
}

#[test]
fn a_shutdown_waits_for_due_messages_without_room() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (producer, _) = full(&broker, 1)?;
    delay(&producer, [1, 2]);
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .prefetch(1)
        .build()?;
    let first = consumer.recv()?;
    clock.advance(SECOND);
    assert_eq!(places(&broker), (1, 1));
    let shutdown = thread::spawn(move || broker.shutdown(HOUR));
    first.ack()?;
    for id in 1..=2 {
        let delivery = consumer.recv()?;
        assert_eq!(*delivery, id);
        delivery.ack()?;
    }
    let report = shutdown.join().unwrap()?;
    assert!(!report.timed_out && report.queues.is_empty());
    Ok(())
}
