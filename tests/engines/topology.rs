//! Declarations, bindings and their errors.

use leveret::{Binding, Credentials, EntityKind, Error, Exchange, Queue, RecvTimeoutError};

use crate::{
    engine::{Engine, LONG, SHORT},
    on_each_engine,
};

on_each_engine! {
    exchanges_route_by_their_types
    exchanges_are_bound_to_exchanges
    other_properties_are_named
    what_does_not_exist_is_not_found
    purges_and_deletions_count
    an_exclusive_queue_is_locked_for_other_connections
    a_temporary_queue_ends_with_its_consumer
    an_open_description_takes_the_queue_that_is_there
    names_are_checked
}

fn exchanges_route_by_their_types(engine: &Engine) {
    let broker = &engine.broker;
    let direct = Exchange::direct(engine.exchange("direct"));
    let topic = Exchange::topic(engine.exchange("topic"));
    let headers = Exchange::headers(engine.exchange("headers"));
    let queue = engine
        .queue("q")
        .bind(&direct, "k")
        .bind(&topic, "*.error.#")
        .bind_with(&headers, "", [("x-match", "any"), ("a", "1"), ("b", "2")]);
    broker.declare(&queue).unwrap();
    let to = |exchange: &Exchange| broker.producer::<u32>(exchange).unwrap();
    assert_eq!(to(&direct).publish_to("k", 1).unwrap().routed, 1);
    assert_eq!(to(&direct).publish_to("other", 0).unwrap().routed, 0);
    assert_eq!(to(&topic).publish_to("disk.error", 2).unwrap().routed, 1);
    assert_eq!(
        to(&topic).publish_to("disk.error.a.b", 3).unwrap().routed,
        1
    );
    assert_eq!(to(&topic).publish_to("error", 0).unwrap().routed, 0);
    let with = |name, value| leveret::Message::new(4).header(name, value);
    let by_headers = to(&headers);
    assert_eq!(
        by_headers.publish_message(with("b", "2")).unwrap().routed,
        1
    );
    assert_eq!(
        by_headers.publish_message(with("b", "1")).unwrap().routed,
        0
    );
    let consumer = broker
        .consumer::<u32>(Queue::existing(queue.name()))
        .unwrap();
    for number in 1..=4 {
        assert_eq!(
            consumer.recv_timeout(LONG).unwrap().ack_into().unwrap(),
            number
        );
    }
}

fn exchanges_are_bound_to_exchanges(engine: &Engine) {
    let source = Exchange::topic(engine.exchange("source"));
    let middle = Exchange::fanout(engine.exchange("middle"));
    let middle = middle.binding(Binding::new(&source, "a.*"));
    let queue = engine.queue("q").bind(&middle, "");
    engine.broker.declare(&queue).unwrap();
    let producer = engine.broker.producer::<u32>(&source).unwrap();
    producer.publish_to("a.b", 7).unwrap();
    producer.publish_to("b.a", 8).unwrap();
    let queue = engine
        .broker
        .simple_queue::<u32>(Queue::existing(queue.name()))
        .unwrap();
    let delivery = queue.get_timeout(LONG).unwrap();
    assert_eq!((*delivery, delivery.info().routing_key()), (7, "a.b"));
    assert_eq!(delivery.info().exchange(), source.name());
    delivery.ack().unwrap();
    assert!(queue.is_empty().unwrap());
}

fn other_properties_are_named(engine: &Engine) {
    let queue = engine.queue("q");
    engine.broker.declare(&queue).unwrap();
    engine.broker.declare(&queue).unwrap();
    let other = queue.clone().max_length(7);
    let Error::Inequivalent(difference) = engine.broker.declare(&other).unwrap_err() else {
        panic!("inequivalent");
    };
    assert_eq!(
        (&*difference.field, difference.entity),
        ("x-max-length", EntityKind::Queue)
    );
    assert_eq!((&*difference.name, &*difference.vhost), (queue.name(), "/"));
    assert_eq!(difference.received.unwrap().as_i64(), Some(7));
    assert_eq!(difference.current, None);
    let name = engine.exchange("x");
    engine.broker.declare(&Exchange::fanout(&name)).unwrap();
    let error = engine.broker.declare(&Exchange::topic(&name)).unwrap_err();
    let Error::Inequivalent(difference) = error else {
        panic!("inequivalent");
    };
    assert_eq!(
        (&*difference.field, difference.entity),
        ("type", EntityKind::Exchange)
    );
    assert_eq!(difference.received.unwrap().as_str(), Some("topic"));
    assert_eq!(difference.current.unwrap().as_str(), Some("fanout"));
}

fn what_does_not_exist_is_not_found(engine: &Engine) {
    let broker = &engine.broker;
    let missing = engine.queue("missing");
    for error in [
        broker
            .declare(&Queue::existing(missing.name()))
            .unwrap_err(),
        broker
            .consumer::<u32>(Queue::existing(missing.name()))
            .map(drop)
            .unwrap_err(),
        broker.purge(Queue::existing(missing.name())).unwrap_err(),
        broker
            .producer::<u32>(&Exchange::existing(missing.name()))
            .map(drop)
            .unwrap_err(),
        broker
            .simple_queue::<u32>(Queue::existing(missing.name()))
            .map(drop)
            .unwrap_err(),
    ] {
        let Error::NotFound { name, vhost, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((&**name, &**vhost), (missing.name(), "/"));
    }
    // To delete what is not there is no error.
    broker.delete(&missing).unwrap();
    broker.delete(&Exchange::existing(missing.name())).unwrap();
}

fn purges_and_deletions_count(engine: &Engine) {
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    for number in 0..5 {
        producer.publish(number).unwrap();
    }
    assert_eq!(engine.broker.purge(&queue).unwrap(), 5);
    assert_eq!(engine.broker.purge(&queue).unwrap(), 0);
    engine.broker.delete(&queue).unwrap();
    assert!(producer.publish(5).is_err());
}

fn an_exclusive_queue_is_locked_for_other_connections(engine: &Engine) {
    let connect = || engine.broker.connect("/", Credentials::guest()).unwrap();
    let (ours, theirs) = (connect(), connect());
    let queue = ours.declare(&Queue::exclusive()).unwrap();
    assert!(!queue.name().is_empty());
    assert_eq!(theirs.purge(&queue).unwrap_err().reply_code(), Some(405));
    assert!(matches!(
        theirs.purge(&queue),
        Err(Error::ResourceLocked { .. })
    ));
    ours.close().unwrap();
    // A server may need a moment for that.
    let begin = std::time::Instant::now();
    while !theirs.purge(&queue).unwrap_err().is_not_found() {
        assert!(begin.elapsed() < LONG);
    }
}

fn a_temporary_queue_ends_with_its_consumer(engine: &Engine) {
    let news = Exchange::fanout(engine.exchange("news"));
    let publisher = engine.broker.producer::<u32>(&news).unwrap();
    let subscribe = || engine.broker.subscribe_to::<u32>(&news, "").unwrap();
    let (a, b) = (subscribe(), subscribe());
    publisher.publish(7).unwrap();
    for consumer in [&a, &b] {
        let delivery = consumer.recv_timeout(LONG).unwrap();
        assert_eq!(*delivery, 7);
        delivery.ack().unwrap();
    }
    drop((a, b));
    // The server may need a moment for that.
    let begin = std::time::Instant::now();
    loop {
        match publisher.publish(8) {
            Ok(published) if published.routed == 0 => break,
            // RabbitMQ 4.3 refuses a message for a queue that ends.
            Ok(_) | Err(_) => assert!(begin.elapsed() < LONG),
        }
    }
}

fn an_open_description_takes_the_queue_that_is_there(engine: &Engine) {
    let queue = engine.queue("q").max_length(3);
    engine.broker.declare(&queue).unwrap();
    let producer = engine.broker.producer::<u32>(queue.name()).unwrap();
    producer.publish(1).unwrap();
    let consumer = engine.broker.consumer::<u32>(queue.name()).unwrap();
    assert_eq!(consumer.recv_timeout(LONG).unwrap().ack_into().unwrap(), 1);
    let other = engine.queue("other");
    let consumer = engine.broker.consumer::<u32>(other.name()).unwrap();
    assert!(matches!(
        consumer.recv_timeout(SHORT),
        Err(RecvTimeoutError::Timeout)
    ));
}

fn names_are_checked(engine: &Engine) {
    let long = "x".repeat(256);
    let error = engine.broker.declare(&Queue::new(&long)).unwrap_err();
    assert_eq!(error.reply_code(), Some(502));
    let error = engine.broker.declare(&Exchange::fanout(&long)).unwrap_err();
    assert_eq!(error.reply_code(), Some(502));
    let error = engine.broker.declare(&Queue::new("amq.own")).unwrap_err();
    assert_eq!(error.reply_code(), Some(403));
}
