//! The counts of exchanges, queues and consumers.

use std::{thread, time::Duration};

use leveret::{
    Broker, Exchange, ExchangeStats, ManualClock, Message, Properties, Queue,
    channel::{AckMode, ConsumeOptions, PublishOptions},
};

fn stats(broker: &Broker, exchange: &str) -> ExchangeStats {
    let snapshot = broker.snapshot().unwrap();
    match exchange {
        "" => snapshot.vhosts[0].default_exchange,
        _ => snapshot.exchange(exchange).unwrap().message_stats,
    }
}

fn flow(stats: ExchangeStats) -> [u64; 4] {
    [
        stats.publish_in,
        stats.publish_out,
        stats.drop_unroutable,
        stats.return_unroutable,
    ]
}

#[test]
fn every_way_of_publishing_counts_once() {
    let broker = Broker::new();
    let direct = Exchange::direct("x");
    broker.declare(&Queue::new("a").bind(&direct, "a")).unwrap();
    let producer = broker.producer::<u32>(&direct).unwrap();
    producer.publish_to("a", 1).unwrap();
    producer.publish_to("a", 2).unwrap();
    producer.publish_to("nowhere", 3).unwrap();
    let message = Message::new(4).routing_key("nowhere").mandatory();
    producer.publish_message(message).unwrap_err();
    let message = Message::new(5).routing_key("a").header("k", "v");
    producer.publish_message(message).unwrap();
    assert_eq!(flow(stats(&broker, "x")), [5, 3, 1, 1]);

    let own = broker.producer::<u32>(&Queue::new("q")).unwrap();
    (0..10).for_each(|number| assert!(own.publish(number).unwrap().refused == 0));
    assert!(own.publish_batch(0..10).iter().all(Result::is_ok));
    futures_lite::future::block_on(own.publish_async(7)).unwrap();
    own.try_publish(7).unwrap();
    assert_eq!(flow(stats(&broker, "")), [22, 22, 0, 0]);
}

#[test]
fn a_message_counts_for_the_exchange_that_was_named() {
    let broker = Broker::new();
    let (outer, inner) = (Exchange::fanout("outer"), Exchange::fanout("inner"));
    for queue in ["a", "b", "c"] {
        broker.declare(&Queue::new(queue).bind(&inner, "")).unwrap();
    }
    broker.declare(&inner.clone().bind(&outer, "")).unwrap();
    broker.producer::<u32>(&outer).unwrap().publish(1).unwrap();
    assert_eq!(flow(stats(&broker, "outer")), [1, 3, 0, 0]);
    assert_eq!(flow(stats(&broker, "inner")), [0, 0, 0, 0]);
}

#[test]
fn a_refused_message_is_published_and_goes_nowhere() {
    let broker = Broker::new();
    let short = Queue::new("q")
        .max_length(1)
        .overflow(leveret::Overflow::RejectPublish);
    let producer = broker.producer::<u32>(&short).unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap_err();
    assert_eq!(flow(stats(&broker, "")), [2, 1, 0, 0]);
}

#[test]
fn threads_that_share_a_producer_or_clone_it_lose_no_count() {
    const THREADS: usize = 4;
    const MESSAGES: u64 = if cfg!(miri) { 50 } else { 5_000 };
    let broker = Broker::new();
    let exchange = Exchange::direct("x");
    broker
        .declare(&Queue::new("q").bind(&exchange, ""))
        .unwrap();
    let producer = broker.producer::<u64>(&exchange).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let own = (thread % 2 == 0).then(|| producer.clone());
            let producer = &producer;
            scope.spawn(move || {
                let producer = own.as_ref().unwrap_or(producer);
                for number in 0..MESSAGES {
                    producer.publish(number).unwrap();
                }
            });
        }
        let mut last = 0;
        while last < THREADS as u64 * MESSAGES {
            let now = stats(&broker, "x").publish_in;
            assert!(now >= last, "{now} after {last}");
            last = now;
            thread::yield_now();
        }
    });
    let total = THREADS as u64 * MESSAGES;
    assert_eq!(flow(stats(&broker, "x")), [total, total, 0, 0]);
}

#[test]
fn the_totals_of_a_virtual_host_outlive_its_queues_and_exchanges() {
    let broker = Broker::new();
    for round in 1..=3 {
        let exchange = Exchange::fanout("x");
        broker
            .declare(&Queue::new("q").bind(&exchange, ""))
            .unwrap();
        let producer = broker.producer::<u64>(&exchange).unwrap();
        producer.publish(1).unwrap();
        drop(broker.consumer::<u64>("q").unwrap().recv().unwrap());
        broker
            .consumer::<u64>("q")
            .unwrap()
            .recv()
            .unwrap()
            .ack()
            .unwrap();
        broker.delete(&Queue::existing("q")).unwrap();
        broker.delete(&Exchange::existing("x")).unwrap();
        let totals = &broker.snapshot().unwrap().vhosts[0].totals;
        assert_eq!(totals.published.publish_in, round);
        let all = totals.message_stats();
        assert_eq!(
            (all.publish, all.deliver, all.ack),
            (round, 2 * round, round)
        );
        assert_eq!((all.redeliver, totals.queues_deleted), (round, round));
    }
}

#[test]
fn deliveries_and_gets_are_counted_by_their_kind() {
    let broker = Broker::new();
    let connection = broker.connect("/", leveret::Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    let queue = Queue::new("q");
    channel.queue_declare(&queue).unwrap();
    assert!(channel.basic_get("q", AckMode::Manual).unwrap().is_none());
    let _ = broker.producer::<u32>(&queue).unwrap().publish_batch(0..6);
    let got = channel.basic_get("q", AckMode::Manual).unwrap();
    drop(got);
    channel.basic_get("q", AckMode::Auto).unwrap().unwrap();
    channel
        .basic_consume("q", ConsumeOptions::new().auto_ack())
        .unwrap();
    let stats = broker.snapshot().unwrap().queue("q").unwrap().message_stats;
    assert_eq!((stats.get, stats.get_no_ack, stats.get_empty), (1, 1, 1));
    assert_eq!((stats.deliver, stats.deliver_no_ack), (0, 4));
    assert_eq!((stats.publish, stats.ack), (6, 0));
    assert_eq!(stats.deliver_get(), 6);
}

#[test]
fn deaths_are_counted_by_their_reason() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    broker.declare(&Queue::new("dead")).unwrap();
    for dead_letters in [false, true] {
        let name = format!("q{dead_letters}");
        let mut queue = Queue::quorum(&*name).max_length(4).delivery_limit(1);
        if dead_letters {
            queue = queue
                .dead_letter_exchange("")
                .dead_letter_routing_key("dead");
        }
        let producer = broker.producer::<u32>(&queue).unwrap();
        let _ = producer.publish_batch(0..6); // two are over the limit
        let consumer = broker
            .consumer_builder::<u32>(&*name)
            .prefetch(1)
            .build()
            .unwrap();
        consumer.recv().unwrap().reject().unwrap();
        for _ in 0..2 {
            drop(consumer.recv().unwrap());
        }
        drop(consumer);
        let expiring = Message::new(9).expiration(Duration::from_millis(1));
        broker.purge(&*name).unwrap();
        producer.publish_message(expiring).unwrap();
        clock.advance(Duration::from_secs(1));
        let snapshot = broker.snapshot().unwrap();
        let queue = snapshot.queue(&name).unwrap();
        let (by, other) = match dead_letters {
            true => (queue.dead_lettered_by, queue.dropped_by),
            false => (queue.dropped_by, queue.dead_lettered_by),
        };
        assert_eq!((by.maxlen, by.rejected, by.expired), (2, 1, 1), "{name}");
        assert_eq!((by.delivery_limit, other.total()), (1, 0), "{name}");
        assert_eq!(queue.accounted_for(), queue.taken_in);
    }
}

#[test]
fn a_consumer_shows_its_credit_and_what_it_holds() {
    let broker = Broker::new();
    let producer = broker.producer::<u64>(&Queue::new("q")).unwrap();
    let consumer = broker
        .consumer_builder::<u64>("q")
        .prefetch(4)
        .build()
        .unwrap();
    let _ = producer.publish_batch(0..3);
    let held = consumer.recv().unwrap();
    consumer.recv().unwrap().ack().unwrap();
    let snapshot = broker.snapshot().unwrap();
    let [shown] = &snapshot.vhosts[0].consumers[..] else {
        panic!("{:?}", snapshot.vhosts[0].consumers);
    };
    assert_eq!((shown.delivered.messages, shown.unsettled.messages), (3, 2));
    assert_eq!((shown.unsettled.bytes, shown.credit), (16, Some(2)));
    held.ack().unwrap();
}

#[test]
fn the_age_of_the_head_grows_between_looks_and_is_never_too_large() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let queue = broker.simple_queue::<u32>("q").unwrap();
    let age = || broker.snapshot().unwrap().queue("q").unwrap().head_age;
    let second = Duration::from_secs(1);
    assert_eq!(age(), None);
    queue.put(1).unwrap();
    assert_eq!(age(), Some(Duration::ZERO));
    for seconds in 1..200 {
        clock.advance(second);
        queue.put(seconds).unwrap();
        assert_eq!(
            age(),
            Some(second * seconds),
            "the first message is still the head"
        );
    }
    // Each message came one second before the next.
    let nearly = Duration::from_secs(200 / 16 + 1);
    for seconds in (1..200).rev() {
        queue.get().unwrap().ack().unwrap();
        let (age, exact) = (age().unwrap(), second * (seconds - 1));
        assert!(
            age <= exact && age + nearly >= exact,
            "{age:?}, not {exact:?}"
        );
    }
}

#[test]
fn the_head_shows_the_timestamp_of_its_publisher() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&Queue::new("q")).unwrap();
    let properties = Properties::new().timestamp(1_700_000_000);
    producer
        .publish_message(Message::new(1).properties(properties))
        .unwrap();
    let snapshot = broker.snapshot().unwrap();
    assert_eq!(
        snapshot.queue("q").unwrap().head_message_timestamp,
        Some(1_700_000_000)
    );
}

#[test]
fn what_is_open_and_what_has_come_and_gone_is_counted() {
    let broker = Broker::new();
    let totals = || broker.snapshot().unwrap().vhosts[0].totals.clone();
    let connection = broker.connect("/", leveret::Credentials::guest()).unwrap();
    let (first, second) = (
        connection.open_channel().unwrap(),
        connection.open_channel().unwrap(),
    );
    let queue = Queue::new("q");
    first.queue_declare(&queue).unwrap();
    first.queue_declare(&queue).unwrap();
    first.confirm_select().unwrap();
    first
        .basic_publish("", "q", "x", Properties::new(), PublishOptions::new())
        .unwrap();
    drop(first);
    let all = totals();
    assert_eq!((all.channels_opened, all.channels_closed), (2, 1));
    assert_eq!((all.queues_declared, all.queues_created), (2, 1));
    assert_eq!((all.published_to_confirm, all.confirmed), (1, 1));
    second.close().unwrap();
    connection.close().unwrap();
    let all = totals();
    assert_eq!(
        (all.connections_opened, all.connections_closed),
        (2, 1),
        "one is the broker's"
    );
    assert_eq!((all.channels_opened, all.channels_closed), (2, 2));
    let producer = broker.producer::<u32>(&queue).unwrap();
    let clone = producer.clone();
    assert_eq!(totals().publishers_opened - totals().publishers_closed, 1);
    drop((producer, clone));
    assert_eq!(totals().publishers_opened - totals().publishers_closed, 0);
}
