//! Publishes by a remembered route, which need no checks, beside the same with all checks.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use leveret::{
    Broker, Delivery, Error, Exchange, ExchangeStats, FieldValue, Message, Overflow, Properties,
    Published, Queue, QueueSnapshot, TryRecvError,
};

use crate::common::on_a_manual_clock;

/// How messages are published that all have the same properties and the same routing key.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// As their producer says.
    Plain,
    /// With the properties of their producer.
    WithKey,
    /// As each message says.
    Own,
    /// As each message says, with all checks.
    InFull,
}

/// All that the publishes leave behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    published: Vec<Published>,
    stats: ExchangeStats,
    queues: Vec<QueueSnapshot>,
    received: Vec<String>,
}

fn shown(delivery: &Delivery<u64>) -> String {
    let info = delivery.info();
    format!(
        "{}: {} {:?} {:?} {} {} {}",
        info.queue(),
        **delivery,
        info.properties(),
        info.exchange(),
        info.routing_key(),
        info.position(),
        info.size(),
    )
}

/// Publishes five messages to a fanout exchange with these queues, and receives what comes.
fn publish(way: Way, queues: &[Queue], key: &str, properties: &Properties) -> Outcome {
    let (broker, _clock) = on_a_manual_clock();
    let exchange = Exchange::fanout("x");
    for queue in queues {
        broker.declare(&queue.clone().bind(&exchange, "")).unwrap();
    }
    let builder = broker.producer_builder::<u64>(&exchange);
    let producer = match way {
        Way::Plain => builder.routing_key(key).properties(properties.clone()),
        Way::WithKey => builder.properties(properties.clone()),
        Way::Own | Way::InFull => builder,
    };
    let producer = producer.build().unwrap();
    let message = |number| {
        let message = Message::new(number).properties(properties.clone());
        message.routing_key(key)
    };
    let published = (0..5).map(|number| match way {
        Way::Plain => producer.publish(number).unwrap(),
        Way::WithKey => producer.publish_to(key, number).unwrap(),
        Way::Own => producer.publish_message(message(number)).unwrap(),
        // A message that says so itself is checked.
        Way::InFull => {
            let message = message(number).not_mandatory();
            producer.publish_message(message).unwrap()
        }
    });
    let published = published.collect();
    let snapshot = broker.snapshot().unwrap();
    Outcome {
        published,
        stats: snapshot.exchange("x").unwrap().message_stats,
        queues: queues
            .iter()
            .map(|queue| snapshot.queue(queue.name()).unwrap().clone())
            .collect(),
        received: queues
            .iter()
            .flat_map(|queue| received(&broker, queue))
            .collect(),
    }
}

/// Takes all messages of a queue.
fn received(broker: &Broker, queue: &Queue) -> Vec<String> {
    let queue = broker.simple_queue::<u64>(&Queue::existing(queue.name()));
    let queue = queue.unwrap();
    std::iter::from_fn(|| match queue.try_get() {
        Ok(delivery) => {
            let shown = shown(&delivery);
            delivery.ack().unwrap();
            Some(shown)
        }
        Err(TryRecvError::Empty) => None,
        Err(error) => panic!("{error}"),
    })
    .collect()
}

#[test]
fn a_publish_by_a_remembered_route_leaves_behind_what_one_with_all_checks_does() {
    let all_properties = [
        Properties::new(),
        Properties::new().header("k", "v"),
        Properties::new().priority(3),
        Properties::new().persistent().message_id("id"),
        Properties::new().expiration("5000"),
    ];
    let keys = ["", "fifteen-letters", "sixteen-letters-"];
    let routes = [
        vec![Queue::new("a")],
        vec![Queue::new("a").max_priority(5)],
        vec![Queue::new("a").max_length(3)],
        vec![Queue::new("a"), Queue::new("b").max_priority(5)],
        vec![Queue::new("a"), rejecting("b"), Queue::new("c")],
    ];
    for properties in &all_properties {
        for key in keys {
            for queues in &routes {
                let in_full = publish(Way::InFull, queues, key, properties);
                for way in [Way::Plain, Way::WithKey, Way::Own] {
                    let found = publish(way, queues, key, properties);
                    assert_eq!(found, in_full, "{way:?} {key:?} {properties:?}");
                }
            }
        }
    }
}

/// A queue that takes two messages and refuses the others.
fn rejecting(name: &str) -> Queue {
    let queue = Queue::new(name).max_length(2);
    queue.overflow(Overflow::RejectPublish)
}

#[test]
fn a_fanout_reaches_the_queues_behind_a_full_one_once() {
    let queues = [Queue::new("a"), rejecting("b"), Queue::new("c")];
    for properties in [Properties::new(), Properties::new().header("k", "v")] {
        let outcome = publish(Way::Plain, &queues, "", &properties);
        let published = outcome.published.iter();
        let counts: Vec<_> = published.map(|one| (one.routed, one.refused)).collect();
        assert_eq!(counts, [(3, 0), (3, 0), (2, 1), (2, 1), (2, 1)]);
        let stats = outcome.stats;
        assert_eq!((stats.publish_in, stats.publish_out), (5, 12));
        let ready = outcome.queues.iter().map(|queue| queue.ready.messages);
        assert_eq!(ready.collect::<Vec<_>>(), [5, 2, 5]);
        assert_eq!(outcome.received.len(), 12);
    }
}

/// Publishes to a full queue by a remembered route.
#[test]
fn a_message_with_properties_comes_back_as_it_was_given() {
    let broker = Broker::new();
    let producer = broker.producer::<u64>(&rejecting("q")).unwrap();
    let all_properties = [
        Properties::new(),
        Properties::new().correlation_id("1"),
        Properties::new().content_type("text/csv").expiration("007"),
    ];
    for properties in &all_properties {
        let message = || Message::new(7).properties(properties.clone());
        let messages = [message(), message().routing_key("q")];
        for message in messages {
            let mut refused = Vec::new();
            for _ in 0..3 {
                refused.extend(producer.publish_message(message.clone()).err());
            }
            let mut publishing = pin!(producer.publish_message_async(message.clone()));
            match publishing
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(published) => refused.extend(published.err()),
                Poll::Pending => panic!("the queue refuses it"),
            }
            assert!(!refused.is_empty());
            for error in refused {
                assert!(matches!(error.error(), Error::Refused { .. }));
                assert_eq!(error.into_inner().as_ref(), Some(&message));
            }
        }
    }
}

#[test]
fn a_message_with_properties_waits_for_room() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u64>(&queue).unwrap();
    let message = |number: u64| Message::new(number).message_id(number.to_string());
    producer.publish_message(message(1)).unwrap();
    let refused = producer.try_publish_message(message(2)).unwrap_err();
    assert_eq!(refused.into_inner(), Some(message(2)));
    let mut publishing = pin!(producer.publish_message_async(message(2)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(publishing.as_mut().poll(&mut context).is_pending());
    let taking = broker.simple_queue::<u64>("q").unwrap();
    taking.get().unwrap().ack().unwrap();
    assert!(publishing.as_mut().poll(&mut context).is_ready());
    let second = taking.get().unwrap();
    let id = second.info().properties().message_id.clone();
    assert_eq!((*second, id.as_deref()), (2, Some("2")));
    drop(clock);
}

#[test]
fn a_remembered_route_spares_no_check_of_properties() {
    let broker = Broker::new();
    let exchange = Exchange::direct("x");
    for name in ["a", "b"] {
        broker
            .declare(&Queue::new(name).bind(&exchange, name))
            .unwrap();
    }
    let producer = broker.producer_builder::<u64>(&exchange).routing_key("a");
    let producer = producer.build().unwrap();
    let mut nested = FieldValue::Bool(true);
    for _ in 0..1_000 {
        nested = FieldValue::Array(vec![nested]);
    }
    let invalid = [
        Properties::new().expiration("soon"),
        Properties::new().user_id("somebody else"),
        Properties::new().reply_to("amq.rabbitmq.reply-to"),
        Properties::new().header("CC", "b"),
        Properties::new().header("k", nested),
    ];
    for properties in invalid {
        let good = Message::new(1).app_id("monitor");
        assert_eq!(producer.publish_message(good).unwrap().routed, 1);
        let bad = Message::new(2).properties(properties);
        let refused = producer.publish_message(bad.clone()).unwrap_err();
        let error = refused.error();
        let is_invalid = matches!(
            error,
            Error::PreconditionFailed { .. } | Error::InvalidTable { .. }
        );
        assert!(is_invalid, "{error}");
        assert_eq!(refused.into_inner(), Some(bad));
    }
    let keys = FieldValue::Array(vec!["b".into()]);
    for _ in 0..2 {
        let to_both = Message::new(3).header("CC", keys.clone());
        assert_eq!(producer.publish_message(to_both).unwrap().routed, 2);
    }
}

#[test]
fn a_message_with_properties_goes_to_the_queue_that_follows_a_deleted_one() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u64>(&queue).unwrap();
    for _ in 0..3 {
        broker.declare(&queue).unwrap();
        for _ in 0..2 {
            let message = Message::new(1).correlation_id("1");
            assert_eq!(producer.publish_message(message).unwrap().routed, 1);
        }
        broker.delete(&queue).unwrap();
        let message = Message::new(1).correlation_id("1");
        let refused = producer.publish_message(message.clone()).unwrap_err();
        assert!(matches!(refused.error(), Error::NoRoute { .. }));
        assert_eq!(refused.into_inner(), Some(message));
    }
}

#[test]
fn a_broker_that_is_shut_down_takes_no_message_by_a_remembered_route() {
    let broker = Broker::new();
    let producer = broker.producer::<u64>("q").unwrap();
    let message = || Message::new(1).correlation_id("1");
    for _ in 0..2 {
        producer.publish_message(message()).unwrap();
    }
    broker.shutdown(Duration::ZERO).unwrap();
    let refused = producer.publish_message(message()).unwrap_err();
    assert_eq!(refused.error(), &Error::ShutDown);
    assert_eq!(refused.into_inner(), Some(message()));
}

// The message with properties of its own had the route remembered, without the further keys.
#[test]
fn further_keys_of_the_properties_of_a_producer_count_behind_a_message_with_its_own()
-> leveret::Result {
    for header in ["CC", "BCC"] {
        let broker = Broker::new();
        for queue in ["a", "b"] {
            broker.declare(&Queue::new(queue))?;
        }
        let further = Properties::new().header(header, FieldValue::Array(vec!["b".into()]));
        let builder = broker.producer_builder::<u32>(Queue::existing("a"));
        let producer = builder.properties(further).build()?;
        assert_eq!(producer.publish(1)?.routed, 2);
        let own = Message::new(2).priority(1);
        assert_eq!(producer.publish_message(own)?.routed, 1);
        assert_eq!(producer.publish(3)?.routed, 2);
        assert_eq!(producer.publish_batch([4, 5]).next().unwrap()?.routed, 2);
    }
    Ok(())
}
