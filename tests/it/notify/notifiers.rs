//! The message of a notifier, and the forms of its call.

use std::{collections::HashSet, sync::mpsc, thread, time::Duration};

use leveret::{
    Broker, Clock, Error, Exchange, FieldTable, FieldValue, Overflow, Queue,
    notify::{MemoryDriver, Notification, NotificationId, Priority},
};
use serde_json::{Value, json};

use crate::common::{Alarm, PATIENCE, SECOND, advance_until, on_a_manual_clock};

fn all(broker: &Broker, overflow: Overflow) -> Queue {
    let exchange = Exchange::topic("notifications");
    let queue = Queue::new("all").bind(&exchange, "#");
    let queue = queue.max_length(1).overflow(overflow);
    broker.declare(&queue).unwrap();
    queue
}

#[test]
fn a_consumer_of_another_type_sees_all_fields() {
    let (broker, clock) = on_a_manual_clock();
    let queue = all(&broker, Overflow::DropHead);
    let notifier = broker.notifier::<Value>("local").build().unwrap();
    notifier
        .warn(format!("event.{}", 7), json!({"a": 1}))
        .unwrap();
    let seen = broker.consumer::<Value>(&queue).unwrap().recv().unwrap();
    assert_eq!(seen["publisher_id"], "local");
    assert_eq!(seen["event_type"], "event.7");
    assert_eq!(seen["priority"], "warn");
    assert_eq!(seen["payload"], json!({"a": 1}));
    let again: Notification<Value> = serde_json::from_value(seen.clone()).unwrap();
    assert_eq!(again.timestamp, clock.system_now());
    assert_eq!(json!(again), *seen);
}

#[test]
fn no_two_notifications_have_the_same_id() {
    let broker = Broker::new();
    let memory = MemoryDriver::<u32>::default();
    for _ in 0..10 {
        let notifier = broker
            .notifier("p")
            .driver("memory", memory.clone())
            .build()
            .unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                let notifier = notifier.clone();
                scope.spawn(move || {
                    (0..100)
                        .try_for_each(|n| notifier.info("e", n).map(drop))
                        .unwrap();
                });
            }
        });
    }
    let ids: HashSet<_> = memory.take().into_iter().map(|it| it.message_id).collect();
    assert_eq!(ids.len(), 2_000);
    for id in ids {
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<NotificationId>(&json).unwrap(), id);
    }
}

#[test]
fn each_form_waits_as_it_says_for_a_full_queue() {
    let (broker, clock) = on_a_manual_clock();
    let queue = broker
        .simple_queue::<Notification<u32>>(&all(&broker, Overflow::Block))
        .unwrap();
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    notifier.info("e", 1).unwrap();
    let refused = notifier.try_notify(Priority::Info, "e", 2).unwrap_err();
    assert!(matches!(refused.broker(), Some(Error::Refused { .. })));

    let alarm = Alarm::new();
    let mut sending = Box::pin(notifier.notify_async(Priority::Info, "e", 3));
    assert!(alarm.poll(sending.as_mut()).is_pending());
    let take = || queue.get().unwrap().ack_into().unwrap().payload;
    assert_eq!(take(), 1);
    drop(sending);
    let mut sending = Box::pin(notifier.notify_async(Priority::Info, "e", 4));
    assert!(alarm.poll(sending.as_mut()).is_ready());

    thread::scope(|scope| {
        let waiting = scope.spawn(|| notifier.notify_timeout(Priority::Info, "e", 5, SECOND));
        advance_until(&clock, || waiting.is_finished());
        let late = waiting.join().unwrap().unwrap_err();
        assert_eq!(late.into_notification().unwrap().payload, 5);
        let blocked = scope.spawn(|| notifier.notify(Priority::Info, "e", 6));
        assert_eq!(take(), 4);
        assert_eq!(blocked.join().unwrap().unwrap().routed, 1);
    });
}

#[test]
fn a_context_travels_unchanged_and_further() {
    let broker = Broker::new();
    let (sender, seen) = mpsc::channel();
    let second = broker
        .listener::<u32>()
        .topic("second")
        .on(Priority::Info, {
            move |it, context| {
                let context = context.request_context().cloned();
                sender.send((it.payload, context)).unwrap();
            }
        });
    let second = second.spawn().unwrap();
    let forward = broker.notifier::<u32>("p").topic("second").build().unwrap();
    let first = broker
        .listener::<u32>()
        .topic("first")
        .on(Priority::Info, move |it, context| {
            forward
                .on_behalf_of(context)
                .info("e", it.payload + 1)
                .map(drop)
        });
    let first = first.spawn().unwrap();
    let mut context = FieldTable::new();
    context.insert("user", "ada");
    context.insert("deadline", FieldValue::Timestamp(5));
    let notifier = broker.notifier::<u32>("p").topic("first").build().unwrap();
    notifier.with_context(context.clone()).info("e", 7).unwrap();
    notifier.info("e", 9).unwrap();
    assert_eq!(seen.recv().unwrap(), (8, Some(context)));
    assert_eq!(seen.recv().unwrap(), (10, None));
    let report = broker.shutdown(PATIENCE).unwrap();
    assert!(!report.timed_out);
    assert_eq!(first.join().endpoints[0].counts.acked, 2);
    assert_eq!(second.join().endpoints[0].counts.acked, 2);
}

#[test]
fn a_notification_of_a_task_is_sent_during_a_shutdown() {
    let broker = Broker::new();
    let memory = MemoryDriver::<u32>::default();
    let queue = all(&broker, Overflow::DropHead);
    let notifier = broker
        .notifier("p")
        .driver("memory", memory.clone())
        .build()
        .unwrap();
    let outside = notifier.clone();
    let worker = broker
        .worker::<u32>("tasks")
        .handler_async(move |task, context| {
            let notifier = notifier.on_behalf_of(&context);
            async move {
                notifier
                    .notify_async(Priority::Info, "done", *task)
                    .await
                    .map(drop)
            }
        });
    broker.producer::<u32>("tasks").unwrap().publish(7).unwrap();
    let running = worker.run_async();
    let ending = broker.shutdown_async(PATIENCE);
    let both = futures_lite::future::zip(ending, running);
    let (report, worker) = crate::common::block_on(both);
    assert!(!report.unwrap().timed_out);
    assert_eq!((worker.unwrap().counts.acked, memory.take().len()), (1, 1));
    assert!(
        outside
            .info("e", 8)
            .unwrap_err()
            .broker()
            .is_some_and(Error::is_closed)
    );
    drop(queue);
}

#[test]
fn a_notifier_that_cannot_be_made_says_why() {
    let broker = Broker::new();
    let long = "x".repeat(256);
    let notifier = || broker.notifier::<u32>("p");
    for builder in [
        broker.notifier::<u32>(&long),
        notifier().topic(&long),
        notifier().exchange(&long),
    ] {
        assert!(matches!(builder.build(), Err(Error::InvalidName(_))));
    }
    notifier().store_and_forward(5).build().unwrap();
    let other_limit = notifier().store_and_forward(6).build();
    assert!(other_limit.unwrap_err().is_inequivalent());
    broker.declare(&Exchange::direct("taken")).unwrap();
    assert!(
        notifier()
            .exchange("taken")
            .build()
            .unwrap_err()
            .is_inequivalent()
    );
    assert!(
        notifier()
            .build()
            .unwrap()
            .with_publisher_id(&long)
            .is_err()
    );
    broker.shutdown(Duration::ZERO).unwrap();
    assert!(notifier().build().unwrap_err().is_closed());
}
