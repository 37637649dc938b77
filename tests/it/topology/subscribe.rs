//! Subscribers: consumers of a queue of their own.

use leveret::{Broker, Exchange, Queue, Result, TryRecvError};

use crate::common::{channel_of, connect};

/// The names of the queues of the broker.
fn queues(broker: &Broker) -> Vec<String> {
    let snapshot = broker.snapshot().unwrap();
    let queues = snapshot.vhosts.into_iter().flat_map(|vhost| vhost.queues);
    queues.map(|queue| queue.name.to_string()).collect()
}

#[test]
fn each_subscriber_gets_a_copy_of_what_is_published_from_then_on() -> Result {
    let broker = Broker::new();
    let early = broker.subscribe::<u32>("news")?;
    let publisher = broker.producer::<u32>(&Exchange::fanout("news"))?;
    publisher.publish(1)?;
    let late = broker.subscribe::<u32>("news")?;
    publisher.publish(2)?;
    let received = |consumer: &leveret::Consumer<u32>| -> Vec<u32> {
        consumer
            .try_iter()
            .map(|delivery| *delivery.unwrap())
            .collect()
    };
    assert_eq!((received(&early), received(&late)), (vec![1, 2], vec![2]));
    Ok(())
}

#[test]
fn the_queue_of_a_subscriber_ends_with_the_consumer_and_the_exchange_stays() -> Result {
    let broker = Broker::new();
    let subscriber = broker.subscribe::<u32>("news")?;
    assert!(subscriber.queue().starts_with("amq.gen-"));
    assert_eq!(queues(&broker), [subscriber.queue().to_string()]);
    let theirs = connect(&broker)?.consumer::<u32>(&Queue::existing(&**subscriber.queue()));
    assert_eq!(theirs.unwrap_err().reply_code(), Some(405));
    drop(subscriber);
    assert_eq!(queues(&broker), [] as [String; 0]);
    let published = broker
        .producer::<u32>(&Exchange::existing("news"))?
        .publish(1)?;
    assert_eq!(published.routed, 0);
    Ok(())
}

#[test]
fn a_subscriber_of_a_channel_ends_with_the_channel() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    let subscribers = [
        channel.subscribe::<u32>("news")?,
        channel.subscribe_to(Exchange::topic("logs"), "#")?,
    ];
    channel.close()?;
    for subscriber in subscribers {
        assert!(!matches!(subscriber.try_recv(), Err(TryRecvError::Empty)));
    }
    assert_eq!(queues(&broker), [] as [String; 0]);
    Ok(())
}

#[test]
fn an_existing_fanout_exchange_is_used_whatever_its_other_properties() -> Result {
    let broker = Broker::new();
    let exchanges = [
        Exchange::fanout("durable").durable(),
        Exchange::fanout("internal").internal(),
        Exchange::fanout("short").auto_delete(),
        Exchange::fanout("late").delayed(),
        Exchange::existing("amq.fanout"),
    ];
    for exchange in exchanges {
        broker.declare(&exchange)?;
        let subscriber = broker.subscribe::<u32>(exchange.name())?;
        if exchange.name() != "internal" {
            broker.producer(&exchange)?.publish(7_u32)?;
            assert_eq!(*subscriber.recv()?, 7);
        }
    }
    // The exchange that the first subscriber has made is a plain one.
    let _first = broker.subscribe::<u32>("new")?;
    broker.declare(&Exchange::fanout("new"))?;
    Ok(())
}

#[test]
fn an_exchange_of_another_type_is_inequivalent_and_nothing_is_left_behind() -> Result {
    let broker = Broker::new();
    broker.declare(&Exchange::topic("late").delayed())?;
    for exchange in ["amq.topic", "amq.direct", "amq.headers", "late"] {
        let error = broker.subscribe::<u32>(exchange).unwrap_err();
        assert!(error.is_inequivalent(), "{error}");
    }
    for (exchange, code) in [("", 403), ("amq.new", 403)] {
        let error = broker.subscribe::<u32>(exchange).unwrap_err();
        assert_eq!(error.reply_code(), Some(code), "{error}");
    }
    assert_eq!(queues(&broker), [] as [String; 0]);
    Ok(())
}

#[test]
fn a_subscriber_of_a_topic_gets_what_its_key_matches() -> Result {
    let broker = Broker::new();
    let logs = Exchange::topic("logs");
    let errors = broker.subscribe_to::<u32>(&logs, "*.error")?;
    let connection = connect(&broker)?;
    let all = connection.subscribe_to::<u32>("logs", "#")?;
    let publisher = broker.producer::<u32>(&logs)?;
    assert_eq!(publisher.publish_to("disk.info", 1)?.routed, 1);
    assert_eq!(publisher.publish_to("disk.error", 2)?.routed, 2);
    assert_eq!((*errors.recv()?, *all.recv()?), (2, 1));
    assert!(
        broker
            .subscribe_to::<u32>("missing", "#")
            .unwrap_err()
            .is_not_found()
    );
    let other = broker.subscribe_to::<u32>(Exchange::direct("logs"), "#");
    assert!(other.unwrap_err().is_inequivalent());
    Ok(())
}
