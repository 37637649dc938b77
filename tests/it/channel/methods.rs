//! Single AMQP methods, next to the typed handles.

use leveret::channel::{AckMode, Multiple, QosScope};
use leveret::{
    Broker, Exchange, ManualClock, Overflow, Properties, Queue, RecvError, Result,
    channel::{ConsumeOptions, Event, PublishOptions},
};

use crate::common::{SECOND, channel_of, connect, queue};

#[test]
fn a_channel_speaks_amqp() -> leveret::Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    channel.confirm_select()?;
    channel.basic_publish(
        "",
        "nobody",
        "lost",
        Properties::new(),
        PublishOptions::new().mandatory(),
    )?;
    let events = channel.events();
    assert!(matches!(events.recv()?, Event::Return(returned) if returned.reply_code == 312));
    assert!(matches!(events.recv()?, Event::Confirm(confirm) if confirm.delivery_tag == 1));
    assert!(events.try_recv().is_err());
    Ok(())
}

#[test]
fn connections_channels_and_brokers_have_the_typed_verbs_alike() -> leveret::Result {
    let broker = Broker::builder().clock(ManualClock::new()).build();
    let connection = connect(&broker)?;
    let channel = connection.open_channel()?;
    let queue = Queue::new("q").overflow(Overflow::RejectPublish);
    for simple in [
        broker.simple_queue::<u32>("q2")?,
        connection.simple_queue("q2")?,
        channel.simple_queue("q2")?,
    ] {
        simple.put(1)?;
        simple.get_timeout(SECOND)?.ack()?;
        assert_eq!((simple.len()?, simple.purge()?), (0, 0));
    }
    broker.declare(&queue)?;
    connection.producer::<u32>(&queue)?.publish(1)?;
    assert_eq!(channel.purge(&queue)?, 1);
    channel.producer::<u32>(&queue)?.publish(2)?;
    let consumer = channel
        .consumer_builder::<u32>(&queue)
        .prefetch(1)
        .build()?;
    assert_eq!(consumer.recv()?.ack_into().unwrap(), 2);
    channel.close()?;
    assert!(matches!(consumer.recv(), Err(RecvError::Cancelled(_))));
    connection.delete(&queue)?;
    Ok(())
}

#[test]
fn an_error_closes_nothing_and_changes_nothing() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let channel = connection.open_channel()?;
    channel.queue_declare(&Queue::new("q"))?;
    let error = channel
        .queue_declare(&Queue::new("q").durable())
        .unwrap_err();
    assert_eq!(error.reply_code(), Some(406));
    let error = channel
        .exchange_declare(&Exchange::new("x", "nonsense"))
        .unwrap_err();
    assert_eq!(error.reply_code(), Some(406)); // RabbitMQ closes the channel
    assert_eq!(channel.queue_declare_passive("q")?.message_count, 0);
    Ok(())
}

#[test]
fn a_tag_used_again_does_not_take_the_credit_of_the_consumer_before_it() {
    let broker = Broker::new();
    let channel = channel_of(&broker).unwrap();
    channel.queue_declare(&queue()).unwrap();
    channel.basic_qos(0, 1, QosScope::Consumer).unwrap();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    for id in 0..3 {
        producer.publish(id).unwrap();
    }
    let options = ConsumeOptions::new().tag("c");
    channel.basic_consume("q", options.clone()).unwrap();
    channel.basic_cancel("c").unwrap();
    channel.basic_consume("q", options).unwrap();
    // Each consumer has one delivery. One ack settles both.
    channel.basic_ack(2, Multiple::Yes).unwrap();
    let events = channel.events();
    for _ in 0..3 {
        assert!(matches!(
            events.try_recv(),
            Ok(leveret::channel::Event::Delivery(_))
        ));
    }
}

#[test]
fn a_rolled_back_settlement_can_be_settled() {
    let broker = Broker::new();
    let channel = channel_of(&broker).unwrap();
    channel.queue_declare(&Queue::new("q")).unwrap();
    channel
        .basic_publish("", "q", "x", Properties::new(), PublishOptions::new())
        .unwrap();
    channel.tx_select().unwrap();
    let got = channel
        .basic_get("q", leveret::channel::AckMode::Manual)
        .unwrap()
        .unwrap();
    channel.basic_ack(got.delivery_tag(), Multiple::No).unwrap();
    channel.tx_rollback().unwrap();
    channel.basic_ack(got.delivery_tag(), Multiple::No).unwrap();
    channel.tx_commit().unwrap();
    assert_eq!(channel.queue_declare_passive("q").unwrap().message_count, 0);
}

#[test]
fn a_commit_to_a_deleted_queue_loses_the_rest_and_makes_its_settlements_unsettled_again() -> Result
{
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    for name in ["q", "gone", "other"] {
        channel.queue_declare(&Queue::new(name))?;
    }
    let publish = |key| {
        let options = PublishOptions::new();
        channel.basic_publish("", key, "x", Properties::new(), options)
    };
    publish("q")?;
    channel.tx_select()?;
    let got = channel
        .basic_get("q", AckMode::Manual)?
        .expect("one is ready");
    channel.basic_ack(got.delivery_tag(), Multiple::No)?;
    for key in ["other", "gone", "other"] {
        publish(key)?;
    }
    broker.delete(&Queue::new("gone"))?;
    let error = channel.tx_commit().unwrap_err();
    assert_eq!(
        error.to_string(),
        "RESOURCE_ERROR - failed to deliver message: \
         {not_found,{resource,<<\"/\">>,queue,<<\"gone\">>}}"
    );
    assert_eq!(channel.queue_purge("other")?, 1);
    // The next transaction has nothing of this one, and can settle the delivery.
    channel.tx_commit()?;
    channel.basic_ack(got.delivery_tag(), Multiple::No)?;
    channel.tx_commit()?;
    assert_eq!(channel.queue_purge("other")?, 0);
    channel.close()?;
    assert_eq!(broker.purge(Queue::new("q"))?, 0);
    Ok(())
}

#[test]
fn channels_are_numbered_within_their_connection() {
    let broker = Broker::new();
    for _ in 0..2 {
        let connection = connect(&broker).unwrap();
        let channels = [(); 3].map(|()| connection.open_channel().unwrap());
        assert_eq!(
            channels.each_ref().map(|channel| channel.number()),
            [1, 2, 3]
        );
        channels[1].close().unwrap();
        assert_eq!(connection.open_channel().unwrap().number(), 4);
    }
}

#[test]
fn a_common_limit_counts_gets_only_if_it_is_set_where_there_was_none() {
    for (before, delivered) in [(0, 0), (2, 1)] {
        let broker = Broker::new();
        let channel = channel_of(&broker).unwrap();
        channel.queue_declare(&queue()).unwrap();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let _ = producer.publish_batch(0..4);
        channel.basic_qos(0, before, QosScope::Channel).unwrap();
        channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
        channel.basic_qos(0, 1, QosScope::Channel).unwrap();
        channel.basic_consume("q", ConsumeOptions::new()).unwrap();
        let events = channel.events();
        let count = std::iter::from_fn(|| events.try_recv().ok()).count();
        assert_eq!(count, delivered, "after a limit of {before}");
    }
}
