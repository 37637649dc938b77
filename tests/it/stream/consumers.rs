//! Typed consumers of streams.

use leveret::{Broker, Queue, Requeue, Result};

fn log() -> Queue {
    Queue::stream("log")
}

#[test]
fn a_consumer_begins_with_the_next_message_and_settling_is_only_credit() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(log())?;
    producer.publish(0)?;
    let consumer = broker.consumer_builder::<u32>(log()).prefetch(2).build()?;
    for number in 1..=9 {
        producer.publish(number)?;
    }
    consumer.recv()?.ack()?;
    consumer.recv()?.nack(Requeue::Yes)?;
    consumer.recv()?.nack(Requeue::No)?;
    consumer.recv()?.reject()?;
    drop(consumer.recv()?);
    let held = (consumer.recv()?, consumer.recv()?);
    assert_eq!((*held.0, *held.1), (6, 7));
    assert!(!held.0.info().redelivered());
    assert!(consumer.try_recv().is_err()); // no credit is left
    drop(held);
    assert_eq!(*consumer.recv()?, 8);
    assert_eq!(broker.snapshot()?.vhosts[0].queues[0].ready.messages, 10);
    Ok(())
}

#[test]
fn every_consumer_gets_every_message_and_a_copy_of_its_own() -> Result {
    let broker = Broker::new();
    let consumers = [(); 3].map(|()| broker.consumer::<String>(log()).unwrap());
    broker.producer(log())?.publish("text".to_owned())?;
    for consumer in &consumers {
        assert_eq!(consumer.recv()?.ack_into().unwrap(), "text");
    }
    Ok(())
}

#[test]
fn what_a_consumer_has_not_seen_comes_again_after_its_pause() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(log())?;
    let _ = broker.producer::<u32>(log())?.publish_batch(0..10);
    consumer.recv()?.ack()?;
    consumer.pause();
    assert!(consumer.try_recv().is_err());
    consumer.resume();
    for number in 1..10 {
        let delivery = consumer.recv()?;
        assert_eq!(*delivery, number);
        delivery.ack()?;
    }
    assert_eq!(broker.return_unseen("log")?, 0);
    Ok(())
}

#[test]
fn a_consumer_of_a_stream_needs_a_prefetch_and_has_no_priority() -> Result {
    let broker = Broker::new();
    broker.declare(&log())?;
    let text = |error: leveret::Error| error.to_string();
    let unlimited = broker.consumer_builder::<u32>(log()).prefetch(0).build();
    let reason = "consumer prefetch count is not set for stream queue 'log' in vhost '/'";
    assert!(text(unlimited.unwrap_err()).ends_with(reason));
    let first = broker.consumer_builder::<u32>(log()).priority(1).build();
    assert!(text(first.unwrap_err()).contains("'x-priority'"));
    Ok(())
}

#[test]
fn a_stream_has_no_gets_and_no_purge() -> Result {
    let broker = Broker::new();
    broker.declare(&log())?;
    let code = |error: leveret::Error| error.reply_code();
    assert_eq!(
        code(broker.simple_queue::<u32>(log()).unwrap_err()),
        Some(540)
    );
    assert_eq!(code(broker.purge("log").unwrap_err()), Some(540));
    let moved = broker
        .vhost("/")?
        .redrive(&log(), leveret::Selection::all());
    assert_eq!(code(moved.unwrap_err()), Some(540));
    Ok(())
}
