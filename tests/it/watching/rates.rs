//! Rates, tables, and snapshots as values.

use std::time::Duration;

use leveret::{Broker, Exchange, ManualClock, Queue, Snapshot};

#[test]
fn rates_are_those_of_the_brokers_clock() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let logs = Exchange::fanout("logs");
    for queue in ["a", "b"] {
        broker.declare(&Queue::new(queue).bind(&logs, "")).unwrap();
    }
    let producer = broker.producer::<u32>(&logs).unwrap();
    let consumer = broker.consumer::<u32>("a").unwrap();
    let first = broker.snapshot().unwrap();
    (0..40).for_each(|number| assert!(producer.publish(number).unwrap().refused == 0));
    (0..10).for_each(|_| consumer.recv().unwrap().ack().unwrap());
    clock.advance(Duration::from_secs(4));
    let second = broker.snapshot().unwrap();
    let rates = second.rates(&first);
    assert_eq!(rates.elapsed, Duration::from_secs(4));
    let (a, b) = (rates.queue("a").unwrap(), rates.queue("b").unwrap());
    assert_eq!((a.publish, a.deliver_get, a.ack), (10.0, 10.0, 2.5));
    assert_eq!((a.messages, b.messages, b.deliver_get), (7.5, 10.0, 0.0));
    let logs = rates.exchange("logs").unwrap();
    assert_eq!((logs.publish_in, logs.publish_out), (10.0, 20.0));
    assert_eq!(
        (rates.total.publish, rates.published.publish_in),
        (20.0, 10.0)
    );
    assert_eq!(rates.total.messages, 17.5);
    assert_eq!(rates.queue_in("/", "c"), None);

    // No time has passed, and time does not go back.
    assert_eq!(second.rates(&second).total, Default::default());
    assert_eq!(first.rates(&second).total.publish, 0.0);
}

#[test]
fn a_queue_that_was_declared_again_counts_from_zero() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let publish = |messages: u32| {
        let producer = broker.producer::<u32>(&Queue::new("q")).unwrap();
        let _ = producer.publish_batch(0..messages);
    };
    publish(100);
    let first = broker.snapshot().unwrap();
    broker.delete(&Queue::existing("q")).unwrap();
    publish(20);
    clock.advance(Duration::from_secs(1));
    let rates = broker.snapshot().unwrap().rates(&first);
    assert_eq!(rates.queue("q").unwrap().publish, 20.0);
    assert_eq!(
        rates.total.publish, 20.0,
        "deleted queues stay in the totals"
    );
}

#[test]
fn a_snapshot_survives_serde() {
    let broker = Broker::new();
    let exchange = Exchange::topic("x");
    broker
        .declare(&Queue::stream("s").bind(&exchange, "#"))
        .unwrap();
    broker
        .producer::<u32>(&exchange)
        .unwrap()
        .publish(7)
        .unwrap();
    let snapshot = broker.snapshot().unwrap();
    let text = serde_json::to_string(&snapshot).unwrap();
    let again: Snapshot = serde_json::from_str(&text).unwrap();
    assert_eq!(again, snapshot);
}

#[test]
fn the_tables_are_aligned_and_have_only_rows_that_tell_something() {
    let broker = Broker::new();
    let logs = Exchange::topic("logs");
    broker
        .declare(&Queue::new("a\nb").bind(&logs, "*.error"))
        .unwrap();
    broker.declare(&Queue::new("long name of a queue")).unwrap();
    broker
        .producer::<u32>("long name of a queue")
        .unwrap()
        .publish(7)
        .unwrap();
    let _consumer = broker
        .consumer_builder::<u32>("a\nb")
        .tag("c")
        .build()
        .unwrap();
    let text = broker.snapshot().unwrap().to_string();
    let tables: Vec<Vec<&str>> = text
        .split("\n\n")
        .map(|table| table.lines().collect())
        .collect();
    let [queues, exchanges, bindings, consumers] = &tables[..] else {
        panic!("{text}");
    };
    let column = queues[0].find("ready").unwrap() + "ready".len();
    let ready: Vec<&str> = queues[1..]
        .iter()
        .map(|row| &row[column - 1..column])
        .collect();
    assert_eq!(ready, ["0", "1"], "{text}");
    assert!(
        exchanges[1].starts_with("/      (default)  direct   1    1"),
        "{text}"
    );
    assert!(bindings[1].ends_with("*.error"), "{text}");
    assert!(consumers[1].contains("  c "), "{text}");
    assert!(text.lines().all(|line| !line.contains("amq.")), "{text}");
}
