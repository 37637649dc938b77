//! Tables that are nested too deep, and long ones. A deep table would overflow the stack if it were
//! handled by recursion, so the tests have a small one.

use std::thread;

use leveret::{
    Binding, Broker, Exchange, FieldTable, FieldValue, Message, Policy, Properties, Queue, Result,
    channel::{ConsumeOptions, PublishOptions},
};

use super::{Ways, by_channel, by_each, by_each_use_of_queue};
use crate::common::queue;

const TEXT: &str = "SYNTAX_ERROR - tables and arrays are nested at most 100 deep: flatten this one";

/// Far too deep, by tables and arrays in turn.
fn deep() -> FieldTable {
    let mut table = FieldTable::new();
    for _ in 0..10_000 {
        table = FieldTable::from([("inner", FieldValue::Array(vec![table.into()]))]);
    }
    table
}

fn on_a_small_stack(test: fn()) {
    let thread = thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(test).unwrap().join().unwrap();
}

#[test]
fn deep_arguments() {
    on_a_small_stack(|| {
        let mut ways = Ways::after(|stage| stage.broker.declare(&queue()).map(drop));
        let exchange = || Exchange::fanout("x").argument("deep", deep());
        let topic = || Exchange::existing("amq.topic");
        by_each_use_of_queue!(ways, queue().argument("deep", deep()));
        by_each_use_of_queue!(ways, Queue::new("new").argument("deep", deep()));
        by_each_use_of_queue!(ways, Queue::new("new").bind(exchange(), ""));
        by_each_use_of_queue!(ways, queue().bind_with(topic(), "", [("deep", deep())]));
        by_each!(ways,
            "declare of an exchange": |host| host.declare(&exchange()),
            "producer to an exchange": |host| host.producer::<u32>(&exchange()),
            "declare of a bound exchange": |host| {
                let binding = Binding::new(topic(), "").argument("deep", deep());
                host.declare(&Exchange::fanout("x").binding(binding))
            },
            "route": |host| host.route(&topic(), "k", &deep()),
        );
        by_channel!(ways,
            "queue_declare": |channel| channel.queue_declare(&queue().argument("deep", deep())),
            "exchange_declare": |channel| channel.exchange_declare(&exchange()),
            "queue_bind": |channel| channel.queue_bind("q", "amq.topic", "k", deep()),
            "queue_unbind": |channel| channel.queue_unbind("q", "amq.topic", "k", deep()),
            "exchange_bind": |channel| {
                channel.exchange_bind("amq.fanout", "amq.topic", "k", deep())
            },
            "exchange_unbind": |channel| {
                channel.exchange_unbind("amq.fanout", "amq.topic", "k", deep())
            },
            "basic_consume": |channel| {
                channel.basic_consume("q", ConsumeOptions::new().arguments(deep()))
            },
        );
        ways.by("set_policy", |stage| {
            let policy = Policy::new("p", "").setting("deep", deep());
            stage.connection.set_policy(policy)
        });
        ways.by("set_operator_policy", |stage| {
            let policy = Policy::new("p", "").setting("deep", deep());
            stage.connection.set_operator_policy(policy)
        });
        ways.all_fail_with(502, TEXT);
    });
}

#[test]
fn deep_headers() {
    on_a_small_stack(|| {
        let mut ways = Ways::after(|stage| stage.broker.declare(&queue()).map(drop));
        by_each!(ways,
            "publish_message": |host| {
                let producer = host.producer::<u32>("q").unwrap();
                producer.publish_message(Message::new(1).header("deep", deep()))
            },
            "put_message": |host| {
                let queue = host.simple_queue::<u32>("q").unwrap();
                queue.put_message(Message::new(1).header("deep", deep()))
            },
            "producer_builder": |host| {
                let properties = Properties::new().headers(deep());
                host.producer_builder::<u32>("q").properties(properties).build()
            },
        );
        by_channel!(ways, "basic_publish": |channel| {
            let properties = Properties::new().headers(deep());
            channel.basic_publish("", "q", "", properties, PublishOptions::new())
        });
        ways.all_fail_with(502, TEXT);
    });
}

#[test]
fn a_refused_message_with_deep_headers_comes_back_and_can_be_looked_at() {
    on_a_small_stack(|| {
        let producer = Broker::new().producer::<u32>("q");
        let message = Message::new(1).header("deep", deep());
        let refused = producer.unwrap().publish_message(message).unwrap_err();
        let back = refused.into_inner().unwrap();
        assert!(format!("{back:?}").contains("{..}"), "{back:?}");
        assert!(back.clone() == back);
        assert_eq!(back.into_payload(), 1);
    });
}

/// If each header or argument were searched from the front of its table, this would not end.
#[test]
fn long_tables_route_and_arrive() -> Result {
    const LONG: u32 = 100_000;
    let broker = Broker::new();
    let table = || (0..LONG).map(|number| (number.to_string(), number));
    let headers = Exchange::existing("amq.headers");
    for name in ["all", "any"] {
        let mut arguments: FieldTable = table().collect();
        arguments.insert("x-match", name);
        let bound = Queue::new(name).bind_with(&headers, "", arguments);
        broker.declare(&bound)?;
        broker.declare(&bound)?;
    }
    let producer = broker.producer::<u32>(&headers)?;
    let properties = Properties::new().headers(table().rev().collect());
    let sent = producer.publish_message(Message::new(1).properties(properties.clone()))?;
    assert_eq!(sent.routed, 2);
    let other = table().map(|(name, number)| (name, number + 1));
    let other = Properties::new().headers(other.collect());
    assert_eq!(
        producer
            .publish_message(Message::new(2).properties(other))?
            .routed,
        0
    );
    let delivery = broker.consumer::<u32>("all")?.recv()?;
    let arrived = &delivery.info().properties().headers;
    assert!(arrived.as_ref() == properties.headers.as_ref());
    Ok(())
}
