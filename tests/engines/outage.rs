//! Calls while there is no connection to RabbitMQ.

use std::{
    sync::{
        Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::Instant,
};

use leveret::{
    Broker, Error, Queue, RecvTimeoutError, TryRecvError,
    channel::Event,
    worker::{Settle, WorkerHandle},
};

use crate::{
    engine::{Engine, LONG, SHORT, rabbitmq},
    losing::{await_loss, behind_proxy, is_lost},
};

#[test]
fn waits_end_in_time_without_a_connection() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    let simple = engine.broker.simple_queue::<u32>(&queue).unwrap();
    proxy.close();
    let begin = Instant::now();
    let (error, payload) = producer.publish_timeout(1, SHORT).unwrap_err().into_parts();
    assert_eq!((error, payload), (Error::Timeout, Some(1)));
    assert!(matches!(
        consumer.recv_timeout(SHORT),
        Err(RecvTimeoutError::Timeout)
    ));
    assert!(matches!(
        simple.get_timeout(SHORT),
        Err(RecvTimeoutError::Timeout)
    ));
    assert!(begin.elapsed() < LONG);
    proxy.open();
    // The message goes out with the next connection.
    assert_eq!(*consumer.recv_timeout(LONG).unwrap(), 1);
}

#[test]
fn a_try_waits_for_no_connection() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let simple = engine.broker.simple_queue::<u32>(&queue).unwrap();
    assert_eq!(producer.try_publish(1).unwrap().routed, 1);
    simple.try_put(2).unwrap();
    assert!(
        producer
            .try_publish_batch(3..5)
            .iter()
            .all(|result| result.is_ok())
    );
    assert_eq!(simple.try_get().unwrap().ack_into().unwrap(), 1);
    // An acknowledgement has no answer. This has one, and comes behind it.
    engine.broker.declare(&queue).unwrap();
    let events = engine.broker.vhost("/").unwrap().events();
    proxy.close();
    await_loss(&events);
    let (error, payload) = producer.try_publish(5).unwrap_err().into_parts();
    assert!(is_lost(&error, &proxy), "{error}");
    assert_eq!(payload, Some(5));
    let (error, payload) = simple.try_put(6).unwrap_err().into_parts();
    assert!(is_lost(&error, &proxy), "{error}");
    assert_eq!(payload, Some(6));
    for result in producer.try_publish_batch(7..9) {
        assert!(is_lost(result.unwrap_err().error(), &proxy));
    }
    assert!(matches!(simple.try_get(), Err(TryRecvError::Empty)));
    // An outage is no empty queue.
    assert!(is_lost(&simple.len().unwrap_err(), &proxy));
    assert!(is_lost(&simple.is_empty().unwrap_err(), &proxy));
    assert!(is_lost(&simple.purge().unwrap_err(), &proxy));
    proxy.open();
    // They are not sent later.
    let mut left = Vec::new();
    while left.len() < 3 {
        left.push(simple.get_timeout(LONG).unwrap().ack_into().unwrap());
    }
    assert_eq!(left, [2, 3, 4]);
    assert!(matches!(
        simple.get_timeout(SHORT),
        Err(RecvTimeoutError::Timeout)
    ));
}

#[test]
fn a_worker_reports_without_a_connection() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let queue = engine.queue("q");
    let worker = engine.broker.worker::<u32>(&queue);
    let worker = worker.handler(|_, _| {}).spawn().unwrap();
    let events = engine.broker.vhost("/").unwrap().events();
    proxy.close();
    await_loss(&events);
    assert_eq!(worker.report().left, []);
    proxy.open();
}

/// A queue whose dead letters go to another one, which is declared by a connection that stays.
fn with_dead_letters(engine: &Engine, direct: &Engine) -> (Queue, Queue) {
    let dead = direct.broker.declare(&engine.queue("dead")).unwrap();
    let queue = engine.queue("q").dead_letter_exchange("");
    (queue.dead_letter_routing_key(dead.name()), dead)
}

/// A worker that has one message and makes a dead letter of it. Returns when each attempt begins,
/// and what ends it.
fn burying(broker: &Broker, queue: &Queue) -> (WorkerHandle, Receiver<()>, Sender<()>) {
    let (begin, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let ended = Mutex::new(ended);
    let worker = broker.worker::<u32>(queue);
    let worker = worker.on_error(|_, _| Settle::DeadLetter("a test".into()));
    let worker = worker.handler(move |_, _| -> Result<(), &str> {
        begin.send(()).unwrap();
        ended.lock().unwrap().recv().unwrap();
        Err("the bank is closed")
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<u32>(queue).unwrap();
    producer.publish(7).unwrap();
    begun.recv_timeout(LONG).unwrap();
    (worker, begun, end)
}

#[test]
fn a_shutdown_waits_for_no_dead_letter_without_a_connection() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let direct = rabbitmq().unwrap();
    let (queue, dead) = with_dead_letters(&engine, &direct);
    let (worker, _begun, end) = burying(&engine.broker, &queue);
    let events = engine.broker.vhost("/").unwrap().events();
    proxy.close();
    await_loss(&events);
    end.send(()).unwrap();
    assert!(!engine.broker.shutdown(LONG).unwrap().timed_out);
    worker.join();
    let again = direct.broker.consumer::<u32>(&queue).unwrap();
    assert_eq!(again.recv_timeout(LONG).unwrap().ack_into().unwrap(), 7);
    assert_eq!(direct.broker.purge(&dead).unwrap(), 0);
}

#[test]
fn a_message_that_comes_again_has_one_dead_letter() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let direct = rabbitmq().unwrap();
    let (queue, dead) = with_dead_letters(&engine, &direct);
    let (worker, begun, end) = burying(&engine.broker, &queue);
    let events = engine.broker.vhost("/").unwrap().events();
    proxy.cut();
    let is_restored = |event| matches!(event, (0, Event::ConnectionRestored { .. }));
    while !is_restored(events.recv_timeout(LONG).unwrap()) {}
    end.send(()).unwrap();
    begun.recv_timeout(LONG).unwrap();
    end.send(()).unwrap();
    worker.stop_and_drain(LONG);
    assert!(!engine.broker.shutdown(LONG).unwrap().timed_out);
    assert_eq!(direct.broker.purge(&dead).unwrap(), 1);
    assert_eq!(direct.broker.purge(&queue).unwrap(), 0);
}
