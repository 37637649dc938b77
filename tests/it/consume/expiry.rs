//! Messages expire that a receiver was woken for and did not take, or that it put back.

use std::{pin::pin, time::Duration};

use leveret::{Broker, Consumer, ManualClock, Message, Producer, Queue, Result, Select};

use crate::common::{Alarm, HOUR, SECOND, block_on, on_a_manual_clock, queue};

/// A queue of messages that live for a second, and the consumer of its dead letters.
struct ShortLived {
    broker: Broker,
    clock: ManualClock,
    producer: Producer<u32>,
    consumer: Consumer<u32>,
    dead: Consumer<u32>,
}

impl ShortLived {
    fn new() -> ShortLived {
        let (broker, clock) = on_a_manual_clock();
        let queue = Queue::new("q").message_ttl(SECOND);
        let queue = queue
            .dead_letter_exchange("")
            .dead_letter_routing_key("dead");
        ShortLived {
            dead: broker.consumer("dead").unwrap(),
            consumer: broker.consumer(&queue).unwrap(),
            producer: broker.producer(&queue).unwrap(),
            broker,
            clock,
        }
    }

    /// The messages that have expired since the last call.
    fn expired(&self) -> Vec<u32> {
        let dead = self.dead.try_iter().map(|dead| {
            let dead = dead.unwrap();
            let number = *dead;
            dead.ack().unwrap();
            number
        });
        dead.collect()
    }
}

#[test]
fn the_message_of_a_future_that_is_dropped_after_its_wake_expires() -> Result {
    let all = ShortLived::new();
    let ShortLived {
        consumer, producer, ..
    } = &all;
    let alarm = Alarm::new();
    for (number, late) in [(0, false), (1, true)] {
        let mut receiving = Box::pin(consumer.recv_async());
        assert!(alarm.poll(receiving.as_mut()).is_pending());
        producer.publish(number)?;
        assert!(alarm.has_rung());
        if late {
            all.clock.advance(SECOND * 2);
            assert!(all.expired().is_empty());
        }
        drop(receiving);
        if !late {
            assert!(all.expired().is_empty());
            all.clock.advance(SECOND);
        }
        assert_eq!(all.expired(), [number]);
    }
    all.clock.advance(HOUR);
    assert!(consumer.try_recv().is_err());
    Ok(())
}

#[test]
fn the_message_of_a_selection_or_stream_that_is_dropped_after_its_wake_expires() -> Result {
    let all = ShortLived::new();
    let other = all.broker.consumer::<u32>("other")?;
    let alarm = Alarm::new();
    let mut select = Select::new();
    select.recv(&other);
    select.recv(&all.consumer);
    let mut selecting = Box::pin(select.select_async());
    assert!(alarm.poll(selecting.as_mut()).is_pending());
    all.producer.publish(0)?;
    assert!(alarm.has_rung());
    drop(selecting);
    all.clock.advance(SECOND);
    assert_eq!(all.expired(), [0]);
    #[cfg(feature = "stream")]
    {
        let mut stream = all.consumer.stream();
        let mut next = Box::pin(std::future::poll_fn(|context| {
            futures_core::Stream::poll_next(std::pin::Pin::new(&mut stream), context)
        }));
        assert!(alarm.poll(next.as_mut()).is_pending());
        all.producer.publish(1)?;
        assert!(alarm.has_rung());
        drop(next);
        drop(stream);
        all.clock.advance(SECOND);
        assert_eq!(all.expired(), [1]);
    }
    Ok(())
}

#[test]
fn the_message_of_a_future_that_goes_is_kept_for_the_next_receiver() -> Result {
    let all = ShortLived::new();
    let (first, second) = (Alarm::new(), Alarm::new());
    let mut going = Box::pin(all.consumer.recv_async());
    let mut staying = pin!(all.consumer.recv_async());
    assert!(first.poll(going.as_mut()).is_pending());
    assert!(second.poll(staying.as_mut()).is_pending());
    all.producer.publish(0)?;
    assert!(first.has_rung());
    drop(going);
    assert!(second.has_rung());
    all.clock.advance(SECOND * 2);
    assert!(all.expired().is_empty());
    let received = block_on(staying)?;
    assert_eq!(*received, 0);
    Ok(())
}

#[test]
fn of_two_messages_that_woke_receivers_one_expires_when_one_receiver_goes() -> Result {
    let all = ShortLived::new();
    let alarm = Alarm::new();
    let mut going = Box::pin(all.consumer.recv_async());
    let mut staying = pin!(all.consumer.recv_async());
    assert!(alarm.poll(going.as_mut()).is_pending());
    assert!(alarm.poll(staying.as_mut()).is_pending());
    all.producer.publish(0)?;
    all.producer.publish(1)?;
    drop(going);
    all.clock.advance(SECOND * 2);
    assert_eq!(all.expired(), [1]);
    assert_eq!(*block_on(staying)?, 0);
    Ok(())
}

#[test]
fn a_selected_message_that_is_dropped_expires() -> Result {
    let all = ShortLived::new();
    for (number, late) in [(0, false), (2, true)] {
        all.producer.publish(number)?;
        let mut select = Select::new();
        select.recv(&all.consumer);
        let selected = select.select();
        all.producer.publish(number + 1)?;
        if late {
            all.clock.advance(SECOND);
            assert_eq!(all.expired(), [number + 1]);
            drop(selected);
            assert_eq!(all.expired(), [number]);
        } else {
            drop(selected);
            assert!(all.expired().is_empty());
            all.clock.advance(SECOND);
            assert_eq!(all.expired(), [number, number + 1]);
        }
    }
    assert!(all.consumer.try_recv().is_err());
    Ok(())
}

#[test]
fn what_is_put_back_keeps_its_order_and_wakes_a_receiver() -> Result {
    let all = ShortLived::new();
    all.producer.publish(0)?;
    let mut select = Select::new();
    select.recv(&all.consumer);
    let selected = select.select();
    let alarm = Alarm::new();
    let mut receiving = pin!(all.consumer.recv_async());
    assert!(alarm.poll(receiving.as_mut()).is_pending());
    drop(selected);
    assert!(alarm.has_rung());
    all.producer.publish(1)?;
    all.clock.advance(SECOND);
    assert_eq!(all.expired(), [1]);
    assert_eq!(*block_on(receiving)?, 0);
    Ok(())
}

#[test]
fn a_message_that_comes_back_before_an_awaited_one_is_awaited_in_its_place() -> Result {
    let all = ShortLived::new();
    all.producer.publish(0)?;
    let mut select = Select::new();
    select.recv(&all.consumer);
    let selected = select.select();
    let alarm = Alarm::new();
    let mut receiving = pin!(all.consumer.recv_async());
    assert!(alarm.poll(receiving.as_mut()).is_pending());
    all.producer.publish(1)?;
    drop(selected);
    all.clock.advance(SECOND);
    assert_eq!(all.expired(), [1]);
    assert_eq!(*block_on(receiving)?, 0);
    Ok(())
}

#[test]
fn the_batch_of_a_future_that_is_dropped_expires() -> Result {
    let all = ShortLived::new();
    all.producer.publish(0)?;
    all.producer.publish(1)?;
    let mut receiving = Box::pin(all.consumer.recv_batch_async(10, HOUR));
    assert!(Alarm::new().poll(receiving.as_mut()).is_pending());
    all.clock.advance(SECOND / 2);
    drop(receiving);
    all.producer.publish(2)?;
    assert!(all.expired().is_empty());
    all.clock.advance(SECOND / 2);
    assert_eq!(all.expired(), [0, 1]);
    let left = all.consumer.recv_batch(10, Duration::ZERO)?;
    assert_eq!(left.iter().map(|left| **left).collect::<Vec<_>>(), [2]);
    Ok(())
}

#[test]
fn a_short_life_behind_a_long_one_ends_on_time_when_the_long_one_is_received() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let consumer = broker.consumer::<u32>(queue())?;
    let producer = broker.producer::<u32>(queue())?;
    for (number, life) in [(0, 60), (1, 3), (2, 8)] {
        let message = Message::new(number).expiration(SECOND * life);
        producer.publish_message(message)?;
    }
    let expired = || broker.snapshot().unwrap().vhosts[0].queues[0].expired;
    clock.advance(SECOND * 5);
    assert_eq!(expired().messages, 0);
    let received = consumer.recv()?;
    assert_eq!((*received, expired().messages), (0, 1));
    clock.advance(SECOND * 3);
    assert_eq!(expired().messages, 2);
    Ok(())
}

#[test]
fn messages_expire_behind_one_that_is_kept_for_a_receiver_as_often_as_they_come() -> Result {
    let all = ShortLived::new();
    let alarm = Alarm::new();
    let mut receiving = pin!(all.consumer.recv_async());
    assert!(alarm.poll(receiving.as_mut()).is_pending());
    all.producer.publish(0)?;
    for number in 1..4 {
        all.producer.publish(number)?;
        all.clock.advance(SECOND);
        assert_eq!(all.expired(), [number]);
    }
    assert_eq!(*block_on(receiving)?, 0);
    Ok(())
}
