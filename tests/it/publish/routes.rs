//! Routing of published messages, also after changes of the topology.

use leveret::{
    Broker, Bytes, Error, Exchange, FieldTable, Policy, Properties, Queue, Result,
    channel::{IfUnused, PublishOptions},
};

use crate::common::{connect, in_time, queue, rest};

#[test]
fn a_publish_that_has_returned_is_in_its_queues() -> Result {
    let broker = Broker::new();
    let news = Exchange::fanout("news");
    let [a, b] = ["a", "b"].map(|name| Queue::new(name).bind(&news, ""));
    broker.declare(&a)?;
    broker.declare(&b)?;
    let producer = broker.producer::<u32>(&news)?;
    for n in 1..=100 {
        assert_eq!(producer.publish(n)?.routed, 2);
        assert_eq!(broker.simple_queue::<u32>(&a)?.len()?, n as usize);
        assert_eq!(broker.simple_queue::<u32>(&b)?.len()?, n as usize);
    }
    Ok(())
}

#[test]
fn a_message_may_have_more_than_16_mebibytes() -> Result {
    let broker = Broker::new();
    let channel = connect(&broker)?.open_channel()?;
    channel.queue_declare(&queue())?;
    let body = Bytes::from(vec![7; (16 << 20) + 1]);
    broker.producer::<Bytes>(&queue())?.publish(body.clone())?;
    let (properties, options) = (Properties::new(), PublishOptions::new());
    channel.basic_publish("", queue().name(), body.clone(), properties, options)?;
    let consumer = broker.consumer::<Bytes>(&queue())?;
    for _ in 0..2 {
        let delivery = consumer.recv()?;
        assert!(*delivery == body);
        delivery.ack()?;
    }
    Ok(())
}

#[test]
fn a_producer_sees_every_change_of_the_topology_at_once() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let channel = connection.open_channel().unwrap();
    for kind in ["direct", "fanout", "topic", "headers"] {
        let exchange = Exchange::new(format!("x.{kind}"), kind);
        let second = Exchange::fanout(format!("second.{kind}"));
        broker.declare(&queue()).unwrap();
        broker.declare(&second).unwrap();
        let producer = broker
            .producer_builder::<u32>(&exchange)
            .routing_key("k")
            .build()
            .unwrap();
        let routed = || producer.publish(1).unwrap().routed;
        let none = FieldTable::new;
        assert_eq!(routed(), 0, "{kind}");
        channel
            .queue_bind("q", exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 1, "bind {kind}");
        channel
            .queue_unbind("q", exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 0, "unbind {kind}");
        // The route leads through a second exchange, whose bindings change.
        channel
            .exchange_bind(second.name(), exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 0, "exchange bind {kind}");
        channel.queue_bind("q", second.name(), "", none()).unwrap();
        assert_eq!(routed(), 1, "bind behind {kind}");
        broker.delete(&queue()).unwrap();
        assert_eq!(routed(), 0, "queue deleted {kind}");
        broker.declare(&queue()).unwrap();
        assert_eq!(routed(), 0, "queue declared, not bound {kind}");
        channel.queue_bind("q", second.name(), "", none()).unwrap();
        assert_eq!(routed(), 1, "bound again {kind}");
        channel
            .exchange_delete(second.name(), IfUnused::No)
            .unwrap();
        assert_eq!(routed(), 0, "exchange behind deleted {kind}");
        broker.delete(&exchange).unwrap();
        assert!(
            producer.publish(1).unwrap_err().error().is_not_found(),
            "{kind}"
        );
        broker.declare(&exchange).unwrap();
        channel
            .queue_bind("q", exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 1, "declared anew {kind}");
        broker.delete(&queue()).unwrap();
    }
}

#[test]
fn a_producer_for_a_queue_finds_the_new_one_of_that_name() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    producer.publish(1).unwrap();
    broker.delete(&queue()).unwrap();
    assert!(producer.publish(2).is_err());
    broker.declare(&queue()).unwrap();
    producer.publish(3).unwrap();
    assert_eq!(rest::<u32>(&broker, "q"), [(3, false)]);
}

#[test]
fn a_producer_that_has_published_finds_the_queue_that_took_the_place_of_a_deleted_one() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    broker.delete(&queue).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    assert!(in_time(move || producer.publish(2).is_ok()).unwrap());
    assert_eq!(*consumer.try_recv().unwrap(), 2);
}

#[test]
fn a_producer_that_has_published_finds_its_queue_deleted() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    broker.delete(&queue).unwrap();
    let error = in_time(move || producer.publish(2).unwrap_err().into_parts()).unwrap();
    assert_eq!(error.0.reply_code(), Some(312));
    assert_eq!(error.1, Some(2));
}

#[test]
fn a_producer_that_has_published_finds_the_broker_gone() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&Queue::new("q")).unwrap();
    producer.publish(1).unwrap();
    drop(broker);
    let error = in_time(move || producer.publish(2).unwrap_err()).unwrap();
    assert!(matches!(error.error(), Error::BrokerDropped), "{error}");
}

#[test]
fn a_producer_of_a_closed_connection_publishes_nothing() {
    let broker = Broker::new();
    broker.declare(&queue()).unwrap();
    let connection = connect(&broker).unwrap();
    let producer = connection.producer::<u32>(&queue()).unwrap();
    let by_key = connection
        .producer::<u32>(&Exchange::direct("amq.direct").passive())
        .unwrap();
    producer.publish(1).unwrap();
    by_key.publish_to("q", 1).unwrap();
    connection.close().unwrap();
    // The producers remember their routes, and still see that the connection is closed.
    assert_eq!(
        producer.publish(2).unwrap_err().into_parts(),
        (Error::ConnectionClosed, Some(2))
    );
    assert_eq!(
        by_key.publish_to("q", 2).unwrap_err().into_parts(),
        (Error::ConnectionClosed, Some(2))
    );
    assert_eq!(rest::<u32>(&broker, "q"), [(1, false)]);
}

#[test]
fn an_alternate_exchange_gets_unrouted_messages_as_soon_as_it_is_declared() {
    let broker = Broker::new();
    let main = Exchange::direct("main").alternate("spare");
    let producer = broker.producer::<u32>(&main).unwrap();
    assert_eq!(producer.publish(1).unwrap().routed, 0);
    let spare = Exchange::fanout("spare");
    broker.declare(&queue().bind(&spare, "")).unwrap();
    assert_eq!(producer.publish(2).unwrap().routed, 1);
    broker.delete(&spare).unwrap();
    assert_eq!(producer.publish(3).unwrap().routed, 0);
    assert_eq!(rest::<u32>(&broker, "q"), [(2, false)]);
}

#[test]
fn an_alternate_exchange_of_a_policy_gets_unrouted_messages_at_once() -> Result {
    let broker = Broker::new();
    let spare = Exchange::fanout("spare");
    broker.declare(&Queue::new("rest").bind(&spare, ""))?;
    let upstream = Exchange::fanout("upstream");
    let main = Exchange::direct("main").bind(&upstream, "");
    broker.declare(&main)?;
    let producers = [&main, &upstream].map(|exchange| broker.producer::<u32>(exchange));
    let vhost = broker.vhost("/")?;
    let policy = Policy::new("spare", "^main$").setting("alternate-exchange", "spare");
    for producer in producers {
        let producer = producer?;
        // Each producer remembers its route from here on.
        assert_eq!(producer.publish(1)?.routed, 0);
        vhost.set_policy(policy.clone())?;
        assert_eq!(producer.publish(2)?.routed, 1);
        vhost.clear_policy("spare")?;
        assert_eq!(producer.publish(3)?.routed, 0);
    }
    Ok(())
}
