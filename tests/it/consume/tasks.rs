//! Receiving in tasks: streams, batches, and selects.

use std::{pin::pin, time::Duration};

use leveret::{Broker, CancelReason, Consumer, Queue, RecvError, Result, Select};

use crate::common::{Alarm, PATIENCE, SECOND, block_on, on_a_manual_clock, queue, reason, rest};

#[test]
fn a_task_selects_the_consumer_that_has_a_message() -> Result {
    let broker = Broker::new();
    let numbers = broker.consumer::<u32>("numbers")?;
    let words = broker.consumer::<String>("words")?;
    let mut select = Select::new();
    let (n, w) = (select.recv(&numbers), select.recv(&words));
    for _ in 0..2 {
        let alarm = Alarm::new();
        let mut selecting = pin!(select.select_async());
        assert!(alarm.poll(selecting.as_mut()).is_pending());
        broker.producer("words")?.publish("hello".to_owned())?;
        assert!(alarm.has_rung());
        let selected = block_on(selecting);
        assert_eq!(selected.index(), w);
        selected.recv(&words)?.ack()?;
    }
    broker.delete(&Queue::new("numbers"))?;
    let selected = block_on(select.select_async());
    assert_eq!(selected.index(), n);
    assert_eq!(reason(selected.recv(&numbers)), CancelReason::QueueDeleted);
    Ok(())
}

#[test]
fn a_select_in_a_task_serves_in_turn_and_one_that_is_dropped_wakes_the_next() -> Result {
    let broker = Broker::new();
    let consumers = [broker.consumer::<u32>("a")?, broker.consumer::<u32>("b")?];
    let mut select = Select::new();
    for consumer in &consumers {
        select.recv(consumer);
    }
    {
        let (alarm, other_alarm) = (Alarm::new(), Alarm::new());
        let mut dropped = Box::pin(select.select_async());
        assert!(alarm.poll(dropped.as_mut()).is_pending());
        let mut other = pin!(consumers[0].recv_async());
        assert!(other_alarm.poll(other.as_mut()).is_pending());
        broker.producer("a")?.publish(0)?;
        assert!(alarm.has_rung() && !other_alarm.has_rung());
        drop(dropped);
        assert!(other_alarm.has_rung());
        block_on(other)?.ack()?;
    }
    for name in ["a", "b"] {
        let _ = broker.producer(name)?.publish_batch(0..10);
    }
    let mut order = Vec::new();
    for _ in 0..20 {
        let selected = block_on(select.select_async());
        let index = selected.index();
        selected.recv(&consumers[index])?.ack()?;
        order.push(index);
    }
    assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
    Ok(())
}

#[test]
#[should_panic(expected = "no consumers have been added")]
fn a_select_without_consumers_panics_in_a_task_as_well() {
    drop(Select::new().select_async());
}

#[cfg(feature = "stream")]
mod streams {
    use std::task::Poll;

    use futures_core::{FusedStream, Stream};

    use super::*;

    /// The next item. The test ends only when there is one.
    fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
        block_on(std::future::poll_fn(|context| {
            std::pin::Pin::new(&mut *stream).poll_next(context)
        }))
    }

    fn is_pending<S: Stream + Unpin>(alarm: &std::sync::Arc<Alarm>, stream: &mut S) -> bool {
        let next = std::future::poll_fn(|context| {
            match std::pin::Pin::new(&mut *stream).poll_next(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(_) => Poll::Ready(()),
            }
        });
        alarm.poll(pin!(next)).is_pending()
    }

    #[test]
    fn a_stream_has_the_items_of_an_iteration_and_ends_with_the_consumer() -> Result {
        let broker = Broker::new();
        let _ = broker.producer::<u32>(queue())?.publish_batch([1, 2]);
        broker.producer(queue())?.publish("three".to_owned())?;
        let consumer = broker.consumer::<u32>(queue())?;
        let mut stream = consumer.stream();
        for number in [1, 2] {
            let delivery = next(&mut stream).unwrap()?;
            assert_eq!(*delivery, number);
            delivery.ack()?;
        }
        let undecoded = next(&mut stream).unwrap().unwrap_err();
        assert_eq!(undecoded.info().queue(), "q");
        undecoded.ack()?;
        let alarm = Alarm::new();
        assert!(is_pending(&alarm, &mut stream));
        broker.producer::<u32>(queue())?.publish(4)?;
        assert!(alarm.has_rung());
        next(&mut stream).unwrap()?.ack()?;
        assert!(is_pending(&alarm, &mut stream) && !stream.is_terminated());
        consumer.cancel();
        assert!(alarm.has_rung());
        assert!(next(&mut stream).is_none() && next(&mut stream).is_none());
        assert!(stream.is_terminated());
        assert_eq!(consumer.ended(), Some(CancelReason::ConsumerCancelled));
        Ok(())
    }

    #[test]
    fn a_stream_that_owns_its_consumer_ends_it() -> Result {
        let broker = Broker::new();
        let _ = broker.producer::<u32>(queue())?.publish_batch(0..3);
        let consumer = broker.consumer::<u32>(queue())?;
        let handle = consumer.cancel_handle();
        let mut stream = consumer.into_stream();
        next(&mut stream).unwrap()?.ack()?;
        drop(stream);
        assert_eq!(handle.ended(), Some(CancelReason::ConsumerCancelled));
        assert_eq!(rest::<u32>(&broker, "q"), [(1, false), (2, false)]);
        Ok(())
    }

    #[test]
    fn a_stream_that_stops_after_its_wake_wakes_the_next_receiver() -> Result {
        let broker = Broker::new();
        let consumer = broker.consumer::<u32>(queue())?;
        let (alarm, other_alarm) = (Alarm::new(), Alarm::new());
        let mut stream = consumer.stream();
        assert!(is_pending(&alarm, &mut stream));
        let mut other = pin!(consumer.recv_async());
        assert!(other_alarm.poll(other.as_mut()).is_pending());
        broker.producer(queue())?.publish(7)?;
        assert!(alarm.has_rung() && !other_alarm.has_rung());
        drop(stream);
        assert!(other_alarm.has_rung());
        assert_eq!(*block_on(other)?, 7);
        Ok(())
    }

    #[test]
    fn a_stream_goes_to_another_thread() {
        fn sent<S: Send + Unpin + 'static>(_: S) {}
        sent(
            Broker::new()
                .consumer::<u32>(queue())
                .unwrap()
                .into_stream(),
        );
    }
}

#[test]
fn a_batch_in_a_task_has_what_arrives_in_time() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let consumer = broker.consumer::<u32>(queue())?;
    let producer = broker.producer(queue())?;
    let _ = producer.publish_batch(0..2);
    let alarm = Alarm::new();
    let mut receiving = pin!(consumer.recv_batch_async(5, SECOND));
    assert!(alarm.poll(receiving.as_mut()).is_pending());
    producer.publish(2)?;
    assert!(alarm.has_rung());
    assert!(alarm.poll(receiving.as_mut()).is_pending());
    clock.advance(SECOND / 2);
    assert!(!alarm.has_rung());
    clock.advance(SECOND / 2);
    assert!(alarm.has_rung());
    let batch = block_on(receiving)?;
    assert!(batch.iter().map(|delivery| **delivery).eq(0..3));
    drop(batch);
    // A full batch does not wait.
    for delivery in block_on(consumer.recv_batch_async(3, PATIENCE))? {
        delivery.ack()?;
    }
    assert_eq!(block_on(consumer.recv_batch_async(0, PATIENCE))?.len(), 0);
    let (alarm, mut nothing) = (
        Alarm::new(),
        pin!(consumer.recv_batch_async(1, Duration::MAX)),
    );
    assert!(alarm.poll(nothing.as_mut()).is_pending());
    consumer.cancel();
    assert!(alarm.has_rung());
    let nothing = block_on(nothing);
    assert!(
        matches!(nothing, Err(RecvError::Cancelled(_))),
        "{nothing:?}"
    );
    Ok(())
}

#[test]
fn a_batch_in_a_task_waits_by_the_systems_clock_as_well() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    broker.producer(queue())?.publish(7)?;
    let batch = block_on(consumer.recv_batch_async(2, Duration::from_millis(2)))?;
    assert_eq!(batch.len(), 1);
    Ok(())
}

#[test]
fn a_batch_in_a_task_that_is_dropped_has_received_nothing() -> Result {
    for auto_ack in [false, true] {
        let broker = Broker::new();
        let builder = broker.consumer_builder::<u32>(queue());
        let consumer = match auto_ack {
            true => builder.auto_ack().build()?,
            false => builder.build()?,
        };
        let _ = broker.producer(queue())?.publish_batch(0..3);
        let mut dropped = Box::pin(consumer.recv_batch_async(5, PATIENCE));
        assert!(Alarm::new().poll(dropped.as_mut()).is_pending());
        drop(dropped);
        let flags = |consumer: &Consumer<u32>| -> Result<Vec<_>> {
            let batch = block_on(consumer.recv_batch_async(3, PATIENCE))?;
            let flags = batch.iter().map(|d| (**d, d.info().redelivered()));
            Ok(flags.collect())
        };
        let unseen = [(0, false), (1, false), (2, false)];
        assert_eq!(flags(&consumer)?, unseen);
        drop(consumer);
        let left = rest::<u32>(&broker, "q").len();
        assert_eq!(left, if auto_ack { 0 } else { 3 });
    }
    Ok(())
}

#[test]
fn a_batch_in_a_task_ends_before_a_message_that_does_not_decode() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    broker.producer(queue())?.publish(1u32)?;
    broker.producer(queue())?.publish("two".to_owned())?;
    broker.producer(queue())?.publish(3u32)?;
    let batch = || block_on(consumer.recv_batch_async(5, Duration::ZERO));
    let [first] = &batch()?[..] else {
        panic!("one message")
    };
    assert_eq!(**first, 1);
    let undecoded = batch().unwrap_err();
    assert!(matches!(&undecoded, RecvError::Decode(_)), "{undecoded:?}");
    let mut last = batch()?;
    assert_eq!(last.next().map(|delivery| *delivery), Some(3));
    Ok(())
}
