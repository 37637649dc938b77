//! Exchange types of one's own, and the two of RabbitMQ that work in the same way.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use leveret::{
    BindingRules, Broker, Error, Exchange, ExchangeKind, FieldTable, ManualClock, Message, Queue,
    Result, Router, RouterBinding, RouterMessage,
};

use crate::common::{connect, in_time, queue};

/// A router that calls a function.
struct By<F>(F);

impl<F> std::fmt::Debug for By<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("By")
    }
}

impl<F> Router for By<F>
where
    F: Fn(&RouterMessage<'_>, &[RouterBinding]) -> Vec<usize> + Send + Sync + 'static,
{
    fn route(&self, message: &RouterMessage<'_>, bindings: &[RouterBinding]) -> Vec<usize> {
        (self.0)(message, bindings)
    }
}

const KIND: &str = "x-own";

fn broker_with<F>(route: F) -> Broker
where
    F: Fn(&RouterMessage<'_>, &[RouterBinding]) -> Vec<usize> + Send + Sync + 'static,
{
    Broker::builder().exchange_type(KIND, By(route)).build()
}

fn exchange() -> Exchange {
    Exchange::new("x", KIND)
}

fn all(bindings: &[RouterBinding]) -> Vec<usize> {
    (0..bindings.len()).collect()
}

fn len(broker: &Broker, name: &str) -> usize {
    broker.simple_queue::<u32>(name).unwrap().len().unwrap()
}

#[test]
fn a_router_sees_the_message_and_the_sorted_bindings() -> Result {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let broker = broker_with(move |message, bindings| {
        let headers = message.headers().map_or(0, FieldTable::len);
        let keys = message.routing_keys().join("+");
        let first = message.routing_key();
        let list = bindings.iter().map(|binding| {
            let kind = if binding.is_to_queue() {
                "queue"
            } else {
                "exchange"
            };
            let (to, key) = (binding.destination(), binding.routing_key());
            format!("{kind} {to} {key} {}", binding.arguments().len())
        });
        let list = list.collect::<Vec<_>>().join(", ");
        let exchange = message.exchange();
        let line = format!("{exchange}: {first} of {keys}, {headers} headers: {list}");
        log.lock().unwrap().push(line);
        Vec::new()
    });
    broker.declare(&Queue::new("b").bind(exchange(), "k"))?;
    broker.declare(&Queue::new("a").bind(exchange(), "z").bind(exchange(), "k"))?;
    let with = [("n", 1)];
    broker.declare(&Queue::new("c").bind_with(exchange(), "", with))?;
    broker.declare(&Exchange::fanout("y").bind(exchange(), "e"))?;
    let producer = broker.producer::<u32>(&exchange())?;
    producer.publish_to("key", 1)?;
    let cc = leveret::FieldValue::Array(vec!["other".into()]);
    producer.publish_message(Message::new(2).routing_key("key").header("CC", cc))?;
    let list = "exchange y e 0, queue a k 0, queue a z 0, queue b k 0, queue c  1";
    assert_eq!(
        *seen.lock().unwrap(),
        [
            format!("x: key of key, 0 headers: {list}"),
            format!("x: key of key+other, 1 headers: {list}"),
        ]
    );
    Ok(())
}

#[test]
fn every_chosen_destination_gets_one_copy_and_a_position_without_a_binding_none() -> Result {
    let broker = broker_with(|_, _| vec![0, 1, 1, 7, 2]);
    let twice = Queue::new("a").bind(exchange(), "1").bind(exchange(), "2");
    broker.declare(&twice)?;
    broker.declare(&Queue::new("b").bind(exchange(), ""))?;
    broker.declare(&Queue::new("c").bind(exchange(), ""))?;
    let published = broker.producer::<u32>(&exchange())?.publish(1)?;
    assert_eq!(published.routed, 2);
    assert_eq!(["a", "b", "c"].map(|name| len(&broker, name)), [1, 1, 0]);
    Ok(())
}

#[test]
fn a_router_is_asked_once_for_each_message_and_its_routes_are_not_remembered() -> Result {
    let (asked, ask) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let next = Arc::clone(&ask);
    let broker = broker_with(move |_, bindings| {
        count.fetch_add(1, SeqCst);
        vec![next.fetch_add(1, SeqCst) % bindings.len()]
    });
    for name in ["a", "b"] {
        broker.declare(&Queue::new(name).bind(exchange(), ""))?;
    }
    let producer = broker.producer::<u32>(&exchange())?;
    for n in 0..10 {
        producer.publish(n)?;
    }
    assert_eq!(asked.load(SeqCst), 10);
    assert_eq!(["a", "b"].map(|name| len(&broker, name)), [5, 5]);
    // A change of the bindings is seen at once.
    broker.declare(&Queue::new("c").bind(exchange(), ""))?;
    for n in 0..3 {
        producer.publish(n)?;
    }
    assert_eq!(len(&broker, "c"), 1);
    broker.delete(&Queue::existing("a"))?;
    broker.delete(&Queue::existing("b"))?;
    producer.publish(7)?;
    assert_eq!(len(&broker, "c"), 2);
    Ok(())
}

#[test]
fn a_router_may_use_the_broker_because_no_lock_is_held() {
    let used = in_time(|| {
        let inner = Arc::new(OnceLock::<Broker>::new());
        let of_router = Arc::clone(&inner);
        let broker = broker_with(move |message, bindings| {
            if message.routing_key() == "inner" {
                return all(bindings);
            }
            let broker = of_router.get().unwrap();
            let late = Queue::new("late").bind(exchange(), "");
            broker.declare(&late).unwrap();
            let producer = broker.producer::<u32>(&exchange()).unwrap();
            producer.publish_to("inner", 2).unwrap();
            assert_eq!(broker.snapshot().unwrap().vhosts.len(), 1);
            all(bindings)
        });
        broker.declare(&queue().bind(exchange(), "")).unwrap();
        let producer = broker.producer::<u32>(&exchange()).unwrap();
        inner.set(broker.clone()).unwrap();
        assert_eq!(producer.publish_to("outer", 1).unwrap().routed, 1);
        // The outer message was routed by the bindings that its router saw.
        assert_eq!((len(&broker, "q"), len(&broker, "late")), (2, 1));
    });
    assert!(used.is_some(), "the router waits for a lock");
}

#[test]
fn the_producers_own_lock_is_free_while_a_router_is_asked() {
    let used = in_time(|| {
        let again = Arc::new(OnceLock::new());
        let of_router = Arc::clone(&again);
        let broker = broker_with(move |message, bindings| {
            if message.routing_key() != "inner" {
                let producer: &leveret::Producer<u32> = of_router.get().unwrap();
                producer.publish_to("inner", 2).unwrap();
            }
            all(bindings)
        });
        broker.declare(&queue().bind(exchange(), "")).unwrap();
        let producer = broker.producer::<u32>(&exchange()).unwrap();
        again.set(producer.clone()).unwrap();
        producer.publish(1).unwrap();
        producer.publish_to("outer", 1).unwrap();
        assert_eq!(len(&broker, "q"), 4);
    });
    assert!(used.is_some(), "the router waits for a lock");
}

#[test]
fn a_binding_that_goes_while_a_router_is_asked_gets_nothing() -> Result {
    let inner = Arc::new(OnceLock::<Broker>::new());
    let of_router = Arc::clone(&inner);
    let broker = broker_with(move |_, bindings| {
        let broker = of_router.get().unwrap();
        broker.delete(&Queue::existing("gone")).unwrap();
        broker.declare(&Queue::new("gone")).unwrap();
        all(bindings)
    });
    broker.declare(&queue().bind(exchange(), ""))?;
    broker.declare(&Queue::new("gone").bind(exchange(), ""))?;
    inner.set(broker.clone()).unwrap();
    assert_eq!(broker.producer::<u32>(&exchange())?.publish(1)?.routed, 1);
    assert_eq!((len(&broker, "q"), len(&broker, "gone")), (1, 0));
    Ok(())
}

#[test]
fn a_router_that_panics_has_chosen_nothing() -> Result {
    let broker = broker_with(|message, bindings| match message.routing_key() {
        "panic" => panic!("no choice"),
        _ => all(bindings),
    });
    broker.declare(&queue().bind(exchange().alternate("rest"), ""))?;
    broker.declare(&Queue::new("rest").bind(Exchange::fanout("rest"), ""))?;
    let producer = broker.producer::<u32>(&Exchange::existing("x"))?;
    producer.publish_to("panic", 1)?;
    producer.publish_to("k", 2)?;
    assert_eq!((len(&broker, "rest"), len(&broker, "q")), (1, 1));
    broker.delete(&Exchange::existing("rest"))?;
    let unroutable = Message::new(3).routing_key("panic").mandatory();
    let error = producer.publish_message(unroutable).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(312));
    Ok(())
}

#[test]
fn the_way_goes_on_behind_an_exchange_that_a_router_has_chosen() -> Result {
    let broker = broker_with(|_, bindings| all(bindings));
    let chain = (0..5).map(|n| Exchange::new(format!("x{n}"), KIND));
    let chain: Vec<_> = chain.collect();
    for pair in chain.windows(2) {
        broker.declare(&pair[1].clone().bind(&pair[0], ""))?;
    }
    // A cycle, and a topic exchange in between.
    broker.declare(&Exchange::existing("x0").bind(&chain[4], ""))?;
    broker.declare(&Exchange::topic("t").bind(&chain[4], ""))?;
    broker.declare(&queue().bind(Exchange::existing("t"), "a.*"))?;
    let route = |key| broker.route(&chain[0], key, &FieldTable::new());
    assert_eq!(route("a.b")?, ["q"]);
    assert!(route("b")?.is_empty());
    let producer = broker.producer::<u32>(&chain[0])?;
    assert_eq!(producer.publish_to("a.b", 1)?.routed, 1);
    // A topic exchange before the routers remembers no route through them.
    broker.declare(&Exchange::existing("x0").bind(Exchange::topic("before"), "a.b"))?;
    let before = broker.producer::<u32>(&Exchange::existing("before"))?;
    assert_eq!(before.publish_to("a.b", 1)?.routed, 1);
    broker.delete(&queue())?;
    assert_eq!(before.publish_to("a.b", 1)?.routed, 0);
    Ok(())
}

#[test]
fn dead_letters_and_delayed_messages_are_routed_too() -> Result {
    let clock = ManualClock::new();
    let router = By(|_: &RouterMessage<'_>, bindings: &[RouterBinding]| all(bindings));
    let builder = Broker::builder().clock(clock.clone());
    let broker = builder.exchange_type(KIND, router).build();
    broker.declare(&queue().bind(exchange(), ""))?;
    let dying = Queue::new("dying").dead_letter_exchange("x");
    let dying = broker.simple_queue::<u32>(&dying)?;
    dying.put(1)?;
    dying.get()?.reject()?;
    assert_eq!(len(&broker, "q"), 1);
    let delayed = Exchange::new("late", KIND).delayed();
    broker.declare(&queue().bind(&delayed, ""))?;
    let producer = broker.producer::<u32>(&delayed)?;
    producer.publish_message(Message::new(2).delay(Duration::from_secs(1)))?;
    assert_eq!(len(&broker, "q"), 1);
    while len(&broker, "q") < 2 {
        clock.advance(Duration::from_secs(1));
    }
    Ok(())
}

#[test]
fn an_exchange_is_redeclared_and_shown_by_the_name_of_its_type() -> Result {
    let broker = broker_with(|_, bindings| all(bindings));
    broker.declare(&exchange())?;
    broker.declare(&exchange())?;
    broker.declare(&Exchange::existing("x"))?;
    for other in [Exchange::direct("x"), Exchange::local_random("x")] {
        assert!(broker.declare(&other).unwrap_err().is_inequivalent());
    }
    let snapshot = broker.snapshot()?;
    let shown = snapshot.vhosts[0].exchanges.iter();
    let shown = shown.filter(|shown| shown.name == "x" || shown.name == "amq.topic");
    let shown: Vec<_> = shown
        .map(|shown| (shown.kind, shown.exchange_type.as_str()))
        .collect();
    assert_eq!(
        shown,
        [(ExchangeKind::Topic, "topic"), (ExchangeKind::Router, KIND)]
    );
    // The types of AMQP cannot be replaced.
    let router = By(|_: &RouterMessage<'_>, _: &[RouterBinding]| Vec::new());
    let broker = Broker::builder().exchange_type("fanout", router).build();
    broker.declare(&queue().bind(Exchange::fanout("f"), ""))?;
    let fanout = broker.producer::<u32>(&Exchange::existing("f"))?;
    assert_eq!(fanout.publish(1)?.routed, 1);
    Ok(())
}

#[test]
fn the_rules_of_a_type_are_checked_at_every_bind() -> Result {
    #[derive(Debug)]
    struct Strict;
    impl Router for Strict {
        fn route(&self, _: &RouterMessage<'_>, bindings: &[RouterBinding]) -> Vec<usize> {
            all(bindings)
        }
        fn binding_rules(&self) -> BindingRules {
            BindingRules::default().without_key().queues_only()
        }
    }
    let broker = Broker::builder().exchange_type(KIND, Strict).build();
    broker.declare(&exchange())?;
    broker.declare(&queue())?;
    broker.declare(&Exchange::fanout("y"))?;
    let channel = connect(&broker)?.open_channel()?;
    let none = FieldTable::new;
    let text = |result: Result<()>| result.unwrap_err().to_string();
    let key = "PRECONDITION_FAILED - Non empty binding 'k' key not permitted";
    let to_exchange = "PRECONDITION_FAILED - Destination not found";
    assert_eq!(text(channel.queue_bind("q", "x", "k", none())), key);
    assert_eq!(
        text(channel.exchange_bind("y", "x", "", none())),
        to_exchange
    );
    let declared = broker.declare(&Queue::new("half").bind(exchange(), "k"));
    assert_eq!(text(declared.map(drop)), key);
    let declared = broker.declare(&Exchange::fanout("half").bind(exchange(), ""));
    assert_eq!(text(declared.map(drop)), to_exchange);
    for half in [
        broker.declare(&Queue::existing("half")).map(drop),
        broker.declare(&Exchange::existing("half")).map(drop),
    ] {
        assert!(half.unwrap_err().is_not_found());
    }
    // A missing queue is noticed first, and an unbind checks nothing.
    let missing = channel.queue_bind("missing", "x", "k", none());
    assert!(missing.unwrap_err().is_not_found());
    channel.queue_unbind("q", "x", "k", none())?;
    channel.queue_bind("q", "x", "", none())?;
    Ok(())
}

#[test]
fn a_local_random_exchange_sends_to_one_classic_queue_by_chance() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::local_random("x");
    let names = ["a", "b", "c"];
    for name in names {
        broker.declare(&Queue::new(name).bind(&exchange, ""))?;
    }
    let producer = broker.producer::<u32>(&exchange)?;
    for n in 0..300 {
        assert_eq!(producer.publish_to("any", n)?.routed, 1);
    }
    let shares = names.map(|name| len(&broker, name));
    assert!(
        shares.iter().all(|share| (50..150).contains(share)),
        "{shares:?}"
    );
    assert_eq!(shares.iter().sum::<usize>(), 300);
    let text = |queue: &Queue| broker.declare(queue).unwrap_err().to_string();
    assert_eq!(
        text(&Queue::quorum("quorum").bind(&exchange, "")),
        "PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this exchange type"
    );
    Ok(())
}

#[test]
fn a_modulus_hash_exchange_keeps_messages_of_one_key_together() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::modulus_hash("x");
    let names = ["q1", "q2", "q3"];
    for name in names {
        broker.declare(&Queue::new(name).bind(&exchange, ""))?;
    }
    let producer = broker.producer::<String>(&exchange)?;
    let mut places = BTreeMap::new();
    for round in 0..3 {
        for n in 0..12 {
            let key = format!("key-{n}");
            let place = broker.route(&exchange, &key, &FieldTable::new())?;
            assert_eq!(place.len(), 1);
            let first = places.entry(key.clone()).or_insert_with(|| place.clone());
            assert_eq!(*first, place, "round {round}");
            producer.publish_to(&key, key.clone())?;
        }
    }
    // As on RabbitMQ 4.3.6: three keys, three keys and six keys.
    let lens = names.map(|name| broker.simple_queue::<String>(name).unwrap().len().unwrap());
    assert_eq!(lens, [9, 9, 18]);
    Ok(())
}

#[test]
fn a_router_whose_drop_panics_ends_with_its_broker() {
    #[derive(Debug)]
    struct Fragile(Arc<AtomicUsize>);
    impl Router for Fragile {
        fn route(&self, _: &RouterMessage<'_>, _: &[RouterBinding]) -> Vec<usize> {
            Vec::new()
        }
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            panic!("not yet");
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let router = Fragile(Arc::clone(&dropped));
    let broker = Broker::builder().exchange_type(KIND, router).build();
    broker.declare(&queue().bind(exchange(), "")).unwrap();
    let producer = broker.producer::<u32>(&exchange()).unwrap();
    producer.publish(1).unwrap();
    broker.delete(&exchange()).unwrap();
    assert_eq!(dropped.load(SeqCst), 0);
    drop(producer);
    drop(broker);
    assert_eq!(dropped.load(SeqCst), 1);
}

#[test]
fn publishers_and_binders_at_once_lose_no_message() -> Result {
    const MESSAGES: usize = 2_000;
    let next = AtomicUsize::new(0);
    let broker =
        broker_with(move |_, bindings| vec![next.fetch_add(1, SeqCst) % bindings.len().max(1)]);
    broker.declare(&Queue::new("stays").bind(exchange(), ""))?;
    let producer = broker.producer::<u32>(&exchange())?;
    let routed = AtomicUsize::new(0);
    std::thread::scope(|scope| -> Result {
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for n in 0..MESSAGES {
                        let published = producer.publish(n as u32).unwrap();
                        routed.fetch_add(published.routed, SeqCst);
                    }
                })
            })
            .collect();
        let channel = connect(&broker)?.open_channel()?;
        broker.declare(&Queue::new("comes"))?;
        while publishers.iter().any(|publisher| !publisher.is_finished()) {
            channel.queue_bind("comes", "x", "", FieldTable::new())?;
            channel.queue_unbind("comes", "x", "", FieldTable::new())?;
        }
        Ok(())
    })?;
    let there = len(&broker, "stays") + len(&broker, "comes");
    assert_eq!(there, routed.load(SeqCst));
    assert!(there > 0);
    Ok(())
}

#[test]
fn an_unknown_type_stays_unknown() {
    let broker = broker_with(|_, bindings| all(bindings));
    let error = broker.declare(&Exchange::new("x", "router")).unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
}
