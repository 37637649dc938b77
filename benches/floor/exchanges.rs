//! Exchanges with more work: a fanout to ten queues, and a topic exchange with many bindings.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use leveret::{Broker, Consumer, Exchange, Producer, Queue};

use super::{
    QUEUES,
    group::Group,
    item::{Item, Msg, STOP},
    options::Options,
    race::{Job, Tally, race},
    raw,
    routed::{consume, direct, publish, receive, receive_so_many},
};

/// The number of bindings of the topic exchange, and the number of routing keys that are used in
/// turn.
const BINDINGS: u64 = 10_000;
const KEYS: u64 = 1_000;

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    let (few, many) = (KEYS, options.size(2 * KEYS, 1_000_000));
    let topic = |bindings, keys| {
        let topic = OnceCell::new();
        move |n| topic.get_or_init(|| Topic::new(bindings, keys)).run(n)
    };
    vec![
        Group::throughput("1x10")
            .row("raw-fanout", None, messages / QUEUES, raw::fanout)
            .row("leveret-fanout", Some(1.0), messages / QUEUES, fanout),
        Group::throughput("topic")
            .row("leveret-direct", None, messages, |n| direct::<Msg>(n, 1, 1))
            .row("leveret-topic", Some(0.8), messages, topic(BINDINGS, KEYS)),
        Group::throughput("bindings")
            .row("leveret-1k", None, messages, topic(few, KEYS))
            .row("leveret-1m", Some(0.5), messages, topic(many, KEYS)),
    ]
}

/// Through a fanout exchange and its queues, each with one consumer.
pub fn fanout(messages: u64) -> Duration {
    let broker = Broker::new();
    let exchange = Exchange::fanout("floor");
    let queues: Vec<Queue> = (0..QUEUES)
        .map(|number| Queue::new(format!("floor-{number}")).bind(&exchange, ""))
        .collect();
    let receiving = queues
        .iter()
        .map(|queue| receive(consume::<Msg>(&broker, queue)))
        .collect();
    let producer: Producer<Msg> = broker.producer(&exchange).expect("the exchange is there");
    let sending = vec![publish(producer.clone(), 1..=messages)];
    let (time, got) = race(sending, receiving, || {
        let stop = producer.publish(Msg::make(STOP));
        assert_eq!(stop.expect("the broker is there").routed, QUEUES as usize);
    });
    assert_eq!(got, Tally::expected(messages, QUEUES));
    time
}

/// A topic exchange with many bindings to one queue.
pub struct Topic {
    /// Keeps the broker alive.
    _broker: Broker,
    producer: Producer<Msg>,
    consumer: Arc<Consumer<Msg>>,
    keys: Arc<[String]>,
}

impl Topic {
    /// One binding matches each key. Most bindings are patterns.
    pub fn new(bindings: u64, keys: u64) -> Topic {
        let broker = Broker::new();
        let exchange = Exchange::topic("floor");
        let mut queue = Queue::new("floor");
        for number in 0..bindings {
            let pattern = match number % 4 {
                0 => format!("at.{number}.*"),
                1 => format!("*.{number}.up"),
                2 => format!("at.{number}.#"),
                _ => format!("at.{number}.up"),
            };
            queue = queue.bind(&exchange, &pattern);
        }
        Topic {
            consumer: Arc::new(consume(&broker, &queue)),
            producer: broker.producer(&exchange).expect("the exchange is there"),
            keys: (0..keys)
                .map(|number| format!("at.{}.up", number * (bindings / keys)))
                .collect(),
            _broker: broker,
        }
    }

    /// Publishes with the routing keys in turn.
    pub fn run(&self, messages: u64) -> Duration {
        let (producer, keys) = (self.producer.clone(), Arc::clone(&self.keys));
        let sending: Job<()> = Box::new(move || {
            for (id, key) in (1..=messages).zip(keys.iter().cycle()) {
                let published = producer
                    .publish_to(key, Msg::make(id))
                    .expect("the broker is there");
                assert_eq!(published.routed, 1);
            }
        });
        let receiving = receive_so_many(Arc::clone(&self.consumer), messages);
        let (time, got) = race(vec![sending], vec![receiving], || {});
        assert_eq!(got, Tally::expected(messages, 1));
        time
    }
}
