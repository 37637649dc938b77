//! Consumers that are paused and resumed.

use std::{pin::pin, thread, time::Duration};

use leveret::{
    Broker, Consumer, Delivery, Message, Queue, QueueSnapshot, RecvTimeoutError, Result, Select,
    TryRecvError,
};

use crate::common::{
    Alarm, HOUR, SECOND, assert_conserved, block_on, on_a_manual_clock, queue, rest,
};

fn counts(broker: &Broker) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let mut queues = snapshot.vhosts.into_iter().flat_map(|vhost| vhost.queues);
    queues.find(|queue| &*queue.name == "q").unwrap()
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

/// A consumer that has received one message, has nine more in advance, and is paused.
fn paused(broker: &Broker, queue: &Queue) -> (Consumer<u32>, Delivery<u32>) {
    let consumer = broker.consumer::<u32>(queue).unwrap();
    let producer = broker.producer(queue).unwrap();
    let _ = producer.publish_batch(0..5);
    let held = consumer.recv().unwrap();
    // Four are in the run that was taken, and five in the inbox.
    let _ = producer.publish_batch(5..10);
    consumer.pause();
    (consumer, held)
}

#[test]
fn what_a_paused_consumer_has_not_seen_goes_to_another() -> Result {
    let broker = Broker::new();
    let (consumer, held) = paused(&broker, &queue());
    assert!(consumer.is_paused());
    let before = counts(&broker);
    assert_eq!((before.ready.messages, before.unsettled.messages), (9, 1));
    assert_eq!(take(&consumer), []);
    let other = broker.consumer::<u32>(queue())?;
    broker.producer(queue())?.publish(10)?;
    assert_eq!(take(&other), unmarked(1..11));
    held.ack()?;
    assert_conserved(&counts(&broker));
    Ok(())
}

#[test]
fn a_resumed_consumer_gets_the_messages_in_order() -> Result {
    let broker = Broker::new();
    let (consumer, held) = paused(&broker, &queue());
    drop(held);
    broker.producer(queue())?.publish(10)?;
    consumer.pause(); // no effect
    consumer.resume();
    consumer.resume(); // no effect
    assert!(!consumer.is_paused());
    let expected: Vec<_> = [(0, true)].into_iter().chain(unmarked(1..11)).collect();
    assert_eq!(take(&consumer), expected);
    Ok(())
}

#[test]
fn a_pause_returns_the_credit_and_a_new_prefetch_does_not_end_it() -> Result {
    let broker = Broker::new();
    let builder = broker.consumer_builder::<u32>(queue());
    let consumer = builder.prefetch(2).build()?;
    let _ = broker.producer(queue())?.publish_batch(0..8);
    let held = consumer.recv()?;
    consumer.pause();
    consumer.set_prefetch(4);
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    held.ack()?;
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    consumer.return_unseen();
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    consumer.resume();
    let held: Vec<_> = (0..4)
        .map(|_| consumer.try_recv())
        .collect::<Result<_, _>>()?;
    assert!(consumer.try_recv().is_err());
    assert!(held.iter().map(|delivery| **delivery).eq(1..5));
    Ok(())
}

#[test]
fn a_receiver_that_waits_goes_on_waiting_until_the_end_of_the_pause() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    let alarm = Alarm::new();
    {
        let mut next = pin!(consumer.recv_async());
        assert!(alarm.poll(next.as_mut()).is_pending());
        consumer.pause();
        broker.producer(queue())?.publish(7)?;
        assert!(!alarm.has_rung());
        assert!(alarm.poll(next.as_mut()).is_pending());
        let timed_out = consumer.recv_timeout(Duration::from_millis(1));
        assert!(matches!(timed_out, Err(RecvTimeoutError::Timeout)));
        consumer.resume();
        assert!(alarm.has_rung());
        assert_eq!(*block_on(next)?, 7);
    }
    let receiving = thread::scope(|scope| {
        consumer.pause();
        let receiving = scope.spawn(|| consumer.recv().map(|delivery| *delivery));
        broker.producer(queue()).unwrap().publish(8).unwrap();
        consumer.resume();
        receiving.join().unwrap()
    });
    // The first one was dropped, and came again.
    assert_eq!(receiving?, 7);
    Ok(())
}

#[test]
fn a_message_that_a_receiver_was_woken_for_returns_with_the_pause() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    let alarm = Alarm::new();
    let mut next = Box::pin(consumer.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    broker.producer(queue())?.publish(7)?;
    assert!(alarm.has_rung());
    consumer.pause();
    assert!(alarm.poll(next.as_mut()).is_pending());
    assert_eq!(rest::<u32>(&broker, "q"), unmarked([7]));
    consumer.resume();
    broker.producer(queue())?.publish(8)?;
    assert!(alarm.has_rung());
    assert_eq!(*block_on(next)?, 8);
    Ok(())
}

#[test]
fn what_a_select_or_a_batch_gives_back_to_a_paused_consumer_returns_to_the_queue() -> Result {
    for ttl in [None, Some(HOUR)] {
        let (broker, _clock) = on_a_manual_clock();
        let queue = match ttl {
            None => queue(),
            Some(ttl) => queue().message_ttl(ttl),
        };
        let consumer = broker.consumer::<u32>(&queue)?;
        let _ = broker.producer(&queue)?.publish_batch(0..2);
        let mut select = Select::new();
        select.recv(&consumer);
        let selected = select.select();
        consumer.pause();
        drop(selected);
        assert_eq!(rest::<u32>(&broker, "q"), unmarked(0..2));

        consumer.resume();
        let _ = broker.producer(&queue)?.publish_batch(2..4);
        let mut batch = Box::pin(consumer.recv_batch_async(3, SECOND));
        assert!(Alarm::new().poll(batch.as_mut()).is_pending());
        consumer.pause();
        drop(batch);
        assert_eq!(rest::<u32>(&broker, "q"), unmarked(2..4));
    }
    Ok(())
}

#[test]
fn a_paused_consumer_takes_no_turn_and_has_no_priority() -> Result {
    let broker = Broker::new();
    let build = |priority| {
        let builder = broker.consumer_builder::<u32>(queue());
        builder.priority(priority).build().unwrap()
    };
    let [high, first, second] = [1, 0, 0].map(build);
    let producer = broker.producer(queue())?;
    high.pause();
    let _ = producer.publish_batch(0..4);
    assert_eq!(take(&first), unmarked([0, 2]));
    assert_eq!(take(&second), unmarked([1, 3]));
    first.pause();
    let _ = producer.publish_batch(4..6);
    assert_eq!(take(&second), unmarked([4, 5]));
    high.resume();
    first.resume();
    let _ = producer.publish_batch(6..8);
    assert_eq!(take(&high), unmarked([6, 7]));
    Ok(())
}

#[test]
fn the_next_consumer_of_a_single_active_queue_takes_over_while_the_active_one_is_paused() -> Result
{
    let broker = Broker::new();
    let single = queue().single_active_consumer();
    let [first, second] = [(); 2].map(|()| broker.consumer::<u32>(&single).unwrap());
    let producer = broker.producer(&single)?;
    let _ = producer.publish_batch(0..2);
    first.pause();
    assert_eq!(take(&second), unmarked(0..2));
    // It waits for its turn now.
    first.resume();
    producer.publish(2)?;
    assert_eq!(take(&first), []);
    second.pause();
    assert_eq!(take(&first), unmarked([2]));
    // If all are paused, the first that is resumed becomes active.
    first.pause();
    producer.publish(3)?;
    assert_eq!(counts(&broker).ready.messages, 1);
    second.resume();
    first.resume();
    assert_eq!(take(&first), []);
    assert_eq!(take(&second), unmarked([3]));
    Ok(())
}

#[test]
fn a_waiting_consumer_of_a_single_active_queue_takes_over_though_it_gave_back_before() -> Result {
    let broker = Broker::new();
    let single = queue().single_active_consumer();
    let [first, second] = [(); 2].map(|()| broker.consumer::<u32>(&single).unwrap());
    broker.return_unseen("q")?;
    drop(first);
    broker.producer(&single)?.publish(7)?;
    assert_eq!(*second.recv_timeout(SECOND)?, 7);
    Ok(())
}

#[test]
fn a_consumer_of_several_queues_is_paused_at_all_of_them() -> Result {
    let broker = Broker::new();
    let consumer = broker
        .consumer_builder::<u32>("a")
        .also("b")
        .paused()
        .build()?;
    assert!(consumer.is_paused());
    broker.producer("a")?.publish(1)?;
    broker.producer("b")?.publish(2)?;
    assert_eq!(take(&consumer), []);
    consumer.resume();
    let mut taken = take(&consumer);
    taken.sort_unstable();
    assert_eq!(taken, unmarked([1, 2]));
    Ok(())
}

#[test]
fn a_paused_consumer_still_is_a_consumer_and_can_be_cancelled() -> Result {
    let broker = Broker::new();
    let queue = queue().auto_delete();
    let builder = broker.consumer_builder::<u32>(&queue);
    let consumer = builder.exclusive().build()?;
    consumer.pause();
    assert_eq!(counts(&broker).consumers, 1);
    assert_eq!(
        broker.consumer::<u32>("q").unwrap_err().reply_code(),
        Some(403)
    );
    consumer.cancel();
    consumer.resume(); // no effect
    consumer.pause(); // no effect
    assert!(consumer.recv().is_err());
    assert!(broker.purge("q").unwrap_err().is_not_found());
    Ok(())
}

#[test]
fn messages_that_return_with_a_pause_expire_in_the_queue() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let consumer = broker.consumer::<u32>(queue())?;
    let message = Message::new(7).expiration(SECOND);
    broker.producer(queue())?.publish_message(message)?;
    consumer.pause();
    assert_eq!(counts(&broker).ready.messages, 1);
    clock.advance(SECOND);
    assert_eq!(counts(&broker).expired.messages, 1);
    consumer.resume();
    assert_eq!(take(&consumer), []);
    Ok(())
}

#[test]
fn a_shutdown_waits_for_the_deliveries_of_a_paused_consumer_and_not_for_ready_messages() -> Result {
    let (broker, _clock) = on_a_manual_clock();
    let (consumer, held) = paused(&broker, &queue());
    let closing = broker.clone();
    let shutdown = thread::spawn(move || closing.shutdown(HOUR));
    held.ack()?;
    let report = shutdown.join().unwrap()?;
    assert!(!report.timed_out);
    assert_eq!(report.queues.len(), 1);
    assert_eq!((report.queues[0].ready, report.queues[0].unsettled), (9, 0));
    drop(consumer);
    Ok(())
}

#[test]
fn a_pause_during_a_shutdown_ends_the_wait_for_ready_messages() -> Result {
    let (broker, _clock) = on_a_manual_clock();
    let builder = broker.consumer_builder::<u32>(queue());
    let consumer = builder.prefetch(1).build()?;
    let _ = broker.producer(queue())?.publish_batch(0..3);
    let held = consumer.recv()?;
    let closing = broker.clone();
    let shutdown = thread::spawn(move || closing.shutdown(HOUR));
    consumer.pause();
    held.ack()?;
    let report = shutdown.join().unwrap()?;
    assert_eq!((report.timed_out, report.queues[0].ready), (false, 2));
    Ok(())
}
