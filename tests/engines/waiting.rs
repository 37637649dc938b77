//! All ways to receive: time-outs, futures, selections, batches, gets.

use std::thread;

use futures_lite::future::block_on;
use leveret::{Queue, RecvTimeoutError, Select, TryRecvError};

use crate::{
    engine::{Engine, LONG, SHORT},
    on_each_engine,
};

on_each_engine! {
    time_outs_and_futures_receive
    a_selection_takes_what_comes_first
    batches_are_published_and_received
    a_simple_queue_puts_and_gets
    a_get_waits_for_a_message
    a_get_that_gives_up_leaves_the_message
}

fn time_outs_and_futures_receive(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    assert!(matches!(
        consumer.recv_timeout(SHORT),
        Err(RecvTimeoutError::Timeout)
    ));
    assert_eq!(block_on(producer.publish_async(1)).unwrap().routed, 1);
    let received = block_on(consumer.recv_async()).unwrap();
    assert_eq!(received.ack_into().unwrap(), 1);
    let waiting = thread::spawn(move || consumer.recv().unwrap().ack_into().unwrap());
    producer.publish_timeout(2, LONG).unwrap();
    assert_eq!(waiting.join().unwrap(), 2);
}

fn a_selection_takes_what_comes_first(engine: &Engine) {
    let (a, b) = (engine.queue("a"), engine.queue("b"));
    let (from_a, from_b) = (
        engine.broker.consumer::<u32>(&a).unwrap(),
        engine.broker.consumer::<String>(&b).unwrap(),
    );
    let mut select = Select::new();
    let (_, second) = (select.recv(&from_a), select.recv(&from_b));
    let producer = engine.broker.producer::<String>(&b).unwrap();
    producer.publish("hello".to_owned()).unwrap();
    let selected = select.select_timeout(LONG).unwrap();
    assert_eq!(selected.index(), second);
    assert_eq!(selected.recv(&from_b).unwrap().ack_into().unwrap(), "hello");
}

fn batches_are_published_and_received(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    assert!(producer.publish_batch(0..100).iter().all(Result::is_ok));
    let mut received = Vec::new();
    while received.len() < 100 {
        for delivery in consumer.recv_batch(100 - received.len(), LONG).unwrap() {
            received.push(delivery.ack_into().unwrap());
        }
    }
    assert!(received.into_iter().eq(0..100));
}

fn a_simple_queue_puts_and_gets(engine: &Engine) {
    let queue = engine
        .broker
        .simple_queue::<String>(&engine.queue("q"))
        .unwrap();
    assert!(matches!(queue.try_get(), Err(TryRecvError::Empty)));
    assert!(matches!(
        queue.get_timeout(SHORT),
        Err(RecvTimeoutError::Timeout)
    ));
    for text in ["a", "b", "c", "d"] {
        queue.put(text.to_owned()).unwrap();
    }
    assert_eq!(queue.len().unwrap(), 4);
    let first = queue.get().unwrap();
    let second = queue.try_get().unwrap();
    assert_eq!((&**first, &**second), ("a", "b"));
    first.ack().unwrap();
    drop(second);
    let again = queue.get_timeout(LONG).unwrap();
    assert_eq!((&**again, again.info().redelivered()), ("b", true));
    again.ack().unwrap();
    assert_eq!(
        block_on(queue.get_async()).unwrap().ack_into().unwrap(),
        "c"
    );
    assert_eq!((queue.purge().unwrap(), queue.len().unwrap()), (1, 0));
    assert!(queue.is_empty().unwrap());
    let name = Queue::existing(queue.name().to_string());
    engine.broker.delete(&name).unwrap();
    assert!(queue.len().unwrap_err().is_not_found());
    assert!(queue.purge().unwrap_err().is_not_found());
}

fn a_get_waits_for_a_message(engine: &Engine) {
    let queue = engine
        .broker
        .simple_queue::<u32>(&engine.queue("q"))
        .unwrap();
    let waiting = thread::spawn({
        let queue = queue.clone();
        move || queue.get().unwrap().ack_into().unwrap()
    });
    let task = thread::spawn({
        let queue = queue.clone();
        move || block_on(queue.get_async()).unwrap().ack_into().unwrap()
    });
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    let mut got = [waiting.join().unwrap(), task.join().unwrap()];
    got.sort_unstable();
    assert_eq!(got, [1, 2]);
}

fn a_get_that_gives_up_leaves_the_message(engine: &Engine) {
    let queue = engine
        .broker
        .simple_queue::<u32>(&engine.queue("q"))
        .unwrap();
    for number in 0..20 {
        let _ = queue.get_timeout(std::time::Duration::from_micros(100 * number));
    }
    queue.put(7).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap().ack_into().unwrap(), 7);
}
