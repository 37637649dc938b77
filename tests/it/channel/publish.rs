//! Publishing on a channel: the route of the last message is used again while it is right.

use leveret::{
    Broker, Channel, Credentials, Error, Exchange, FieldTable, FieldValue, Overflow, Properties,
    Queue,
    channel::{AckMode, IfEmpty, IfUnused, PublishOptions},
};

fn open(broker: &Broker) -> leveret::Result<Channel> {
    broker.connect("/", Credentials::guest())?.open_channel()
}

fn publish(channel: &Channel, exchange: &str, key: &str) -> leveret::Result<usize> {
    publish_with(channel, exchange, key, Properties::new())
}

fn publish_with(
    channel: &Channel,
    exchange: &str,
    key: &str,
    properties: Properties,
) -> leveret::Result<usize> {
    let options = PublishOptions::new();
    let outcome = channel.basic_publish(exchange, key, "m", properties, options)?;
    Ok(outcome.published.routed)
}

#[test]
fn a_queue_that_follows_a_deleted_one_of_its_name_gets_the_next_message() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = open(&broker)?;
    for _ in 0..3 {
        channel.queue_declare(&Queue::new("q"))?;
        assert_eq!(publish(&channel, "", "q")?, 1);
        assert_eq!(publish(&channel, "", "q")?, 1);
        assert_eq!(channel.queue_delete("q", IfUnused::No, IfEmpty::No)?, 2);
        assert_eq!(publish(&channel, "", "q")?, 0);
    }
    Ok(())
}

#[test]
fn a_binding_that_comes_or_goes_counts_for_the_next_message() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = open(&broker)?;
    channel.exchange_declare(&Exchange::topic("x"))?;
    for queue in ["a", "b"] {
        channel.queue_declare(&Queue::new(queue))?;
        channel.queue_bind(queue, "x", "k.#", FieldTable::new())?;
        assert_eq!(
            publish(&channel, "x", "k")?,
            if queue == "a" { 1 } else { 2 }
        );
        assert_eq!(
            publish(&channel, "x", "k.k")?,
            if queue == "a" { 1 } else { 2 }
        );
    }
    channel.queue_unbind("b", "x", "k.#", FieldTable::new())?;
    assert_eq!(publish(&channel, "x", "k")?, 1);
    channel.exchange_delete("x", IfUnused::No)?;
    let error = publish(&channel, "x", "k").unwrap_err();
    assert_eq!(error.reply_code(), Some(404));
    Ok(())
}

#[test]
fn properties_that_need_a_look_are_looked_at_behind_messages_that_need_none() -> leveret::Result<()>
{
    let broker = Broker::new();
    let channel = open(&broker)?;
    for queue in ["q", "copy"] {
        channel.queue_declare(&Queue::new(queue))?;
    }
    let plain = || Properties::new().priority(3).persistent().header("k", "v");
    assert_eq!(publish_with(&channel, "", "q", plain())?, 1);
    assert_eq!(publish_with(&channel, "", "q", plain())?, 1);
    let copied = FieldValue::Array(vec!["copy".into()]);
    let cc = Properties::new().header("CC", copied);
    assert_eq!(publish_with(&channel, "", "q", cc)?, 2);
    for refused in [
        plain().expiration("soon"),
        plain().user_id("nobody"),
        plain().header("BCC", "q"),
        plain().reply_to("amq.rabbitmq.reply-to"),
    ] {
        let error = publish_with(&channel, "", "q", refused).unwrap_err();
        assert_eq!(error.reply_code(), Some(406));
    }
    let got = channel
        .basic_get("q", AckMode::Auto)?
        .expect("three are ready");
    assert_eq!(*got.properties(), plain());
    assert_eq!(
        (got.routing_key(), &*got.exchange(), &*got.body()?),
        ("q", "", &b"m"[..])
    );
    Ok(())
}

#[test]
fn a_limit_that_refuses_refuses_on_a_known_route_too() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = open(&broker)?;
    let small = Queue::new("q")
        .max_length(2)
        .overflow(Overflow::RejectPublish);
    channel.queue_declare(&small)?;
    channel.confirm_select()?;
    let options = PublishOptions::new();
    let publish = || channel.basic_publish("", "q", "m", Properties::new(), options);
    for number in 1..=2 {
        let outcome = publish()?;
        assert_eq!(
            (outcome.published.routed, outcome.number),
            (1, Some(number))
        );
    }
    let outcome = publish()?;
    assert_eq!((outcome.published.refused, outcome.number), (1, Some(3)));
    let transient = Queue::new("dropping").max_length(2);
    channel.queue_declare(&transient)?;
    for number in 4..=9 {
        let outcome = channel.basic_publish("", "dropping", "m", Properties::new(), options)?;
        assert_eq!(
            (outcome.published.routed, outcome.number),
            (1, Some(number))
        );
    }
    assert_eq!(channel.queue_purge("dropping")?, 2);
    Ok(())
}

#[test]
fn a_priority_counts_on_a_known_route_too() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = open(&broker)?;
    channel.queue_declare(&Queue::new("q").max_priority(9))?;
    for priority in [None, None, Some(1), Some(7), Some(3), None] {
        let properties = match priority {
            None => Properties::new(),
            Some(priority) => Properties::new().priority(priority),
        };
        assert_eq!(publish_with(&channel, "", "q", properties)?, 1);
    }
    let mut priorities = Vec::new();
    while let Some(got) = channel.basic_get("q", AckMode::Auto)? {
        priorities.push(got.properties().priority);
    }
    assert_eq!(priorities, [Some(7), Some(3), Some(1), None, None, None]);
    Ok(())
}

#[test]
fn a_closed_channel_publishes_nothing_by_a_known_route() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = open(&broker)?;
    channel.queue_declare(&Queue::new("q"))?;
    for _ in 0..2 {
        assert_eq!(publish(&channel, "", "q")?, 1);
    }
    channel.close()?;
    assert_eq!(publish(&channel, "", "q"), Err(Error::ChannelClosed));
    assert_eq!(broker.purge("q")?, 2);
    Ok(())
}

#[test]
fn a_message_of_a_transaction_waits_for_the_commit_behind_a_known_route() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = open(&broker)?;
    channel.queue_declare(&Queue::new("q"))?;
    for _ in 0..2 {
        assert_eq!(publish(&channel, "", "q")?, 1);
    }
    channel.tx_select()?;
    assert_eq!(publish(&channel, "", "q")?, 0);
    assert_eq!(channel.queue_purge("q")?, 2);
    channel.tx_commit()?;
    assert_eq!(channel.queue_purge("q")?, 1);
    Ok(())
}
