//! Line ends in the names of queues, exchanges and budgets. They are removed wherever such a thing
//! is named, so that each of its names leads to it.

use leveret::{
    Broker, Budget, Exchange, FieldTable, Policy, Properties, Queue, Result, Selection,
    channel::{AckMode, ConsumeOptions, IfEmpty, IfUnused, PublishOptions},
};

use crate::common::{channel_of, connect};

/// The queue `ab`, bound to the exchange `xy`.
fn bound() -> Queue {
    Queue::new("a\r\nb").bind(Exchange::topic("x\ny"), "k")
}

fn none() -> FieldTable {
    FieldTable::new()
}

#[test]
fn a_description_has_the_name_that_it_declares() -> Result {
    let broker = Broker::new();
    let queue = broker.declare(&bound())?;
    assert_eq!((queue.name(), bound().name()), ("ab", "ab"));
    assert_eq!(queue.bindings()[0].source().name(), "xy");
    assert_eq!(broker.declare(&Exchange::existing("\nxy"))?.name(), "xy");
    assert_eq!(broker.declare(&Budget::new("b\n", 1))?.name(), "b");
    let written =
        r#"{"name": "a\nb", "bindings": [{"source": {"name": "x\ny"}, "routing_key": "k"}]}"#;
    let read: Queue = serde_json::from_str(written).unwrap();
    assert_eq!(
        (read.name(), read.bindings()[0].source().name()),
        ("ab", "xy")
    );
    let vhost = &broker.snapshot()?.vhosts[0];
    assert_eq!(vhost.queues[0].name, "ab");
    let binding = &vhost.bindings[0];
    assert_eq!((&*binding.source, &*binding.destination), ("xy", "ab"));
    Ok(())
}

#[test]
fn the_typed_verbs_find_what_was_declared() -> Result {
    let broker = Broker::new();
    broker.declare(&bound())?;
    let to_exchange = broker.producer::<u32>(&Exchange::existing("x\ny"))?;
    assert_eq!(to_exchange.publish_to("k", 1)?.routed, 1);
    broker.producer::<u32>("a\nb")?.publish(2)?;
    let simple = broker.simple_queue::<u32>("a\nb")?;
    assert_eq!((&**simple.name(), simple.len().unwrap()), ("ab", 2));
    let route = broker.route(&Exchange::existing("x\ny"), "k", &none())?;
    assert_eq!(route, ["ab"]);
    let delivery = broker.consumer::<u32>("a\nb")?.recv()?;
    let info = delivery.info();
    assert_eq!((&**info.queue(), &*info.exchange()), ("ab", "xy"));
    delivery.ack()?;
    assert!(broker.delayed("a\nb")?.is_empty());
    assert_eq!(
        connect(&broker)?.redrive(&Queue::existing("a\nb"), Selection::all())?,
        0
    );
    assert_eq!(broker.purge("a\nb")?, 1);
    broker.delete(&Queue::existing("a\nb"))?;
    assert!(broker.purge("ab").unwrap_err().is_not_found());
    broker.delete(&Exchange::existing("x\ny"))?;
    assert!(
        broker
            .declare(&Exchange::existing("xy"))
            .unwrap_err()
            .is_not_found()
    );
    Ok(())
}

#[test]
fn the_methods_of_a_channel_find_what_was_declared() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    assert_eq!(channel.queue_declare(&Queue::new("a\nb"))?.name, "ab");
    assert_eq!(channel.queue_declare_passive("\rab")?.name, "ab");
    channel.exchange_declare(&Exchange::topic("x\ny"))?;
    channel.exchange_declare_passive("xy\n")?;
    channel.queue_bind("a\nb", "x\ny", "k", none())?;
    channel.exchange_bind("x\ny", "amq.\ntopic", "#", none())?;
    for exchange in ["x\ny", "amq.to\npic"] {
        let options = PublishOptions::new().mandatory();
        channel.basic_publish(exchange, "k", "m", Properties::new(), options)?;
    }
    assert!(channel.basic_get("a\nb", AckMode::Auto)?.is_some());
    assert_eq!(channel.queue_purge("a\nb")?, 1);
    channel.basic_consume("a\nb", ConsumeOptions::new())?;
    channel.queue_unbind("a\nb", "x\ny", "k", none())?;
    channel.exchange_unbind("x\ny", "amq.\ntopic", "#", none())?;
    assert!(broker.snapshot()?.vhosts[0].bindings.is_empty());
    channel.queue_delete("a\nb", IfUnused::No, IfEmpty::No)?;
    channel.exchange_delete("x\ny", IfUnused::No)?;
    assert!(channel.queue_declare_passive("ab").is_err());
    assert!(channel.exchange_declare_passive("xy").is_err());
    Ok(())
}

#[test]
fn arguments_and_policies_find_what_was_declared() -> Result {
    let broker = Broker::new();
    broker.declare(&bound())?;
    broker.declare(&Budget::new("bud\nget", 100))?;
    assert_eq!(broker.budget("budg\net")?.name, "budget");
    let by_setters = Queue::new("setters").budget("b\nudget");
    let by_setters = by_setters
        .dead_letter_exchange("x\ny")
        .dead_letter_routing_key("k");
    let by_arguments = Queue::new("arguments")
        .argument("x-budget", "b\nudget")
        .argument("x-dead-letter-exchange", "x\ny")
        .argument("x-dead-letter-routing-key", "k");
    let policy = Policy::new("p", "^policy$").setting("dead-letter-exchange", "x\ny");
    let policy = policy.setting("dead-letter-routing-key", "k");
    broker.vhost("/")?.set_policy(policy)?;
    for queue in [by_setters, by_arguments, Queue::new("policy")] {
        let simple = broker.simple_queue::<u32>(&queue)?;
        simple.put(1)?;
        simple.get()?.reject()?;
        assert_eq!(broker.purge("ab")?, 1, "{queue:?}");
    }
    let alternate = Exchange::fanout("f").alternate("a\nmq.topic");
    broker.declare(&Queue::new("rest").bind(Exchange::existing("amq.topic"), "#"))?;
    assert_eq!(broker.producer::<u32>(&alternate)?.publish(1)?.routed, 1);
    Ok(())
}

/// A routing key is not a name. RabbitMQ keeps its line ends as well.
#[test]
fn a_routing_key_keeps_its_line_ends() -> Result {
    let broker = Broker::new();
    broker.declare(&Queue::new("q").bind(Exchange::direct("x"), "k\n"))?;
    let producer = broker.producer::<u32>(&Exchange::existing("x"))?;
    assert_eq!(producer.publish_to("k\n", 1)?.routed, 1);
    assert_eq!(producer.publish_to("k", 1)?.routed, 0);
    Ok(())
}
