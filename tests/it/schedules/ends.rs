//! The end of a schedule: cancelled, dropped, or with its broker.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use leveret::{Broker, Error, Producer, Result, Schedule};

use super::MINUTE;
use crate::common::{HOUR, PATIENCE, connect, in_time, on_a_manual_clock};

/// A schedule whose function holds the counter.
fn holding(broker: &Broker, producer: &Producer<u32>, held: &Arc<()>) -> Schedule {
    let held = Arc::clone(held);
    let schedule = broker.every(MINUTE).publish(producer, move || {
        let _ = &held;
        7
    });
    schedule.unwrap()
}

#[test]
fn a_cancelled_and_a_dropped_schedule_run_no_more_and_drop_their_function() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let held = Arc::new(());
    let cancelled = holding(&broker, &producer, &held);
    let dropped = holding(&broker, &producer, &held);
    clock.advance(MINUTE);
    assert_eq!(Arc::strong_count(&held), 3);
    cancelled.cancel();
    cancelled.cancel();
    drop(dropped);
    assert_eq!(Arc::strong_count(&held), 1);
    clock.advance(HOUR);
    assert_eq!(broker.purge("q").unwrap(), 2);
    assert!(cancelled.is_finished());
    assert_eq!(cancelled.runs(), 1);
}

#[test]
fn a_schedule_that_cancels_itself_ends_with_this_run() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let own = Arc::new(Mutex::new(None::<Schedule>));
    let schedule = broker.every(MINUTE).publish(&producer, {
        let own = Arc::clone(&own);
        move || {
            drop(own.lock().unwrap().take());
            7
        }
    });
    *own.lock().unwrap() = Some(schedule.unwrap());
    clock.advance(HOUR);
    assert_eq!(broker.purge("q").unwrap(), 1);
    assert_eq!(Arc::strong_count(&own), 1);
}

#[test]
fn a_schedule_ends_with_its_broker() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let held = Arc::new(());
    let schedule = holding(&broker, &producer, &held);
    clock.advance(MINUTE);
    drop(broker);
    assert!(schedule.is_finished());
    assert_eq!(schedule.next_due(), None);
    clock.advance(HOUR);
    assert_eq!((schedule.runs(), Arc::strong_count(&held)), (1, 1));
}

#[test]
fn a_shutdown_refuses_the_messages_of_a_schedule_and_ends_it() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let schedule = broker.every(MINUTE).publish(&producer, || 7).unwrap();
    clock.advance(MINUTE);
    let report = broker.shutdown(HOUR).unwrap();
    assert!(!report.timed_out);
    clock.advance(HOUR);
    assert!(schedule.is_finished());
    assert_eq!(schedule.runs(), 1);
    let late = broker.every(MINUTE).publish(&producer, || 7);
    assert!(matches!(late, Err(Error::ShutDown)));
    assert!(matches!(broker.every(MINUTE).ticks(), Err(Error::ShutDown)));
}

#[test]
fn a_schedule_ends_with_the_connection_of_its_producer() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let connection = connect(&broker)?;
    let producer = connection.producer::<u32>("q")?;
    let schedule = broker.every(MINUTE).publish(&producer, || 7)?;
    clock.advance(MINUTE);
    connection.close()?;
    clock.advance(HOUR);
    assert!(schedule.is_finished());
    assert_eq!((schedule.runs(), schedule.counts().failed), (2, 1));
    assert_eq!(schedule.last_error(), Some(Error::ConnectionClosed));
    Ok(())
}

/// Begins a schedule by the system's clock whose function waits until the sender is gone. The
/// receiver tells of each call.
fn stuck(broker: &Broker) -> (Schedule, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let producer = broker.producer::<u32>("q").unwrap();
    let (begins, begun) = mpsc::channel();
    let (lets_go, goes) = mpsc::channel::<()>();
    let schedule = broker
        .every(Duration::from_millis(1))
        .publish(&producer, move || {
            let _ = begins.send(());
            let _ = goes.recv();
            7
        });
    begun.recv_timeout(PATIENCE).unwrap();
    (schedule.unwrap(), lets_go, begun)
}

#[test]
fn a_function_that_is_stuck_holds_up_no_end() {
    let broker = Broker::new();
    let (schedule, lets_go, _) = stuck(&broker);
    in_time(move || drop(broker)).unwrap();
    assert!(schedule.is_finished());
    in_time(move || drop(schedule)).unwrap();
    drop(lets_go);

    let broker = Broker::new();
    let (schedule, lets_go, _) = stuck(&broker);
    let report = in_time(move || broker.shutdown(Duration::MAX).unwrap()).unwrap();
    assert!(!report.timed_out);
    assert!(schedule.is_finished());
    drop(lets_go);
}

#[test]
fn a_run_that_is_under_way_at_the_end_is_the_last_one() {
    let broker = Broker::new();
    let (schedule, lets_go, calls) = stuck(&broker);
    schedule.cancel();
    assert!(schedule.is_finished());
    drop(lets_go);
    let consumer = broker.consumer::<u32>("q").unwrap();
    let delivery = consumer.recv_timeout(PATIENCE).unwrap();
    assert_eq!(delivery.ack_into().unwrap(), 7);
    // The function is dropped without another call.
    assert_eq!(
        calls.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
    assert_eq!(schedule.runs(), 1);
}
