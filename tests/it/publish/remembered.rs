//! Publishes by a remembered route, which need no checks, beside the same with all checks.

use leveret::{
    Broker, Delivery, Exchange, ExchangeStats, Message, Overflow, Properties, Published, Queue,
    QueueSnapshot, TryRecvError,
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
        Way::InFull => builder,
    };
    let producer = producer.build().unwrap();
    let published = (0..5).map(|number| match way {
        Way::Plain => producer.publish(number).unwrap(),
        Way::WithKey => producer.publish_to(key, number).unwrap(),
        Way::InFull => {
            let message = Message::new(number).properties(properties.clone());
            producer.publish_message(message.routing_key(key)).unwrap()
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
                for way in [Way::Plain, Way::WithKey] {
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
