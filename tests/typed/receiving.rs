//! The ways to receive, and how receiving ends.

use std::{
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use leveret::{
    Broker, CancelReason, ConsumeOptions, Credentials, Error, ManualClock, Queue, RecvError,
    RecvTimeoutError, Select, TryRecvError,
};

use super::{Alarm, block_on, queue, rest};

fn reason<T: std::fmt::Debug>(received: Result<T, RecvError>) -> CancelReason {
    match received {
        Err(RecvError::Cancelled(reason)) => reason,
        other => panic!("{other:?}"),
    }
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
    assert!(matches!(
        consumer.try_recv(),
        Err(TryRecvError::Cancelled(CancelReason::ConsumerCancelled))
    ));
}

fn rest_is_taken(broker: &Broker) -> bool {
    broker.simple_queue::<u32>("q").unwrap().is_empty()
}

#[test]
fn every_end_says_its_reason() {
    let broker = Broker::new();
    let consumer = |name: &str| broker.consumer::<u32>(&Queue::new(name)).unwrap();

    let deleted = consumer("deleted");
    broker.delete(&Queue::new("deleted")).unwrap();
    assert_eq!(reason(deleted.recv()), CancelReason::QueueDeleted);

    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let closed = connection.consumer::<u32>(&queue()).unwrap();
    connection.close().unwrap();
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
    assert_eq!(reason(elsewhere.recv()), CancelReason::VhostDeleted);

    let shut_down = consumer("q");
    let mailbox = broker.simple_queue::<u32>("q").unwrap();
    drop(broker);
    assert_eq!(reason(shut_down.recv()), CancelReason::ShutDown);
    assert_eq!(reason(mailbox.get()), CancelReason::ShutDown);
    // The end that came first stays.
    assert_eq!(
        reason(block_on(shut_down.recv_async())),
        CancelReason::ShutDown
    );
}

#[test]
fn shutting_down_wakes_the_readers_of_every_channel() {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    let events = channel.events();
    let alarm = Alarm::new();
    let mut next = pin!(events.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    drop(broker);
    assert!(alarm.has_rung());
    assert_eq!(reason(block_on(next)), CancelReason::ShutDown);
    assert_eq!(channel.close(), Err(Error::ShutDown));
    assert_eq!(connection.close(), Err(Error::ShutDown));
}

#[test]
fn a_consumer_of_two_queues_goes_on_when_one_is_deleted() {
    let broker = Broker::new();
    let (a, b) = (Queue::new("a"), Queue::new("b"));
    let consumer = broker.consumer_builder::<u32>(&a).also(&b).build().unwrap();
    let producer = broker.producer::<u32>(&b).unwrap();
    broker.delete(&a).unwrap();
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    producer.publish(1).unwrap();
    let delivery = consumer.recv().unwrap();
    assert_eq!((*delivery, &**delivery.info().queue()), (1, "b"));
    delivery.ack().unwrap();
    broker.delete(&b).unwrap();
    assert_eq!(reason(consumer.recv()), CancelReason::QueueDeleted);
}

#[test]
fn a_consumer_of_two_queues_starves_neither() {
    let broker = Broker::new();
    let (a, b) = (Queue::new("a"), Queue::new("b"));
    let consumer = broker.consumer_builder::<u32>(&a).also(&b).build().unwrap();
    for queue in [&a, &b] {
        let producer = broker.producer::<u32>(queue).unwrap();
        for id in 0..10 {
            producer.publish(id).unwrap();
        }
    }
    let from_a = (0..10)
        .filter(|_| {
            let delivery = consumer.recv().unwrap();
            let from_a = delivery.info().queue() == "a";
            delivery.ack().unwrap();
            from_a
        })
        .count();
    assert_eq!(from_a, 5);
}

#[test]
fn a_batch_has_what_there_is_or_what_comes_in_time() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
    for id in 0..5 {
        producer.publish(id).unwrap();
    }
    let ids = |batch: Vec<leveret::Delivery<u32>>| {
        batch
            .into_iter()
            .map(|delivery| delivery.ack_into().unwrap())
            .collect::<Vec<_>>()
    };
    // Full at once: no wait, and nothing beyond the limit.
    let full = consumer.recv_batch(3, Duration::MAX).unwrap();
    assert_eq!(ids(full), [0, 1, 2]);
    assert!(consumer.recv_batch(0, Duration::MAX).unwrap().is_empty());
    let waiting = thread::spawn({
        let consumer = Arc::clone(&consumer);
        move || {
            consumer
                .recv_batch(10, Duration::from_secs(1))
                .map(|batch| batch.len())
        }
    });
    producer.publish(5).unwrap();
    while !waiting.is_finished() {
        clock.advance(Duration::from_millis(100));
        thread::yield_now();
    }
    assert!((2..=3).contains(&waiting.join().unwrap().unwrap()));
    consumer.cancel();
    assert_eq!(
        reason(consumer.recv_batch(1, Duration::ZERO)),
        CancelReason::ConsumerCancelled
    );
}

#[test]
fn a_receive_with_a_limit_ends_in_time_and_takes_what_is_there() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let before = Instant::now();
    let limit = Duration::from_millis(20);
    assert!(matches!(
        consumer.recv_timeout(limit),
        Err(RecvTimeoutError::Timeout)
    ));
    assert!(before.elapsed() >= limit);
    producer.publish(7).unwrap();
    assert_eq!(*consumer.recv_timeout(Duration::ZERO).unwrap(), 7);
}

#[test]
fn a_select_tells_whose_turn_it_is_and_who_has_ended() {
    let broker = Broker::new();
    let (numbers, words) = (Queue::new("numbers"), Queue::new("words"));
    let number_consumer = broker.consumer::<u32>(&numbers).unwrap();
    let word_consumer = broker.consumer::<String>(&words).unwrap();
    let mut select = Select::new();
    let (n, w) = (select.recv(&number_consumer), select.recv(&word_consumer));
    assert!(select.try_select().is_err());
    assert!(select.select_timeout(Duration::from_millis(1)).is_err());

    broker
        .producer(&words)
        .unwrap()
        .publish("hello".to_owned())
        .unwrap();
    let selected = select.select();
    assert_eq!(selected.index(), w);
    // Not received: it comes again, unseen.
    drop(selected);
    let selected = select.select();
    assert_eq!(selected.index(), w);
    let word = selected.recv(&word_consumer).unwrap();
    assert_eq!((&**word, word.info().redelivered()), ("hello", false));
    word.ack().unwrap();

    broker.delete(&numbers).unwrap();
    let selected = select.select();
    assert_eq!(selected.index(), n);
    assert_eq!(
        reason(selected.recv(&number_consumer)),
        CancelReason::QueueDeleted
    );
}

#[test]
fn a_selected_message_that_is_dropped_wakes_another_receiver() {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    producer.publish(7).unwrap();
    let mut select = Select::new();
    select.recv(&consumer);
    let selected = select.select();
    let alarm = Alarm::new();
    let mut other = pin!(consumer.recv_async());
    assert!(alarm.poll(other.as_mut()).is_pending());
    drop(selected);
    assert!(alarm.has_rung());
    assert_eq!(*block_on(other).unwrap(), 7);
}

#[test]
fn a_selected_message_that_is_dropped_after_the_cancel_returns_unseen() {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    broker.producer(&queue()).unwrap().publish(7u32).unwrap();
    let mut select = Select::new();
    select.recv(&consumer);
    let selected = select.select();
    consumer.cancel();
    drop(selected);
    assert_eq!(rest::<u32>(&broker, "q"), [(7, false)]);
}

#[test]
fn a_future_that_is_dropped_has_taken_nothing() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let alarm = Alarm::new();
    {
        let mut abandoned = pin!(consumer.recv_async());
        assert!(alarm.poll(abandoned.as_mut()).is_pending());
        producer.publish(7).unwrap();
        assert!(alarm.has_rung());
    }
    assert_eq!(*block_on(consumer.recv_async()).unwrap(), 7);
}

#[test]
fn a_woken_future_that_is_dropped_wakes_the_next() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let (first_alarm, second_alarm) = (Alarm::new(), Alarm::new());
    let mut first = Box::pin(consumer.recv_async());
    let mut second = Box::pin(consumer.recv_async());
    assert!(first_alarm.poll(first.as_mut()).is_pending());
    assert!(second_alarm.poll(second.as_mut()).is_pending());
    producer.publish(7).unwrap();
    assert!(first_alarm.has_rung() && !second_alarm.has_rung());
    drop(first);
    assert!(second_alarm.has_rung());
    assert_eq!(*block_on(second).unwrap(), 7);
}

#[test]
fn a_consumer_that_goes_wakes_as_many_getters_as_it_leaves_messages() {
    let broker = Broker::new();
    let mailbox = broker.simple_queue::<u32>("q").unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    mailbox.put(0).unwrap();
    mailbox.put(1).unwrap();
    let alarms = [Alarm::new(), Alarm::new()];
    let mut gets = [(); 2].map(|()| Box::pin(mailbox.get_async()));
    for (alarm, get) in alarms.iter().zip(&mut gets) {
        assert!(alarm.poll(get.as_mut()).is_pending());
    }
    drop(consumer);
    assert!(alarms.iter().all(|alarm| alarm.has_rung()));
    let got = gets.map(|get| block_on(get).unwrap());
    assert_eq!([*got[0], *got[1]], [0, 1]);
}

#[test]
fn a_simple_queue_takes_only_what_is_asked_for() {
    let broker = Broker::new();
    let mailbox = broker.simple_queue::<u32>("q").unwrap();
    for id in 0..3 {
        mailbox.put(id).unwrap();
    }
    let first = mailbox.get().unwrap();
    assert_eq!((*first, mailbox.len()), (0, 2));
    drop(first);
    assert_eq!(mailbox.len(), 3);
    let again = mailbox.get_timeout(Duration::ZERO).unwrap();
    assert!(again.info().redelivered() && again.info().consumer_tag().is_empty());
    again.ack().unwrap();
    assert_eq!(mailbox.purge(), 2);
    assert!(matches!(mailbox.try_get(), Err(TryRecvError::Empty)));
    broker.delete(&queue()).unwrap();
    assert_eq!(reason(mailbox.get()), CancelReason::QueueDeleted);
    assert_eq!(mailbox.len(), 0);
}

#[test]
fn a_tag_used_again_does_not_take_the_credit_of_the_consumer_before_it() {
    let broker = Broker::new();
    let channel = broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap();
    channel.queue_declare(&queue()).unwrap();
    channel.basic_qos(0, 1, false).unwrap();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    for id in 0..3 {
        producer.publish(id).unwrap();
    }
    let options = ConsumeOptions::new().tag("c");
    channel.basic_consume("q", options.clone()).unwrap();
    channel.basic_cancel("c").unwrap();
    channel.basic_consume("q", options).unwrap();
    // One delivery of each; both are acknowledged at once.
    channel.basic_ack(2, true).unwrap();
    let events = channel.events();
    for _ in 0..3 {
        assert!(matches!(events.try_recv(), Ok(leveret::Event::Delivery(_))));
    }
}
