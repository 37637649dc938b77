//! Producers that publish again what queues refuse.

use std::{
    panic,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Backoff, Broker, Budget, Credentials, Error, Exchange, ManualClock, Message, Overflow,
    Producer, Published, Queue, Result, SimpleQueue,
};

use crate::common::{Alarm, HOUR, PATIENCE, SECOND, block_on, in_time, on_a_manual_clock, rest};

/// The number of each attempt that failed, and the time until the next one.
type Log = Arc<Mutex<Vec<(u32, Duration)>>>;

fn full() -> Queue {
    Queue::new("full")
        .max_length(1)
        .overflow(Overflow::RejectPublish)
}

fn mailbox(broker: &Broker) -> SimpleQueue<u32> {
    broker.simple_queue(Queue::existing("full")).unwrap()
}

/// A producer for the queue "full", which holds the number 0. Each wait for the next attempt lets
/// the time of the clock pass.
fn producer(broker: &Broker, clock: &ManualClock, backoff: Backoff) -> (Producer<u32>, Log) {
    let producer = broker.producer::<u32>(&full()).unwrap();
    producer.publish(0).unwrap();
    let log = Log::default();
    let producer = producer.retry(backoff).on_retry({
        let (clock, log) = (clock.clone(), Arc::clone(&log));
        move |error, attempt, delay| {
            assert!(matches!(error, Error::Refused { .. }));
            log.lock().unwrap().push((attempt, delay));
            clock.advance(delay);
        }
    });
    (producer, log)
}

fn logged(log: &Log) -> Vec<(u32, Duration)> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// Waits of a second each.
fn seconds() -> Backoff {
    Backoff::constant(SECOND)
}

#[test]
fn a_refused_message_comes_when_there_is_room_again() {
    let (broker, clock) = on_a_manual_clock();
    let (producer, log) = producer(&broker, &clock, Backoff::new(SECOND).jitter(0.0));
    let producer = producer.on_retry({
        let (mailbox, log) = (mailbox(&broker), Arc::clone(&log));
        move |_, attempt, delay| {
            log.lock().unwrap().push((attempt, delay));
            if attempt == 3 {
                mailbox.try_get().unwrap().ack().unwrap();
            }
            clock.advance(delay);
        }
    });
    assert_eq!(producer.publish(1).unwrap().routed, 1);
    let waits = [(1, SECOND), (2, 2 * SECOND), (3, 4 * SECOND)];
    assert_eq!(logged(&log), waits);
    assert_eq!(rest(&broker, "full"), [(1, false)]);
}

#[test]
fn every_form_that_waits_tries_again_and_returns_the_message_in_the_end() {
    type Form = fn(&Producer<u32>) -> (Error, Option<u32>);
    let forms: [Form; 12] = [
        |to| to.publish(7).unwrap_err().into_parts(),
        |to| to.publish_to("full", 7).unwrap_err().into_parts(),
        |to| of_message(to.publish_message(request())),
        |to| of_batch(to.publish_batch([7])),
        |to| to.publish_timeout(7, HOUR).unwrap_err().into_parts(),
        |to| {
            to.publish_to_timeout("full", 7, HOUR)
                .unwrap_err()
                .into_parts()
        },
        |to| of_message(to.publish_message_timeout(request(), HOUR)),
        |to| of_batch(to.publish_batch_timeout([7], HOUR)),
        |to| block_on(to.publish_async(7)).unwrap_err().into_parts(),
        |to| {
            block_on(to.publish_to_async("full", 7))
                .unwrap_err()
                .into_parts()
        },
        |to| of_message(block_on(to.publish_message_async(request()))),
        |to| of_batch(block_on(to.publish_batch_async([7]))),
    ];
    let (broker, clock) = on_a_manual_clock();
    let (producer, log) = producer(&broker, &clock, seconds().max_attempts(3));
    for (number, form) in forms.iter().enumerate() {
        let (error, given) = form(&producer);
        assert!(matches!(error, Error::Refused { .. }), "{number}: {error}");
        assert_eq!(given, Some(7));
        assert_eq!(logged(&log), [(1, SECOND), (2, SECOND)], "{number}");
    }
    assert_eq!(rest(&broker, "full"), [(0, false)]);
}

fn request() -> Message<u32> {
    Message::new(7).correlation_id("a").header("k", "v")
}

fn of_message(
    published: Result<Published, leveret::PublishError<Message<u32>>>,
) -> (Error, Option<u32>) {
    let (error, message) = published.unwrap_err().into_parts();
    assert_eq!(message, Some(request()));
    (error, message.map(Message::into_payload))
}

fn of_batch(mut published: leveret::PublishResults<u32>) -> (Error, Option<u32>) {
    assert_eq!(published.len(), 1);
    published.next().unwrap().unwrap_err().into_parts()
}

#[test]
fn a_form_that_does_not_wait_makes_one_attempt() {
    let (broker, clock) = on_a_manual_clock();
    let (producer, log) = producer(&broker, &clock, seconds());
    assert!(producer.try_publish(1).is_err());
    assert!(producer.try_publish_to("full", 1).is_err());
    assert!(producer.try_publish_message(request()).is_err());
    assert!(producer.try_publish_batch([1]).all(|it| it.is_err()));
    assert_eq!(logged(&log), []);
}

#[test]
fn a_time_limit_and_a_timeout_end_with_a_last_attempt() {
    let (broker, clock) = on_a_manual_clock();
    let short = Duration::from_millis(2_500);
    let (limited, log) = producer(&broker, &clock, seconds().time_limit(short));
    let waits = [(1, SECOND), (2, SECOND), (3, SECOND / 2)];
    limited.publish(1).unwrap_err();
    assert_eq!(logged(&log), waits);

    let (unlimited, log) = {
        broker.purge("full").unwrap();
        producer(&broker, &clock, seconds())
    };
    let late = unlimited.publish_timeout(1, short).unwrap_err();
    assert!(matches!(late.error(), Error::Refused { .. }));
    assert_eq!(logged(&log), waits);
    // The payloads of a batch share the time.
    let late = unlimited.publish_batch_timeout([1, 2], short);
    assert!(late.iter().all(Result::is_err));
    assert_eq!(logged(&log), waits);
}

#[test]
fn a_batch_keeps_its_order() {
    let (broker, clock) = on_a_manual_clock();
    let (producer, log) = producer(&broker, &clock, seconds());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let producer = producer.on_retry({
        let (mailbox, taken) = (mailbox(&broker), Arc::clone(&taken));
        move |_, _, delay| {
            let delivery = mailbox.try_get().unwrap();
            taken.lock().unwrap().push(*delivery);
            delivery.ack().unwrap();
            clock.advance(delay);
        }
    });
    assert!(producer.publish_batch(1..=5).iter().all(Result::is_ok));
    assert_eq!(*taken.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(rest(&broker, "full"), [(5, false)]);
    assert_eq!(logged(&log), []);
}

#[test]
fn a_message_that_one_queue_took_is_not_published_again() {
    let (broker, clock) = on_a_manual_clock();
    let (_, log) = producer(&broker, &clock, seconds());
    let news = Exchange::fanout("news");
    broker.declare(&full().bind(&news, "")).unwrap();
    broker.declare(&Queue::new("free").bind(&news, "")).unwrap();
    let publisher = broker.producer::<u32>(&news).unwrap();
    let publisher = publisher.retry(seconds()).on_retry({
        let log = Arc::clone(&log);
        move |_, attempt, delay| log.lock().unwrap().push((attempt, delay))
    });
    let published = publisher.publish(1).unwrap();
    assert_eq!((published.routed, published.refused), (1, 1));
    assert_eq!(logged(&log), []);
    assert_eq!(rest(&broker, "free"), [(1, false)]);
}

#[test]
fn a_message_that_was_dead_lettered_is_not_published_again() {
    let broker = Broker::new();
    broker.declare(&Queue::new("dead")).unwrap();
    let queue = Queue::new("q")
        .max_length(0)
        .overflow(Overflow::RejectPublishDlx)
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let producer = broker.producer::<u32>(&queue).unwrap().retry(seconds());
    let refused = producer.publish(7).unwrap_err();
    assert!(matches!(
        refused.error(),
        Error::Refused {
            dead_lettered: true,
            ..
        }
    ));
    assert_eq!(rest(&broker, "dead"), [(7, false)]);
}

#[test]
fn a_spent_budget_is_a_reason_to_try_again() {
    let (broker, clock) = on_a_manual_clock();
    broker.declare(&Budget::new("bytes", 4)).unwrap();
    let queue = Queue::new("covered").budget("bytes");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    let producer = producer.retry(seconds()).on_retry({
        let broker = broker.clone();
        move |_, attempt, delay| {
            if attempt == 2 {
                broker.purge("covered").unwrap();
            }
            clock.advance(delay);
        }
    });
    assert_eq!(producer.publish(2).unwrap().routed, 1);
    assert_eq!(rest(&broker, "covered"), [(2, false)]);
}

#[test]
fn other_errors_return_at_once() {
    let (broker, clock) = on_a_manual_clock();
    let (producer, log) = producer(&broker, &clock, seconds());
    broker.delete(&Queue::new("full")).unwrap();
    let error = producer.publish(1).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(312));
    assert_eq!(logged(&log), []);
}

#[test]
fn a_hook_that_panics_harms_nothing() {
    let (broker, clock) = on_a_manual_clock();
    let (producer, _) = producer(&broker, &clock, seconds().max_attempts(3));
    let producer = producer.on_retry(move |_, _, delay| {
        clock.advance(delay);
        panic::resume_unwind(Box::new("an accident"));
    });
    assert_eq!(producer.publish(7).unwrap_err().into_inner(), Some(7));
}

/// Ends the broker, its connection or its virtual host in one of the ways.
type End = fn(&mut Option<Broker>, leveret::Connection);

#[test]
fn the_end_of_the_broker_or_the_connection_ends_the_wait_at_once() {
    let ends: [(End, Error); 5] = [
        (
            |_, connection| connection.close().unwrap(),
            Error::ConnectionClosed,
        ),
        (|_, connection| drop(connection), Error::ConnectionClosed),
        (
            |broker, _connection| {
                let broker = broker.as_ref().unwrap();
                broker.shutdown(Duration::ZERO).unwrap();
            },
            Error::ShutDown,
        ),
        (
            |broker, _connection| drop(broker.take()),
            Error::BrokerDropped,
        ),
        (
            |broker, _connection| broker.as_ref().unwrap().delete_vhost("other").unwrap(),
            Error::VhostDeleted {
                vhost: "other".parse().unwrap(),
            },
        ),
    ];
    for as_task in [false, true] {
        for (end, expected) in &ends {
            // The time of the clock stands still.
            let (broker, _clock) = on_a_manual_clock();
            broker.create_vhost("other").unwrap();
            let connection = broker.connect("other", Credentials::guest()).unwrap();
            let (waits, waiting) = mpsc::channel();
            let producer = connection.producer::<u32>(&full()).unwrap();
            producer.publish(0).unwrap();
            let producer = producer
                .retry(seconds())
                .on_retry(move |_, _, _| waits.send(()).unwrap());
            let publishing = thread::spawn(move || match as_task {
                true => block_on(producer.publish_async(7)),
                false => producer.publish(7),
            });
            waiting.recv_timeout(PATIENCE).unwrap();
            let mut broker = Some(broker);
            end(&mut broker, connection);
            let (error, given) = publishing.join().unwrap().unwrap_err().into_parts();
            assert_eq!((&error, given), (expected, Some(7)));
        }
    }
}

#[test]
fn a_shutdown_begins_and_ends_the_waits_of_those_outside_at_once() {
    let (broker, _clock) = on_a_manual_clock();
    let outside = {
        let producer = broker.producer::<u32>(&full()).unwrap();
        producer.publish(0).unwrap();
        producer.retry(seconds())
    };
    let work = broker.producer::<u32>("work").unwrap();
    work.publish(1).unwrap();
    // Another thread receives it, so that this one does not hold it.
    let consumer = broker.consumer::<u32>("work").unwrap();
    let receiving = thread::spawn(move || consumer.recv().unwrap());
    let held = receiving.join().unwrap();
    let alarm = Alarm::new();
    let mut publishing = Box::pin(outside.publish_async(7));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    let mut ending = Box::pin(broker.shutdown_async(HOUR));
    // It waits for the delivery.
    assert!(alarm.poll(ending.as_mut()).is_pending());
    assert!(alarm.has_rung());
    let error = block_on(publishing).unwrap_err();
    assert_eq!(error.error(), &Error::ShutDown);
    held.ack().unwrap();
    assert!(!block_on(ending).unwrap().timed_out);
}

#[test]
fn the_holder_of_a_delivery_goes_on_during_a_shutdown() {
    let (broker, clock) = on_a_manual_clock();
    let to_full = broker.producer::<u32>(&full()).unwrap();
    to_full.publish(0).unwrap();
    broker.producer::<u32>("work").unwrap().publish(1).unwrap();
    let held = broker.consumer::<u32>("work").unwrap().recv().unwrap();
    let inside = held.producer(&to_full).retry(seconds());
    let alarm = Alarm::new();
    let mut publishing = Box::pin(inside.publish_async(7));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    let mailbox = mailbox(&broker);
    let ending = thread::spawn(move || broker.shutdown(HOUR));
    // The end of the wait for those outside does not end it.
    while !alarm.has_rung() {
        thread::park();
    }
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    mailbox.try_get().unwrap().ack().unwrap();
    clock.advance(SECOND);
    assert!(alarm.has_rung());
    assert_eq!(block_on(publishing).unwrap().routed, 1);
    held.ack().unwrap();
    assert!(!ending.join().unwrap().unwrap().timed_out);
}

#[test]
fn a_task_waits_without_its_thread_and_may_be_dropped() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>(&full()).unwrap();
    producer.publish(0).unwrap();
    let producer = producer.retry(seconds());
    let alarm = Alarm::new();
    let mut dropped = Box::pin(producer.publish_async(1));
    let mut kept = Box::pin(producer.publish_async(2));
    assert!(alarm.poll(dropped.as_mut()).is_pending());
    assert!(alarm.poll(kept.as_mut()).is_pending());
    drop(dropped);
    broker.purge("full").unwrap();
    assert!(!alarm.has_rung());
    clock.advance(SECOND);
    assert!(alarm.has_rung());
    assert!(alarm.poll(kept.as_mut()).is_ready());
    assert_eq!(rest(&broker, "full"), [(2, false)]);
}

#[test]
fn every_producer_gets_in_once_however_small_the_queue_is() {
    let broker = Broker::new();
    let soon = Backoff::new(Duration::from_micros(50)).max_delay(Duration::from_millis(1));
    let producer = broker.producer::<u32>(&full()).unwrap().retry(soon);
    let publishing: Vec<_> = (0..4)
        .map(|thread| {
            let producer = producer.clone();
            thread::spawn(move || {
                let numbers = thread * 50..(thread + 1) * 50;
                numbers.for_each(|number| assert_eq!(producer.publish(number).unwrap().routed, 1));
            })
        })
        .collect();
    let mailbox = mailbox(&broker);
    let taken = in_time(move || {
        let mut taken: Vec<u32> = (0..200)
            .map(|_| mailbox.get().unwrap().ack_into().unwrap())
            .collect();
        taken.sort_unstable();
        taken
    });
    assert!(taken.unwrap().into_iter().eq(0..200));
    publishing
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(rest::<u32>(&broker, "full"), []);
}
