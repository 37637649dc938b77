//! A failed declaration of a description changes nothing, whatever other threads do meanwhile.

use std::{
    collections::BTreeSet,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use leveret::{Broker, Exchange, FieldTable, ManualClock, Queue, Result};

use crate::common::{assert_conserved, connect, rest, share_of};

/// A queue and exchanges, of which the last binding is wrong.
fn bad_at_its_end() -> Queue {
    let upstream = Exchange::topic("upstream");
    let source = Exchange::direct("source").bind(&upstream, "#");
    Queue::new("half")
        .bind(&source, "k")
        .bind(Exchange::fanout("spread"), "")
        .bind_with("amq.headers", "", [("x-match", "some")])
}

fn exists(broker: &Broker, exchange: &str) -> bool {
    broker.declare(&Exchange::existing(exchange)).is_ok()
}

#[test]
fn a_failed_declaration_adds_nothing_to_what_exists() -> Result {
    let broker = Broker::new();
    // The source and the queue are there already; the binding between them is not.
    broker.declare(&Exchange::direct("source"))?;
    broker.declare(&Queue::new("half"))?;
    let producer = broker.producer_builder::<u32>(&Exchange::existing("source"));
    let producer = producer.routing_key("k").build()?;
    assert_eq!(producer.publish(1)?.routed, 0);
    let error = broker.declare(&bad_at_its_end()).unwrap_err();
    assert_eq!(error.reply_code(), Some(406), "{error}");
    assert_eq!(producer.publish(2)?.routed, 0);
    assert!(!exists(&broker, "upstream") && !exists(&broker, "spread"));
    let routed = broker.route(&Exchange::existing("source"), "k", &FieldTable::new())?;
    assert!(routed.is_empty(), "{routed:?}");
    Ok(())
}

#[test]
fn a_failed_declaration_leaves_the_messages_of_the_queue_alone() -> Result {
    let broker = Broker::new();
    let simple = broker.simple_queue::<u32>("half")?;
    simple.put(1)?;
    let held = simple.get()?;
    simple.put(2)?;
    assert!(broker.declare(&bad_at_its_end()).is_err());
    assert!(broker.declare(&Queue::new("half").durable()).is_err());
    drop(held);
    assert_eq!(rest::<u32>(&broker, "half"), [(1, true), (2, false)]);
    Ok(())
}

/// Something of each kind that can fail comes last, after a new queue, a new exchange and a new
/// binding of what exists.
#[test]
fn a_declaration_that_fails_for_any_reason_changes_nothing() -> Result {
    // A snapshot has the time, which stands still here.
    let broker = Broker::builder().clock(ManualClock::new()).build();
    let owner = connect(&broker)?;
    owner.declare(&Queue::new("mine").exclusive_flag())?;
    let _taken = broker
        .consumer_builder::<u32>("taken")
        .exclusive()
        .build()?;
    broker.declare(&Exchange::direct("there").auto_delete())?;
    broker.declare(&Queue::new("there"))?;
    let before = broker.snapshot()?;
    let bad_sources = [
        Exchange::existing("missing"),
        Exchange::fanout("there"),
        Exchange::fanout("amq.new"),
        Exchange::fanout(""),
        Exchange::new("new", "unknown"),
        Exchange::new("new", "x-delayed-message"),
        Exchange::fanout("new").argument("alternate-exchange", 1),
        Exchange::fanout("x".repeat(300)),
        Exchange::fanout("new").bind(Exchange::existing("missing"), ""),
    ];
    for bad in bad_sources {
        let queue = |name: &str| {
            let queue = Queue::new(name).bind(Exchange::direct("there").auto_delete(), "k");
            queue.bind(Exchange::topic("first"), "k").bind(&bad, "")
        };
        let exchange = Exchange::fanout("outer").bind(Exchange::topic("first"), "k");
        let exchange = exchange.bind(&bad, "");
        for name in ["new", "there", ""] {
            assert!(broker.declare(&queue(name)).is_err(), "{bad:?}");
            assert!(broker.consumer::<u32>(&queue(name)).is_err(), "{bad:?}");
            assert!(broker.producer::<u32>(&queue(name)).is_err(), "{bad:?}");
            assert!(broker.simple_queue::<u32>(&queue(name)).is_err(), "{bad:?}");
            let builder = broker.consumer_builder::<u32>("another").also(queue(name));
            assert!(builder.build().is_err(), "{bad:?}");
        }
        assert!(broker.declare(&exchange).is_err(), "{bad:?}");
        assert!(broker.producer::<u32>(&exchange).is_err(), "{bad:?}");
        assert_eq!(broker.snapshot()?, before, "{bad:?}");
    }
    let bad_queues = [
        Queue::new("mine"),
        Queue::existing("missing"),
        Queue::new("there").durable(),
        Queue::new("amq.new"),
        Queue::new("new").budget("missing"),
        Queue::new("new").argument("x-max-length", -1),
        Queue::new("new").argument("x-dead-letter-exchange", 1),
        Queue::new("new").argument("x-queue-type", "stream"), // it is not durable
        Queue::new("x".repeat(300)),
        Queue::new("new").bind_with("amq.headers", "", [("x-match", "some")]),
        Queue::new("new").bind(Exchange::existing("amq.topic"), "x".repeat(300)),
        Queue::new("amq.rabbitmq.reply-to.unknown"),
    ];
    for bad in bad_queues {
        let bad = bad.bind(Exchange::topic("first"), "k");
        assert!(broker.declare(&bad).is_err(), "{bad:?}");
        let builder = broker
            .consumer_builder::<u32>(&Queue::temporary())
            .also("another");
        assert!(builder.also(&bad).build().is_err(), "{bad:?}");
        assert_eq!(broker.snapshot()?, before, "{bad:?}");
    }
    // It can be declared and consumed, and has no gets.
    let single = Queue::quorum("new").single_active_consumer();
    let error = broker.simple_queue::<u32>(&single).unwrap_err();
    assert_eq!(error.reply_code(), Some(405));
    assert_eq!(broker.snapshot()?, before);
    let builder = broker
        .consumer_builder::<u32>("another")
        .also(Queue::temporary());
    assert!(builder.also("taken").build().is_err());
    assert_eq!(broker.snapshot()?, before);
    Ok(())
}

/// One thread declares a bad description of the queue. Others declare a good one and fill the
/// queue. A message is lost if a failed declaration replaces, deletes or unbinds the queue of the
/// others. A message comes twice if half a description binds the queue once more.
#[test]
fn threads_that_fill_a_queue_see_no_half_of_a_failed_declaration() -> Result {
    for _ in 0..share_of(64) {
        one_round()?;
    }
    Ok(())
}

fn one_round() -> Result {
    const FILLERS: u64 = 3;
    const EACH: u64 = 40;
    let broker = Broker::new();
    let start = Barrier::new(FILLERS as usize + 2);
    let filled = AtomicBool::new(false);
    let good = Queue::new("half").bind(Exchange::direct("good"), "k");
    thread::scope(|scope| {
        let fillers: Vec<_> = (0..FILLERS)
            .map(|filler| {
                let (broker, start, good) = (&broker, &start, &good);
                scope.spawn(move || -> Result {
                    let connection = connect(broker)?;
                    start.wait();
                    connection.declare(good)?;
                    let producer = connection
                        .producer_builder::<u64>(&Exchange::existing("good"))
                        .routing_key("k")
                        .mandatory()
                        .build()?;
                    for number in 0..EACH {
                        let published = producer.publish(filler * EACH + number)?;
                        assert_eq!((published.routed, published.refused), (1, 0));
                    }
                    Ok(())
                })
            })
            .collect();
        let failing = scope.spawn(|| {
            let connection = connect(&broker).unwrap();
            start.wait();
            while !filled.load(SeqCst) {
                let error = connection.declare(&bad_at_its_end()).unwrap_err();
                assert_eq!(error.reply_code(), Some(406), "{error}");
            }
        });
        let watching = scope.spawn(|| {
            start.wait();
            while !filled.load(SeqCst) {
                see_all_or_nothing(&broker);
            }
        });
        let results: Vec<Result> = fillers
            .into_iter()
            .map(|filler| filler.join().unwrap())
            .collect();
        filled.store(true, SeqCst);
        failing.join().unwrap();
        watching.join().unwrap();
        results.into_iter().collect::<Result>()
    })?;
    let snapshot = broker.snapshot()?;
    let queue = &snapshot.vhosts[0].queues[0];
    assert_conserved(queue);
    assert_eq!(queue.taken_in.messages, FILLERS * EACH);
    let left = rest::<u64>(&broker, "half");
    assert!(left.iter().all(|(_, redelivered)| !redelivered));
    let numbers: Vec<u64> = left.into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers.len() as u64, FILLERS * EACH);
    let different: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(different, (0..FILLERS * EACH).collect());
    for filler in 0..FILLERS {
        let own = numbers.iter().filter(|number| *number / EACH == filler);
        assert!(
            own.is_sorted(),
            "the messages of a producer keep their order"
        );
    }
    Ok(())
}

/// The good description is there or it is not. Nothing is there of the bad one alone.
fn see_all_or_nothing(broker: &Broker) {
    for exchange in ["upstream", "source", "spread"] {
        assert!(!exists(broker, exchange), "{exchange}");
    }
    let snapshot = broker.snapshot().unwrap();
    let vhost = &snapshot.vhosts[0];
    let has_exchange = vhost
        .exchanges
        .iter()
        .any(|exchange| exchange.name == "good");
    let has_queue = vhost.queues.iter().any(|queue| queue.name == "half");
    let sources: Vec<&str> = vhost
        .bindings
        .iter()
        .filter(|binding| binding.destination == "half" && !binding.source.is_empty())
        .map(|binding| binding.source.as_str())
        .collect();
    let expected: &[&str] = if has_queue { &["good"] } else { &[] };
    assert_eq!((has_exchange, &*sources), (has_queue, expected));
}
