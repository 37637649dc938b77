//! What exchanges keep over the end of a broker: histories, and the order of bindings.

use super::*;

fn drain(broker: &Broker, queue: &str) -> Vec<u32> {
    let queue = broker.simple_queue::<u32>(queue).unwrap();
    std::iter::from_fn(|| {
        let message = queue.try_get().ok()?;
        let number = *message;
        message.ack().unwrap();
        Some(number)
    })
    .collect()
}

/// As RabbitMQ 4.3.6, which keeps transient messages of transient exchanges too.
#[test]
fn a_history_comes_back_with_its_exchange() {
    let folder = Folder::new();
    for (exchange, start) in [
        (Exchange::recent_history("durable").durable(), 0),
        (Exchange::recent_history("transient"), 100),
    ] {
        let exchange = exchange.history_length(3);
        let binding = Queue::new("q").bind(&exchange, "");
        {
            let broker = folder.broker();
            let producer = broker.producer::<u32>(&exchange).unwrap();
            for number in start..start + 5 {
                producer.publish(number).unwrap();
            }
        }
        for round in 0..2 {
            let broker = folder.broker();
            broker.declare(&binding).unwrap();
            let expected: Vec<u32> = (start + 2 + round..start + 5 + round).collect();
            assert_eq!(drain(&broker, "q"), expected);
            let producer = broker.producer::<u32>(&exchange).unwrap();
            producer.publish(start + 5 + round).unwrap();
            assert_eq!(drain(&broker, "q"), [start + 5 + round]);
            broker.delete(&Queue::new("q")).unwrap();
        }
        let broker = folder.broker();
        broker.delete(&exchange).unwrap();
        broker.declare(&exchange).unwrap();
        drop(broker);
        let broker = folder.broker();
        broker.declare(&binding).unwrap();
        assert!(drain(&broker, "q").is_empty());
        broker.delete(&Queue::new("q")).unwrap();
    }
}

fn route(broker: &Broker) -> Vec<String> {
    let keys = (0..60).map(|number| format!("key {number}"));
    let route = |key: String| {
        let queues = broker.route(&"x".into(), &key, &FieldTable::new()).unwrap();
        assert_eq!(queues.len(), 1);
        queues[0].to_string()
    };
    keys.map(route).collect()
}

#[test]
fn a_consistent_hash_exchange_sends_keys_where_it_did() {
    let folder = Folder::new();
    let exchange = Exchange::consistent_hash("x");
    let bound = |name: &str, weight: &str| Queue::new(name).durable().bind(&exchange, weight);
    let before = {
        let broker = folder.broker();
        for (name, weight) in [("z", "2"), ("m", "1"), ("a", "3"), ("m2", "1")] {
            broker.declare(&bound(name, weight)).unwrap();
        }
        broker.delete(&Queue::new("m").durable()).unwrap();
        broker.declare(&bound("m", "1")).unwrap();
        route(&broker)
    };
    for _ in 0..2 {
        assert_eq!(route(&folder.broker()), before);
    }
}

/// As RabbitMQ 4.3.6: the binding that had no effect gets one, behind all others.
#[test]
fn a_binding_that_had_no_effect_gets_the_last_place_at_a_restart() {
    let folder = Folder::new();
    let exchange = Exchange::consistent_hash("x");
    let bound = |name: &str, weight: &str| Queue::new(name).durable().bind(&exchange, weight);
    {
        let broker = folder.broker();
        for name in ["z", "b", "m", "a"] {
            broker.declare(&bound(name, "1")).unwrap();
        }
        broker.declare(&bound("b", "3")).unwrap();
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        let channel = connection.open_channel().unwrap();
        let unbound = channel.queue_unbind("b", "x", "1", FieldTable::new());
        unbound.unwrap();
        assert!(!route(&broker).contains(&"b".to_owned()));
    }
    let other = Broker::new();
    for (name, weight) in [("z", "1"), ("m", "1"), ("a", "1"), ("b", "3")] {
        other.declare(&bound(name, weight)).unwrap();
    }
    assert_eq!(route(&folder.broker()), route(&other));
}

#[test]
fn a_transient_queue_leaves_the_order_with_its_broker() {
    let folder = Folder::new();
    let exchange = Exchange::consistent_hash("x");
    let bound = |queue: Queue| queue.bind(&exchange, "1");
    {
        let broker = folder.broker();
        broker.declare(&bound(Queue::new("a").durable())).unwrap();
        broker.declare(&bound(Queue::new("transient"))).unwrap();
        broker.declare(&bound(Queue::new("b").durable())).unwrap();
    }
    let other = Broker::new();
    for name in ["a", "b"] {
        other.declare(&bound(Queue::new(name).durable())).unwrap();
    }
    assert_eq!(route(&folder.broker()), route(&other));
}
