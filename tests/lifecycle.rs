//! What becomes of messages over time and at the end: delays, full queues, dead letters sent home, shutdown.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, SystemTime},
};

use leveret::{
    Broker, CancelReason, Credentials, Error, Exchange, ManualClock, Message, Overflow, Policy,
    Queue, RecvError, Redrive, Requeue, Result, Scope, TryRecvError,
};

const SECOND: Duration = Duration::from_secs(1);

fn on_a_manual_clock() -> (Broker, ManualClock) {
    let clock = ManualClock::new();
    (Broker::builder().clock(clock.clone()).build(), clock)
}

#[test]
fn a_message_requeued_for_later_comes_back_to_its_place_when_its_time_has_come() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = broker.simple_queue::<u32>("q")?;
    for number in [1, 2, 3] {
        queue.put(number)?;
    }
    queue.get()?.nack(Requeue::After(SECOND))?;
    assert_eq!(queue.len(), 2);
    let second = queue.get()?;
    assert_eq!(*second, 2);
    clock.advance(SECOND);
    let first = queue.get()?;
    assert_eq!(*first, 1);
    assert_eq!(first.info().delivery_count(), 1);
    assert_eq!(*queue.get()?, 3);
    Ok(())
}

#[test]
fn a_delayed_message_wakes_a_consumer_when_it_is_due_and_not_before() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    let consumer = broker.consumer::<u32>(&queue)?;
    producer.publish_message(Message::new(2).deliver_after(2 * SECOND))?;
    producer.publish_message(Message::new(1).deliver_after(SECOND))?;
    producer.publish_message(Message::new(0).deliver_at(SystemTime::UNIX_EPOCH))?;
    assert_eq!(consumer.recv()?.ack_into().unwrap(), 0);
    clock.advance(SECOND - Duration::from_nanos(1));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(consumer.recv()?.ack_into().unwrap(), 1);
    assert_eq!(broker.snapshot()?.vhosts[0].queues[0].delayed.messages, 1);
    clock.advance(SECOND);
    assert_eq!(*consumer.recv()?, 2);
    Ok(())
}

#[test]
fn a_delay_that_never_ends_overflows_nothing() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = broker.simple_queue::<u32>("q")?;
    queue.put_message(Message::new(1).deliver_after(Duration::MAX))?;
    queue.put(2)?;
    queue.get()?.nack(Requeue::After(Duration::MAX))?;
    clock.advance(Duration::from_secs(1 << 40));
    assert!(queue.is_empty());
    Ok(())
}

#[test]
fn a_publisher_waits_for_room_in_a_blocking_queue() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue)?;
    producer.publish(1)?;
    let refused = producer.try_publish(2).unwrap_err();
    assert!(matches!(refused.error(), Error::Refused { .. }));
    assert_eq!(refused.into_inner(), 2);
    let late = producer
        .publish_timeout(3, Duration::from_millis(1))
        .unwrap_err();
    assert!(matches!(late.error(), Error::Timeout));

    let (published, has_published) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let done = producer.publish(4).map(|published| published.routed);
        let _ = published.send(());
        done
    });
    assert!(has_published.try_recv().is_err());
    let gets = broker.simple_queue::<u32>(&queue)?;
    let first = gets.get()?;
    assert_eq!(*first, 1);
    first.ack()?;
    assert_eq!(waiting.join().unwrap().unwrap(), 1);
    assert_eq!(*gets.get()?, 4);
    Ok(())
}

#[test]
fn a_publisher_that_waits_gets_its_message_back_when_the_queue_is_deleted() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<String>(&queue)?;
    producer.publish("in".to_owned())?;
    let waiting = thread::spawn(move || producer.publish("wait".to_owned()).unwrap_err());
    broker.delete(&queue)?;
    let error = waiting.join().unwrap();
    assert_eq!(error.error().reply_code(), Some(312));
    assert_eq!(error.into_inner(), "wait");
    Ok(())
}

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
    let even = Redrive::all().filter(|properties| {
        let number = properties
            .header_value("number")
            .and_then(|number| number.as_i64());
        number.is_some_and(|number| number % 2 == 0)
    });
    assert_eq!(vhost.redrive(&dead, even)?, 2);
    assert_eq!(vhost.redrive(&dead, Redrive::first(1))?, 1);
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
fn the_dead_letter_queue_keeps_what_cannot_be_delivered_and_says_why() -> Result {
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
fn a_shutdown_lets_consumers_finish_and_reports_what_nobody_was_there_for() -> Result {
    let broker = Broker::new();
    let (worked, idle) = (Queue::new("worked"), Queue::new("idle"));
    let producer = broker.producer::<u32>(&worked)?;
    broker.producer::<u32>(&idle)?.publish(7)?;
    for number in 0..100 {
        producer.publish(number)?;
    }
    let consumer = broker
        .consumer_builder::<u32>(&worked)
        .prefetch(3)
        .build()?;
    let held = consumer.recv()?;
    let closing = broker.clone();
    let shutdown = thread::spawn(move || closing.shutdown(Duration::from_secs(60)));
    // Publishing ends some time after the call began.
    while producer.publish(1_000).is_ok() {
        thread::yield_now();
    }
    let mut received = 1;
    held.ack()?;
    while let Ok(delivery) = consumer.recv() {
        received += 1;
        if delivery.ack().is_err() {
            break;
        }
    }
    let report = shutdown.join().unwrap()?;
    assert!(received >= 100, "{received}");
    assert!(!report.timed_out);
    assert_eq!(report.queues.len(), 1, "{report:?}");
    assert_eq!(
        (&*report.queues[0].queue, report.queues[0].ready),
        ("idle", 1)
    );
    assert!(matches!(broker.snapshot(), Err(Error::ShutDown)));
    Ok(())
}

#[test]
fn a_shutdown_whose_time_is_over_says_so() -> Result {
    let broker = Broker::new();
    let queue = broker.simple_queue::<u32>("q")?;
    queue.put(1)?;
    let held = queue.get()?;
    let report = broker.shutdown(Duration::from_millis(5))?;
    assert!(report.timed_out);
    assert_eq!(report.queues[0].unsettled, 1);
    assert!(matches!(held.ack(), Err(Error::ShutDown)));
    Ok(())
}

#[test]
fn of_a_policy_and_an_operator_policy_the_lower_number_holds() -> Result {
    let broker = Broker::new();
    let queue = broker.simple_queue::<u32>("events")?;
    let vhost = broker.vhost("/")?;
    vhost.set_policy(Policy::new("user", "^ev").setting("max-length", 5))?;
    vhost.set_operator_policy(Policy::new("operator", ".").setting("max-length", 3))?;
    for number in 0..10 {
        queue.put(number)?;
    }
    assert_eq!(queue.len(), 3);
    assert!(vhost.clear_operator_policy("operator")?);
    for number in 0..10 {
        queue.put(number)?;
    }
    assert_eq!(queue.len(), 5);
    assert!(
        vhost
            .set_policy(Policy::new("bad", "(").setting("max-length", 1))
            .is_err()
    );
    Ok(())
}

#[test]
fn the_counts_of_a_queue_add_up() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(4);
    let producer = broker.producer::<String>(&queue)?;
    for _ in 0..6 {
        producer.publish("four".to_owned())?;
    }
    let consumer = broker
        .consumer_builder::<String>(&queue)
        .prefetch(2)
        .build()?;
    consumer.recv()?.ack()?;
    let held = consumer.recv()?;
    let snapshot = broker.snapshot()?;
    let counts = &snapshot.vhosts[0].queues[0];
    let sum = |count: fn(&leveret::QueueSnapshot) -> leveret::MessageTotals| count(counts);
    let parts = [
        sum(|q| q.ready),
        sum(|q| q.unsettled),
        sum(|q| q.delayed),
        sum(|q| q.acked),
        sum(|q| q.dead_lettered),
        sum(|q| q.expired),
        sum(|q| q.dropped),
        sum(|q| q.purged),
        sum(|q| q.moved),
    ];
    assert_eq!(counts.taken_in.messages, 6);
    assert_eq!(counts.dropped.messages, 2);
    assert_eq!(counts.acked.messages, 1);
    assert_eq!(parts.iter().map(|part| part.messages).sum::<u64>(), 6);
    assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), 24);
    drop(held);
    Ok(())
}

#[test]
fn the_implicit_connection_is_not_closed_by_one_of_its_users() -> Result {
    let broker = Broker::new();
    let refused = broker.vhost("/")?.close().unwrap_err();
    assert_eq!(refused.reply_code(), Some(530));
    broker.declare(&Queue::new("q"))?;
    Ok(())
}

#[test]
fn who_uses_a_virtual_host_that_is_deleted_is_told_so() -> Result {
    let broker = Broker::new();
    broker.create_vhost("v")?;
    let connection = broker.connect("v", Credentials::guest())?;
    let channel = connection.open_channel()?;
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = connection.producer::<u32>(&queue)?;
    let mailbox = connection.simple_queue::<u32>(&Queue::new("empty"))?;
    producer.publish(0)?;
    let (publishing, getting) = thread::scope(|scope| {
        let publishing = scope.spawn(|| producer.publish(1));
        let getting = scope.spawn(|| mailbox.get().map(drop));
        broker.delete_vhost("v").unwrap();
        (publishing.join().unwrap(), getting.join().unwrap())
    });
    let deleted = Error::VhostDeleted {
        vhost: "v".parse()?,
    };
    assert_eq!(
        deleted.to_string(),
        "CONNECTION_FORCED - vhost 'v' is deleted"
    );
    assert_eq!(
        (deleted.reply_code(), deleted.scope()),
        (Some(320), Scope::Connection)
    );
    assert!(deleted.is_closed());
    assert_eq!(publishing.unwrap_err().into_parts(), (deleted.clone(), 1));
    let reason = CancelReason::VhostDeleted;
    assert!(matches!(getting, Err(RecvError::Cancelled(told)) if told == reason));
    assert!(matches!(channel.events().recv(), Err(RecvError::Cancelled(told)) if told == reason));
    assert_eq!(channel.close(), Err(deleted.clone()));
    assert_eq!(connection.open_channel().unwrap_err(), deleted);
    // The broker and its other virtual hosts go on, and another may have the name.
    broker.create_vhost("v")?;
    assert_eq!(
        broker
            .vhost("v")?
            .producer::<u32>(&queue)?
            .publish(1)?
            .routed,
        1
    );
    Ok(())
}
