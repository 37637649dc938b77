//! Asking for the route of a message.

use leveret::{Broker, Error, Exchange, FieldTable, Message, Queue};
use proptest::prelude::*;

use crate::common::{channel_of, connect};

fn none() -> FieldTable {
    FieldTable::new()
}

/// Declares a queue for each of `names`, bound to `exchange` with its own name as the binding key.
fn declare(broker: &Broker, exchange: &Exchange, names: &[&str]) {
    for name in names {
        broker
            .declare(&Queue::new(*name).bind(exchange, *name))
            .unwrap();
    }
}

#[test]
fn a_route_has_the_queues_that_a_publish_reaches() {
    let broker = Broker::new();
    let (first, second) = (Exchange::topic("first"), Exchange::direct("second"));
    let lost = Exchange::fanout("lost");
    declare(&broker, &second, &["a.b", "a.c"]);
    declare(&broker, &lost, &["rest"]);
    broker.declare(&second.clone().bind(&first, "a.#")).unwrap();
    // The bindings also form a circle, and two routes lead to one queue.
    broker.declare(&first.clone().bind(&second, "a.b")).unwrap();
    broker
        .declare(&Queue::new("a.b").bind(&first, "#.b"))
        .unwrap();
    let alternate = Exchange::direct("alternate").alternate("lost");
    declare(&broker, &alternate, &["known"]);

    for (exchange, key, expected) in [
        (&first, "a.b", &["a.b"][..]),
        (&first, "a.c", &["a.c"]),
        (&first, "a.d", &[]),
        (&first, "z.b", &["a.b"]),
        (&alternate, "known", &["known"]),
        (&alternate, "unknown", &["rest"]),
        (&Exchange::existing(""), "a.c", &["a.c"]),
        (&Exchange::existing(""), "unknown", &[]),
    ] {
        let routed = broker.route(exchange, key, &none()).unwrap();
        assert_eq!(routed, expected, "{exchange:?} {key}");
        let producer = broker.producer::<u8>(exchange).unwrap();
        let message = Message::new(1).routing_key(key);
        let published = producer.publish_message(message).unwrap();
        assert_eq!(published.routed, expected.len(), "{exchange:?} {key}");
    }
}

#[test]
fn asking_for_a_route_publishes_nothing() {
    let broker = Broker::new();
    declare(&broker, &Exchange::fanout("x"), &["q", "r"]);
    let routed = broker.route(&Exchange::existing("x"), "", &none()).unwrap();
    assert_eq!(routed, ["q", "r"], "in the order of their bindings");
    for name in ["q", "r"] {
        assert_eq!(broker.purge(Queue::existing(name)).unwrap(), 0);
    }
}

#[test]
fn headers_decide_where_a_message_would_go() {
    let broker = Broker::new();
    let exchange = Exchange::existing("amq.headers");
    let binding = leveret::Binding::new(&exchange, "").arguments([("format", "pdf")]);
    broker.declare(&Queue::new("pdf").binding(binding)).unwrap();
    let pdf = FieldTable::from([("format", "pdf")]);
    assert_eq!(broker.route(&exchange, "", &pdf).unwrap(), ["pdf"]);
    assert!(broker.route(&exchange, "", &none()).unwrap().is_empty());
    // `route` does not evaluate the keys in a `CC` header. A program asks for each of them on its
    // own.
    let keys = leveret::FieldValue::Array(vec!["pdf".into()]);
    let cc = FieldTable::new().with("CC", keys);
    let routed = broker.route(&Exchange::existing(""), "elsewhere", &cc);
    assert!(routed.unwrap().is_empty());
}

#[test]
fn a_delayed_exchange_says_where_a_message_would_go_when_its_time_has_come() {
    let broker = Broker::new();
    let exchange = Exchange::direct("later").delayed();
    declare(&broker, &exchange, &["q"]);
    let headers = FieldTable::from([("x-delay", 5_000)]);
    assert_eq!(broker.route(&exchange, "q", &headers).unwrap(), ["q"]);
}

#[test]
fn connections_and_channels_say_where_a_message_would_go_until_they_are_closed() {
    let broker = Broker::new();
    let exchange = Exchange::direct("x");
    declare(&broker, &exchange, &["q"]);
    let connection = connect(&broker).unwrap();
    let channel = connection.open_channel().unwrap();
    assert_eq!(connection.route(&exchange, "q", &none()).unwrap(), ["q"]);
    assert_eq!(channel.route(&exchange, "q", &none()).unwrap(), ["q"]);
    let long = "x".repeat(256);
    let error = channel.route(&exchange, &long, &none()).unwrap_err();
    assert!(matches!(error, Error::InvalidName(name) if name.length == 256));
    connection.close().unwrap();
    let closed = connection.route(&exchange, "q", &none()).unwrap_err();
    assert_eq!(closed, Error::ConnectionClosed);
    assert!(channel.route(&exchange, "q", &none()).is_err());
}

/// One operation on a virtual host. The numbers come from small ranges.
#[derive(Clone, Debug)]
enum Step {
    Declare(usize, Option<usize>),
    Delete(usize),
    Bind(usize, End, usize),
    Unbind(usize, End, usize),
    DeleteQueue(usize),
    Publish(usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Queue(usize),
    Exchange(usize),
}

const EXCHANGES: usize = 5;
const KEYS: [&str; 3] = ["a", "b", "*"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (exchange, queue, key) = (0..EXCHANGES, 0..3usize, 0..KEYS.len());
    let end = prop_oneof![
        queue.clone().prop_map(End::Queue),
        exchange.clone().prop_map(End::Exchange),
    ];
    let step = prop_oneof![
        2 => (exchange.clone(), proptest::option::of(exchange.clone()))
            .prop_map(|(x, a)| Step::Declare(x, a)),
        1 => exchange.clone().prop_map(Step::Delete),
        6 => (exchange.clone(), end.clone(), key.clone()).prop_map(|(x, e, k)| Step::Bind(x, e, k)),
        3 => (exchange.clone(), end, key.clone()).prop_map(|(x, e, k)| Step::Unbind(x, e, k)),
        1 => queue.prop_map(Step::DeleteQueue),
        9 => (exchange, key).prop_map(|(x, k)| Step::Publish(x, k)),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {

    #![proptest_config(crate::common::cases())]

    /// Compares a producer that remembers its routes with one that has no memory. The first must
    /// notice every change of bindings and exchanges, also far from its own exchange.
    #[test]
    fn remembered_routes_lead_where_a_message_goes_now(steps in steps()) {
        let kinds = [
            Exchange::topic,
            Exchange::direct,
            Exchange::fanout,
            Exchange::topic,
            Exchange::topic,
        ];
        let broker = Broker::new();
        let channel = channel_of(&broker).unwrap();
        let names: Vec<String> = (0..EXCHANGES).map(|number| format!("x{number}")).collect();
        let producers: Vec<_> = names
            .iter()
            .zip(kinds)
            .map(|(name, kind)| broker.producer::<u8>(&kind(name.clone())).unwrap())
            .collect();
        for step in steps {
            // About half of the steps fail because an exchange or queue is missing. That does not
            // matter.
            match step {
                Step::Declare(exchange, alternate) => {
                    let mut description = kinds[exchange](names[exchange].clone());
                    if let Some(alternate) = alternate {
                        description = description.alternate(&names[alternate]);
                    }
                    let _ = channel.exchange_declare(&description);
                }
                Step::Delete(exchange) => {
                    broker.delete(&Exchange::existing(&names[exchange])).unwrap();
                }
                Step::Bind(exchange, End::Queue(queue), key) => {
                    let queue = format!("q{queue}");
                    channel.queue_declare(&Queue::new(&queue)).unwrap();
                    let _ = channel.queue_bind(&queue, &names[exchange], KEYS[key], none());
                }
                Step::Bind(exchange, End::Exchange(to), key) => {
                    let _ = channel.exchange_bind(&names[to], &names[exchange], KEYS[key], none());
                }
                Step::Unbind(exchange, End::Queue(queue), key) => {
                    let queue = format!("q{queue}");
                    channel.queue_unbind(&queue, &names[exchange], KEYS[key], none()).unwrap();
                }
                Step::Unbind(exchange, End::Exchange(to), key) => {
                    let (to, from) = (&names[to], &names[exchange]);
                    channel.exchange_unbind(to, from, KEYS[key], none()).unwrap();
                }
                Step::DeleteQueue(queue) => {
                    broker.delete(&Queue::existing(format!("q{queue}"))).unwrap();
                }
                Step::Publish(exchange, key) => {
                    let start = Exchange::existing(&names[exchange]);
                    let now = broker.route(&start, KEYS[key], &none());
                    match producers[exchange].publish_to(KEYS[key], 1) {
                        Ok(published) => prop_assert_eq!(published.routed, now.unwrap().len()),
                        Err(error) => prop_assert!(error.error().is_not_found() && now.is_err()),
                    }
                }
            }
        }
    }
}
