//! Calls after an end: of a channel, a connection, a virtual host or the broker.

use std::time::Duration;

use leveret::{
    Broker, Budget, Channel, Connection, Credentials, Error, Exchange, FieldTable, Message, Policy,
    Queue, Requeue, Result, Selection,
    channel::{AckMode, ConsumeOptions, IfEmpty, IfUnused, Multiple, PublishOptions, QosScope},
};

use super::{
    Stage, Ways,
    publishing::{MESSAGE_PUBLISHES, PUBLISHES},
};
use crate::common::{connect, queue};

/// Tries the typed verbs that a broker, a connection and a channel have alike.
macro_rules! verbs {
    ($host:expr) => {{
        let host = $host;
        let verbs: Vec<(&str, Result)> = vec![
            ("declare a queue", host.declare(&queue()).map(drop)),
            (
                "declare one that exists",
                host.declare(&Queue::existing("q")).map(drop),
            ),
            (
                "declare an exchange",
                host.declare(&Exchange::fanout("x")).map(drop),
            ),
            (
                "declare the default exchange",
                host.declare(&Exchange::direct("")).map(drop),
            ),
            (
                "declare a budget",
                host.declare(&Budget::new("b", 1)).map(drop),
            ),
            ("delete a queue", host.delete(&queue())),
            ("delete an exchange", host.delete(&Exchange::fanout("x"))),
            ("delete a budget", host.delete(&Budget::new("b", 1))),
            ("purge", host.purge("q").map(drop)),
            (
                "route",
                host.route(&Exchange::existing("amq.topic"), "k", &FieldTable::new())
                    .map(drop),
            ),
            ("producer", host.producer::<u32>("q").map(drop)),
            (
                "producer to an exchange",
                host.producer::<u32>(&Exchange::fanout("x")).map(drop),
            ),
            (
                "producer to the default exchange",
                host.producer::<u32>(&Exchange::existing("")).map(drop),
            ),
            ("consumer", host.consumer::<u32>("q").map(drop)),
            (
                "also",
                host.consumer_builder::<u32>("q")
                    .also("r")
                    .build()
                    .map(drop),
            ),
            ("simple_queue", host.simple_queue::<u32>("q").map(drop)),
            ("delayed", host.delayed("q").map(drop)),
        ];
        verbs
    }};
}

/// Tries every method of a channel.
fn methods(channel: &Channel) -> Vec<(&'static str, Result)> {
    let none = FieldTable::new;
    let publish = |options| channel.basic_publish("", "q", "", Default::default(), options);
    vec![
        (
            "exchange_declare",
            channel.exchange_declare(&Exchange::fanout("x")),
        ),
        (
            "exchange_declare_passive",
            channel.exchange_declare_passive("x"),
        ),
        (
            "exchange_delete",
            channel.exchange_delete("x", IfUnused::No),
        ),
        ("exchange_bind", channel.exchange_bind("x", "y", "", none())),
        (
            "exchange_unbind",
            channel.exchange_unbind("x", "y", "", none()),
        ),
        ("queue_declare", channel.queue_declare(&queue()).map(drop)),
        (
            "queue_declare_passive",
            channel.queue_declare_passive("q").map(drop),
        ),
        ("queue_bind", channel.queue_bind("q", "x", "", none())),
        ("queue_unbind", channel.queue_unbind("q", "x", "", none())),
        ("queue_purge", channel.queue_purge("q").map(drop)),
        (
            "queue_delete",
            channel
                .queue_delete("q", IfUnused::No, IfEmpty::No)
                .map(drop),
        ),
        ("basic_qos", channel.basic_qos(0, 1, QosScope::Consumer)),
        (
            "basic_consume",
            channel.basic_consume("q", ConsumeOptions::new()).map(drop),
        ),
        ("basic_cancel", channel.basic_cancel("c")),
        ("basic_get", channel.basic_get("q", AckMode::Auto).map(drop)),
        ("basic_publish", publish(PublishOptions::new()).map(drop)),
        (
            "basic_publish, mandatory",
            publish(PublishOptions::new().mandatory()).map(drop),
        ),
        ("basic_ack", channel.basic_ack(1, Multiple::No)),
        (
            "basic_nack",
            channel.basic_nack(1, Multiple::No, Requeue::Yes),
        ),
        ("basic_reject", channel.basic_reject(1, Requeue::Yes)),
        ("basic_recover", channel.basic_recover(Requeue::Yes)),
        ("confirm_select", channel.confirm_select()),
        ("wait_for_confirms", channel.wait_for_confirms().map(drop)),
        (
            "try_wait_for_confirms",
            channel.try_wait_for_confirms().map(drop),
        ),
        ("tx_select", channel.tx_select()),
        ("tx_commit", channel.tx_commit()),
        ("tx_rollback", channel.tx_rollback()),
        ("close", channel.close()),
    ]
}

fn of_connection(connection: &Connection) -> Vec<(&'static str, Result)> {
    let policy = Policy::new("p", "").setting("max-length", 1);
    vec![
        ("open_channel", connection.open_channel().map(drop)),
        ("set_policy", connection.set_policy(policy.clone())),
        ("clear_policy", connection.clear_policy("p").map(drop)),
        (
            "set_operator_policy",
            connection.set_operator_policy(policy),
        ),
        (
            "clear_operator_policy",
            connection.clear_operator_policy("p").map(drop),
        ),
        (
            "set_dead_letter_queue",
            connection.set_dead_letter_queue(Some(&queue())),
        ),
        (
            "set_no_dead_letter_queue",
            connection.set_dead_letter_queue(None),
        ),
        (
            "redrive",
            connection.redrive(&queue(), Selection::all()).map(drop),
        ),
        ("peek", connection.peek(queue(), 1).map(drop)),
        ("browse", connection.browse(queue(), |_| true).map(drop)),
        (
            "delete_messages",
            connection
                .delete_messages(queue(), Selection::all())
                .map(drop),
        ),
        (
            "move_messages",
            connection
                .move_messages(queue(), "to", Selection::all())
                .map(drop),
        ),
        ("pause_queue", connection.pause_queue(queue())),
        ("resume_queue", connection.resume_queue(queue())),
        (
            "explain",
            connection
                .explain(&Exchange::existing(""), "q", &FieldTable::new())
                .map(drop),
        ),
        ("budget", connection.budget("b").map(drop)),
        ("close", connection.close()),
    ]
}

/// Every publish by a producer that was made, and used, before the end.
fn publishes(end: fn(&Stage) -> Result) -> Vec<(&'static str, Result)> {
    let stage = Stage::new().unwrap();
    let producer = stage.connection.producer::<u32>("q").unwrap();
    producer.publish(0).unwrap();
    let simple = stage.connection.simple_queue::<u32>("q").unwrap();
    end(&stage).unwrap();
    let plain = PUBLISHES
        .iter()
        .map(|(way, publish)| (*way, publish(&producer)));
    let messages = MESSAGE_PUBLISHES
        .iter()
        .map(|(way, publish)| (*way, publish(&producer, Message::new(1))));
    let mut all: Vec<(&str, Result)> = plain.chain(messages).collect();
    all.push(("put", simple.put(1).map(drop).map_err(Error::from)));
    let put = simple.put_message(Message::new(1));
    all.push(("put_message", put.map(drop).map_err(Error::from)));
    all
}

/// Every call failed with this error.
fn all_fail(host: &str, calls: Vec<(&str, Result)>, expected: &Error) {
    for (call, result) in calls {
        assert_eq!(result.as_ref(), Err(expected), "{host}: {call}");
    }
}

fn ended(end: fn(&Stage) -> Result) -> Stage {
    let stage = Stage::new().unwrap();
    end(&stage).unwrap();
    stage
}

#[test]
fn a_closed_channel() {
    let stage = ended(|stage| stage.channel.close());
    let closed = Error::ChannelClosed;
    assert_eq!(
        (closed.reply_code(), closed.to_string()),
        (None, "the channel is closed".to_owned())
    );
    all_fail("channel", verbs!(&stage.channel), &closed);
    all_fail("channel", methods(&stage.channel), &closed);
}

#[test]
fn a_closed_connection() {
    let end: fn(&Stage) -> Result = |stage| stage.connection.close();
    let stage = ended(end);
    let closed = Error::ConnectionClosed;
    let text = "the connection is closed".to_owned();
    assert_eq!((closed.reply_code(), closed.to_string()), (None, text));
    all_fail("channel", verbs!(&stage.channel), &closed);
    all_fail("channel", methods(&stage.channel), &closed);
    all_fail("connection", verbs!(&stage.connection), &closed);
    all_fail("connection", of_connection(&stage.connection), &closed);
    all_fail("producer", publishes(end), &closed);
}

#[test]
fn a_broker_that_is_shut_down() {
    let end: fn(&Stage) -> Result = |stage| stage.broker.shutdown(Duration::ZERO).map(drop);
    let stage = ended(end);
    let down = Error::ShutDown;
    let text = "the broker is shut down".to_owned();
    assert_eq!((down.reply_code(), down.to_string()), (None, text));
    all_fail("broker", verbs!(&stage.broker), &down);
    all_fail("channel", verbs!(&stage.channel), &down);
    all_fail("channel", methods(&stage.channel), &down);
    all_fail("connection", verbs!(&stage.connection), &down);
    all_fail("connection", of_connection(&stage.connection), &down);
    all_fail("producer", publishes(end), &down);
    let broker = &stage.broker;
    let others = vec![
        (
            "connect",
            broker.connect("/", Credentials::guest()).map(drop),
        ),
        ("vhost", broker.vhost("/").map(drop)),
        ("vhosts", broker.vhosts().map(drop)),
        ("create_vhost", broker.create_vhost("v")),
        ("delete_vhost", broker.delete_vhost("/")),
        ("snapshot", broker.snapshot().map(drop)),
        ("budget", broker.budget("b").map(drop)),
    ];
    all_fail("broker", others, &down);
}

#[test]
fn a_broker_whose_last_clone_was_dropped() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let channel = connection.open_channel()?;
    let producer = connection.producer::<u32>("q")?;
    drop(broker);
    let dropped = Error::BrokerDropped;
    let text = "the broker has ended: its last `Broker` clone was dropped".to_owned();
    assert_eq!((dropped.reply_code(), dropped.to_string()), (None, text));
    all_fail("channel", verbs!(&channel), &dropped);
    all_fail("channel", methods(&channel), &dropped);
    all_fail("connection", verbs!(&connection), &dropped);
    all_fail("connection", of_connection(&connection), &dropped);
    assert_eq!(producer.publish(7).unwrap_err().error(), &dropped);
    Ok(())
}

#[test]
fn a_deleted_virtual_host() -> Result {
    let end: fn(&Stage) -> Result = |stage| stage.broker.delete_vhost("/");
    let stage = ended(end);
    let deleted = Error::VhostDeleted {
        vhost: "/".parse()?,
    };
    let text = "CONNECTION_FORCED - vhost '/' is deleted".to_owned();
    assert_eq!(
        (deleted.reply_code(), deleted.to_string()),
        (Some(320), text)
    );
    all_fail("channel", verbs!(&stage.channel), &deleted);
    all_fail("channel", methods(&stage.channel), &deleted);
    all_fail("connection", verbs!(&stage.connection), &deleted);
    all_fail("connection", of_connection(&stage.connection), &deleted);
    all_fail("producer", publishes(end), &deleted);
    Ok(())
}

#[test]
fn a_missing_virtual_host() {
    let mut ways = Ways::new();
    ways.by("vhost", |stage| stage.broker.vhost("v"));
    ways.by("delete_vhost", |stage| stage.broker.delete_vhost("v"));
    ways.all_fail_with(404, "NOT_FOUND - no vhost 'v'");
}
