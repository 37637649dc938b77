//! Dead letters: their targets, their reasons, and their way back.

use std::{pin::pin, task::Poll, thread, time::Duration};

use leveret::{
    Broker, Exchange, FieldValue, Message, Overflow, Queue, RecvError, Result, Selection,
    TryRecvError,
};

use crate::common::{Alarm, SECOND, on_a_manual_clock, share_of};

#[test]
fn redriven_messages_go_home_and_the_others_keep_their_places() -> Result {
    let broker = Broker::new();
    let dead = Queue::new("dead");
    let tasks = Queue::new("tasks")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let strangers = broker.producer::<u32>(&dead)?;
    let producer = broker.producer::<u32>(&tasks)?;
    let consumer = broker.consumer::<u32>(&tasks)?;
    strangers.publish(100)?;
    for number in 1..=4 {
        producer.publish_message(Message::new(number).header("number", number as i32))?;
        consumer.recv()?.reject()?;
    }
    let vhost = broker.vhost("/")?;
    let even = Selection::all().filter(|properties| {
        let number = properties
            .header_value("number")
            .and_then(|number| number.as_i64());
        number.is_some_and(|number| number % 2 == 0)
    });
    assert_eq!(vhost.redrive(&dead, even)?, 2);
    assert_eq!(vhost.redrive(&dead, Selection::first(1))?, 1);
    for expected in [2, 4, 1] {
        let delivery = consumer.recv()?;
        assert_eq!(*delivery, expected);
        assert!(!delivery.info().redelivered());
        delivery.ack()?;
    }
    let left = broker.consumer::<u32>(&dead)?;
    assert_eq!((*left.recv()?, *left.recv()?), (100, 3));
    Ok(())
}

#[test]
fn the_dead_letter_queue_keeps_undeliverable_messages_with_the_reason() -> Result {
    let broker = Broker::new();
    let lost = Queue::new("lost");
    broker.vhost("/")?.set_dead_letter_queue(Some(&lost))?;
    broker
        .producer::<u32>(&Exchange::direct("nobody"))?
        .publish(1)?;
    let tasks = Queue::new("tasks").dead_letter_exchange("missing");
    broker.producer::<u32>(&tasks)?.publish(2)?;
    broker.consumer::<u32>(&tasks)?.recv()?.reject()?;
    let found = broker.consumer::<u32>(&lost)?;
    for (payload, reason) in [(1, "no-route"), (2, "no-exchange")] {
        let delivery = found.recv()?;
        assert_eq!(*delivery, payload);
        let header = delivery
            .info()
            .properties()
            .header_value("x-undeliverable-reason")
            .cloned();
        assert_eq!(
            header.as_ref().and_then(|header| header.as_str()),
            Some(reason)
        );
        delivery.ack()?;
    }
    broker.vhost("/")?.set_dead_letter_queue(None)?;
    broker
        .producer::<u32>(&Exchange::direct("nobody"))?
        .publish(3)?;
    assert!(matches!(found.try_recv(), Err(TryRecvError::Empty)));
    Ok(())
}

#[test]
fn an_undecodable_message_is_rejected_and_never_returns() -> Result {
    let broker = Broker::new();
    let dead = Queue::new("dead");
    broker.declare(&dead)?;
    let numbers = Queue::new("numbers")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    assert_eq!(
        broker
            .producer(&numbers)?
            .publish("seven".to_owned())?
            .routed,
        1
    );
    assert_eq!(broker.producer(&numbers)?.publish(7_u64)?.routed, 1);
    let consumer = broker.consumer::<u64>(&numbers)?;
    assert!(matches!(consumer.recv(), Err(RecvError::Decode(_))));
    assert_eq!(*consumer.recv()?, 7);
    assert_eq!(*broker.consumer::<String>(&dead)?.recv()?, "seven");
    Ok(())
}

#[test]
fn an_undeliverable_dead_letter_wakes_the_consumer_of_the_dead_letter_queue() -> Result {
    let broker = Broker::new();
    let lost = Queue::new("lost").max_length(1);
    broker.vhost("/")?.set_dead_letter_queue(Some(&lost))?;
    let consumer = broker.consumer_builder::<u32>(&lost).prefetch(1).build()?;
    let tasks = Queue::new("tasks").dead_letter_exchange("missing");
    let tasks = broker.simple_queue::<u32>(&tasks)?;
    let alarm = Alarm::new();
    let mut waiting = pin!(consumer.recv_async());
    assert!(alarm.poll(waiting.as_mut()).is_pending());
    tasks.put(7)?;
    tasks.get()?.reject()?;
    assert!(alarm.has_rung());
    match alarm.poll(waiting.as_mut()) {
        Poll::Ready(delivery) => assert_eq!(*delivery?, 7),
        Poll::Pending => panic!("it still waits"),
    }
    Ok(())
}

#[test]
fn a_message_refused_and_dead_lettered_comes_back_to_its_publisher() {
    let broker = Broker::new();
    let graves = Queue::new("graves");
    broker.declare(&graves).unwrap();
    let queue = Queue::new("q")
        .max_length(1)
        .overflow(Overflow::RejectPublishDlx)
        .dead_letter_exchange("")
        .dead_letter_routing_key("graves");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    let error = producer.publish(2).unwrap_err();
    assert_eq!(error.into_inner(), Some(2));
    let buried = broker.consumer::<u32>(&graves).unwrap().recv().unwrap();
    assert_eq!(*buried, 2);
}

#[test]
fn a_dead_letter_routing_key_replaces_the_keys_of_bcc_for_good() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::direct("x");
    let first = Queue::new("first")
        .dead_letter_exchange("")
        .dead_letter_routing_key("second");
    let second = Queue::new("second").dead_letter_exchange("x");
    let last = Queue::new("last").bind(&exchange, "second");
    let hidden = Queue::new("hidden").bind(&exchange, "copy");
    let [first, second, last, hidden] =
        [first, second, last, hidden].map(|queue| broker.simple_queue::<u32>(&queue).unwrap());
    let copy = FieldValue::Array(vec!["copy".into()]);
    first.put_message(Message::new(7).header("BCC", copy))?;
    first.get()?.reject()?;
    second.get()?.reject()?;
    assert_eq!((last.len().unwrap(), hidden.len().unwrap()), (1, 0));
    Ok(())
}

#[test]
fn a_message_that_becomes_the_head_quietly_expires_in_time() {
    let (broker, clock) = on_a_manual_clock();
    let graves = Queue::new("graves");
    broker.declare(&graves).unwrap();
    let queue = Queue::new("q")
        .dead_letter_exchange("")
        .dead_letter_routing_key("graves");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    for number in 0..17 {
        producer.publish(number).unwrap();
    }
    producer
        .publish_message(Message::new(17).expiration(SECOND))
        .unwrap();
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    held.remove(0).ack().unwrap();
    held.push(consumer.recv().unwrap());
    clock.advance(Duration::from_secs(2));
    let buried = broker.consumer::<u32>(&graves).unwrap();
    assert_eq!(*buried.try_recv().unwrap(), 17);
}

/// Recursion over the queues would need more than twice this size, even with the smallest stack
/// frames.
const SMALL_STACK: usize = 64 * 1_024;

#[test]
fn a_chain_of_dead_letter_queues_needs_no_stack() -> Result {
    let broker = Broker::new();
    let length = share_of(1_000);
    for n in 0..length {
        let next = Queue::new(format!("q{n}"))
            .max_length(0)
            .dead_letter_exchange("");
        broker.declare(&next.dead_letter_routing_key(format!("q{}", n + 1)))?;
    }
    let last = broker.simple_queue::<u32>(&Queue::new(format!("q{length}")))?;
    let producer = broker.producer::<u32>(&Queue::existing("q0"))?;
    let publishing = thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(move || producer.publish(7).map(|published| published.routed))
        .unwrap();
    assert_eq!(publishing.join().unwrap()?, 1);
    assert_eq!(*last.get()?, 7);
    Ok(())
}
