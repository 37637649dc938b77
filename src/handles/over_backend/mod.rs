//! Tests of the typed handles over an engine outside of this process.
//!
//! A test of features that both engines have also runs over the engine in this process.

mod batches;
mod ending;
mod fake;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::fake::Fake;
use crate::{
    engine::policy::{ApplyTo, Policy},
    handles::{
        broker::{Broker, Credentials},
        select::Select,
    },
    message::outgoing::Message,
    model::{
        descriptions::{Exchange, Overflow, Queue},
        error::{CancelReason, Error, Result},
    },
    runtime::{
        block_on::block_on,
        clock::{ManualClock, Time},
    },
    session::{
        connection::Connection,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        requeue::Requeue,
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u64,
}

const SECOND: Duration = Duration::from_secs(10);

/// Runs a test over the engine in this process, and over the backend.
fn both(test: impl Fn(&Connection)) {
    let broker = Broker::new();
    test(&broker.connect("/", Credentials::guest()).unwrap());
    let server = Broker::new();
    test(&Fake::connect(&server).handles());
}

#[test]
fn values_arrive_in_their_order_and_are_acknowledged() {
    both(|connection| {
        let tasks = Queue::new("tasks").durable();
        let producer = connection.producer::<Task>(&tasks).unwrap();
        let consumer = connection.consumer::<Task>("tasks").unwrap();
        for id in 0..100 {
            assert_eq!(producer.publish(Task { id }).unwrap().routed, 1);
        }
        for id in 0..100 {
            let delivery = consumer.recv_timeout(SECOND).unwrap();
            assert_eq!(*delivery, Task { id });
            let info = delivery.info();
            assert_eq!((&**info.queue(), info.routing_key()), ("tasks", "tasks"));
            assert!(!info.redelivered());
            delivery.ack().unwrap();
        }
        assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
        assert_eq!(connection.purge("tasks").unwrap(), 0);
    });
}

#[test]
fn a_dropped_delivery_comes_again_and_a_rejected_one_is_dead_lettered() {
    both(|connection| {
        connection.declare(&Queue::new("dead")).unwrap();
        let tasks = Queue::new("tasks")
            .dead_letter_exchange("")
            .dead_letter_routing_key("dead");
        let producer = connection.producer::<String>(&tasks).unwrap();
        producer.publish("sweep".to_owned()).unwrap();
        let consumer = connection.consumer::<String>(&tasks).unwrap();
        drop(consumer.recv_timeout(SECOND).unwrap());
        let again = consumer.recv_timeout(SECOND).unwrap();
        assert!(again.info().redelivered());
        again.nack(Requeue::Yes).unwrap();
        consumer.recv_timeout(SECOND).unwrap().reject().unwrap();
        let dead = connection.consumer::<String>("dead").unwrap();
        let dead = dead.recv_timeout(SECOND).unwrap();
        assert_eq!(*dead, "sweep");
        assert!(dead.info().properties().header_value("x-death").is_some());
        assert_eq!(dead.ack_into().unwrap(), "sweep");
    });
}

#[test]
fn a_message_that_no_queue_takes_comes_back_with_the_reason() {
    both(|connection| {
        let small = Queue::new("small").max_length(1);
        let small = small.overflow(Overflow::RejectPublish);
        let producer = connection.producer::<String>(&small).unwrap();
        producer.publish("first".to_owned()).unwrap();
        let refused = producer.publish("second".to_owned()).unwrap_err();
        assert!(matches!(refused.error(), Error::Refused { .. }));
        assert_eq!(refused.into_inner().as_deref(), Some("second"));

        let message = Message::new("lost".to_owned()).priority(3);
        let message = message.routing_key("nowhere").header("k", "v");
        let (error, message) = producer.publish_message(message).unwrap_err().into_parts();
        let message = message.unwrap();
        assert_eq!(error.reply_code(), Some(312));
        assert_eq!(message.payload(), "lost");
        assert_eq!(message.properties.priority, Some(3));
        assert_eq!(message.properties.content_type, None);

        let news = connection.producer::<u32>(&Exchange::fanout("news"));
        news.unwrap().publish(7).unwrap();
        let gone = connection.producer::<u32>(&Exchange::existing("no such"));
        assert!(gone.unwrap_err().is_not_found());
        let other = connection.declare(&Queue::new("small").durable());
        assert!(other.unwrap_err().is_inequivalent());
    });
}

#[test]
fn time_outs_tasks_selections_and_batches_receive() {
    both(|connection| {
        let (a, b) = (Queue::new("a"), Queue::new("b"));
        let to_a = connection.producer::<u32>(&a).unwrap();
        let to_b = connection.producer::<u32>(&b).unwrap();
        let (from_a, from_b) = (
            connection.consumer::<u32>("a").unwrap(),
            connection.consumer::<u32>("b").unwrap(),
        );
        let nothing = from_a.recv_timeout(Duration::from_millis(1));
        assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
        assert_eq!(block_on(to_a.publish_async(1)).unwrap().routed, 1);
        let received = block_on(from_a.recv_async()).unwrap();
        assert_eq!(received.ack_into().unwrap(), 1);

        let mut select = Select::new();
        let (_, second) = (select.recv(&from_a), select.recv(&from_b));
        to_b.publish(2).unwrap();
        let selected = select.select_timeout(SECOND).unwrap();
        assert_eq!(selected.index(), second);
        let selected = selected.recv(&from_b).unwrap();
        assert_eq!(selected.ack_into().unwrap(), 2);

        let results = to_b.publish_batch(10..30);
        assert!(results.iter().all(Result::is_ok));
        let mut received = Vec::new();
        while received.len() < 20 {
            for delivery in from_b.recv_batch(20 - received.len(), SECOND).unwrap() {
                received.push(*delivery);
                delivery.ack().unwrap();
            }
        }
        assert!(received.into_iter().eq(10..30));
    });
}

#[test]
fn a_simple_queue_goes_on_with_a_queue_that_is_declared_again() {
    let server = Broker::new();
    let connection = Fake::connect(&server).handles();
    let queue = connection.simple_queue::<u32>("q").unwrap();
    connection.delete(&Queue::new("q")).unwrap();
    let gone = queue.try_get();
    let reason = CancelReason::QueueDeleted;
    assert!(matches!(gone, Err(TryRecvError::Cancelled(why)) if why == reason));
    connection.declare(&Queue::new("q")).unwrap();
    queue.put(1).unwrap();
    assert_eq!(queue.try_get().unwrap().ack_into().unwrap(), 1);
}

#[test]
fn a_simple_queue_gets_what_is_ready_and_waits_for_more() {
    both(|connection| {
        let queue = connection.simple_queue::<u32>("q").unwrap();
        assert!(matches!(queue.try_get(), Err(TryRecvError::Empty)));
        let nothing = queue.get_timeout(Duration::from_millis(1));
        assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        assert_eq!(queue.len().unwrap(), 2);
        drop(queue.get().unwrap());
        let again = queue.get_timeout(SECOND).unwrap();
        assert_eq!((*again, again.info().redelivered()), (1, true));
        again.ack().unwrap();
        assert_eq!(queue.try_get().unwrap().ack_into().unwrap(), 2);
        let waiting = thread::spawn({
            let queue = queue.clone();
            move || block_on(queue.get_async()).unwrap().ack_into().unwrap()
        });
        queue.put(3).unwrap();
        assert_eq!(waiting.join().unwrap(), 3);
        assert_eq!((queue.purge().unwrap(), queue.len().unwrap()), (0, 0));
    });
}

#[test]
fn a_cancelled_consumer_returns_the_messages_that_it_has_not_shown() {
    both(|connection| {
        let producer = connection.producer::<u32>("q").unwrap();
        let first = connection.consumer::<u32>("q").unwrap();
        let _ = producer.publish_batch(0..10);
        let held = first.recv_timeout(SECOND).unwrap();
        first.cancel();
        assert!(matches!(
            first.recv(),
            Err(RecvError::Cancelled(CancelReason::ConsumerCancelled))
        ));
        let second = connection.consumer::<u32>("q").unwrap();
        let mut seen: Vec<u32> = (0..9)
            .map(|_| {
                let delivery = second.recv_timeout(SECOND).unwrap();
                let number = *delivery;
                delivery.ack().unwrap();
                number
            })
            .collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(1..10));
        held.ack().unwrap();
        connection.delete(&Queue::new("q")).unwrap();
        assert!(matches!(
            second.recv(),
            Err(RecvError::Cancelled(CancelReason::QueueDeleted))
        ));
    });
}

#[test]
fn confirms_that_come_out_of_order_reach_their_publishes() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let good = connection.producer::<u32>("q").unwrap();
    connection.declare(&Queue::new("other")).unwrap();
    let bad = connection.producer::<u32>("other").unwrap();
    connection.delete(&Queue::new("other")).unwrap();

    let held = fake.hold();
    let mut publishes: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for number in 0..20 {
        let producer = if number % 3 == 0 { &bad } else { &good };
        publishes.push(Box::pin(producer.publish_async(number)));
    }
    let mut context = Context::from_waker(Waker::noop());
    for publish in &mut publishes {
        assert!(publish.as_mut().poll(&mut context).is_pending());
    }
    drop(held);
    for (number, publish) in publishes.into_iter().enumerate() {
        match block_on(publish) {
            Ok(published) => assert!(number % 3 != 0 && published.routed == 1),
            Err(refused) => {
                assert_eq!(refused.error().reply_code(), Some(312));
                assert_eq!((number % 3, refused.payload()), (0, Some(&(number as u32))));
            }
        }
    }
    assert_eq!(connection.purge("q").unwrap(), 13);
}

#[test]
fn a_publish_that_is_not_confirmed_in_time_gives_its_payload_back() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let producer = connection.producer::<String>("q").unwrap();
    let held = fake.hold();
    let late = producer.publish_timeout("late".to_owned(), Duration::from_millis(1));
    let (error, payload) = late.unwrap_err().into_parts();
    assert_eq!((error, payload.as_deref()), (Error::Timeout, Some("late")));
    // The publish also continues if its future is dropped.
    let mut dropped = Box::pin(producer.publish_async("dropped".to_owned()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(dropped.as_mut().poll(&mut context).is_pending());
    drop(dropped);
    drop(held);
    producer.publish("last".to_owned()).unwrap();
    let consumer = connection.consumer::<String>("q").unwrap();
    for expected in ["late", "dropped", "last"] {
        let delivery = consumer.recv_timeout(SECOND).unwrap();
        assert_eq!(delivery.ack_into().unwrap(), expected);
    }
}

#[test]
fn what_is_in_hand_is_forwarded_and_answered_while_the_engine_takes_no_new_publish() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let producer = connection.producer::<u32>("q").unwrap();
    let consumer = connection.consumer::<u32>("q").unwrap();
    let target = connection.simple_queue::<u32>("target").unwrap();
    producer.publish(1).unwrap();
    let mut info = consumer.recv_timeout(SECOND).unwrap().into_info();

    fake.block();
    let refused = producer.try_publish(2).unwrap_err();
    assert!(matches!(refused.error(), Error::ResourceError(_)));
    let properties = info.properties().clone();
    assert_eq!(
        info.forward(&connection, ("", "target"), properties),
        Ok(())
    );
    assert_eq!(target.get().unwrap().ack_into(), Ok(1));
    producer.send_off(Message::new(3)).unwrap();
    let reply = consumer.recv_timeout(SECOND).unwrap();
    assert_eq!(*reply, 3);

    // On a lost connection they fail, and the engine has the delivery back.
    let mut info = reply.into_info();
    fake.lose();
    let properties = info.properties().clone();
    assert!(
        info.forward(&connection, ("", "target"), properties)
            .is_err()
    );
    assert!(producer.send_off(Message::new(4)).is_err());
}

#[test]
fn a_lost_connection_ends_everything_and_loses_no_message() {
    let server = Broker::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles();
    let producer = connection.producer::<u32>("q").unwrap();
    let consumer = connection.consumer_builder::<u32>("q").prefetch(3);
    let consumer = consumer.build().unwrap();
    assert!(producer.publish_batch(0..10).iter().all(Result::is_ok));
    let in_hand = consumer.recv_timeout(SECOND).unwrap();
    let dropped = consumer.recv_timeout(SECOND).unwrap();
    consumer.recv_timeout(SECOND).unwrap().ack().unwrap(); // 2

    let held = fake.hold();
    let unconfirmed = thread::spawn({
        let producer = producer.clone();
        move || producer.publish(10)
    });
    let mut polled = Box::pin(producer.publish_async(11));
    let mut context = Context::from_waker(Waker::noop());
    assert!(polled.as_mut().poll(&mut context).is_pending());
    fake.lose();
    drop(held);

    let (error, payload) = unconfirmed.join().unwrap().unwrap_err().into_parts();
    assert_eq!((error, payload), (Error::ConnectionClosed, Some(10)));
    let (error, payload) = block_on(polled).unwrap_err().into_parts();
    assert_eq!((error, payload), (Error::ConnectionClosed, Some(11)));
    assert_eq!(in_hand.ack(), Err(Error::ConnectionClosed));
    drop(dropped);
    assert!(matches!(
        consumer.recv(),
        Err(RecvError::Cancelled(CancelReason::ConnectionClosed))
    ));
    assert!(producer.publish(12).is_err());

    // The engine has each unacknowledged message exactly once.
    let again = Fake::connect(&server).handles();
    let consumer = again.consumer::<u32>("q").unwrap();
    let mut left: Vec<u32> = (0..9)
        .map(|_| {
            let delivery = consumer.recv_timeout(SECOND).unwrap();
            let number = *delivery;
            delivery.ack().unwrap();
            number
        })
        .collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(again.purge("q").unwrap(), 0);
}

#[test]
fn handles_say_so_if_an_engine_outside_does_not_offer_something() {
    let server = Broker::new();
    let connection = Fake::connect(&server).handles();
    let producer = connection.producer::<u32>("q").unwrap();
    let not_implemented = |error: &Error| assert_eq!(error.reply_code(), Some(540), "{error}");
    not_implemented(&connection.open_channel().unwrap_err());
    not_implemented(&connection.simple_buffer::<u32>("q").unwrap_err());
    let later = Message::new(1).deliver_after(Duration::from_secs(1));
    not_implemented(producer.publish_message(later).unwrap_err().error());
    let policy = Policy::new("p", ".*").apply_to(ApplyTo::Queues);
    not_implemented(&connection.set_policy(policy).unwrap_err());

    // A delivery that cannot be requeued later is requeued at once.
    producer.publish(1).unwrap();
    let consumer = connection.consumer::<u32>("q").unwrap();
    let delivery = consumer.recv_timeout(SECOND).unwrap();
    not_implemented(&delivery.nack(Requeue::After(SECOND)).unwrap_err());
    let again = consumer.recv_timeout(SECOND).unwrap();
    assert!(again.info().redelivered());
    // At once is no time at all.
    again.nack(Requeue::After(Duration::ZERO)).unwrap();
    assert!(consumer.recv_timeout(SECOND).unwrap().info().redelivered());

    connection.close().unwrap();
    assert_eq!(
        producer.publish(2).unwrap_err().error(),
        &Error::ConnectionClosed
    );
    assert_eq!(connection.purge("q"), Err(Error::ConnectionClosed));
}

#[test]
fn a_time_to_live_ends_at_the_engine_and_not_in_an_inbox() {
    let server = Broker::new();
    let clock = ManualClock::new();
    let fake = Fake::connect(&server);
    let connection = fake.handles_at(Time::new(clock.clone()));
    let consumer = connection.consumer::<u32>("q").unwrap();
    let producer = server.producer::<u32>("q").unwrap();
    for number in 0..3 {
        let message = Message::new(number).expiration(Duration::from_secs(60));
        producer.publish_message(message).unwrap();
    }
    let in_hand = consumer.recv_timeout(SECOND).unwrap();
    let counts = |ready, unsettled| {
        let snapshot = server.snapshot().unwrap();
        let queue = &snapshot.vhosts[0].queues[0];
        (queue.ready.messages, queue.unsettled.messages) == (ready, unsettled)
    };
    while !counts(0, 3) {
        thread::yield_now();
    }
    clock.advance(Duration::from_secs(120));
    consumer.cancel();
    while !counts(2, 1) {
        thread::yield_now();
    }
    in_hand.ack().unwrap();
}
