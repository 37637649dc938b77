//! The end of receiving.

use std::{
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    thread::{self, ThreadId},
    time::{Instant, SystemTime},
};

use leveret::{
    Broker, CancelReason, Clock, Error, Queue, RecvError, Result, SystemClock, TryRecvError,
};

use crate::common::{Alarm, HOUR, block_on, connect, queue, reason, rest};

fn rest_is_taken(broker: &Broker) -> bool {
    broker.simple_queue::<u32>("q").unwrap().is_empty().unwrap()
}

#[test]
fn a_stopper_ends_a_blocked_receive_and_an_iteration() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
    let stopper = consumer.cancel_handle();
    let iterating = thread::spawn({
        let consumer = Arc::clone(&consumer);
        move || {
            consumer
                .iter()
                .filter_map(|d| d.unwrap().ack().ok())
                .count()
        }
    });
    for id in 0..3 {
        producer.publish(id).unwrap();
    }
    while !rest_is_taken(&broker) {
        thread::yield_now();
    }
    stopper.clone().cancel();
    stopper.cancel();
    let received = iterating.join().unwrap();
    assert_eq!(reason(consumer.recv()), CancelReason::ConsumerCancelled);
    assert_eq!(received + rest::<u32>(&broker, "q").len(), 3);
    assert_eq!(consumer.iter().count(), 0);
    let cancelled = Some(CancelReason::ConsumerCancelled);
    assert_eq!((consumer.ended(), stopper.ended()), (cancelled, cancelled));
    assert!(matches!(
        consumer.try_recv(),
        Err(TryRecvError::Cancelled(CancelReason::ConsumerCancelled))
    ));
}

#[test]
fn every_end_says_its_reason() {
    let broker = Broker::new();
    let consumer = |name: &str| broker.consumer::<u32>(&Queue::new(name)).unwrap();

    let deleted = consumer("deleted");
    assert_eq!(deleted.ended(), None);
    broker.delete(&Queue::new("deleted")).unwrap();
    assert_eq!(deleted.ended(), Some(CancelReason::QueueDeleted));
    assert_eq!(reason(deleted.recv()), CancelReason::QueueDeleted);

    let connection = connect(&broker).unwrap();
    let closed = connection.consumer::<u32>(&queue()).unwrap();
    connection.close().unwrap();
    assert_eq!(closed.ended(), Some(CancelReason::ConnectionClosed));
    assert_eq!(reason(closed.recv()), CancelReason::ConnectionClosed);
    assert_eq!(
        connection.consumer::<u32>(&queue()).unwrap_err(),
        Error::ConnectionClosed
    );

    broker.create_vhost("other").unwrap();
    let elsewhere = broker
        .vhost("other")
        .unwrap()
        .consumer::<u32>(&queue())
        .unwrap();
    broker.delete_vhost("other").unwrap();
    assert_eq!(elsewhere.ended(), Some(CancelReason::VhostDeleted));
    assert_eq!(reason(elsewhere.recv()), CancelReason::VhostDeleted);

    let shut_down = consumer("q");
    let mailbox = broker.simple_queue::<u32>("q").unwrap();
    drop(broker);
    assert_eq!(shut_down.ended(), Some(CancelReason::BrokerDropped));
    assert_eq!(reason(shut_down.recv()), CancelReason::BrokerDropped);
    assert_eq!(reason(mailbox.get()), CancelReason::BrokerDropped);
    // The first reason stays.
    assert_eq!(
        reason(block_on(shut_down.recv_async())),
        CancelReason::BrokerDropped
    );
}

#[test]
fn a_blocked_receiver_is_woken_with_the_reason() -> Result {
    type End = fn(&mut Option<Broker>, &Queue);
    let ends: [(CancelReason, End); 2] = [
        (CancelReason::QueueDeleted, |broker, queue| {
            broker.as_ref().unwrap().delete(queue).unwrap();
        }),
        (CancelReason::BrokerDropped, |broker, _| *broker = None),
    ];
    for (expected, end) in ends {
        let mut broker = Some(Broker::new());
        let queue = Queue::new("q");
        let consumer = broker.as_ref().unwrap().consumer::<u32>(&queue)?;
        let receiver = thread::spawn(move || consumer.recv().map(drop));
        end(&mut broker, &queue);
        let woken = receiver.join().unwrap();
        assert!(matches!(woken, Err(RecvError::Cancelled(reason)) if reason == expected));
    }
    Ok(())
}

#[test]
fn shutting_down_wakes_the_readers_of_every_channel() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let channel = connection.open_channel().unwrap();
    let events = channel.events();
    let alarm = Alarm::new();
    let mut next = pin!(events.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    drop(broker);
    assert!(alarm.has_rung());
    assert_eq!(reason(block_on(next)), CancelReason::BrokerDropped);
    assert_eq!(channel.close(), Err(Error::BrokerDropped));
    assert_eq!(connection.close(), Err(Error::BrokerDropped));
}

#[test]
fn a_consumer_of_two_queues_goes_on_when_one_is_deleted() {
    let broker = Broker::new();
    let (a, b) = (Queue::new("a"), Queue::new("b"));
    let consumer = broker.consumer_builder::<u32>(&a).also(&b).build().unwrap();
    let producer = broker.producer::<u32>(&b).unwrap();
    broker.delete(&a).unwrap();
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    assert_eq!(consumer.ended(), None);
    producer.publish(1).unwrap();
    let delivery = consumer.recv().unwrap();
    assert_eq!((*delivery, &**delivery.info().queue()), (1, "b"));
    delivery.ack().unwrap();
    broker.delete(&b).unwrap();
    assert_eq!(reason(consumer.recv()), CancelReason::QueueDeleted);
}

#[test]
fn a_single_active_consumer_that_leaves_at_its_limit_hands_the_backlog_over() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").single_active_consumer();
    let producer = broker.producer::<u32>(&queue)?;
    assert_eq!(producer.publish(1)?.routed + producer.publish(2)?.routed, 2);
    let active = broker.consumer_builder::<u32>(&queue).prefetch(1).build()?;
    let next = broker.consumer::<u32>(&queue)?;
    let _held = active.recv()?;
    assert!(matches!(next.try_recv(), Err(TryRecvError::Empty)));
    drop(active);
    assert_eq!(*next.try_recv()?, 2);
    Ok(())
}

/// A clock in which one thread is stuck, until the sender of its channel is dropped.
#[derive(Debug)]
struct Sticky {
    thread: Mutex<Option<ThreadId>>,
    reached: mpsc::Sender<()>,
    free: Mutex<mpsc::Receiver<()>>,
}

impl Clock for Sticky {
    fn now(&self) -> Instant {
        let stuck = *self.thread.lock().unwrap();
        if stuck == Some(thread::current().id()) {
            self.reached.send(()).unwrap();
            let _ = self.free.lock().unwrap().recv();
        }
        SystemClock.now()
    }

    fn system_now(&self) -> SystemTime {
        SystemClock.system_now()
    }
}

#[test]
fn a_cancel_returns_when_the_consumer_is_gone_though_another_one_has_begun_earlier() {
    let (free, is_free) = mpsc::channel();
    let (reached, is_reached) = mpsc::channel();
    let clock = Arc::new(Sticky {
        thread: Mutex::new(None),
        reached,
        free: Mutex::new(is_free),
    });
    let broker = Broker::builder().clock(Arc::clone(&clock)).build();
    // Its operations read the clock.
    let queue = Queue::new("q").message_ttl(HOUR);
    let exclusive = || broker.consumer_builder::<u32>(&queue).exclusive().build();
    let consumer = exclusive().unwrap();
    let first = consumer.cancel_handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            *clock.thread.lock().unwrap() = Some(thread::current().id());
            first.cancel();
        });
        is_reached.recv().unwrap();
        consumer.cancel_handle().cancel();
        let next = exclusive();
        drop(free);
        assert!(next.is_ok(), "{next:?}");
    });
}
