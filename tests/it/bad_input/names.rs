//! Names and routing keys of more than 255 bytes.

use leveret::{
    Budget, Credentials, Exchange, FieldTable, Message, Policy, Queue, Selection,
    channel::{AckMode, ConsumeOptions, IfEmpty, IfUnused, PublishOptions},
};

use super::{Ways, by_channel, by_each, by_each_use_of_queue};
use crate::common::queue;

const TEXT: &str = "SYNTAX_ERROR - a name has at most 255 bytes, the one that begins \
                    'xxxxxxxxxxxxxxxxxxxx' has 256: shorten it";

fn long() -> String {
    "x".repeat(256)
}

fn none() -> FieldTable {
    FieldTable::new()
}

#[test]
fn a_long_name_of_a_queue() {
    let mut ways = Ways::new();
    by_each_use_of_queue!(ways, Queue::new(long()));
    by_each_use_of_queue!(ways, Queue::existing(long()));
    by_each!(ways,
        "consumer by plain name": |host| host.consumer::<u32>(long()),
        "producer by plain name": |host| host.producer::<u32>(long()),
        "simple_queue by plain name": |host| host.simple_queue::<u32>(long()),
        "simple_buffer": |host| host.simple_buffer::<u32>(long()),
        "purge": |host| host.purge(long()),
        "delete": |host| host.delete(&Queue::new(long())),
        "delayed": |host| host.delayed(long()),
    );
    by_channel!(ways,
        "queue_declare": |channel| channel.queue_declare(&Queue::new(long())),
        "queue_declare_passive": |channel| channel.queue_declare_passive(&long()),
        "queue_bind": |channel| channel.queue_bind(&long(), "amq.topic", "k", none()),
        "queue_unbind": |channel| channel.queue_unbind(&long(), "amq.topic", "k", none()),
        "queue_purge": |channel| channel.queue_purge(&long()),
        "queue_delete": |channel| channel.queue_delete(&long(), IfUnused::No, IfEmpty::No),
        "basic_consume": |channel| channel.basic_consume(&long(), ConsumeOptions::new()),
        "basic_get": |channel| channel.basic_get(&long(), AckMode::Auto),
    );
    ways.by("redrive", |stage| {
        stage
            .connection
            .redrive(&Queue::new(long()), Selection::all())
    });
    ways.all_fail_with(502, TEXT);
}

#[test]
fn a_long_name_of_an_exchange() {
    let mut ways = Ways::after(|stage| stage.broker.declare(&queue()).map(drop));
    let exchange = || Exchange::direct(long());
    let bound = || queue().bind(exchange(), "k");
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of an exchange": |host| host.declare(&exchange()),
        "declare of a bound exchange": |host| {
            host.declare(&Exchange::fanout("x").bind(exchange(), ""))
        },
        "producer to an exchange": |host| host.producer::<u32>(&exchange()),
        "subscribe": |host| host.subscribe::<u32>(long()),
        "subscribe_to": |host| host.subscribe_to::<u32>(exchange(), "k"),
        "delete": |host| host.delete(&exchange()),
        "delayed": |host| host.delayed(exchange()),
        "route": |host| host.route(&exchange(), "k", &none()),
    );
    by_channel!(ways,
        "exchange_declare": |channel| channel.exchange_declare(&exchange()),
        "exchange_declare_passive": |channel| channel.exchange_declare_passive(&long()),
        "exchange_delete": |channel| channel.exchange_delete(&long(), IfUnused::No),
        "exchange_bind": |channel| channel.exchange_bind(&long(), "amq.topic", "k", none()),
        "exchange_bind of a source": |channel| {
            channel.exchange_bind("amq.topic", &long(), "k", none())
        },
        "exchange_unbind": |channel| channel.exchange_unbind(&long(), "amq.topic", "k", none()),
        "queue_bind": |channel| channel.queue_bind("q", &long(), "k", none()),
        "queue_unbind": |channel| channel.queue_unbind("q", &long(), "k", none()),
        "basic_publish": |channel| {
            channel.basic_publish(&long(), "k", "", Default::default(), PublishOptions::new())
        },
    );
    ways.all_fail_with(502, TEXT);
}

#[test]
fn a_long_routing_key() {
    let mut ways = Ways::after(|stage| stage.broker.declare(&queue()).map(drop));
    let topic = || Exchange::existing("amq.topic");
    let bound = || queue().bind(topic(), long());
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of a bound exchange": |host| {
            host.declare(&Exchange::fanout("x").bind(topic(), long()))
        },
        "subscribe_to": |host| host.subscribe_to::<u32>(topic(), long()),
        "route": |host| host.route(&topic(), &long(), &none()),
        "producer_builder": |host| {
            host.producer_builder::<u32>(&topic()).routing_key(long()).build()
        },
    );
    by_channel!(ways,
        "exchange_bind": |channel| {
            channel.exchange_bind("amq.fanout", "amq.topic", &long(), none())
        },
        "exchange_unbind": |channel| {
            channel.exchange_unbind("amq.fanout", "amq.topic", &long(), none())
        },
        "queue_bind": |channel| channel.queue_bind("q", "amq.topic", &long(), none()),
        "queue_unbind": |channel| channel.queue_unbind("q", "amq.topic", &long(), none()),
        "basic_publish": |channel| {
            let options = PublishOptions::new();
            channel.basic_publish("amq.topic", &long(), "", Default::default(), options)
        },
    );
    ways.by("publish_to", |stage| {
        let producer = stage.connection.producer::<u32>(&topic()).unwrap();
        producer.publish_to(&long(), 1)
    });
    ways.by("publish_message", |stage| {
        let producer = stage.connection.producer::<u32>(&topic()).unwrap();
        producer.publish_message(Message::new(1).routing_key(long()))
    });
    ways.by("put_message", |stage| {
        let queue = stage.connection.simple_queue::<u32>("q").unwrap();
        queue.put_message(Message::new(1).routing_key(long()))
    });
    ways.all_fail_with(502, TEXT);
}

#[test]
fn other_long_names() {
    let mut ways = Ways::after(|stage| stage.broker.declare(&queue()).map(drop));
    by_each!(ways,
        "tag of a consumer": |host| host.consumer_builder::<u32>("q").tag(long()).build(),
        "declare of a budget": |host| host.declare(&Budget::new(long(), 1)),
        "delete of a budget": |host| host.delete(&Budget::new(long(), 1)),
    );
    let tag = || ConsumeOptions::new().tag(long());
    by_channel!(ways, "basic_consume": |channel| channel.basic_consume("q", tag()));
    ways.by("set_policy", |stage| {
        stage
            .connection
            .set_policy(Policy::new(long(), "").setting("max-length", 1))
    });
    ways.by("set_operator_policy", |stage| {
        let policy = Policy::new(long(), "").setting("max-length", 1);
        stage.connection.set_operator_policy(policy)
    });
    ways.by("Connection::budget", |stage| {
        stage.connection.budget(&long())
    });
    ways.by("Broker::budget", |stage| stage.broker.budget(&long()));
    ways.by("create_vhost", |stage| stage.broker.create_vhost(&long()));
    ways.by("delete_vhost", |stage| stage.broker.delete_vhost(&long()));
    ways.by("vhost", |stage| stage.broker.vhost(&long()));
    ways.by("connect", |stage| {
        stage.broker.connect(&long(), Credentials::guest())
    });
    ways.by("connect as a user", |stage| {
        stage.broker.connect("/", Credentials::new(long(), ""))
    });
    ways.all_fail_with(502, TEXT);
}

#[test]
fn a_long_routing_key_of_a_producer_declares_nothing() -> leveret::Result {
    let broker = leveret::Broker::new();
    let exchange = Exchange::fanout("x");
    let builder = broker.producer_builder::<u32>(&exchange);
    let error = builder.routing_key(long()).build().unwrap_err();
    assert_eq!(error.to_string(), TEXT);
    let known = broker.declare(&Exchange::existing("x"));
    assert!(known.unwrap_err().is_not_found());
    Ok(())
}
