//! The credit of a consumer of a channel. Each settlement counts at once, also while the client has
//! unread deliveries.

use std::{thread, time::Duration};

use leveret::{
    Broker, Channel, Credentials, Properties, Queue, TryRecvError,
    channel::{ChannelOptions, ConsumeOptions, Event, Events, Multiple, PublishOptions, QosScope},
};

const PREFETCH: u16 = 8;

fn publish(channel: &Channel, numbers: impl IntoIterator<Item = u8>) -> leveret::Result<()> {
    for number in numbers {
        let (properties, options) = (Properties::new(), PublishOptions::new());
        channel.basic_publish("", "q", [number], properties, options)?;
    }
    Ok(())
}

/// A channel whose consumer has eight of this many messages.
fn consuming(broker: &Broker, messages: u8) -> leveret::Result<Channel> {
    let connection = broker.connect("/", Credentials::guest())?;
    let channel = connection.open_channel()?;
    channel.queue_declare(&Queue::new("q"))?;
    publish(&channel, 1..=messages)?;
    channel.basic_qos(0, PREFETCH, QosScope::Consumer)?;
    channel.basic_consume("q", ConsumeOptions::new())?;
    Ok(channel)
}

/// The tags of the deliveries that are there.
fn read(events: &Events, most: usize) -> Vec<u64> {
    let mut tags = Vec::new();
    while tags.len() < most {
        match events.try_recv() {
            Ok(Event::Delivery(delivery)) => tags.push(delivery.delivery_tag()),
            Ok(other) => panic!("{other:?}"),
            Err(TryRecvError::Empty) => break,
            Err(error) => panic!("{error}"),
        }
    }
    tags
}

#[test]
fn a_client_that_has_read_everything_gets_a_message_for_each_that_it_acknowledges()
-> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 12)?;
    let events = channel.events();
    assert_eq!(read(&events, 100), (1..=8).collect::<Vec<_>>());
    for tag in 1..=4 {
        channel.basic_ack(tag, Multiple::No)?;
        assert_eq!(read(&events, 100), [tag + 8]);
    }
    channel.basic_ack(12, Multiple::Yes)?;
    assert_eq!(channel.queue_declare_passive("q")?.message_count, 0);
    Ok(())
}

#[test]
fn a_client_that_acknowledges_before_it_has_read_everything_gets_the_rest_in_order()
-> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 100)?;
    let (events, mut last) = (channel.events(), 0);
    while last < 100 {
        let tags = read(&events, 3);
        assert!(!tags.is_empty(), "{last} were read");
        for tag in tags {
            last += 1;
            assert_eq!(tag, last);
            channel.basic_ack(tag, Multiple::No)?;
        }
    }
    assert!(read(&events, 100).is_empty());
    Ok(())
}

#[test]
fn a_batch_of_events_brings_the_messages_that_were_acknowledged_for() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 10)?;
    let (events, mut taken) = (channel.events(), Vec::new());
    assert_eq!(events.drain_into(&mut taken, 100), 8);
    channel.basic_ack(1, Multiple::No)?;
    assert_eq!(events.drain_into(&mut taken, 100), 1);
    Ok(())
}

#[test]
fn a_reader_that_waits_is_woken_by_an_acknowledgement_of_another_thread() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 9)?;
    let events = channel.events();
    assert_eq!(read(&events, 100).len(), 8);
    let reading = thread::spawn(move || events.recv_timeout(Duration::from_secs(60)));
    channel.basic_ack(3, Multiple::No)?;
    assert!(matches!(reading.join(), Ok(Ok(Event::Delivery(_)))));
    Ok(())
}

#[test]
fn what_is_acknowledged_while_deliveries_are_unread_counts_at_once() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 20)?;
    let events = channel.events();
    assert_eq!(read(&events, 1), [1]);
    channel.basic_ack(1, Multiple::No)?;
    // The ninth has left the ready messages.
    assert_eq!(channel.queue_declare_passive("q")?.message_count, 11);
    assert_eq!(channel.queue_purge("q")?, 11);
    assert_eq!(read(&events, 100), (2..=9).collect::<Vec<_>>());
    Ok(())
}

/// The consumers of the deliveries that are there, with the bodies.
fn read_bodies(events: &Events) -> Vec<(String, u8)> {
    let mut taken: Vec<Event> = Vec::new();
    events.drain_into(&mut taken, 100);
    let delivered = taken.iter().map(|event| match event {
        Event::Delivery(delivery) => {
            let body = delivery.body().expect("it is encoded");
            (delivery.consumer_tag().to_string(), body[0])
        }
        other => panic!("{other:?}"),
    });
    delivered.collect()
}

#[test]
fn an_acknowledgement_brings_the_next_message_though_another_channel_has_unread_deliveries()
-> leveret::Result<()> {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest())?;
    let open = || connection.open_channel_with(ChannelOptions::new().events_to_connection());
    let (first, second) = (open()?, open()?);
    first.queue_declare(&Queue::new("q"))?;
    second.basic_qos(0, PREFETCH, QosScope::Consumer)?;
    second.basic_consume("q", ConsumeOptions::new())?;
    publish(&first, 1..=8)?;
    let (events, mut taken) = (connection.events(), Vec::new());
    assert_eq!(events.drain_into(&mut taken, 100), 8);
    first.queue_declare(&Queue::new("backlog"))?;
    first.basic_consume("backlog", ConsumeOptions::new())?;
    let (properties, options) = (Properties::new(), PublishOptions::new());
    first.basic_publish("", "backlog", "unread", properties, options)?;
    publish(&first, 9..=10)?;
    second.basic_ack(1, Multiple::No)?;
    taken.clear();
    assert_eq!(events.drain_into(&mut taken, 100), 2);
    assert_eq!((taken[0].0, taken[1].0), (first.number(), second.number()));
    Ok(())
}

#[test]
fn a_message_that_may_not_wait_reaches_a_consumer_that_has_acknowledged_one() -> leveret::Result<()>
{
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest())?;
    let channel = connection.open_channel()?;
    channel.queue_declare(&Queue::new("q").message_ttl(Duration::ZERO))?;
    channel.basic_qos(0, PREFETCH, QosScope::Consumer)?;
    channel.basic_consume("q", ConsumeOptions::new().tag("c"))?;
    // The ninth finds no credit, and expires.
    publish(&channel, 1..=9)?;
    channel.basic_ack(1, Multiple::No)?;
    publish(&channel, 10..=11)?;
    let bodies = read_bodies(&channel.events());
    let expected = (1..=8).chain([10]);
    assert_eq!(
        bodies,
        expected.map(|it| ("c".to_owned(), it)).collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn a_consumer_that_has_acknowledged_one_goes_before_one_of_lower_priority() -> leveret::Result<()> {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest())?;
    let channel = connection.open_channel()?;
    channel.queue_declare(&Queue::new("q"))?;
    channel.basic_qos(0, PREFETCH, QosScope::Consumer)?;
    for (tag, priority) in [("high", 2), ("low", 1)] {
        let options = ConsumeOptions::new().tag(tag).priority(priority);
        channel.basic_consume("q", options)?;
    }
    publish(&channel, 1..=9)?;
    channel.basic_ack(1, Multiple::No)?;
    publish(&channel, [10])?;
    let bodies = read_bodies(&channel.events());
    assert_eq!(
        bodies[8..],
        [("low".to_owned(), 9), ("high".to_owned(), 10)]
    );
    Ok(())
}
