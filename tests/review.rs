//! Regressions found by a review: each test is a way in which something once went wrong.

use std::{sync::mpsc, thread, time::Duration};

use leveret::{
    Broker, Credentials, Error, ManualClock, Message, Overflow, Properties, PublishOptions, Queue,
    RecvError, Requeue, TryRecvError,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `code` on another thread; `None` if it is not done in time.
fn in_time<R: Send + 'static>(code: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(code()));
    result.recv_timeout(PATIENCE).ok()
}

#[test]
fn a_producer_that_has_published_finds_its_queue_deleted() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    broker.delete(&queue).unwrap();
    let error = in_time(move || producer.publish(2).unwrap_err().into_parts()).unwrap();
    assert_eq!(error.0.reply_code(), Some(312));
    assert_eq!(error.1, 2);
}

#[test]
fn a_producer_that_has_published_finds_the_queue_that_took_the_place_of_a_deleted_one() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    broker.delete(&queue).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    assert!(in_time(move || producer.publish(2).is_ok()).unwrap());
    assert_eq!(*consumer.try_recv().unwrap(), 2);
}

#[test]
fn a_producer_that_has_published_finds_the_broker_gone() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&Queue::new("q")).unwrap();
    producer.publish(1).unwrap();
    drop(broker);
    let error = in_time(move || producer.publish(2).unwrap_err()).unwrap();
    assert!(matches!(error.error(), Error::ShutDown), "{error}");
}

#[test]
fn a_producer_that_has_published_finds_its_connection_closed() {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let producer = connection.producer::<u32>(&Queue::new("q")).unwrap();
    producer.publish(1).unwrap();
    connection.close().unwrap();
    let error = producer.publish(2).unwrap_err();
    assert!(matches!(error.error(), Error::ConnectionClosed), "{error}");
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
    assert_eq!(error.into_inner(), 2);
    let buried = broker.consumer::<u32>(&graves).unwrap().recv().unwrap();
    assert_eq!(*buried, 2);
}

#[test]
fn a_receiver_with_credit_is_served_what_comes_after_the_backlog_has_expired() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    for number in 0..16 {
        producer.publish(number).unwrap();
    }
    producer
        .publish_message(Message::new(16).expiration(Duration::from_secs(1)))
        .unwrap();
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    held.remove(0).ack().unwrap();
    clock.advance(Duration::from_secs(2));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    let receiving = thread::spawn(move || *consumer.recv().unwrap());
    thread::sleep(Duration::from_millis(100));
    producer.publish(17).unwrap();
    assert_eq!(in_time(move || receiving.join().unwrap()), Some(17));
}

#[test]
fn a_blocked_publisher_goes_on_when_a_receiver_makes_room_quietly() {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    for number in 0..17 {
        producer.publish(number).unwrap();
    }
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    let publishing = thread::spawn(move || producer.publish(17).is_ok());
    thread::sleep(Duration::from_millis(100));
    held.remove(0).ack().unwrap();
    // Takes the last ready one.
    consumer.recv().unwrap().ack().unwrap();
    assert_eq!(in_time(move || publishing.join().unwrap()), Some(true));
}

#[test]
fn a_message_that_becomes_the_head_quietly_expires_in_time() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
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
        .publish_message(Message::new(17).expiration(Duration::from_secs(1)))
        .unwrap();
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    held.remove(0).ack().unwrap();
    held.push(consumer.recv().unwrap());
    clock.advance(Duration::from_secs(2));
    let buried = broker.consumer::<u32>(&graves).unwrap();
    assert_eq!(*buried.try_recv().unwrap(), 17);
}

#[test]
fn as_many_getters_wake_as_messages_come_back_at_once() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap();
    let getters: Vec<_> = (0..2)
        .map(|_| {
            let simple = broker.simple_queue::<u32>(&queue).unwrap();
            thread::spawn(move || simple.get().unwrap().ack().unwrap())
        })
        .collect();
    thread::sleep(Duration::from_millis(100));
    consumer.cancel();
    for getter in getters {
        assert!(in_time(move || getter.join().is_ok()).is_some());
    }
}

#[test]
fn a_message_that_an_abandoned_selection_puts_back_wakes_a_receiver() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    thread::scope(|scope| {
        let mut select = leveret::Select::new();
        select.recv(&consumer);
        let selected = select.select();
        let receiving = scope.spawn(|| consumer.recv_timeout(PATIENCE).map(|one| *one).ok());
        thread::sleep(Duration::from_millis(100));
        drop(selected);
        assert_eq!(receiving.join().unwrap(), Some(1));
    });
}

#[test]
fn an_undecodable_message_of_an_auto_ack_batch_is_acknowledged_once() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let numbers = broker.producer::<u64>(&queue).unwrap();
    let words = broker.producer::<String>(&queue).unwrap();
    numbers.publish(1).unwrap();
    words.publish("two".to_owned()).unwrap();
    let consumer = broker
        .consumer_builder::<u64>(&queue)
        .auto_ack()
        .build()
        .unwrap();
    assert_eq!(consumer.recv_batch(8, Duration::ZERO).unwrap().len(), 1);
    assert!(matches!(consumer.recv(), Err(RecvError::Decode(_))));
    let channel = broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap();
    assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 0);
}

#[test]
fn a_message_whose_decoding_panics_goes_back() {
    #[derive(serde::Serialize)]
    struct Bomb;
    impl<'de> serde::Deserialize<'de> for Bomb {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Bomb, D::Error> {
            panic!("expected by this test")
        }
    }
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    let consumer = broker.consumer::<Bomb>(&queue).unwrap();
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| consumer.recv().is_ok()));
    assert!(panicked.is_err());
    drop(consumer);
    let delivery = broker.consumer::<u32>(&queue).unwrap().try_recv().unwrap();
    assert!(delivery.info().redelivered());
}

#[test]
fn the_end_of_the_broker_wakes_who_waits_for_events() {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    let events = channel.events();
    let waiting = thread::spawn(move || events.recv().is_err());
    thread::sleep(Duration::from_millis(100));
    drop(broker);
    assert_eq!(in_time(move || waiting.join().unwrap()), Some(true));
}

#[test]
fn what_returns_to_a_full_blocking_queue_is_not_dropped_when_the_clock_ticks() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(1)
        .build()
        .unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap();
    let first = consumer.recv().unwrap();
    consumer.cancel();
    first.nack(Requeue::After(Duration::from_secs(1))).unwrap();
    clock.advance(Duration::from_secs(2));
    let simple = broker.simple_queue::<u32>(&queue).unwrap();
    assert_eq!(*simple.try_get().unwrap(), 1);
}

#[test]
fn getting_from_a_queue_is_using_it() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let queue = Queue::new("q").expires(Duration::from_secs(10));
    let simple = broker.simple_queue::<u32>(&queue).unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(6));
        assert!(matches!(simple.try_get(), Err(TryRecvError::Empty)));
    }
}

#[test]
fn enormous_sizes_are_no_panic() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker
        .producer_builder::<u32>(&queue)
        .sized_by(|_| u64::MAX)
        .build()
        .unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    consumer.recv().unwrap().ack().unwrap();
    drop(consumer.recv().unwrap());
    assert_eq!(*consumer.recv().unwrap(), 2);
}

#[test]
fn a_blocked_publisher_goes_on_when_a_policy_lifts_the_limit_of_an_empty_queue() {
    let broker = Broker::new();
    let queue = Queue::new("q").overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue).unwrap();
    let root = broker.vhost("/").unwrap();
    root.set_policy(leveret::Policy::new("none", ".*").setting("max-length", 0))
        .unwrap();
    let publishing = thread::spawn(move || producer.publish(1).is_ok());
    thread::sleep(Duration::from_millis(100));
    root.clear_policy("none").unwrap();
    assert_eq!(in_time(move || publishing.join().unwrap()), Some(true));
}

#[test]
fn a_rolled_back_settlement_can_be_settled() {
    let broker = Broker::new();
    let channel = broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap();
    channel.queue_declare(&Queue::new("q")).unwrap();
    channel
        .basic_publish("", "q", "x", Properties::new(), PublishOptions::new())
        .unwrap();
    channel.tx_select().unwrap();
    let got = channel
        .basic_get("q", leveret::AckMode::Manual)
        .unwrap()
        .unwrap();
    channel.basic_ack(got.delivery_tag(), false).unwrap();
    channel.tx_rollback().unwrap();
    channel.basic_ack(got.delivery_tag(), false).unwrap();
    channel.tx_commit().unwrap();
    assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 0);
}

#[test]
fn a_consumer_that_publishes_into_its_own_full_queue_counts_what_it_has_settled() {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    for number in 0..17 {
        producer.publish(number).unwrap();
    }
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    held.remove(0).ack().unwrap();
    producer.publish_timeout(17, PATIENCE).unwrap();
    held.remove(0).ack().unwrap();
    producer.try_publish(18).unwrap();
}

#[test]
fn a_refusing_queue_counts_what_was_settled() {
    let broker = Broker::new();
    let queue = Queue::new("q")
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    for number in 0..17 {
        producer.publish(number).unwrap();
    }
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    assert!(producer.publish(17).is_err());
    held.remove(0).ack().unwrap();
    producer.publish(17).unwrap();
}

#[test]
fn a_mandatory_message_all_of_whose_queues_refuse_comes_back() {
    let broker = Broker::new();
    let graves = Queue::new("graves");
    let fanout = leveret::Exchange::fanout("x");
    let buried = broker.consumer::<Vec<String>>(&graves).unwrap();
    for name in ["a", "b"] {
        let queue = Queue::new(name)
            .max_length(0)
            .overflow(Overflow::RejectPublishDlx)
            .dead_letter_exchange("")
            .dead_letter_routing_key("graves")
            .bind(&fanout, "");
        broker.declare(&queue).unwrap();
    }
    let producer = broker.producer::<Vec<String>>(&fanout).unwrap();
    let error = producer.publish(vec!["x".to_owned()]).unwrap_err();
    assert_eq!(error.into_inner(), ["x"]);
    for _ in 0..2 {
        let delivery = buried.try_recv().unwrap();
        assert_eq!(*delivery, ["x"]);
        let content_type = delivery.info().properties().content_type.as_deref();
        assert_eq!(content_type, Some("application/json"));
        delivery.ack().unwrap();
    }
}

#[test]
fn a_second_receiver_is_served_with_the_first_settlement() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    let consumer = &consumer;
    thread::scope(|scope| {
        // Two wait; one message goes to one of them, which holds what it gets.
        let receivers: Vec<_> = (0..2)
            .map(|_| scope.spawn(move || consumer.recv_timeout(PATIENCE).ok()))
            .collect();
        thread::sleep(Duration::from_millis(100));
        producer.publish(0).unwrap();
        let (first, second): (Vec<_>, Vec<_>) = loop {
            if receivers.iter().any(|receiver| receiver.is_finished()) {
                break receivers.into_iter().partition(|one| one.is_finished());
            }
            thread::sleep(Duration::from_millis(10));
        };
        let held: Vec<_> = first
            .into_iter()
            .map(|one| one.join().unwrap().unwrap())
            .collect();
        assert_eq!(held.len(), 1);
        consumer.set_prefetch(1);
        consumer.set_prefetch(8);
        consumer.set_prefetch(1);
        producer.publish(1).unwrap();
        drop(held.into_iter().map(|one| one.ack()).collect::<Vec<_>>());
        for one in second {
            assert_eq!(*one.join().unwrap().unwrap(), 1);
        }
    });
}

#[test]
fn a_returning_connection_leaves_no_exclusive_queue_behind() {
    let broker = Broker::new();
    for _ in 0..200 {
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        let other = connection.clone();
        let declaring =
            thread::spawn(move || other.declare(&Queue::new("mine").exclusive_flag()).ok());
        let _ = connection.close();
        declaring.join().unwrap();
        let channel = broker
            .connect("/", Credentials::guest())
            .unwrap()
            .open_channel()
            .unwrap();
        let error = channel.queue_declare_passive("mine").unwrap_err();
        assert!(error.is_not_found(), "{error}");
    }
}

#[test]
fn a_shutdown_is_told_of_the_last_settlement_though_credit_was_counted_meanwhile() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    for number in 0..16 {
        producer.publish(number).unwrap();
    }
    producer
        .publish_message(Message::new(16).expiration(Duration::from_secs(1)))
        .unwrap();
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    held.remove(0).ack().unwrap();
    clock.advance(Duration::from_secs(2));
    let ending = thread::spawn(move || broker.shutdown(Duration::from_secs(60)).unwrap().timed_out);
    thread::sleep(Duration::from_millis(100));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    for delivery in held {
        delivery.ack().unwrap();
    }
    assert_eq!(in_time(move || ending.join().unwrap()), Some(false));
}
