//! Bad declarations and bad names of queues and exchanges.

use leveret::{
    Binding, Exchange, FieldTable, Queue, Result, Selection,
    channel::{AckMode, ConsumeOptions, IfEmpty, IfUnused},
};

use super::{Stage, Ways, by_channel, by_each, by_each_use_of_queue};
use crate::common::queue;

fn with_queue(stage: &Stage) -> Result {
    stage.broker.declare(&queue()).map(drop)
}

fn no_arguments() -> FieldTable {
    FieldTable::new()
}

#[test]
fn a_missing_queue() {
    let mut ways = Ways::new();
    let missing = || Queue::existing("no such");
    by_each_use_of_queue!(ways, missing());
    by_each!(ways,
        "declare with a binding": |host| host.declare(&missing().bind("amq.topic", "k")),
        "purge": |host| host.purge("no such"),
        "purge of a description": |host| host.purge(Queue::new("no such")),
        "delayed": |host| host.delayed("no such"),
    );
    by_channel!(ways,
        "queue_declare_passive": |channel| channel.queue_declare_passive("no such"),
        "queue_declare": |channel| channel.queue_declare(&missing()),
        "queue_bind": |channel| channel.queue_bind("no such", "amq.topic", "k", no_arguments()),
        "queue_purge": |channel| channel.queue_purge("no such"),
        "basic_consume": |channel| channel.basic_consume("no such", ConsumeOptions::new()),
        "basic_get": |channel| channel.basic_get("no such", AckMode::Auto),
    );
    ways.by("redrive", |stage| {
        stage.connection.redrive(&missing(), Selection::all())
    });
    ways.all_fail_with(404, "NOT_FOUND - no queue 'no such' in vhost '/'");
}

#[test]
fn a_missing_exchange() {
    let mut ways = Ways::after(with_queue);
    let missing = || Exchange::existing("no such");
    let bound = || queue().bind(missing(), "k");
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of an exchange": |host| host.declare(&missing()),
        "declare of a bound exchange": |host| {
            host.declare(&Exchange::fanout("x").bind(missing(), "k"))
        },
        "producer to an exchange": |host| host.producer::<u32>(&missing()),
        "route": |host| host.route(&missing(), "k", &no_arguments()),
        "delayed": |host| host.delayed(missing()),
    );
    by_channel!(ways,
        "exchange_declare_passive": |channel| channel.exchange_declare_passive("no such"),
        "exchange_declare": |channel| channel.exchange_declare(&missing()),
        "exchange_bind of a source": |channel| {
            channel.exchange_bind("amq.topic", "no such", "k", no_arguments())
        },
        "exchange_bind of a destination": |channel| {
            channel.exchange_bind("no such", "amq.topic", "k", no_arguments())
        },
        "queue_bind": |channel| channel.queue_bind("q", "no such", "k", no_arguments()),
    );
    ways.all_fail_with(404, "NOT_FOUND - no exchange 'no such' in vhost '/'");
}

/// As in RabbitMQ: `exchange.delete`, `queue.delete`, `exchange.unbind` and `queue.unbind` succeed.
#[test]
fn deleting_and_unbinding_what_is_missing_succeeds_by_every_way() -> Result {
    let stage = Stage::new()?;
    let Stage { channel, .. } = &stage;
    channel.queue_unbind("q", "amq.topic", "k", no_arguments())?;
    channel.queue_unbind("q", "x", "k", no_arguments())?;
    channel.exchange_unbind("x", "amq.topic", "k", no_arguments())?;
    channel.exchange_unbind("amq.topic", "x", "k", no_arguments())?;
    stage.broker.delete(&queue())?;
    stage.connection.delete(&Exchange::fanout("x"))?;
    stage.channel.delete(&queue())?;
    stage.channel.exchange_delete("x", IfUnused::No)?;
    let messages = stage.channel.queue_delete("q", IfUnused::No, IfEmpty::No)?;
    assert_eq!(messages, 0);
    Ok(())
}

#[test]
fn a_reserved_name_of_a_queue() {
    let mut ways = Ways::new();
    let reserved = || Queue::new("amq.q");
    by_each_use_of_queue!(ways, reserved());
    by_each!(ways,
        "consumer by plain name": |host| host.consumer::<u32>("amq.q"),
        "producer by plain name": |host| host.producer::<u32>("amq.q"),
        "simple_queue by plain name": |host| host.simple_queue::<u32>("amq.q"),
    );
    ways.by("queue_declare", |stage| {
        stage.channel.queue_declare(&reserved())
    });
    ways.all_fail_with(
        403,
        "ACCESS_REFUSED - queue name 'amq.q' contains reserved prefix 'amq.*'",
    );
}

#[test]
fn a_reserved_name_of_an_exchange() {
    let mut ways = Ways::new();
    let reserved = || Exchange::direct("amq.x");
    let bound = || queue().bind(reserved(), "k");
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of an exchange": |host| host.declare(&reserved()),
        "declare of a bound exchange": |host| {
            host.declare(&Exchange::fanout("x").bind(reserved(), "k"))
        },
        "producer to an exchange": |host| host.producer::<u32>(&reserved()),
    );
    ways.by("exchange_declare", |stage| {
        stage.channel.exchange_declare(&reserved())
    });
    ways.all_fail_with(
        403,
        "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'",
    );
}

#[test]
fn the_deletion_of_a_predeclared_exchange() {
    let mut ways = Ways::new();
    by_each!(ways, "delete": |host| host.delete(&Exchange::existing("amq.direct")));
    ways.by("exchange_delete", |stage| {
        stage.channel.exchange_delete("amq.direct", IfUnused::No)
    });
    ways.all_fail_with(
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    );
}

#[test]
fn a_binding_or_a_deletion_of_the_default_exchange() {
    let mut ways = Ways::after(with_queue);
    let bound = || queue().bind("", "k");
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of a bound exchange": |host| host.declare(&Exchange::fanout("x").bind("", "k")),
        "declare of it": |host| host.declare(&Exchange::direct("")),
        "declare of it, if it exists": |host| host.declare(&Exchange::existing("")),
        "declare of it with a binding": |host| {
            host.declare(&Exchange::direct("").bind("amq.topic", "k"))
        },
        "producer to it with a binding": |host| {
            host.producer::<u32>(&Exchange::existing("").bind("amq.topic", "k"))
        },
        "delete": |host| host.delete(&Exchange::existing("")),
    );
    by_channel!(ways,
        "exchange_declare": |channel| channel.exchange_declare(&Exchange::direct("")),
        "exchange_declare_passive": |channel| channel.exchange_declare_passive(""),
        "exchange_delete": |channel| channel.exchange_delete("", IfUnused::No),
        "exchange_bind of a source": |channel| {
            channel.exchange_bind("amq.topic", "", "k", no_arguments())
        },
        "exchange_bind of a destination": |channel| {
            channel.exchange_bind("", "amq.topic", "k", no_arguments())
        },
        "exchange_unbind": |channel| channel.exchange_unbind("amq.topic", "", "k", no_arguments()),
        "queue_bind": |channel| channel.queue_bind("q", "", "k", no_arguments()),
        "queue_unbind": |channel| channel.queue_unbind("q", "", "k", no_arguments()),
    );
    ways.all_fail_with(
        403,
        "ACCESS_REFUSED - operation not permitted on the default exchange",
    );
}

#[test]
fn a_redeclaration_of_a_queue_with_another_property() {
    let mut ways = Ways::after(with_queue);
    by_each_use_of_queue!(ways, queue().durable());
    ways.by("queue_declare", |stage| {
        stage.channel.queue_declare(&queue().durable())
    });
    ways.all_fail_with(
        406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received \
         'true' but current is 'false'",
    );
}

#[test]
fn a_redeclaration_of_a_queue_with_another_argument() {
    let mut ways = Ways::after(with_queue);
    by_each_use_of_queue!(ways, queue().max_length(5));
    ways.by("queue_declare", |stage| {
        stage.channel.queue_declare(&queue().max_length(5))
    });
    ways.all_fail_with(
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': \
         received the value '5' of type 'signedint' but current is none",
    );
}

#[test]
fn a_redeclaration_of_an_exchange_with_another_type() {
    let mut ways = Ways::after(|stage| stage.broker.declare(&Exchange::topic("x")).map(drop));
    let other = || Exchange::fanout("x");
    let bound = || queue().bind(other(), "k");
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of an exchange": |host| host.declare(&other()),
        "producer to an exchange": |host| host.producer::<u32>(&other()),
    );
    ways.by("exchange_declare", |stage| {
        stage.channel.exchange_declare(&other())
    });
    ways.all_fail_with(
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received \
         'fanout' but current is 'topic'",
    );
}

#[test]
fn an_unknown_type_of_exchange() {
    let mut ways = Ways::new();
    let ring = || Exchange::new("x", "ring");
    let bound = || queue().bind(ring(), "k");
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of an exchange": |host| host.declare(&ring()),
        "producer to an exchange": |host| host.producer::<u32>(&ring()),
    );
    ways.by("exchange_declare", |stage| {
        stage.channel.exchange_declare(&ring())
    });
    ways.all_fail_with(406, "PRECONDITION_FAILED - unknown exchange type 'ring'");
}

#[test]
fn bad_arguments_of_a_queue() {
    for (argument, value, text) in [
        ("x-max-length", (-1).into(), "expected"),
        ("x-message-ttl", "soon".into(), "expected"),
        ("x-expires", 0.into(), "expected"),
        ("x-overflow", "spill".into(), "expected"),
        ("x-max-priority", 1_000.into(), "expected"),
        ("x-queue-type", "ring".into(), "queue"),
        ("x-queue-version", 1.into(), "expected 2"),
        ("x-delivery-limit", 3.into(), "rabbit_classic_queue"),
        ("x-consumer-timeout", "a".into(), "rabbit_classic_queue"),
        (
            "x-stream-filter-size-bytes",
            16.into(),
            "rabbit_classic_queue",
        ),
        (
            "x-dead-letter-exchange",
            12.into(),
            "invalid type 'signedint'",
        ),
        ("x-dead-letter-routing-key", "k".into(), "x-dead-letter"),
    ] {
        let value: leveret::FieldValue = value;
        let bad = || queue().argument(argument, value.clone());
        let mut ways = Ways::new();
        ways.by("queue_declare", |stage| stage.channel.queue_declare(&bad()));
        by_each_use_of_queue!(ways, bad());
        let told = ways.errors[0].1.to_string();
        assert!(told.contains(argument) && told.contains(text), "{told}");
        ways.all_fail_with(406, &told);
    }
}

#[test]
fn an_argument_that_rabbitmq_has_removed() {
    let mut ways = Ways::new();
    let bad = || queue().argument("x-queue-master-locator", "client-local");
    ways.by("queue_declare", |stage| stage.channel.queue_declare(&bad()));
    by_each_use_of_queue!(ways, bad());
    let told = ways.errors[0].1.to_string();
    assert!(told.contains("`queue_master_locator` is deprecated"));
    ways.all_fail_with(541, &told);
}

#[test]
fn a_quorum_queue_that_cannot_be() {
    let quorum = || Queue::quorum("q");
    for (bad, property) in [
        (quorum().auto_delete().exclusive_flag(), "auto-delete"),
        (quorum().exclusive_flag(), "exclusive-owner"),
        (
            Queue::new("q").argument("x-queue-type", "quorum"),
            "non-durable",
        ),
    ] {
        let mut ways = Ways::new();
        ways.by("queue_declare", |stage| stage.channel.queue_declare(&bad));
        by_each_use_of_queue!(ways, bad.clone());
        ways.all_fail_with(
            406,
            &format!(
                "PRECONDITION_FAILED - invalid property '{property}' for queue 'q' in vhost '/'"
            ),
        );
    }
    let mut ways = Ways::new();
    ways.by("queue_declare", |stage| {
        stage.channel.queue_declare(&Queue::quorum(""))
    });
    by_each_use_of_queue!(ways, Queue::quorum(""));
    ways.all_fail_with(
        406,
        "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue",
    );
}

#[test]
fn a_topic_key_with_three_hashes() {
    let mut ways = Ways::after(with_queue);
    let bound = || queue().bind("amq.topic", "#.a.#.#");
    by_each_use_of_queue!(ways, bound());
    by_channel!(ways,
        "queue_bind": |channel| channel.queue_bind("q", "amq.topic", "#.a.#.#", no_arguments()),
        "exchange_bind": |channel| {
            channel.exchange_bind("amq.fanout", "amq.topic", "#.a.#.#", no_arguments())
        },
    );
    ways.all_fail_with(
        406,
        "PRECONDITION_FAILED - Topic binding key '#.a.#.#' uses 3 '#' wildcards, at most 2 are \
         allowed",
    );
}

#[test]
fn bad_arguments_of_an_exchange() {
    let mut ways = Ways::new();
    let bad = || Exchange::direct("x").argument("alternate-exchange", 12);
    let bound = || queue().bind(bad(), "k");
    by_each_use_of_queue!(ways, bound());
    by_each!(ways,
        "declare of an exchange": |host| host.declare(&bad()),
        "producer to an exchange": |host| host.producer::<u32>(&bad()),
    );
    ways.by("exchange_declare", |stage| {
        stage.channel.exchange_declare(&bad())
    });
    ways.all_fail_with(
        406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange \
         'x' in vhost '/'",
    );
}

#[test]
fn a_wrong_x_match() {
    let mut ways = Ways::after(with_queue);
    let wrong = || FieldTable::from([("x-match", "some")]);
    let bound = || queue().bind_with("amq.headers", "", wrong());
    by_each_use_of_queue!(ways, bound());
    let binding = || Binding::new("amq.headers", "").argument("x-match", "some");
    by_each!(ways,
        "declare of a bound exchange": |host| {
            host.declare(&Exchange::fanout("x").binding(binding()))
        },
        "producer to a bound exchange": |host| {
            host.producer::<u32>(&Exchange::fanout("x").binding(binding()))
        },
    );
    by_channel!(ways,
        "queue_bind": |channel| channel.queue_bind("q", "amq.headers", "", wrong()),
        "exchange_bind": |channel| channel.exchange_bind("amq.fanout", "amq.headers", "", wrong()),
    );
    ways.all_fail_with(
        406,
        "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, \
         all-with-x, or any-with-x",
    );
}

#[test]
fn an_exclusive_queue_of_another_connection() {
    let mut ways = Ways::after(|stage| {
        let mine = Queue::new("mine").exclusive_flag();
        stage.other.declare(&mine.bind("amq.topic", "k")).map(drop)
    });
    let theirs = || Queue::new("mine").exclusive_flag();
    by_each_use_of_queue!(ways, theirs());
    by_each_use_of_queue!(ways, Queue::existing("mine"));
    by_each!(ways,
        "consumer by plain name": |host| host.consumer::<u32>("mine"),
        "also by plain name": |host| host.consumer_builder::<u32>("q").also("mine").build(),
        "producer by plain name": |host| host.producer::<u32>("mine"),
        "simple_queue by plain name": |host| host.simple_queue::<u32>("mine"),
        "purge": |host| host.purge("mine"),
        "delete": |host| host.delete(&theirs()),
        "delayed": |host| host.delayed("mine"),
    );
    by_channel!(ways,
        "queue_declare": |channel| channel.queue_declare(&theirs()),
        "queue_declare_passive": |channel| channel.queue_declare_passive("mine"),
        "queue_bind": |channel| channel.queue_bind("mine", "amq.topic", "k", no_arguments()),
        "queue_unbind": |channel| channel.queue_unbind("mine", "amq.topic", "k", no_arguments()),
        "queue_purge": |channel| channel.queue_purge("mine"),
        "queue_delete": |channel| channel.queue_delete("mine", IfUnused::No, IfEmpty::No),
        "basic_consume": |channel| channel.basic_consume("mine", ConsumeOptions::new()),
        "basic_get": |channel| channel.basic_get("mine", AckMode::Auto),
    );
    ways.by("redrive", |stage| {
        stage.connection.redrive(&theirs(), Selection::all())
    });
    ways.all_fail_with(
        405,
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It \
         could be originally declared on another connection or the exclusive property value does \
         not match that of the original declaration.",
    );
}

#[test]
fn a_consumer_beside_an_exclusive_consumer() {
    let mut ways = Ways::after(|stage| {
        stage.other.declare(&queue())?;
        let consumer = stage.other.open_channel()?;
        consumer.basic_consume("q", ConsumeOptions::new().exclusive())?;
        // The consumer ends with its connection.
        std::mem::forget(consumer);
        Ok(())
    });
    by_each!(ways,
        "consumer": |host| host.consumer::<u32>("q"),
        "exclusive consumer": |host| host.consumer_builder::<u32>("q").exclusive().build(),
        "also": |host| host.consumer_builder::<u32>("first").also("q").build(),
    );
    by_channel!(ways,
        "basic_consume": |channel| channel.basic_consume("q", ConsumeOptions::new()),
        "exclusive basic_consume": |channel| {
            channel.basic_consume("q", ConsumeOptions::new().exclusive())
        },
    );
    ways.all_fail_with(
        403,
        "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
    );
}
