//! Queues with additional work, and many queues at once.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use leveret::{Broker, Budget, Consumer, Exchange, Producer, Properties, Queue};

use super::{
    group::Group,
    item::{Item, Msg, STOP},
    options::Options,
    race::{Job, Tally, race},
    routed::{consume, direct, publish, receive},
};

/// The number of messages to each of the many queues.
const EACH: u64 = 10;

/// The number of priorities that are used in turn.
const PRIORITIES: u8 = 4;

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    let queues = options.size(200, 100_000);
    let crowd = OnceCell::new();
    vec![
        Group::throughput("features")
            .row("leveret", None, messages, |n| direct::<Msg>(n, 1, 1))
            .row("leveret-all-features", Some(0.5), messages, |n| {
                through(with_all_features(), n, &[Properties::new()])
            })
            .row("leveret-all-priorities", Some(0.5), messages, |n| {
                through(with_all_features(), n, &priorities())
            })
            .row("leveret-priorities", Some(0.85), messages, |n| {
                through(with_priorities(), n, &priorities())
            })
            .row("leveret-budget", Some(0.85), messages, with_budget),
        Group::throughput("queues")
            .row("leveret-one", None, queues * EACH, |n| {
                direct::<Msg>(n, 1, 1)
            })
            .row("leveret-100k", Some(0.4), queues * EACH, move |n| {
                crowd.get_or_init(|| Crowd::new(queues)).run(n)
            }),
    ]
}

fn priorities() -> Vec<Properties> {
    (0..PRIORITIES)
        .map(|priority| Properties::new().priority(priority))
        .collect()
}

/// A queue with priorities and nothing else.
fn with_priorities() -> Queue {
    Queue::new("floor").max_priority(PRIORITIES)
}

/// A queue with a time to live, a length limit, priorities and a dead-letter exchange. None of
/// these features has to act.
fn with_all_features() -> Queue {
    with_priorities()
        .message_ttl(Duration::from_secs(3600))
        .max_length(1 << 32)
        .dead_letter_exchange("dead")
}

/// Through this queue. The messages use the properties in turn.
fn through(queue: Queue, messages: u64, properties: &[Properties]) -> Duration {
    let broker = Broker::new();
    let exchange = Exchange::direct("floor");
    broker
        .declare(&Queue::new("dead").bind(Exchange::fanout("dead"), ""))
        .expect("a new queue");
    let queue = queue.bind(&exchange, "floor");
    let producers: Vec<Producer<Msg>> = properties
        .iter()
        .map(|properties| {
            broker
                .producer_builder(&exchange)
                .routing_key("floor")
                .properties(properties.clone())
                .build()
                .expect("the exchange fits")
        })
        .collect();
    // The stop message has the lowest priority, so it comes after all others.
    let stopper = producers[0].clone();
    let receiving = receive(consume::<Msg>(&broker, &queue));
    let sending: Job<()> = if let [producer] = &*producers {
        publish(producer.clone(), 1..=messages)
    } else {
        Box::new(move || {
            for (id, producer) in (1..=messages).zip(producers.iter().cycle()) {
                let published = producer
                    .publish(Msg::make(id))
                    .expect("the broker is there");
                assert_eq!(published.routed, 1);
            }
        })
    };
    let (time, got) = race(vec![sending], vec![receiving], || {
        let stop = stopper.publish(Msg::make(STOP));
        assert_eq!(stop.expect("the broker is there").routed, 1);
    });
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

/// Through a queue with a byte budget, which is never spent.
fn with_budget(messages: u64) -> Duration {
    let broker = Broker::new();
    broker
        .declare(&Budget::new("floor", 1 << 40).block())
        .expect("a new budget");
    let exchange = Exchange::direct("floor");
    let queue = Queue::new("floor").budget("floor").bind(&exchange, "floor");
    let producer: Producer<Msg> = broker
        .producer_builder(&exchange)
        .routing_key("floor")
        .build()
        .expect("a new exchange");
    let receiving = receive(consume::<Msg>(&broker, &queue));
    let sending = publish(producer.clone(), 1..=messages);
    let (time, got) = race(vec![sending], vec![receiving], || {
        let stop = producer.publish(Msg::make(STOP));
        assert_eq!(stop.expect("the broker is there").routed, 1);
    });
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

/// Many queues in one broker, each with its own producer and consumer.
pub struct Crowd {
    /// Keeps the broker alive.
    _broker: Broker,
    members: Arc<Vec<(Producer<Msg>, Consumer<Msg>)>>,
}

impl Crowd {
    pub fn new(queues: u64) -> Crowd {
        let broker = Broker::new();
        let members = (0..queues)
            .map(|number| {
                let queue = Queue::new(format!("floor-{number}"));
                let consumer = consume::<Msg>(&broker, &queue);
                let producer = broker.producer(&queue).expect("the queue is there");
                (producer, consumer)
            })
            .collect();
        Crowd {
            _broker: broker,
            members: Arc::new(members),
        }
    }

    /// One thread publishes to one queue after the other, in a loop. Another thread receives and
    /// acknowledges in the same order.
    pub fn run(&self, messages: u64) -> Duration {
        let members = Arc::clone(&self.members);
        let sending: Job<()> = Box::new(move || {
            for (id, (producer, _)) in (1..=messages).zip(members.iter().cycle()) {
                let published = producer
                    .publish(Msg::make(id))
                    .expect("the broker is there");
                assert_eq!(published.routed, 1);
            }
        });
        let members = Arc::clone(&self.members);
        let receiving: Job<Tally> = Box::new(move || {
            let mut tally = Tally::default();
            for (_, (_, consumer)) in (1..=messages).zip(members.iter().cycle()) {
                let delivery = consumer.recv().expect("the broker is there");
                tally.add(delivery.id());
                delivery.ack().expect("the broker is there");
            }
            tally
        });
        let (time, got) = race(vec![sending], vec![receiving], || {});
        assert_eq!(got, Tally::expected(messages, 1));
        time
    }
}
