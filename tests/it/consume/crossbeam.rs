//! A consumer that feeds a channel of crossbeam.

use std::{collections::BTreeSet, thread};

use crossbeam_channel::{RecvTimeoutError, TryRecvError};
use leveret::{Broker, CancelReason, Queue, RecvError, Result};

use crate::common::{PATIENCE, queue, rest};

#[test]
fn a_channel_gets_the_messages_in_order_and_ends_with_the_consumer() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    let handle = consumer.cancel_handle();
    let receiver = consumer.into_crossbeam();
    let _ = broker.producer(queue())?.publish_batch(0..100);
    for number in 0..100 {
        let delivery = receiver.recv().unwrap();
        assert_eq!(*delivery, number);
        delivery.ack()?;
    }
    let reading = thread::spawn(move || receiver.recv().map(drop));
    handle.cancel();
    assert!(reading.join().unwrap().is_err());
    assert_eq!(handle.ended(), Some(CancelReason::ConsumerCancelled));
    Ok(())
}

#[test]
fn the_last_clone_of_the_broker_ends_the_channel() -> Result {
    let broker = Broker::new();
    let receivers = [1, 256].map(|prefetch| {
        let builder = broker.consumer_builder::<u32>(queue()).prefetch(prefetch);
        builder.build().unwrap().into_crossbeam()
    });
    drop(broker);
    for receiver in receivers {
        assert_eq!(
            receiver.recv_timeout(PATIENCE).map(drop),
            Err(RecvTimeoutError::Disconnected)
        );
    }
    Ok(())
}

#[test]
fn what_the_channel_has_not_received_returns_unmarked_when_it_is_dropped() -> Result {
    for auto_ack in [false, true] {
        let broker = Broker::new();
        let builder = broker.consumer_builder::<u32>(queue());
        let consumer = match auto_ack {
            true => builder.auto_ack().build()?,
            false => builder.build()?,
        };
        let _ = broker.producer(queue())?.publish_batch(0..5);
        let receiver = consumer.into_crossbeam();
        let clone = receiver.clone();
        receiver.recv().unwrap().ack()?;
        drop(receiver);
        clone.recv().unwrap().ack()?;
        let other = broker.consumer::<u32>(queue())?;
        drop(clone);
        // The other consumer waits for the messages, so it is told of the end.
        for number in 2..5 {
            let delivery = other.recv()?;
            assert_eq!((*delivery, delivery.info().redelivered()), (number, false));
            delivery.ack()?;
        }
    }
    Ok(())
}

#[test]
fn a_handle_ends_the_consumer_of_an_idle_channel_at_once() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").auto_delete();
    let consumer = broker.consumer::<u32>(&queue)?;
    let handle = consumer.cancel_handle();
    let receiver = consumer.into_crossbeam();
    broker.producer(&queue)?.publish(7)?;
    receiver.recv().unwrap().ack()?;
    let mailbox = broker.simple_queue::<u32>("q")?;
    handle.cancel();
    // The queue goes with its last consumer.
    let gone = mailbox.get().map(drop);
    assert!(
        matches!(gone, Err(RecvError::Cancelled(CancelReason::QueueDeleted))),
        "{gone:?}"
    );
    Ok(())
}

#[test]
fn a_channel_whose_last_receive_found_nothing_ends_with_the_next_message() -> Result {
    let broker = Broker::new();
    let receiver = broker.consumer::<u32>(queue())?.into_crossbeam();
    assert!(
        receiver
            .recv_timeout(std::time::Duration::from_millis(1))
            .is_err()
    );
    drop(receiver);
    let other = broker.consumer::<u32>(queue())?;
    let _ = broker.producer(queue())?.publish_batch([1, 2]);
    let mut came = [other.recv()?, other.recv()?];
    came.sort_by_key(|delivery| **delivery);
    assert!(came.iter().map(|delivery| **delivery).eq([1, 2]));
    assert!(came.iter().all(|delivery| !delivery.info().redelivered()));
    Ok(())
}

#[test]
fn what_the_channel_holds_returns_when_its_consumer_ends() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(queue())?;
    let handle = consumer.cancel_handle();
    let receiver = consumer.into_crossbeam();
    let _ = broker.producer(queue())?.publish_batch(0..3);
    receiver.recv().unwrap().ack()?;
    let other = broker.consumer::<u32>(queue())?;
    handle.cancel();
    // The receiver is still there and takes nothing.
    let mut came = [other.recv()?, other.recv()?];
    came.sort_by_key(|delivery| **delivery);
    assert!(came.iter().map(|delivery| **delivery).eq([1, 2]));
    assert!(came.iter().all(|delivery| !delivery.info().redelivered()));
    assert_eq!(
        receiver.recv_timeout(PATIENCE).map(drop),
        Err(RecvTimeoutError::Disconnected)
    );
    assert_eq!(
        receiver.try_recv().map(drop),
        Err(TryRecvError::Disconnected)
    );
    Ok(())
}

#[test]
fn what_does_not_decode_is_rejected_and_the_channel_goes_on() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let dead = broker.consumer::<String>("dead")?;
    for auto_ack in [false, true] {
        let builder = broker.consumer_builder::<u32>(&queue).prefetch(1);
        let consumer = match auto_ack {
            true => builder.auto_ack().build()?,
            false => builder.build()?,
        };
        let receiver = consumer.into_crossbeam();
        broker.producer(&queue)?.publish("one".to_owned())?;
        broker.producer(&queue)?.publish(2u32)?;
        let delivery = receiver.recv().unwrap();
        assert_eq!(*delivery, 2);
        delivery.ack()?;
        if !auto_ack {
            assert_eq!(*dead.recv()?, "one");
        }
    }
    Ok(())
}

#[test]
fn channels_that_come_and_go_lose_nothing() -> Result {
    const MESSAGES: u32 = 5_000;
    let broker = Broker::new();
    let producer = broker.producer::<u32>(queue())?;
    let publishing = thread::spawn(move || {
        (0..MESSAGES).for_each(|number| assert_eq!(producer.publish(number).unwrap().routed, 1));
    });
    let reading: Vec<_> = (0..3)
        .map(|reader| {
            let broker = broker.clone();
            thread::spawn(move || {
                let mut came = Vec::new();
                for round in 0..20 {
                    let builder = broker
                        .consumer_builder::<u32>(queue())
                        .prefetch(1 + reader * 7);
                    let receiver = builder.build().unwrap().into_crossbeam();
                    for delivery in receiver.try_iter().take(round) {
                        came.push(*delivery);
                        delivery.ack().unwrap();
                    }
                    while let Ok(delivery) = receiver.recv_timeout(std::time::Duration::ZERO) {
                        came.push(*delivery);
                        delivery.ack().unwrap();
                        if came.len() % 50 == 0 {
                            break;
                        }
                    }
                }
                came
            })
        })
        .collect();
    publishing.join().unwrap();
    let mut came: Vec<u32> = reading
        .into_iter()
        .flat_map(|reader| reader.join().unwrap())
        .collect();
    let last = broker.consumer::<u32>(queue())?;
    while came.len() < MESSAGES as usize {
        // A channel that has just gone may still have one in its hands.
        let delivery = last.recv_timeout(PATIENCE)?;
        assert!(!delivery.info().redelivered());
        came.push(*delivery);
        delivery.ack()?;
    }
    assert_eq!(
        came.iter().collect::<BTreeSet<_>>().len(),
        MESSAGES as usize
    );
    drop(last);
    assert_eq!(rest::<u32>(&broker, "q"), []);
    Ok(())
}
